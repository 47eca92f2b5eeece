//! One update of all trained parameters: gradient norm, clipping, AdamW.

use crate::{
    backend::{AdamW, Backend, Update},
    error::Result,
    ops,
    param::{Group, ParamView},
    tensor::Matrix,
};

/// The settings that stay the same over a run.
#[derive(Clone, Copy, Debug)]
pub struct Optimizer {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Gradients whose joint norm is larger are scaled down to it; infinite for no clipping.
    pub max_norm: f32,
}

/// The learning rates of one step.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct LearningRates {
    /// Of S, and of the base's weights in full fine-tuning.
    pub lr: f32,
    /// Of A and B.
    pub lora_lr: f32,
}

impl Optimizer {
    /// Updates every parameter from its gradient, then clears the gradient. Returns the joint norm of the
    /// gradients before clipping, `√Σ g²` in f64 rounded to f32. Where it is not finite nothing is updated.
    ///
    /// # Errors
    /// When queued work failed or the device is out of memory.
    pub fn step<'a, B: Backend>(
        &self,
        be: &B,
        rates: LearningRates,
        params: Vec<ParamView<'a, B>>,
    ) -> Result<f32> {
        let mut sums = Matrix::<B, f64>::zeros(be, 1, params.len())?;
        let grads: Vec<_> = params.iter().map(|param| &*param.grad).collect();
        ops::sum_squares(be, &grads, &mut sums)?;
        let mut clip = Matrix::<B, f32>::zeros(be, 1, 2)?;
        ops::clip_factor(be, &sums, self.max_norm, &mut clip)?;
        let norm = clip.download(be)?[0];
        if !norm.is_finite() {
            return Ok(norm);
        }
        let update = |param: ParamView<'a, B>| {
            *param.updates += 1;
            let settings = AdamW {
                lr: match param.group {
                    Group::LowRank => rates.lora_lr,
                    Group::Sparse | Group::Base => rates.lr,
                },
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                weight_decay: self.weight_decay,
                step: *param.updates,
            };
            Update { settings, grad: param.grad, m: param.m, v: param.v, x: param.value }
        };
        ops::adamw(be, &clip, params.into_iter().map(update).collect())?;
        Ok(norm)
    }
}
