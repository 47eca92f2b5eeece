use crate::{
    backend::{SparseBackend, work},
    error::{Result, dims},
    profile::OpClass,
    sparse::Csr,
    tensor::Matrix,
};

/// `ds[i,j] += Σ_t dy[t,i] · x[t,j]` where the pattern of ds is set: the gradient of
/// [`spmm_add`](super::spmm_add) with respect to s, with dy `[t, n]`, x `[t, k]`, ds `[n, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not fit together.
pub fn sddmm_add<B: SparseBackend>(be: &B, dy: &Matrix<B>, x: &Matrix<B>, ds: &mut Csr<B>) -> Result<()> {
    dims!("sddmm_add": dy.rows = x.rows, ds.rows = dy.cols, ds.cols = x.cols);
    // SAFETY: the dimensions agree, and the indices of ds are in range by the invariants of its pattern.
    be.profiled(OpClass::Sddmm, work::sddmm(dy, x, ds), || unsafe { be.sddmm_add(dy, x, ds) })
}
