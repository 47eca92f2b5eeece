//! Sums: of a bias and every row, of all rows, of two matrices.

use crate::{
    backend::{Backend, work},
    error::{Result, dims},
    profile::OpClass,
    tensor::Matrix,
};

/// `x[t,·] += bias`, with bias `[1, n]`, x `[t, n]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn bias_add<B: Backend>(be: &B, bias: &Matrix<B, f32>, x: &mut Matrix<B>) -> Result<()> {
    dims!("bias_add": bias.len = x.cols);
    // SAFETY: dims! proved the shapes that Backend::bias_add states.
    be.profiled(OpClass::Elementwise, work::passes(2, x), || unsafe { be.bias_add(bias, x) })
}

/// The gradient of a bias: `dbias[j] += Σ_t dy[t,j]`, with dy `[t, n]`, dbias `[1, n]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn bias_grad_add<B: Backend>(be: &B, dy: &Matrix<B>, dbias: &mut Matrix<B, f32>) -> Result<()> {
    dims!("bias_grad_add": dbias.len = dy.cols);
    // SAFETY: dims! proved the shapes that Backend::bias_grad_add states.
    be.profiled(OpClass::Elementwise, work::passes(1, dy), || unsafe { be.bias_grad_add(dy, dbias) })
}

/// `y += x`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn add<B: Backend>(be: &B, x: &Matrix<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("add": y.rows = x.rows, y.cols = x.cols);
    // SAFETY: dims! proved the shapes that Backend::add states.
    be.profiled(OpClass::Elementwise, work::passes(3, x), || unsafe { be.add(x, y) })
}
