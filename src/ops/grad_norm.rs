//! The norm of all gradients together, and the factor that clips it.

use crate::{
    backend::Backend,
    error::{Result, agree, within},
    profile::{OpClass, Work},
    tensor::Matrix,
};

/// `sums[slot] = Σ x²` in f64, with sums `[1, slots]`: each gradient fills a slot of its own.
///
/// # Errors
/// [`Error::Index`](crate::error::Error::Index) for a slot that does not exist.
pub fn sum_squares<B: Backend>(
    be: &B,
    x: &B::Buffer<f32>,
    slot: usize,
    sums: &mut Matrix<B, f64>,
) -> Result<()> {
    within("sum_squares", "slot", slot + 1, sums.len())?;
    // SAFETY: `within` proved that the slot exists.
    be.profiled(OpClass::Optimizer, Work::traffic(4 * B::len(x)), || unsafe { be.sum_squares(x, slot, sums) })
}

/// `norm = √Σ sums`, `clip = [norm, min(1, max_norm / norm)]`; clip `[1, 2]`, sums `[1, slots]`.
///
/// The factor is 1 for a norm of zero, and for one that is not finite: clipping would hide it, so the
/// caller must look at `clip[0]` before it lets an optimizer use the gradients.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) unless clip has two elements.
pub fn clip_factor<B: Backend>(
    be: &B,
    sums: &Matrix<B, f64>,
    max_norm: f32,
    clip: &mut Matrix<B, f32>,
) -> Result<()> {
    agree("clip_factor", ("clip", "elements", clip.len()), ("norm and factor", "elements", 2))?;
    // SAFETY: `agree` proved the shape that Backend::clip_factor states.
    be.profiled(OpClass::Optimizer, Work::traffic(8 * sums.len()), || unsafe {
        be.clip_factor(sums, max_norm, clip)
    })
}
