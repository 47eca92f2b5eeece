//! One update of the AdamW optimizer.

use crate::{
    backend::{Backend, Update},
    error::{Error, Result, agree},
    profile::{OpClass, Work},
    tensor::Matrix,
};

/// For each parameter, with `g = clip[1]·grad`: `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`,
/// `x ← x·(1 − lr·decay) − lr·(m/(1−β₁ˢ)) / (√(v/(1−β₂ˢ)) + eps)`, `grad = 0`; clip as
/// [`clip_factor`](super::clip_factor) gives it.
///
/// # Errors
/// [`Error::Dims`] unless grad, m, v and x of a parameter are equally long and clip has two elements,
/// [`Error::Setting`] for step 0: steps count from 1. Then nothing is updated.
pub fn adamw<B: Backend>(be: &B, clip: &Matrix<B, f32>, updates: Vec<Update<'_, B>>) -> Result<()> {
    agree("adamw", ("clip", "elements", clip.len()), ("norm and factor", "elements", 2))?;
    for Update { settings, grad, m, v, x } in &updates {
        let elements = ("x", "elements", B::len(x));
        agree("adamw", ("grad", "elements", B::len(grad)), elements)?;
        agree("adamw", ("m", "elements", B::len(m)), elements)?;
        agree("adamw", ("v", "elements", B::len(v)), elements)?;
        if settings.step == 0 {
            return Err(Error::setting("step", 0, "a count from 1 on"));
        }
    }
    let elements: usize = updates.iter().map(|update| B::len(update.x)).sum();
    // SAFETY: `agree` proved the lengths that Backend::adamw states.
    be.profiled(OpClass::Optimizer, Work::traffic(8 * 4 * elements), || unsafe { be.adamw(clip, updates) })
}
