use crate::{
    backend::{SparseBackend, work},
    error::{Result, dims},
    profile::OpClass,
    sparse::Csr,
    tensor::Matrix,
};

/// `y[t,i] += Σ_j s[i,j] · x[t,j]`: the forward pass of a sparse adapter, with s `[n, k]`,
/// x `[t, k]`, y `[t, n]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not fit together.
pub fn spmm_add<B: SparseBackend>(be: &B, s: &Csr<B>, x: &Matrix<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("spmm_add": s.cols = x.cols, s.rows = y.cols, x.rows = y.rows);
    // SAFETY: the dimensions agree, and the indices of s are in range by the invariants of its pattern.
    be.profiled(OpClass::Spmm, work::spmm(s, x, y), || unsafe { be.spmm_add(s, x, y) })
}

/// `dx[t,j] += Σ_i dy[t,i] · s[i,j]`: the gradient of [`spmm_add`] with respect to x, with
/// dy `[t, n]`, s `[n, k]`, dx `[t, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not fit together.
pub fn spmm_t_add<B: SparseBackend>(be: &B, s: &Csr<B>, dy: &Matrix<B>, dx: &mut Matrix<B>) -> Result<()> {
    dims!("spmm_t_add": s.rows = dy.cols, s.cols = dx.cols, dy.rows = dx.rows);
    // SAFETY: the dimensions agree, and the indices of s are in range by the invariants of its pattern.
    be.profiled(OpClass::Spmm, work::spmm(s, dy, dx), || unsafe { be.spmm_t_add(s, dy, dx) })
}
