//! The gradient's norm, its clipping, AdamW.

use super::{
    Case, Exact,
    inputs::{matrix, numbers},
};
use crate::{
    backend::{AdamW, Backend, Update},
    error::Result,
    ops,
    profile::Work,
    tensor::Matrix,
};

/// `Σ x²` in f64: squares are exact, a term passes at most `count` sums of 2⁻⁵³ here and there.
pub(super) fn sum_squares<B: Backend>(be: &B, count: usize) -> Result<Case> {
    let host = numbers::<f32>(1, count);
    let (x, none, sums) = (be.upload(host.clone())?, be.zeros(0)?, Matrix::<B, f64>::zeros(be, 1, 3)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{count} numbers"),
        Work::new(2 * count, 4 * count),
        sums,
        move |sums| ops::sum_squares(&on, &[&none, &x, &none], sums),
        move |sums, verdict| {
            let (got, want) =
                (sums.download(&after)?, host.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>());
            verdict.of(got[1] - want, 2.0 * count as f64 * f64::EPSILON / 2.0 * want);
            verdict.equal(&[got[0], got[2]], &[0.0; 2]);
            Ok(())
        },
    ))
}

/// The norm 13 of 25 and 144, and the factor that takes it to 2: one rounding each.
pub(super) fn clip_factor<B: Backend>(be: &B) -> Result<Case> {
    let sums = Matrix::<B, f64>::upload(be, 1, 2, vec![25.0, 144.0])?;
    let clip = Matrix::<B, f32>::zeros(be, 1, 2)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        "2 sums".to_owned(),
        Work::new(4, 24),
        clip,
        move |clip| ops::clip_factor(&on, &sums, 2.0, clip),
        move |clip, verdict| verdict.matrix(&after, clip, 0, |i| Exact::of([13.0, 2.0 / 13.0][i])),
    ))
}

/// One update: 4 and 6 roundings for the moments; for the value 7 of m, its unbiasing and the rate, 4 of the root, 2 of
/// eps and the quotient, and 2 of the sum with the decayed value.
pub(super) fn adamw<B: Backend>(be: &B, count: usize) -> Result<Case> {
    const SETTINGS: AdamW =
        AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, step: 7 };
    const CLIP: f32 = 0.37;
    let [gs, ms, xs] = [1, 2, 4].map(|seed| numbers::<f32>(seed, count));
    let vs: Vec<f32> = numbers::<f32>(3, count).iter().map(|x| x * x).collect();
    let clip = matrix::<_, f32>(be, 1, 2, &[1.0, CLIP])?;
    let outputs =
        (be.upload(gs.clone())?, be.upload(ms.clone())?, be.upload(vs.clone())?, be.upload(xs.clone())?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{count} numbers"),
        Work::new(15 * count, 32 * count),
        outputs,
        move |(grad, m, v, x)| ops::adamw(&on, &clip, vec![Update { settings: SETTINGS, grad, m, v, x }]),
        move |(grad, m, v, x), verdict| {
            verdict.equal(&after.download(grad)?, &vec![0.0; count]);
            let [lr, beta1, beta2, eps, decay] =
                [SETTINGS.lr, SETTINGS.beta1, SETTINGS.beta2, SETTINGS.eps, SETTINGS.weight_decay]
                    .map(f64::from);
            let step = f64::from(SETTINGS.step);
            let gradient = |i: usize| f64::from(CLIP) * f64::from(gs[i]);
            let mean = |i: usize| Exact::of(beta1 * f64::from(ms[i])).plus((1.0 - beta1) * gradient(i));
            let square =
                |i: usize| Exact::of(beta2 * f64::from(vs[i])).plus((1.0 - beta2) * gradient(i).powi(2));
            verdict.within(&after.download(m)?, 4, mean);
            verdict.within(&after.download(v)?, 6, square);
            verdict.within(&after.download(x)?, 7 + 4 + 2 + 2, |i| {
                let root = (square(i).value / (1.0 - beta2.powf(step))).sqrt() + eps;
                let (rate, x) = (lr / (1.0 - beta1.powf(step)) / root, f64::from(xs[i]));
                let moved = Exact { value: -rate * mean(i).value, magnitude: rate * mean(i).magnitude };
                moved.plus(x).plus(-x * lr * decay)
            });
            Ok(())
        },
    ))
}
