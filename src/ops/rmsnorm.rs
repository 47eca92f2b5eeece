//! Root-mean-square normalisation of rows, and its two gradients.

use crate::{
    backend::{Backend, work},
    error::{Result, dims},
    profile::OpClass,
    tensor::Matrix,
};

/// `y[t,·] = x[t,·] / √(mean_j x[t,j]² + eps) ∘ gain`, with x, y `[t, k]`, gain `[1, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn rmsnorm<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    gain: &Matrix<B, f32>,
    eps: f32,
    y: &mut Matrix<B>,
) -> Result<()> {
    dims!("rmsnorm": gain.len = x.cols, y.rows = x.rows, y.cols = x.cols);
    // SAFETY: dims! proved the shapes that Backend::rmsnorm states.
    be.profiled(OpClass::Norm, work::passes(2, x), || unsafe { be.rmsnorm(x, gain, eps, y) })
}

/// The gradient of the input: with `r = 1/√(mean x² + eps)`,
/// `dx[t,j] += r·(gain[j]·dy[t,j] − x[t,j]·r²·mean_i(dy[t,i]·gain[i]·x[t,i]))`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn rmsnorm_backward_add<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    gain: &Matrix<B, f32>,
    eps: f32,
    dy: &Matrix<B>,
    dx: &mut Matrix<B>,
) -> Result<()> {
    dims!("rmsnorm_backward_add":
        gain.len = x.cols, dy.rows = x.rows, dy.cols = x.cols, dx.rows = x.rows, dx.cols = x.cols);
    // SAFETY: dims! proved the shapes that Backend::rmsnorm_backward_add states.
    be.profiled(OpClass::Norm, work::passes(4, x), || unsafe {
        be.rmsnorm_backward_add(x, gain, eps, dy, dx)
    })
}

/// The gradient of the gain: `dgain[j] += Σ_t dy[t,j] · x[t,j] / √(mean_i x[t,i]² + eps)`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn rmsnorm_gain_grad_add<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    eps: f32,
    dy: &Matrix<B>,
    dgain: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("rmsnorm_gain_grad_add": dy.rows = x.rows, dy.cols = x.cols, dgain.len = x.cols);
    // SAFETY: dims! proved the shapes that Backend::rmsnorm_gain_grad_add states.
    be.profiled(OpClass::Norm, work::passes(2, x), || unsafe { be.rmsnorm_gain_grad_add(x, eps, dy, dgain) })
}
