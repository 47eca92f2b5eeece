use crate::{
    backend::SparseBackend,
    device::Float,
    error::{Result, dims},
    profile::{OpClass, Work},
    sparse::Csr,
    tensor::Matrix,
};

/// `w += s`, each sum of f32 rounded once to the type of w: merges a sparse adapter into a weight, both `[n, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes differ.
pub fn csr_add<B: SparseBackend, T: Float>(be: &B, s: &Csr<B>, w: &mut Matrix<B, T>) -> Result<()> {
    dims!("csr_add": s.rows = w.rows, s.cols = w.cols);
    // SAFETY: the dimensions agree, and the indices of s are in range by the invariants of its pattern.
    be.profiled(OpClass::Spmm, Work::new(s.nnz(), s.nnz() * (8 + 2 * size_of::<T>())), || unsafe {
        be.csr_add(s, w)
    })
}
