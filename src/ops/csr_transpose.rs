use crate::{
    backend::{Selected, SparseBackend},
    device::{Device, Element},
    error::Result,
    num::{to_u32, to_usize},
    sparse::{Csr, CsrPattern, check_pattern},
};
use std::sync::Arc;

/// A pattern from offsets and indices that are proven first, with its transpose and row order.
///
/// # Errors
/// [`Error::Pattern`](crate::error::Error::Pattern) at the first row that breaks an invariant of
/// [`CsrPattern`], [`Error::TooLarge`](crate::error::Error::TooLarge) beyond 2³² − 1 rows, columns
/// or entries; out of memory.
pub fn csr_pattern<B: SparseBackend>(
    be: &B,
    rows: usize,
    cols: usize,
    row_offsets: Vec<u32>,
    col_indices: Vec<u32>,
) -> Result<Arc<CsrPattern<B>>> {
    to_u32("rows of a pattern", rows)?;
    to_u32("columns of a pattern", cols)?;
    to_u32("entries of a pattern", col_indices.len())?;
    check_pattern(rows, cols, &row_offsets, &col_indices)?;
    let selected = Selected { row_offsets: be.upload(row_offsets)?, col_indices: be.upload(col_indices)? };
    // SAFETY: the arrays form a pattern of this shape, as check_pattern has proven.
    Ok(Arc::new(unsafe { be.csr_transpose(rows, cols, selected) }?))
}

/// `sᵀ`, with s `[n, k]`: the values go through the host, so this is for tools and tests; training
/// uses the transpose that every pattern holds.
///
/// # Errors
/// When the device is out of memory or work queued on it failed.
pub fn csr_transpose<B: SparseBackend>(be: &B, s: &Csr<B>) -> Result<Csr<B>> {
    let (pattern, transpose) = (s.pattern(), &s.pattern().transpose);
    let selected = Selected {
        row_offsets: duplicate(be, &transpose.row_offsets)?,
        col_indices: duplicate(be, &transpose.col_indices)?,
    };
    // SAFETY: the transpose of a pattern is a pattern, by the invariants of CsrPattern.
    let transposed = unsafe { be.csr_transpose(pattern.cols(), pattern.rows(), selected) }?;
    let values = be.download(s.values())?;
    let permutation = be.download(&transpose.permutation)?;
    let values = permutation.into_iter().map(|entry| values[to_usize(entry)]).collect();
    Csr::new(Arc::new(transposed), be.upload(values)?)
}

fn duplicate<D: Device, T: Element>(device: &D, buffer: &D::Buffer<T>) -> Result<D::Buffer<T>> {
    let mut copy = device.zeros(D::len(buffer))?;
    device.copy(buffer, &mut copy)?;
    Ok(copy)
}
