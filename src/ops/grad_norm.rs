//! The norm of all gradients together, and the factor that clips it.

use crate::{
    backend::Backend,
    error::{Result, agree},
    profile::{OpClass, Work},
    tensor::Matrix,
};

/// `sums[i] = Σ xsᵢ²` in f64, with sums `[1, tensors]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) unless there is a sum for each tensor.
pub fn sum_squares<B: Backend>(be: &B, xs: &[&B::Buffer<f32>], sums: &mut Matrix<B, f64>) -> Result<()> {
    agree("sum_squares", ("sums", "elements", sums.len()), ("xs", "tensors", xs.len()))?;
    let elements: usize = xs.iter().map(|x| B::len(x)).sum();
    // SAFETY: `agree` proved the shape that Backend::sum_squares states.
    be.profiled(OpClass::Optimizer, Work::traffic(4 * elements), || unsafe { be.sum_squares(xs, sums) })
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
