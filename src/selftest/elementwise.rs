//! Norms, rotary embedding, SwiGLU, biases, sums, dropout.

use super::{
    Case, Exact,
    inputs::{act, bytes, ids, indices, matrix, numbers},
};
use crate::{
    backend::{Backend, Turn, Write},
    error::Result,
    ops,
    profile::Work,
    rng::{Purpose, Stream},
};

const EPS: f32 = 1e-5;

fn shape([t, k]: [usize; 2]) -> String {
    format!("{t}×{k}")
}

/// The work of an op that touches `operands` activation matrices, with `flops` operations an element.
fn work<B: Backend>([t, k]: [usize; 2], operands: usize, flops: usize) -> Work {
    Work::new(flops * t * k, operands * bytes::<B>() * t * k)
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

/// `1/√(mean x² + eps)`.
fn reciprocal(x: &[f64]) -> f64 {
    1.0 / (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + f64::from(EPS)).sqrt()
}

/// `y = x·r ∘ gain`: the root halves the k + 2 roundings of its sum, two more make r, two products y.
pub(super) fn rmsnorm<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((x, xs), gains) = (act(be, t, k, 1)?, numbers::<f32>(2, k));
    let (gain, (y, _)) = (matrix::<_, f32>(be, 1, k, &gains)?, act(be, t, k, 9)?);
    let (on, after, xs) = (be.clone(), be.clone(), wide(&xs));
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 2, 4),
        y,
        move |y| ops::rmsnorm(&on, &x, &gain, EPS, y),
        move |y, verdict| {
            let want = |i: usize| xs[i] * reciprocal(&xs[i / k * k..][..k]) * f64::from(gains[i % k]);
            verdict.matrix(&after, y, k / 2 + 6, |i| Exact::of(want(i)))
        },
    ))
}

/// `dx += r·(gain∘dy − x·r²·mean(dy∘gain∘x))`: r³ has 3·(k/2 + 4) roundings, the mean k + 2, what joins them five.
pub(super) fn rmsnorm_backward<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((x, xs), (dy, dys), gains) = (act(be, t, k, 1)?, act(be, t, k, 2)?, numbers::<f32>(3, k));
    let (gain, (dx, dxs)) = (matrix::<_, f32>(be, 1, k, &gains)?, act(be, t, k, 4)?);
    let (on, after, xs, dys, gains) = (be.clone(), be.clone(), wide(&xs), wide(&dys), wide(&gains));
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 4, 9),
        dx,
        move |dx| ops::rmsnorm_backward_add(&on, &x, &gain, EPS, &dy, dx),
        move |dx, verdict| {
            verdict.matrix(&after, dx, 3 * k / 2 + 12 + k + 2 + 5, |i| {
                let (x, dy) = (&xs[i / k * k..][..k], &dys[i / k * k..][..k]);
                let r = reciprocal(x);
                let mean = Exact::sum((0..k).map(|j| (dy[j] * gains[j] * x[j], 1.0 / k as f64)));
                let (direct, factor) = (r * gains[i % k] * dys[i], xs[i] * r * r * r);
                let dx = f64::from(dxs[i]);
                Exact {
                    value: dx + direct - factor * mean.value,
                    magnitude: dx.abs() + direct.abs() + factor.abs() * mean.magnitude,
                }
            })
        },
    ))
}

/// `dgain += Σ_t dy·x·r`: a term has r, two products, and at most t sums.
pub(super) fn rmsnorm_gain_grad<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((x, xs), (dy, dys), before) = (act(be, t, k, 1)?, act(be, t, k, 2)?, numbers::<f32>(3, k));
    let dgain = matrix::<_, f32>(be, 1, k, &before)?;
    let (on, after, xs) = (be.clone(), be.clone(), wide(&xs));
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 2, 6),
        dgain,
        move |dgain| ops::rmsnorm_gain_grad_add(&on, &x, EPS, &dy, dgain),
        move |dgain, verdict| {
            let reciprocals: Vec<f64> = xs.chunks(k).map(reciprocal).collect();
            verdict.matrix(&after, dgain, k / 2 + 4 + 2 + t, |j| {
                let term = |t: usize| (f64::from(dys[t * k + j]) * xs[t * k + j], reciprocals[t]);
                Exact::sum((0..t).map(term)).plus(before[j].into())
            })
        },
    ))
}

/// The turn of pairs by an angle: a product each, and their sum.
pub(super) fn rope<B: Backend>(be: &B, t: usize, heads: usize, half: usize) -> Result<Case> {
    const POSITIONS: usize = 11;
    let angles = numbers::<f32>(1, POSITIONS * half);
    let [cosines, sines]: [Vec<f32>; 2] =
        [f32::cos, f32::sin].map(|f| angles.iter().map(|&a| f(3.0 * a)).collect());
    let width = heads * 2 * half;
    let ((x, xs), (positions, rows)) = (act(be, t, width, 2)?, ids(be, indices(3, t, 11))?);
    let cos = matrix::<_, f32>(be, POSITIONS, half, &cosines)?;
    let sin = matrix::<_, f32>(be, POSITIONS, half, &sines)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} tokens, {heads} heads of {}", 2 * half),
        work::<B>([t, width], 2, 3),
        x,
        move |x| ops::rope(&on, &cos, &sin, &positions, Turn::Forward, x),
        move |x, verdict| {
            verdict.matrix(&after, x, 2, |i| {
                let j = i % (2 * half);
                let angle = crate::num::to_usize(rows[i / width]) * half + j % half;
                let other = if j < half { -xs[i + half] } else { xs[i - half] };
                Exact::sum(
                    [(xs[i], cosines[angle]), (other, sines[angle])].map(|(a, b)| (a.into(), b.into())),
                )
            })
        },
    ))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Gates from −10 to 10.
fn gates<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<(crate::tensor::Matrix<B>, Vec<f64>)> {
    let gates: Vec<f32> = numbers::<B::Act>(1, t * k).iter().map(|x| 8.0 * x).collect();
    Ok((matrix(be, t, k, &gates)?, wide(&gates)))
}

/// `y = gate·σ(gate) ∘ up`: exp errs by 4 units, the sum with 1 and the reciprocal make 6, two products.
pub(super) fn swiglu<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((gate, gs), (up, us), (y, _)) = (gates(be, [t, k])?, act(be, t, k, 2)?, act(be, t, k, 9)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 3, 5),
        y,
        move |y| ops::swiglu(&on, &gate, &up, y),
        move |y, verdict| {
            verdict.matrix(&after, y, 8, |i| Exact::of(gs[i] * sigmoid(gs[i]) * f64::from(us[i])))
        },
    ))
}

/// The gradients of [`swiglu`], and y again: `1 + gate·(1 − σ)` errs by 9 units of `1 + |gate|`, σ by 6, and three products.
pub(super) fn swiglu_backward<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((gate, gs), (up, us), (dy, dys)) = (gates(be, [t, k])?, act(be, t, k, 2)?, act(be, t, k, 3)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 6, 11),
        (gate, up, dy),
        move |(gate, up, dy)| ops::swiglu_backward(&on, gate, up, dy),
        move |(dgate, dup, y), verdict| {
            verdict.matrix(&after, dgate, 9 + 6 + 3, |i| {
                let (sigma, outer) = (sigmoid(gs[i]), f64::from(us[i]) * f64::from(dys[i]));
                let value = sigma * (1.0 + gs[i] * (1.0 - sigma)) * outer;
                Exact { value, magnitude: sigma * (1.0 + gs[i].abs()) * outer.abs() }
            })?;
            verdict.matrix(&after, dup, 8, |i| Exact::of(gs[i] * sigmoid(gs[i]) * f64::from(dys[i])))?;
            verdict.matrix(&after, y, 8, |i| Exact::of(gs[i] * sigmoid(gs[i]) * f64::from(us[i])))
        },
    ))
}

/// `x += bias`.
pub(super) fn bias_add<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((x, xs), biases) = (act(be, t, k, 1)?, numbers::<f32>(2, k));
    let bias = matrix::<_, f32>(be, 1, k, &biases)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 2, 1),
        x,
        move |x| ops::bias_add(&on, &bias, x),
        move |x, verdict| {
            verdict.matrix(&after, x, 1, |i| Exact::of(xs[i].into()).plus(biases[i % k].into()))
        },
    ))
}

/// `dbias += Σ_t dy`.
pub(super) fn bias_grad<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((dy, dys), before) = (act(be, t, k, 1)?, numbers::<f32>(2, k));
    let dbias = matrix::<_, f32>(be, 1, k, &before)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 1, 1),
        dbias,
        move |dbias| ops::bias_grad_add(&on, &dy, dbias),
        move |dbias, verdict| {
            verdict.matrix(&after, dbias, t, |j| {
                Exact::sum((0..t).map(|t| (dys[t * k + j].into(), 1.0))).plus(before[j].into())
            })
        },
    ))
}

/// `y += x`.
pub(super) fn add<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let ((x, xs), (y, ys)) = (act(be, t, k, 1)?, act(be, t, k, 2)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape([t, k]),
        work::<B>([t, k], 3, 1),
        y,
        move |y| ops::add(&on, &x, y),
        move |y, verdict| verdict.matrix(&after, y, 1, |i| Exact::of(xs[i].into()).plus(ys[i].into())),
    ))
}

/// `y ← [y +] x ∘ D / (1 − p)`: 1 − p, its reciprocal, the product, the sum.
pub(super) fn dropout<B: Backend>(be: &B, [t, k]: [usize; 2], write: Write) -> Result<Case> {
    const STREAM: Stream = Stream::new(42, Purpose::Dropout, 7, 3);
    const P: f32 = 0.3;
    const FIRST_ROW: usize = 3;
    let ((x, xs), (y, ys)) = (act(be, t, k, 1)?, act(be, t, k, 2)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{}, {write:?}", shape([t, k])).to_lowercase(),
        work::<B>([t, k], if write == Write::Add { 3 } else { 2 }, 1),
        y,
        move |y| ops::dropout(&on, &x, P, STREAM, FIRST_ROW, write, y),
        move |y, verdict| {
            verdict.matrix(&after, y, 4, |i| {
                let kept = STREAM.uniform((FIRST_ROW * k + i) as u64) >= P;
                let x = if kept { f64::from(xs[i]) / (1.0 - f64::from(P)) } else { 0.0 };
                Exact::of(x).plus(if write == Write::Add { ys[i].into() } else { 0.0 })
            })
        },
    ))
}
