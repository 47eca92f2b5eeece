//! Dense products.

use super::{
    Case, Exact,
    inputs::{act, bytes, frozen, matrix, met, name, numbers, on_tensor_cores},
};
use crate::{
    backend::{Backend, ScoreTerm, Write},
    error::Result,
    ops,
    profile::Work,
    tensor::{Frozen, Precision},
};

const SCALE: f32 = 0.75;

/// A weight `[n, k]`, its numbers, and the roundings of a sum of `depth` products with it.
///
/// On tensor cores a product of bf16 numbers is exact and a sum may be cut instead of rounded, which counts twice. An f32
/// weight counts as the sum of two bf16 numbers: twice the terms, and it is off by 2⁻¹⁷ of itself: 128 roundings.
fn weight<B: Backend>(
    be: &B,
    [n, k]: [usize; 2],
    precision: Precision,
    depth: usize,
) -> Result<(Frozen<B>, Vec<f32>, usize)> {
    let (weight, values) = frozen(be, [n, k], precision)?;
    let roundings = match (on_tensor_cores::<B>(), precision) {
        (false, _) => depth + 2,
        (true, Precision::F32) => 2 * 2 * depth + 128 + 2,
        (true, _) => 2 * depth + 2,
    };
    Ok((weight, values, roundings))
}

fn work<B: Backend>([t, n, k]: [usize; 3], weight_bytes: usize) -> Work {
    Work::new(2 * t * n * k, bytes::<B>() * t * (n + k) + weight_bytes)
}

fn shape([t, n, k]: [usize; 3], precision: Precision) -> String {
    format!("{t} tokens, {} {n}×{k}", name(precision))
}

/// `y = scale · x · wᵀ`.
pub(super) fn nt<B: Backend>(be: &B, [t, n, k]: [usize; 3], precision: Precision) -> Result<Case> {
    let (x, xs) = act(be, t, k, 1)?;
    let (w, ws, roundings) = weight(be, [n, k], precision, k)?;
    let (xs, ws) = met(be, t, precision, xs, ws);
    let (on, (y, _), bytes) = (be.clone(), act(be, t, n, 9)?, w.weight().bytes());
    let after = be.clone();
    Ok(Case::new(
        shape([t, n, k], precision),
        work::<B>([t, n, k], bytes),
        y,
        move |y| ops::matmul_nt(&on, &x, w.weight(), SCALE, Write::Overwrite, y),
        move |y, verdict| {
            verdict.matrix(&after, y, roundings, |i| {
                let (x, w) = (&xs[i / n * k..][..k], &ws[i % n * k..][..k]);
                scaled(x.iter().zip(w).map(|(&x, &w)| (x, w)))
            })
        },
    ))
}

/// `dx = scale · dy · w`.
pub(super) fn nn<B: Backend>(be: &B, [t, n, k]: [usize; 3], precision: Precision) -> Result<Case> {
    let (dy, dys) = act(be, t, n, 1)?;
    let (w, ws, roundings) = weight(be, [n, k], precision, n)?;
    let (dys, ws) = met(be, usize::MAX, precision, dys, ws);
    let (on, (dx, _), bytes) = (be.clone(), act(be, t, k, 9)?, w.weight().bytes());
    let after = be.clone();
    Ok(Case::new(
        shape([t, n, k], precision),
        work::<B>([t, n, k], bytes),
        dx,
        move |dx| ops::matmul_nn(&on, &dy, w.weight(), SCALE, Write::Overwrite, dx),
        move |dx, verdict| {
            verdict.matrix(&after, dx, roundings, |i| {
                let w = ws.iter().skip(i % k).step_by(k);
                scaled(dys[i / k * n..][..n].iter().zip(w).map(|(&dy, &w)| (dy, w)))
            })
        },
    ))
}

/// `dw += scale · dyᵀ · x`, in f32.
pub(super) fn tn<B: Backend>(be: &B, [t, n, k]: [usize; 3]) -> Result<Case> {
    let ((dy, dys), (x, xs)) = (act(be, t, n, 1)?, act(be, t, k, 2)?);
    let before = numbers::<f32>(3, n * k);
    let dw = matrix::<_, f32>(be, n, k, &before)?;
    let roundings = if on_tensor_cores::<B>() { 2 * t + 2 } else { t + 2 };
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} tokens, {n}×{k}"),
        work::<B>([t, n, k], 8 * n * k),
        dw,
        move |dw| ops::matmul_tn(&on, &dy, &x, 0..t, SCALE, Write::Add, dw),
        move |dw, verdict| {
            verdict.matrix(&after, dw, roundings, |i| {
                let x = xs.iter().skip(i % k).step_by(k);
                let product = scaled(dys.iter().skip(i / k).step_by(n).zip(x).map(|(&dy, &x)| (dy, x)));
                product.plus(before[i].into())
            })
        },
    ))
}

/// `scores += g²` or `+= g`, with `g = dyᵀ·x`.
pub(super) fn score<B: Backend>(be: &B, [t, n, k]: [usize; 3], term: ScoreTerm) -> Result<Case> {
    let ((dy, dys), (x, xs)) = (act(be, t, n, 1)?, act(be, t, k, 2)?);
    let before = numbers::<f32>(3, n * k);
    let scores = matrix::<_, f32>(be, n, k, &before)?;
    // γ(m) of g, twice in its square, and two roundings more.
    let roundings = 2 * if on_tensor_cores::<B>() { 2 * t } else { t } + 4;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} tokens, {n}×{k}"),
        work::<B>([t, n, k], 8 * n * k),
        scores,
        move |scores| ops::score_product_add(&on, &dy, &x, 0..t, term, scores),
        move |scores, verdict| {
            verdict.matrix(&after, scores, roundings, |i| {
                let x = xs.iter().skip(i % k).step_by(k);
                let pairs = dys.iter().skip(i / k).step_by(n).zip(x);
                let g = Exact::sum(pairs.map(|(&dy, &x)| (dy.into(), x.into())));
                let added = match term {
                    ScoreTerm::Sum => g,
                    // The error of a square: twice that of g times its magnitude at most, and its own square.
                    ScoreTerm::Square => {
                        Exact { value: g.value * g.value, magnitude: g.magnitude * g.magnitude }
                    }
                };
                added.plus(before[i].into())
            })
        },
    ))
}

fn scaled(products: impl Iterator<Item = (f32, f32)>) -> Exact {
    Exact::sum(products.map(|(a, b)| (f64::from(SCALE) * f64::from(a), f64::from(b))))
}
