//! Sparse matrices in compressed-row form: an immutable pattern, shared, and values beside it.

use crate::{
    device::Device,
    error::{Error, Result},
};
use std::sync::{Arc, OnceLock};

/// Which entries of a `[rows, cols]` matrix are set, with everything that depends on that alone.
///
/// Invariants, proven on the host by [`check_pattern`] or guaranteed by the selection kernel:
/// - `row_offsets` has `rows + 1` entries, starts at 0, never falls and ends at `nnz`;
/// - `col_indices` has `nnz` entries, each below `cols`, strictly rising within a row;
/// - `row_order` lists every row once, by falling length, ties by rising index;
/// - `transpose` is the pattern of the transposed matrix, and its entry `p` is this pattern's
///   entry `transpose.permutation[p]`.
///
/// Made by [`ops::csr_pattern`](crate::ops::csr_pattern) and [`ops::topk_mask`](crate::ops::topk_mask).
pub struct CsrPattern<D: Device> {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_offsets: D::Buffer<u32>,
    pub(crate) col_indices: D::Buffer<u32>,
    pub(crate) row_order: D::Buffer<u32>,
    pub(crate) transpose: Transpose<D>,
    /// What this device's kernels work out from the rest.
    pub(crate) plan: D::PatternPlan,
}

/// The columns of a pattern, in the order of a compressed-row form of the transposed matrix.
pub struct Transpose<D: Device> {
    /// Where each column's entries start: `cols + 1` offsets.
    pub(crate) row_offsets: D::Buffer<u32>,
    /// The row of each entry, strictly rising within a column: `nnz` indices.
    pub(crate) col_indices: D::Buffer<u32>,
    /// For each entry, its number in the row-major pattern: `nnz` indices.
    pub(crate) permutation: D::Buffer<u32>,
}

impl<D: Device> CsrPattern<D> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The number of set entries.
    pub fn nnz(&self) -> usize {
        D::len(&self.col_indices)
    }

    /// `nnz / (rows · cols)`.
    pub fn density(&self) -> f64 {
        self.nnz() as f64 / (self.rows as f64 * self.cols as f64)
    }

    /// Where each row's entries start: `rows + 1` offsets, the last one `nnz`.
    pub fn row_offsets(&self) -> &D::Buffer<u32> {
        &self.row_offsets
    }

    /// The column of each entry, strictly rising within a row.
    pub fn col_indices(&self) -> &D::Buffer<u32> {
        &self.col_indices
    }

    /// The rows by falling length, so that long rows start first.
    pub fn row_order(&self) -> &D::Buffer<u32> {
        &self.row_order
    }
}

/// A sparse matrix `[rows, cols]`: a shared pattern and one f32 value per entry.
///
/// Invariants: `values` holds exactly `pattern.nnz()` elements, in the pattern's row-major order; `packed`, where it
/// is set, holds these very values.
pub struct Csr<D: Device> {
    pattern: Arc<CsrPattern<D>>,
    values: D::Buffer<f32>,
    packed: OnceLock<D::PackedValues>,
}

impl<D: Device> Csr<D> {
    /// `pattern` with these values.
    ///
    /// # Errors
    /// [`Error::Dims`] unless there is one value per entry.
    pub fn new(pattern: Arc<CsrPattern<D>>, values: D::Buffer<f32>) -> Result<Self> {
        if D::len(&values) != pattern.nnz() {
            return Err(Error::Dims {
                op: "Csr::new",
                left: ("values", "elements", D::len(&values)),
                right: ("pattern", "entries", pattern.nnz()),
            });
        }
        Ok(Self { pattern, values, packed: OnceLock::new() })
    }

    /// `pattern` with all values zero.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn zeros(device: &D, pattern: Arc<CsrPattern<D>>) -> Result<Self> {
        let values = device.zeros(pattern.nnz())?;
        Self::new(pattern, values)
    }

    /// The pattern, shared with everything else that has it.
    pub fn pattern(&self) -> &Arc<CsrPattern<D>> {
        &self.pattern
    }

    /// One value per entry, row-major.
    pub fn values(&self) -> &D::Buffer<f32> {
        &self.values
    }

    /// One value per entry, row-major, to be overwritten.
    pub fn values_mut(&mut self) -> &mut D::Buffer<f32> {
        self.packed.take();
        &mut self.values
    }

    /// The values as the device's kernels read them: made by `pack` when they are first asked for, and again after
    /// [`values_mut`](Self::values_mut).
    ///
    /// # Errors
    /// What `pack` returns.
    #[cfg(feature = "cuda")]
    pub(crate) fn packed(&self, pack: impl FnOnce() -> Result<D::PackedValues>) -> Result<&D::PackedValues> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let packed = pack()?;
        Ok(self.packed.get_or_init(|| packed))
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.pattern.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.pattern.cols
    }

    /// The number of set entries.
    pub fn nnz(&self) -> usize {
        self.pattern.nnz()
    }
}

/// Proves the invariants of [`CsrPattern`]'s offsets and indices.
///
/// # Errors
/// [`Error::Pattern`] names the first row at which one is broken, and both numbers.
pub fn check_pattern(rows: usize, cols: usize, row_offsets: &[u32], col_indices: &[u32]) -> Result<()> {
    let broken = |invariant, row, found: usize, bound| Err(Error::Pattern { invariant, row, found, bound });
    if row_offsets.len() != rows + 1 {
        return broken("there is one offset per row and a last one", rows, row_offsets.len(), rows + 1);
    }
    if row_offsets[0] != 0 {
        return broken("the first offset is 0", 0, row_offsets[0] as usize, 0);
    }
    if row_offsets[rows] as usize != col_indices.len() {
        return broken("the last offset is nnz", rows, row_offsets[rows] as usize, col_indices.len());
    }
    for (row, bounds) in row_offsets.windows(2).enumerate() {
        let (start, end) = (bounds[0] as usize, bounds[1] as usize);
        if end < start || end > col_indices.len() {
            return broken("offsets never fall", row, end, start);
        }
        let indices = &col_indices[start..end];
        for pair in indices.windows(2) {
            if pair[1] <= pair[0] {
                return broken("columns rise strictly", row, pair[1] as usize, pair[0] as usize);
            }
        }
        if let Some(&last) = indices.last()
            && last as usize >= cols
        {
            return broken("columns are below cols", row, last as usize, cols);
        }
    }
    Ok(())
}
