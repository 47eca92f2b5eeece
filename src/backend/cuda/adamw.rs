//! One update of the AdamW optimizer.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{AdamwArgs, ELEMENTWISE_THREADS},
};
use crate::{
    backend::{AdamW, Update},
    error::Result,
    num::{to_f32, to_u32},
    tensor::Matrix,
};

const ADAMW: Kernel<AdamwArgs> = Kernel::new("adamw", "adamw");

pub(super) fn adamw(cuda: &Cuda, clip: &Matrix<Cuda, f32>, updates: Vec<Update<'_, Cuda>>) -> Result<()> {
    updates.into_iter().try_for_each(|update| one(cuda, clip, update))
}

fn one(cuda: &Cuda, clip: &Matrix<Cuda, f32>, update: Update<'_, Cuda>) -> Result<()> {
    let Update { settings, grad, m, v, x } = update;
    let AdamW { lr, beta1, beta2, eps, weight_decay, step } = settings;
    // 1/(1 − βˢ), in f64 because βˢ is close to 1 in the first steps.
    let unbias = |beta: f32| to_f32(1.0 / (1.0 - f64::from(beta).powf(f64::from(step))));
    let driver = &cuda.driver;
    let args = AdamwArgs {
        len: to_u32("parameters of a tensor", x.len())?,
        beta1,
        rest1: 1.0 - beta1,
        beta2,
        rest2: 1.0 - beta2,
        unbias_m: unbias(beta1),
        unbias_v: unbias(beta2),
        lr,
        eps,
        keep: 1.0 - lr * weight_decay,
        clip: driver.input(clip.buffer()),
        grad: driver.output(grad),
        m: driver.output(m),
        v: driver.output(v),
        x: driver.output(x),
    };
    let blocks = cuda.blocks_for(x.len().div_ceil(4), ELEMENTWISE_THREADS);
    // SAFETY: grad, m, v and x hold `len` elements and clip two, by the contract of the op.
    unsafe { driver.launch(&ADAMW, Grid::row(blocks, ELEMENTWISE_THREADS), args) }
}
