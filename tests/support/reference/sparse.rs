//! The sparse ops, on dense matrices in which the entries that are not set are zero.

use crate::support::bound::Exact;

/// `y + x·sᵀ` with s `[n, k]`, x `[t, k]`, y `[t, n]`.
pub fn spmm(s: &[f32], x: &[f32], y: &[f32], n: usize, k: usize) -> Vec<Exact> {
    let mut out: Vec<Exact> = y.iter().map(|&y| exact(y)).collect();
    for (t, out) in out.chunks_mut(n).enumerate() {
        for (i, out) in out.iter_mut().enumerate() {
            for j in 0..k {
                out.add(f64::from(s[i * k + j]), f64::from(x[t * k + j]));
            }
        }
    }
    out
}

/// `dx + dy·s` with dy `[t, n]`, s `[n, k]`, dx `[t, k]`.
pub fn spmm_t(s: &[f32], dy: &[f32], dx: &[f32], n: usize, k: usize) -> Vec<Exact> {
    let mut out: Vec<Exact> = dx.iter().map(|&dx| exact(dx)).collect();
    for (t, out) in out.chunks_mut(k).enumerate() {
        for (j, out) in out.iter_mut().enumerate() {
            for i in 0..n {
                out.add(f64::from(dy[t * n + i]), f64::from(s[i * k + j]));
            }
        }
    }
    out
}

/// `ds + dyᵀ·x` at the entries `(i, j)`, with dy `[t, n]`, x `[t, k]`, one value of ds per entry.
pub fn sddmm(
    entries: &[(usize, usize)],
    dy: &[f32],
    x: &[f32],
    ds: &[f32],
    n: usize,
    k: usize,
) -> Vec<Exact> {
    let mut out: Vec<Exact> = ds.iter().map(|&ds| exact(ds)).collect();
    for (out, &(i, j)) in out.iter_mut().zip(entries) {
        for t in 0..dy.len() / n {
            out.add(f64::from(dy[t * n + i]), f64::from(x[t * k + j]));
        }
    }
    out
}

/// The `k` entries of largest |score|, NaN counting as 0, as `(matrix, index)`: by a full sort.
pub fn topk(scores: &[Vec<f32>], k: usize) -> Vec<(usize, usize)> {
    let mut order = Vec::new();
    for (matrix, scores) in scores.iter().enumerate() {
        for (index, &score) in scores.iter().enumerate() {
            order.push((if score.is_nan() { 0.0 } else { score.abs() }, matrix, index));
        }
    }
    order.sort_by(|a, b| b.0.partial_cmp(&a.0).expect("no NaN").then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut kept: Vec<_> = order[..k].iter().map(|&(_, matrix, index)| (matrix, index)).collect();
    kept.sort_unstable();
    kept
}

fn exact(value: f32) -> Exact {
    let mut sum = Exact::default();
    sum.add(f64::from(value), 1.0);
    sum
}
