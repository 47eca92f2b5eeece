//! Rows chosen by index, and the best column of each row.

use crate::{
    backend::{Backend, work},
    error::{Result, agree, dims, within},
    profile::OpClass,
    tensor::{Ids, Matrix},
};

/// `y[i,·] = x[rows[i],·]`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) for a row that x lacks.
pub fn gather_rows<B: Backend>(be: &B, x: &Matrix<B>, rows: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("gather_rows": y.rows = rows.len, y.cols = x.cols);
    within("gather_rows", "row", rows.bound(), x.rows())?;
    // SAFETY: dims! proved the shapes that Backend::gather_rows states, `within` that every row exists.
    be.profiled(OpClass::Elementwise, work::passes(2, y), || unsafe { be.gather_rows(x, rows, y) })
}

/// `y[rows[i],·] = x[i,·]`; other rows of y keep their values. If a row stands twice in `rows`, which of
/// its values y ends up with is not specified.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) for a row that y lacks.
pub fn scatter_rows<B: Backend>(be: &B, x: &Matrix<B>, rows: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("scatter_rows": x.rows = rows.len, y.cols = x.cols);
    within("scatter_rows", "row", rows.bound(), y.rows())?;
    // SAFETY: dims! proved the shapes that Backend::scatter_rows states, `within` that every row exists.
    be.profiled(OpClass::Elementwise, work::passes(2, x), || unsafe { be.scatter_rows(x, rows, y) })
}

/// `best[t] = argmax_v x[t,v]`, ties to the lowest index; NaN is never the largest, and a row without
/// any other element gives the number of columns.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) unless `best` has an element per row of x,
/// [`Error::Index`](crate::error::Error::Index) when x has no columns.
pub fn argmax_rows<B: Backend>(be: &B, x: &Matrix<B>, best: &mut B::Buffer<u32>) -> Result<()> {
    agree("argmax_rows", ("best", "elements", B::len(best)), ("x", "rows", x.rows()))?;
    within("argmax_rows", "column", 1, x.cols())?;
    // SAFETY: `agree` proved the shapes that Backend::argmax_rows states.
    be.profiled(OpClass::Elementwise, work::passes(1, x), || unsafe { be.argmax_rows(x, best) })
}
