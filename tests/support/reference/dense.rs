//! Dense operations, each as its formula in `Backend` stands.

use crate::support::bound::Exact;
use rosa_kernels::{
    backend::{AdamW, Heads},
    packing::Sequence,
};

/// The same numbers in f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The sum of products of three factors.
fn term(sum: &mut Exact, a: f64, b: f64, c: f64) {
    sum.add(a * b, c);
}

/// An element that is computed without cancellation.
fn single(value: f64) -> Exact {
    Exact { value, magnitude: value.abs() }
}

/// `before + scale · Σ_l a(i, l) · b(l, j)` for all `i < m`, `j < n`.
pub fn product(
    [m, n, depth]: [usize; 3],
    scale: f64,
    a: impl Fn(usize, usize) -> f64,
    b: impl Fn(usize, usize) -> f64,
    before: impl Fn(usize, usize) -> f64,
) -> Vec<Exact> {
    let element = |i, j| {
        let mut sum = single(before(i, j));
        for l in 0..depth {
            term(&mut sum, scale, a(i, l), b(l, j));
        }
        sum
    };
    (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
}

fn reciprocal_rms(x: &[f64], eps: f64) -> f64 {
    1.0 / (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + eps).sqrt()
}

pub fn rmsnorm(x: &[f64], gain: &[f64], eps: f64) -> Vec<Exact> {
    let row = |x: &[f64]| {
        let r = reciprocal_rms(x, eps);
        x.iter().zip(gain).map(|(x, gain)| single(x * r * gain)).collect::<Vec<_>>()
    };
    x.chunks(gain.len()).flat_map(row).collect()
}

pub fn rmsnorm_backward(x: &[f64], gain: &[f64], eps: f64, dy: &[f64]) -> Vec<Exact> {
    let k = gain.len();
    let row = |(x, dy): (&[f64], &[f64])| {
        let r = reciprocal_rms(x, eps);
        let mut mean = Exact::default();
        for i in 0..k {
            term(&mut mean, dy[i] * gain[i], x[i], 1.0 / k as f64);
        }
        let element = |j: usize| Exact {
            value: r * (gain[j] * dy[j] - x[j] * r * r * mean.value),
            magnitude: r * ((gain[j] * dy[j]).abs() + (x[j] * r * r).abs() * mean.magnitude),
        };
        (0..k).map(element).collect::<Vec<_>>()
    };
    x.chunks(k).zip(dy.chunks(k)).flat_map(row).collect()
}

pub fn rmsnorm_gain_grad(x: &[f64], k: usize, eps: f64, dy: &[f64]) -> Vec<Exact> {
    let mut sums = vec![Exact::default(); k];
    for (x, dy) in x.chunks(k).zip(dy.chunks(k)) {
        let r = reciprocal_rms(x, eps);
        for j in 0..k {
            term(&mut sums[j], dy[j], x[j], r);
        }
    }
    sums
}

/// By `+θ`; give `−sin` for the turn back.
pub fn rope(cos: &[f64], sin: &[f64], half: usize, positions: &[u32], x: &[f64]) -> Vec<Exact> {
    let width = x.len() / positions.len();
    let element = |index: usize| {
        let (t, j) = (index / width, index % (2 * half));
        let angle = positions[t] as usize * half + j % half;
        let mut sum = Exact::default();
        sum.add(x[index], cos[angle]);
        if j < half {
            sum.add(-x[index + half], sin[angle])
        } else {
            sum.add(x[index - half], sin[angle])
        }
        sum
    };
    (0..x.len()).map(element).collect()
}

/// What attention gives, and what bounds its error.
pub struct Attention {
    pub y: Vec<Exact>,
    pub lse: Vec<f64>,
    /// The largest `Σ|q·k|/√e` of all pairs.
    pub score_magnitude: f64,
}

/// `q·kᵀ/√e` of query row `i` and key row `j` for query head `head`.
fn score(q: &[f64], k: &[f64], heads: Heads, head: usize, i: usize, j: usize) -> Exact {
    let (e, mut sum) = (heads.head_dim, Exact::default());
    for c in 0..e {
        let q = q[(i * heads.heads + head) * e + c];
        let k = k[(j * heads.kv_heads + kv_head(heads, head)) * e + c];
        term(&mut sum, q, k, 1.0 / (e as f64).sqrt());
    }
    sum
}

fn kv_head(heads: Heads, head: usize) -> usize {
    head / (heads.heads / heads.kv_heads)
}

/// All (query row, its visible key rows).
fn visible(sequences: &[Sequence]) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    sequences.iter().flat_map(|s| {
        (0..s.q_len).map(|i| {
            let first = s.k_start as usize;
            ((s.q_start + i) as usize, first..first + (s.k_len - s.q_len + i) as usize + 1)
        })
    })
}

pub fn attention(q: &[f64], k: &[f64], v: &[f64], sequences: &[Sequence], heads: Heads) -> Attention {
    let (h, g, e) = (heads.heads, heads.kv_heads, heads.head_dim);
    let mut result = Attention { y: vec![], lse: vec![], score_magnitude: 0.0 };
    for (i, keys) in visible(sequences) {
        for head in 0..h {
            let scores: Vec<Exact> = keys.clone().map(|j| score(q, k, heads, head, i, j)).collect();
            let lse = scores.iter().map(|s| s.value.exp()).sum::<f64>().ln();
            result.lse.push(lse);
            result.score_magnitude =
                scores.iter().map(|s| s.magnitude).fold(result.score_magnitude, f64::max);
            for c in 0..e {
                let mut y = Exact::default();
                for (s, j) in scores.iter().zip(keys.clone()) {
                    y.add((s.value - lse).exp(), v[(j * g + kv_head(heads, head)) * e + c]);
                }
                result.y.push(y);
            }
        }
    }
    result
}

/// dq, dk, dv from what forward saved.
pub fn attention_backward(
    [q, k, v, y, lse, dy]: [&[f64]; 6],
    sequences: &[Sequence],
    heads: Heads,
) -> [Vec<Exact>; 3] {
    let (h, g, e) = (heads.heads, heads.kv_heads, heads.head_dim);
    let [mut dq, mut dk, mut dv] = [q, k, v].map(|x| vec![Exact::default(); x.len()]);
    for (i, keys) in visible(sequences) {
        for head in 0..h {
            let row = (i * h + head) * e;
            for j in keys.clone() {
                let column = (j * g + kv_head(heads, head)) * e;
                let p = (score(q, k, heads, head, i, j).value - lse[i * h + head]).exp();
                let mut difference = Exact::default();
                for c in 0..e {
                    difference.add(dy[row + c], v[column + c]);
                    difference.add(-dy[row + c], y[row + c]);
                }
                let ds = p / (e as f64).sqrt();
                for c in 0..e {
                    let add = |sum: &mut Exact, factor: f64| {
                        sum.value += ds * difference.value * factor;
                        sum.magnitude += ds * difference.magnitude * factor.abs();
                    };
                    add(&mut dq[row + c], k[column + c]);
                    add(&mut dk[column + c], q[row + c]);
                    dv[column + c].add(p, dy[row + c]);
                }
            }
        }
    }
    [dq, dk, dv]
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn swiglu(gate: &[f64], up: &[f64]) -> Vec<Exact> {
    gate.iter().zip(up).map(|(gate, up)| single(gate * sigmoid(*gate) * up)).collect()
}

/// dgate, dup.
pub fn swiglu_backward(gate: &[f64], up: &[f64], dy: &[f64]) -> [Vec<Exact>; 2] {
    let dgate = |i: usize| {
        let sigma = sigmoid(gate[i]);
        Exact {
            value: sigma * (1.0 + gate[i] * (1.0 - sigma)) * up[i] * dy[i],
            magnitude: sigma * (1.0 + gate[i].abs()) * (up[i] * dy[i]).abs(),
        }
    };
    [(0..gate.len()).map(dgate).collect(), swiglu(gate, dy)]
}

/// Losses and gradients; also the widest range of a row's logits.
pub fn cross_entropy(logits: &[f64], targets: &[u32], scale: f64) -> (Vec<Exact>, Vec<Exact>, f64) {
    let vocab = logits.len() / targets.len();
    let (mut losses, mut gradients, mut widest) = (vec![], vec![], 0.0_f64);
    for (row, &target) in logits.chunks(vocab).zip(targets) {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = row.iter().copied().fold(f64::INFINITY, f64::min);
        widest = widest.max(max - min);
        let log_sum = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        let aim = row[target as usize];
        losses.push(Exact { value: log_sum + max - aim, magnitude: 1.0 + log_sum + (max - aim) });
        for (v, x) in row.iter().enumerate() {
            let mut gradient = single(scale * (x - max - log_sum).exp());
            if v == target as usize {
                gradient.add(-1.0, scale);
            }
            gradients.push(gradient);
        }
    }
    (losses, gradients, widest)
}

/// m, v and x after one update.
pub fn adamw(settings: AdamW, clip: f64, [grad, m, v, x]: [&[f64]; 4]) -> [Vec<Exact>; 3] {
    let [lr, beta1, beta2, eps, decay] =
        [settings.lr, settings.beta1, settings.beta2, settings.eps, settings.weight_decay].map(f64::from);
    let step = f64::from(settings.step);
    let moments = |i: usize| {
        let g = clip * grad[i];
        let (mut m, mut v) = (single(beta1 * m[i]), single(beta2 * v[i]));
        m.add(1.0 - beta1, g);
        v.add(1.0 - beta2, g * g);
        (m, v)
    };
    let updated = |i: usize| {
        let (m, v) = moments(i);
        let root = (v.value / (1.0 - beta2.powf(step))).sqrt() + eps;
        let update = lr / (1.0 - beta1.powf(step)) / root;
        let mut new = Exact { value: -update * m.value, magnitude: update * m.magnitude };
        new.add(x[i], 1.0);
        new.add(-x[i] * lr, decay);
        new
    };
    let all = 0..x.len();
    [
        all.clone().map(|i| moments(i).0).collect(),
        all.clone().map(|i| moments(i).1).collect(),
        all.map(updated).collect(),
    ]
}
