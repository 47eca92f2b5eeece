//! Strided views of f32 matrices, and their product: the one place where the CPU backend hands
//! pointers to `gemm`.

use super::Cpu;
use crate::{backend::Write, device::Element, tensor::Matrix};
use std::{marker::PhantomData, ops::Range};

/// A matrix `[rows, cols]` that is read: element `(i, j)` is `data[i·row_stride + j·col_stride]`.
///
/// Invariant: every element lies within `data`.
#[derive(Clone, Copy)]
pub(super) struct View<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T: Element> View<'a, T> {
    /// All of `matrix`.
    pub(super) fn of(matrix: &'a Matrix<Cpu, T>) -> Self {
        Self::new(matrix.buffer(), matrix.rows(), matrix.cols())
    }

    /// A row-major matrix over all of `data`.
    pub(super) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a view covers its data");
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    pub(super) fn rows(self) -> usize {
        self.rows
    }

    pub(super) fn cols(self) -> usize {
        self.cols
    }

    /// Rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// A range of the rows and of the columns.
    #[inline(always)]
    pub(super) fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "a block lies inside its matrix");
        let start = rows.start * self.row_stride + cols.start * self.col_stride;
        Self { data: self.data.get(start..).unwrap_or(&[]), rows: rows.len(), cols: cols.len(), ..self }
    }

    /// Where element `(row, col)` stands, or would.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn pointer_to(self, row: usize, col: usize) -> *const T {
        self.data.as_ptr().wrapping_add(row * self.row_stride + col * self.col_stride)
    }

    /// Where element `(0, 0)` stands, and how many elements a row is after the one before.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn raw(self) -> (*const T, usize) {
        (self.data.as_ptr(), self.row_stride)
    }

    /// Element `(row, col)`.
    ///
    /// # Safety
    /// `row` lies below `rows()` and `col` below `cols()`.
    #[inline(always)]
    pub(super) unsafe fn at_unchecked(self, row: usize, col: usize) -> T {
        debug_assert!(row < self.rows && col < self.cols, "({row}, {col}) of [{}, {}]", self.rows, self.cols);
        // SAFETY: the invariant of View and the caller's promise.
        unsafe { *self.data.get_unchecked(row * self.row_stride + col * self.col_stride) }
    }

    /// Row `row` of a view whose rows are contiguous.
    ///
    /// # Safety
    /// They are, and `row` lies below `rows()`.
    #[inline(always)]
    pub(super) unsafe fn row_unchecked(self, row: usize) -> &'a [T] {
        debug_assert!(row < self.rows && self.col_stride == 1, "row {row} of {}", self.rows);
        // SAFETY: the invariant of View and the caller's promise.
        unsafe { self.data.get_unchecked(row * self.row_stride..).get_unchecked(..self.cols) }
    }

    /// Row `row` of a view whose rows are contiguous.
    pub(super) fn row(self, row: usize) -> &'a [T] {
        assert_eq!(self.col_stride, 1, "contiguous rows");
        &self.data[row * self.row_stride..][..self.cols]
    }

    /// Whether rows are contiguous.
    pub(super) fn is_row_major(self) -> bool {
        self.col_stride == 1
    }
}

/// A matrix `[rows, cols]` with contiguous rows that is written: like `&mut [f32]`, but it can be cut
/// between columns too.
///
/// Invariant: the `cols` elements from `data + i·stride` on, for each row `i`, are borrowed for `'a` by
/// this value alone.
pub(super) struct ViewMut<'a> {
    data: *mut f32,
    rows: usize,
    cols: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: a ViewMut is an exclusive borrow of plain numbers, as `&mut [f32]` is, which is Send.
unsafe impl Send for ViewMut<'_> {}

impl<'a> ViewMut<'a> {
    /// All of `matrix`.
    pub(super) fn of(matrix: &'a mut Matrix<Cpu, f32>) -> Self {
        let (rows, cols) = (matrix.rows(), matrix.cols());
        Self::new(matrix.buffer_mut(), rows, cols)
    }

    /// A row-major matrix over all of `data`.
    #[inline(always)]
    pub(super) fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "a view covers its data");
        Self { data: data.as_mut_ptr(), rows, cols, stride: cols, borrow: PhantomData }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    /// The same matrix for a shorter time.
    #[inline(always)]
    pub(super) fn reborrow(&mut self) -> ViewMut<'_> {
        ViewMut { borrow: PhantomData, ..*self }
    }

    /// What it holds, where whole rows follow each other.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn view(&self) -> View<'_> {
        assert_eq!(self.stride, self.cols, "a view covers its data");
        // SAFETY: the rows follow each other, borrowed by us alone.
        View::new(
            unsafe { std::slice::from_raw_parts(self.data, self.rows * self.cols) },
            self.rows,
            self.cols,
        )
    }

    /// Where element `(0, 0)` stands, and how many elements a row is after the one before.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn into_raw(self) -> (*mut f32, usize) {
        (self.data, self.stride)
    }

    /// Asks for all its memory, where its rows begin `far` elements apart or more.
    #[inline(always)]
    pub(super) fn ask(&self, far: usize) {
        #[cfg(target_arch = "x86_64")]
        if self.stride >= far {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            for row in 0..self.rows {
                for col in (0..self.cols).step_by(16) {
                    let line = self.data.wrapping_add(row * self.stride + col);
                    // SAFETY: it changes nothing that a program sees, wherever it points.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) };
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = far;
    }

    /// Row `row`.
    pub(super) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: the assertion proves that the row exists, the invariant that it is borrowed by us alone.
        unsafe { std::slice::from_raw_parts_mut(self.data.wrapping_add(row * self.stride), self.cols) }
    }

    /// A range of the rows and of the columns.
    #[inline(always)]
    pub(super) fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "a block lies inside its matrix");
        let data = self.data.wrapping_add(rows.start * self.stride + cols.start);
        Self { data, rows: rows.len(), cols: cols.len(), ..self }
    }

    /// All elements become `value`.
    pub(super) fn fill(&mut self, value: f32) {
        for row in 0..self.rows {
            self.row(row).fill(value);
        }
    }

    /// The rows before `row`, and the others.
    pub(super) fn cut_rows(self, row: usize) -> (Self, Self) {
        assert!(row <= self.rows, "a cut lies inside the matrix");
        let below = Self { data: self.data.wrapping_add(row * self.stride), rows: self.rows - row, ..self };
        (Self { rows: row, ..self }, below)
    }

    /// The columns before `col`, and the others.
    pub(super) fn cut_cols(self, col: usize) -> (Self, Self) {
        assert!(col <= self.cols, "a cut lies inside the matrix");
        let right = Self { data: self.data.wrapping_add(col), cols: self.cols - col, ..self };
        (Self { cols: col, ..self }, right)
    }

    /// Consecutive bands of `rows` rows, the last one with what is left.
    pub(super) fn bands(self, rows: usize) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let view = rest.take().filter(|view| view.rows > 0)?;
            let at = rows.min(view.rows);
            let (band, below) = view.cut_rows(at);
            rest = Some(below);
            Some(band)
        })
    }

    /// Consecutive columns, `cols` at a time, the last ones with what is left.
    pub(super) fn columns(self, cols: usize) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let view = rest.take().filter(|view| view.cols > 0)?;
            let at = cols.min(view.cols);
            let (left, right) = view.cut_cols(at);
            rest = Some(right);
            Some(left)
        })
    }
}

/// `c ← [c +] scale · a · b` on this thread; without a sum over anything, `a · b` is zero.
pub(super) fn gemm(scale: f32, a: View<'_>, b: View<'_>, write: Write, c: ViewMut<'_>) {
    assert_eq!((a.rows, b.cols, a.cols), (c.rows, c.cols, b.rows), "the dimensions of a product agree");
    let stride = usize::cast_signed;
    // SAFETY: the assertion proves that the shapes agree; the invariants of View and ViewMut prove that
    // every element which these shapes and strides address exists, and that nobody else holds c.
    unsafe {
        gemm::gemm(
            c.rows,
            c.cols,
            a.cols,
            c.data,
            1,
            stride(c.stride),
            write == Write::Add,
            a.data.as_ptr(),
            stride(a.col_stride),
            stride(a.row_stride),
            b.data.as_ptr(),
            stride(b.col_stride),
            stride(b.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
