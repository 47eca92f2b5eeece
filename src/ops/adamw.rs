//! One update of the AdamW optimizer.

use crate::{
    backend::{AdamW, Backend},
    error::{Error, Result, agree},
    profile::{OpClass, Work},
    tensor::Matrix,
};

/// With `g = clip[1]·grad`: `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`,
/// `x ← x·(1 − lr·decay) − lr·(m/(1−β₁ˢ)) / (√(v/(1−β₂ˢ)) + eps)`; clip as
/// [`clip_factor`](super::clip_factor) gives it.
///
/// # Errors
/// [`Error::Dims`] unless grad, m, v and x are equally long and clip has two elements,
/// [`Error::Setting`] for step 0: steps count from 1.
pub fn adamw<B: Backend>(
    be: &B,
    settings: AdamW,
    clip: &Matrix<B, f32>,
    grad: &B::Buffer<f32>,
    m: &mut B::Buffer<f32>,
    v: &mut B::Buffer<f32>,
    x: &mut B::Buffer<f32>,
) -> Result<()> {
    let elements = ("x", "elements", B::len(x));
    agree("adamw", ("clip", "elements", clip.len()), ("norm and factor", "elements", 2))?;
    agree("adamw", ("grad", "elements", B::len(grad)), elements)?;
    agree("adamw", ("m", "elements", B::len(m)), elements)?;
    agree("adamw", ("v", "elements", B::len(v)), elements)?;
    if settings.step == 0 {
        return Err(Error::setting("step", 0, "a count from 1 on"));
    }
    // SAFETY: `agree` proved the lengths that Backend::adamw states.
    be.profiled(OpClass::Optimizer, Work::traffic(7 * 4 * B::len(grad)), || unsafe {
        be.adamw(settings, clip, grad, m, v, x)
    })
}
