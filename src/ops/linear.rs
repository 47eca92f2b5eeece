//! A linear layer with its adapter in one call, so that a backend can join the parts in one pass.

use crate::{
    backend::{AdapterGrads, Backend, Factors, LinearTerms, Write, work},
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

/// [`linear`] that makes `u = x·aᵀ` first: `y = x·(w + s)ᵀ + bias + scale·u·bᵀ`, with a `[r, k]`, b `[n, r]`, u `[t, r]`.
/// A backend that rounds x for the product with w may do so for u. `terms.low_rank` is not read.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn adapted_linear<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    factors: Factors<'_, B>,
    u: &mut Matrix<B>,
    y: &mut Matrix<B>,
) -> Result<()> {
    dims!("adapted_linear": w.cols = x.cols, y.rows = x.rows, y.cols = w.rows);
    if let Some(bias) = terms.bias {
        dims!("adapted_linear": bias.cols = w.rows, bias.len = y.cols);
    }
    if let Some(s) = terms.sparse {
        dims!("adapted_linear": s.rows = w.rows, s.cols = w.cols);
    }
    let Factors { a, b, .. } = factors;
    dims!("adapted_linear": a.cols = x.cols, b.rows = w.rows, b.cols = a.rows, u.rows = x.rows, u.cols = a.rows);
    // SAFETY: dims! proved the shapes that Backend::adapted_linear states.
    be.profiled(OpClass::Matmul, work::adapted(x, w, factors, y), || unsafe {
        be.adapted_linear(x, w, terms, factors, u, y)
    })
}

/// The gradient of [`adapted_linear`] with respect to x: `du = scale·dy·b` and `dx ← [dx +] dy·(w + s) + du·a`, with
/// dy `[t, n]`, du `[t, r]`, dx `[t, k]`. Of `terms` the sparse part alone is read.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn adapted_linear_t<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    factors: Factors<'_, B>,
    write: Write,
    du: &mut Matrix<B>,
    dx: &mut Matrix<B>,
) -> Result<()> {
    dims!("adapted_linear_t": w.rows = dy.cols, dx.rows = dy.rows, dx.cols = w.cols);
    if let Some(s) = terms.sparse {
        dims!("adapted_linear_t": s.rows = w.rows, s.cols = w.cols);
    }
    let Factors { a, b, .. } = factors;
    dims!("adapted_linear_t": a.cols = w.cols, b.rows = w.rows, b.cols = a.rows, du.rows = dy.rows, du.cols = a.rows);
    // SAFETY: dims! proved the shapes that Backend::adapted_linear_t states.
    be.profiled(OpClass::Matmul, work::adapted(dy, w, factors, dx), || unsafe {
        be.adapted_linear_t(dy, w, terms, factors, write, du, dx)
    })
}

/// The gradients of [`adapted_linear`] with respect to its adapter: `da += duᵀ·x`, `db += scale·dyᵀ·u` and `ds += dyᵀ·x`
/// where the pattern of ds is set, with x `[t, k]`, dy `[t, n]`, u and du `[t, r]`. A backend that rounds x and dy for their
/// products with w may do so here, and u and du with them.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn adapter_grads_add<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    [u, du]: [&Matrix<B>; 2],
    scale: f32,
    grads: AdapterGrads<'_, B>,
) -> Result<()> {
    let AdapterGrads { a: da, b: db, s: ds } = &grads;
    dims!("adapter_grads_add": w.rows = dy.cols, w.cols = x.cols, dy.rows = x.rows, u.rows = x.rows, du.rows = x.rows);
    dims!("adapter_grads_add": du.cols = u.cols, da.rows = u.cols, da.cols = w.cols, db.rows = w.rows, db.cols = u.cols);
    if let Some(ds) = ds {
        dims!("adapter_grads_add": ds.rows = w.rows, ds.cols = w.cols);
    }
    // SAFETY: dims! proved the shapes that Backend::adapter_grads_add states.
    be.profiled(OpClass::Matmul, work::adapter_grads(x, dy, [u, du], [da, db]), || unsafe {
        be.adapter_grads_add(x, dy, w, [u, du], scale, grads)
    })
}
