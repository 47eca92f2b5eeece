//! Dense products, in the three orientations of a linear layer.

use crate::{
    backend::{Backend, Write, work},
    error::{Result, dims, within},
    profile::OpClass,
    tensor::{Matrix, Weight},
};
use std::ops::Range;

/// Forward: `y ← [y +] scale · x · wᵀ`, with x `[t, k]`, w `[n, k]`, y `[t, n]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn matmul_nt<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    w: Weight<'_, B>,
    scale: f32,
    write: Write,
    y: &mut Matrix<B>,
) -> Result<()> {
    dims!("matmul_nt": w.cols = x.cols, y.rows = x.rows, y.cols = w.rows);
    // SAFETY: dims! proved the shapes that Backend::matmul_nt states.
    be.profiled(OpClass::Matmul, work::matmul(x, w, y), || unsafe { be.matmul_nt(x, w, scale, write, y) })
}

/// The gradient of the input: `dx ← [dx +] scale · dy · w`, with dy `[t, n]`, w `[n, k]`, dx `[t, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn matmul_nn<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<B>,
) -> Result<()> {
    dims!("matmul_nn": w.rows = dy.cols, dx.rows = dy.rows, dx.cols = w.cols);
    // SAFETY: dims! proved the shapes that Backend::matmul_nn states.
    be.profiled(OpClass::Matmul, work::matmul(dy, w, dx), || unsafe { be.matmul_nn(dy, w, scale, write, dx) })
}

/// The gradient of the weight over a range of tokens: `dw ← [dw +] scale · Σ_{t in tokens} dy[t,·]ᵀ · x[t,·]`,
/// with dy `[t, n]`, x `[t, k]`, dw `[n, k]`. An empty range counts as a sum of zero.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) when `tokens` ends beyond the rows of x.
pub fn matmul_tn<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    x: &Matrix<B>,
    tokens: Range<usize>,
    scale: f32,
    write: Write,
    dw: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("matmul_tn": x.rows = dy.rows, dw.rows = dy.cols, dw.cols = x.cols);
    within("matmul_tn", "token", tokens.start.max(tokens.end), x.rows())?;
    // SAFETY: dims! proved the shapes that Backend::matmul_tn states, `within` the range of tokens.
    be.profiled(OpClass::Matmul, work::matmul_tn(dy, x, &tokens, dw), || unsafe {
        be.matmul_tn(dy, x, tokens, scale, write, dw)
    })
}
