//! Table look-up and its gradient.

use crate::{
    backend::{Backend, work},
    error::{Result, dims, within},
    profile::OpClass,
    tensor::{Ids, Matrix, Weight},
};

/// `y[t,·] = table[ids[t],·]`, with table `[vocab, k]`, y `[t, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) for an id beyond the table.
pub fn embedding<B: Backend>(be: &B, table: Weight<'_, B>, ids: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("embedding": y.rows = ids.len, y.cols = table.cols);
    within("embedding", "id", ids.bound(), table.rows())?;
    // SAFETY: dims! proved the shapes that Backend::embedding states, `within` that every id has a row.
    be.profiled(OpClass::Elementwise, work::passes(2, y), || unsafe { be.embedding(table, ids, y) })
}

/// `dtable[v,·] += Σ_{t: ids[t] = v} dy[t,·]`, t rising, with dy `[t, k]`, dtable `[vocab, k]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) for an id beyond the table.
pub fn embedding_grad_add<B: Backend>(
    be: &B,
    ids: &Ids<B>,
    dy: &Matrix<B>,
    dtable: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("embedding_grad_add": dy.rows = ids.len, dtable.cols = dy.cols);
    within("embedding_grad_add", "id", ids.bound(), dtable.rows())?;
    // SAFETY: dims! proved the shapes that Backend::embedding_grad_add states, `within` that every id has a row.
    be.profiled(OpClass::Elementwise, work::passes(3, dy), || unsafe {
        be.embedding_grad_add(ids, dy, dtable)
    })
}
