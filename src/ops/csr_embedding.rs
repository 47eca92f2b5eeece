use crate::{
    backend::{Backend, work},
    error::{Error, Result, dims},
    profile::OpClass,
    sparse::Csr,
    tensor::{Ids, Matrix},
};

/// `y[t,·] += s[ids[t],·]`: the forward pass of a sparse adapter of an embedding table, with
/// s `[vocab, k]`, one id per row of y `[t, k]`.
///
/// # Errors
/// [`Error::Dims`] when the shapes do not fit together, [`Error::Index`] when an id has no row in s.
pub fn csr_embedding_add<B: Backend>(be: &B, s: &Csr<B>, ids: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("csr_embedding_add": s.cols = y.cols, ids.len = y.rows);
    check_ids("csr_embedding_add", ids, s)?;
    // SAFETY: the dimensions agree, every id is a row of s, and the indices of s are in range by the
    // invariants of its pattern.
    be.profiled(OpClass::Spmm, work::passes(2, y), || unsafe { be.csr_embedding_add(s, ids, y) })
}

/// `ds[v,j] += Σ_{t: ids[t] = v} dy[t,j]` where the pattern of ds is set, t rising: the gradient of
/// [`csr_embedding_add`] with respect to s, with one id per row of dy `[t, k]`, ds `[vocab, k]`.
///
/// # Errors
/// [`Error::Dims`] when the shapes do not fit together, [`Error::Index`] when an id has no row in ds.
pub fn csr_embedding_grad_add<B: Backend>(
    be: &B,
    ids: &Ids<B>,
    dy: &Matrix<B>,
    ds: &mut Csr<B>,
) -> Result<()> {
    dims!("csr_embedding_grad_add": ids.len = dy.rows, ds.cols = dy.cols);
    check_ids("csr_embedding_grad_add", ids, ds)?;
    // SAFETY: the dimensions agree, every id is a row of ds, and the indices of ds are in range by the
    // invariants of its pattern.
    be.profiled(OpClass::Sddmm, work::passes(1, dy), || unsafe { be.csr_embedding_grad_add(ids, dy, ds) })
}

fn check_ids<B: Backend>(op: &'static str, ids: &Ids<B>, table: &Csr<B>) -> Result<()> {
    if ids.bound() > table.rows() {
        return Err(Error::Index { op, what: "id", index: ids.bound() - 1, bound: table.rows() });
    }
    Ok(())
}
