//! A linear layer with its adapter in one call, so that a backend can join the parts in one pass.

use crate::{
    backend::{Backend, LinearTerms, Write, work},
    error::{Result, dims},
    profile::OpClass,
    tensor::{Matrix, Weight},
};

/// Forward: `y = x·(w + s)ᵀ + bias + scale·u·factorᵀ`, with x `[t, k]`, w and s `[n, k]`, bias `[1, n]`, u `[t, r]`,
/// factor `[n, r]`, y `[t, n]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn linear<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    y: &mut Matrix<B>,
) -> Result<()> {
    dims!("linear": w.cols = x.cols, y.rows = x.rows, y.cols = w.rows);
    if let Some(bias) = terms.bias {
        dims!("linear": bias.cols = w.rows, bias.len = y.cols);
    }
    if let Some(s) = terms.sparse {
        dims!("linear": s.rows = w.rows, s.cols = w.cols);
    }
    if let Some(l) = terms.low_rank {
        let (u, factor) = (l.u, l.factor);
        dims!("linear": u.rows = x.rows, factor.rows = w.rows, factor.cols = u.cols);
    }
    // SAFETY: dims! proved the shapes that Backend::linear states.
    be.profiled(OpClass::Matmul, work::linear(x, w, terms, y), || unsafe { be.linear(x, w, terms, y) })
}

/// The gradient of [`linear`] with respect to x: `dx ← [dx +] dy·(w + s) + scale·u·factor`, with dy `[t, n]`, w and s
/// `[n, k]`, u `[t, r]`, factor `[r, k]`, dx `[t, k]`. `terms.bias` is not read.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn linear_t<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    write: Write,
    dx: &mut Matrix<B>,
) -> Result<()> {
    dims!("linear_t": w.rows = dy.cols, dx.rows = dy.rows, dx.cols = w.cols);
    if let Some(s) = terms.sparse {
        dims!("linear_t": s.rows = w.rows, s.cols = w.cols);
    }
    if let Some(l) = terms.low_rank {
        let (u, factor) = (l.u, l.factor);
        dims!("linear_t": u.rows = dy.rows, factor.rows = u.cols, factor.cols = w.cols);
    }
    // SAFETY: dims! proved the shapes that Backend::linear_t states.
    be.profiled(OpClass::Matmul, work::linear(dy, w, terms, dx), || unsafe {
        be.linear_t(dy, w, terms, write, dx)
    })
}
