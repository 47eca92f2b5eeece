//! One update of the AdamW optimizer.

use super::{Cpu, cut::rows_of};
use crate::{
    backend::{AdamW, Update},
    num::to_f32,
    tensor::Matrix,
};
use rayon::prelude::*;

pub(super) fn adamw(cpu: &Cpu, clip: &Matrix<Cpu, f32>, updates: Vec<Update<'_, Cpu>>) {
    cpu.pooled(|| updates.into_par_iter().for_each(|update| one(cpu, clip, update)));
}

fn one(cpu: &Cpu, clip: &Matrix<Cpu, f32>, update: Update<'_, Cpu>) {
    let Update { settings, grad, m, v, x } = update;
    let AdamW { lr, beta1, beta2, eps, weight_decay, step } = settings;
    // 1/(1 − βˢ), in f64 because βˢ is close to 1 in the first steps.
    let unbias = |beta: f32| to_f32(1.0 / (1.0 - f64::from(beta).powf(f64::from(step))));
    let (unbias_m, unbias_v) = (unbias(beta1), unbias(beta2));
    let (keep, clip) = (1.0 - lr * weight_decay, clip.buffer()[1]);
    cpu.in_pieces(
        ((&mut m[..], &mut v[..]), (&mut x[..], &mut grad[..])),
        // Eight streams, a division and a root: an element takes as long as some of a plain pass, and factors are small.
        rows_of(8),
        #[inline(always)]
        |_, ((m, v), (x, grad))| {
            for (((m, v), x), grad) in m.iter_mut().zip(v).zip(x).zip(grad) {
                let g = clip * std::mem::take(grad);
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * (g * g);
                *x = *x * keep - lr * (*m * unbias_m) / ((*v * unbias_v).sqrt() + eps);
            }
        },
    );
}
