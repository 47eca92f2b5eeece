//! Cuts outputs into pieces of rows that depend on the shapes alone, and runs the pieces in parallel.

use super::Cpu;
use rayon::join;

/// Elements in a piece of an elementwise op: some microseconds of work, well above the price of a task.
const GRAIN: usize = 1 << 14;

/// How many rows of `width` elements make a piece of an elementwise op.
pub(super) fn rows_of(width: usize) -> usize {
    (GRAIN / width.max(1)).max(1)
}

/// An output, or several, that can be cut between rows.
pub(super) trait Cut: Send + Sized {
    /// The number of rows.
    fn rows(&self) -> usize;
    /// The rows before `row`, and the others.
    fn cut(self, row: usize) -> (Self, Self);
}

/// Rows of one element.
impl<T: Send> Cut for &mut [T] {
    fn rows(&self) -> usize {
        self.len()
    }
    fn cut(self, row: usize) -> (Self, Self) {
        self.split_at_mut(row)
    }
}

/// Consecutive rows of a row-major matrix that is `width` wide.
pub(super) struct Rows<'a, T> {
    pub(super) data: &'a mut [T],
    pub(super) width: usize,
}

impl<T: Send> Cut for Rows<'_, T> {
    fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }
    fn cut(self, row: usize) -> (Self, Self) {
        let (before, after) = self.data.split_at_mut(row * self.width);
        (Self { data: before, width: self.width }, Self { data: after, width: self.width })
    }
}

/// Outputs with equally many rows.
impl<A: Cut, B: Cut> Cut for (A, B) {
    fn rows(&self) -> usize {
        self.0.rows()
    }
    fn cut(self, row: usize) -> (Self, Self) {
        let ((a0, a1), (b0, b1)) = (self.0.cut(row), self.1.cut(row));
        ((a0, b0), (a1, b1))
    }
}

impl Cpu {
    /// Calls `work(first_row, piece)` for consecutive pieces of `out` with `rows` rows each (the last
    /// may have fewer), compiled for this CPU's vector instructions as far as `work` is inlined.
    pub(super) fn in_pieces<C: Cut>(&self, out: C, rows: usize, work: impl Fn(usize, C) + Sync) {
        if out.rows() == 0 {
            return; // and `work` never meets a width of 0
        }
        if out.rows() <= rows {
            self.piece(0, out, &work);
        } else {
            self.pooled(|| self.halve(0, out, rows, &work));
        }
    }

    fn halve<C: Cut>(&self, first: usize, out: C, rows: usize, work: &(impl Fn(usize, C) + Sync)) {
        let pieces = out.rows().div_ceil(rows);
        if pieces <= 1 {
            return self.piece(first, out, work);
        }
        let middle = pieces / 2 * rows;
        let (before, after) = out.cut(middle);
        join(|| self.halve(first, before, rows, work), || self.halve(first + middle, after, rows, work));
    }
    #[inline(always)]
    fn piece<C: Cut>(&self, first: usize, out: C, work: &impl Fn(usize, C)) {
        let mut out = Some(out);
        self.vectorize(
            #[inline(always)]
            || {
                if let Some(out) = out.take() {
                    work(first, out);
                }
            },
        );
    }
}
