//! A tile of a weight in f32, with the sparse entries that fall into it.

use super::{Cpu, nf4_elements::elements};
use crate::{
    device::Float,
    nf4::Nf4Matrix,
    num::to_usize,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use pulp::Arch;
use std::ops::Range;

/// A range of the rows and of the columns of a matrix.
#[derive(Clone)]
pub(super) struct Tile {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
}

impl Tile {
    /// Overwrites `out`, row-major, with this tile of `w + s`, each element and each sum rounded to f32. The caller's loop
    /// is compiled for `arch`.
    #[inline(always)]
    pub(super) fn read(&self, arch: Arch, w: Weight<'_, Cpu>, s: Option<&Csr<Cpu>>, out: &mut [f32]) {
        match w {
            Weight::F32(w) => self.copy(w, out),
            Weight::Bf16(w) => self.copy(w, out),
            Weight::Nf4(w) => self.dequantize(arch, w, out),
        }
        if let Some(s) = s {
            self.add(s, out);
        }
    }

    #[inline(always)]
    fn dequantize(&self, arch: Arch, w: &Nf4Matrix<Cpu>, out: &mut [f32]) {
        let width = self.cols.len();
        for (row, out) in self.rows.clone().zip(out.chunks_exact_mut(width.max(1))) {
            let start = row * w.cols();
            elements(arch, w, start + self.cols.start..start + self.cols.end, out);
        }
    }

    #[inline(always)]
    fn copy<T: Float>(&self, w: &Matrix<Cpu, T>, out: &mut [f32]) {
        let width = self.cols.len();
        for (row, out) in self.rows.clone().zip(out.chunks_exact_mut(width.max(1))) {
            let w = &w.buffer()[row * w.cols()..][self.cols.clone()];
            out.iter_mut().zip(w).for_each(|(out, w)| *out = w.to_f32());
        }
    }

    #[inline(always)]
    fn add(&self, s: &Csr<Cpu>, out: &mut [f32]) {
        let width = self.cols.len();
        for (row, out) in self.rows.clone().zip(out.chunks_exact_mut(width.max(1))) {
            for (column, value) in entries_within(s, row, self.cols.clone()) {
                out[column] += value;
            }
        }
    }
}

/// The entries of a row whose columns lie in `cols`: how far each is from the first of them, and its value.
#[inline(always)]
pub(super) fn entries_within(
    s: &Csr<Cpu>,
    row: usize,
    cols: Range<usize>,
) -> impl Iterator<Item = (usize, f32)> {
    let pattern = s.pattern();
    let entries = to_usize(pattern.row_offsets[row])..to_usize(pattern.row_offsets[row + 1]);
    let (columns, values) = (&pattern.col_indices[entries.clone()], &s.values()[entries]);
    let first = columns.partition_point(|&column| to_usize(column) < cols.start);
    let entries = columns[first..].iter().map(|&column| to_usize(column)).zip(&values[first..]);
    entries
        .take_while(move |&(column, _)| column < cols.end)
        .map(move |(column, &value)| (column - cols.start, value))
}
