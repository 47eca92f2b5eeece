//! A sparse matrix joined to a weight in packed panels: where it has an entry, the panels hold `w + s`.

use super::{
    super::{Cpu, matmul::Turned, nf4_elements},
    pack_right::pack_right,
    panels::{Places, Split, Tile, WHOLE},
    unit::Vectors,
};
use crate::{
    device::Float,
    num::to_usize,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use half::bf16;
use std::ops::Range;

/// Entries that are placed at a time: a vector of each of the numbers that it takes.
const CHUNK: usize = 16;

/// The right operand of a product: a matrix, turned or not, whose rows are read as `R`.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, R> {
    pub(super) w: R,
    pub(super) turned: Turned,
    pub(super) joined: Option<Joined<'a>>,
}

/// What is added to the weight w.
#[derive(Clone, Copy)]
pub(super) struct Joined<'a> {
    pub(super) w: Weight<'a, Cpu>,
    pub(super) s: &'a Csr<Cpu>,
}

impl<R> Operand<'_, R> {
    /// Packs depths `depth` and columns `cols` into panels that begin `stride` tiles from each other.
    pub(super) fn pack<const P: usize>(
        self,
        vectors: Vectors,
        depth: Range<usize>,
        cols: Range<usize>,
        panels: &mut [Tile],
        stride: usize,
    ) where
        R: Split<P>,
    {
        let w = (self.w, self.turned);
        // SAFETY: the caller cut the ranges out of the operand.
        unsafe { pack_right::<R, P>(vectors, w, depth.clone(), cols.clone(), panels, stride) };
        if let Some(joined) = self.joined {
            // SAFETY: the features are proven.
            unsafe { joined.put::<P>(self.turned, depth, cols, panels, stride) };
        }
    }
}

impl Joined<'_> {
    /// Overwrites what the panels of these depths and columns hold at the entries of s: with `w + s`, a sum in f32, in
    /// P parts.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn put<const P: usize>(
        self,
        turned: Turned,
        depth: Range<usize>,
        cols: Range<usize>,
        panels: &mut [Tile],
        stride: usize,
    ) {
        let s = ByColumn::new(self.s, turned);
        let places = Places::<P>::new(depth, cols.start, stride);
        let panels: &mut [bf16] = bytemuck::cast_slice_mut(panels);
        let entries = to_usize(s.offsets[cols.start])..to_usize(s.offsets[cols.end]);
        for first in entries.clone().step_by(CHUNK) {
            let chunk = first..entries.end.min(first + CHUNK);
            let depths = filled(&s.depths[chunk.clone()], u32::MAX);
            let columns = filled(&s.columns[chunk.clone()], 0);
            let elements = || depths.iter().copied().zip(columns);
            let mut at = [Places::<P>::NONE; CHUNK];
            for (at, (depth, column)) in at.iter_mut().zip(elements()) {
                *at = places.of(depth, column);
            }
            let mut sums = s.values(self.s, chunk);
            match self.w {
                // Of bf16, the panels hold w itself, and they are near.
                Weight::Bf16(_) => {
                    for (sum, &at) in sums.iter_mut().zip(&at) {
                        *sum += panels.get(to_usize(at)).map_or(0.0, |w| w.to_f32());
                    }
                }
                // And of f32 numbers as they are.
                _ if P == WHOLE => {
                    let panels: &mut [f32] = bytemuck::cast_slice_mut(panels);
                    for (sum, &at) in sums.iter().zip(&at) {
                        if let Some(w) = panels.get_mut(to_usize(at)) {
                            *w += sum;
                        }
                    }
                    continue;
                }
                _ => {
                    for ((sum, &at), (depth, column)) in sums.iter_mut().zip(&at).zip(elements()) {
                        if at != Places::<P>::NONE {
                            *sum += self.element(turned, to_usize(depth), to_usize(column));
                        }
                    }
                }
            }
            for part in 0..P {
                for (sum, &at) in sums.iter_mut().zip(&at) {
                    let of_sum = bf16::from_f32(*sum);
                    *sum -= of_sum.to_f32();
                    if let Some(number) = panels.get_mut(to_usize(at) + Places::<P>::PART * part) {
                        *number = of_sum;
                    }
                }
            }
        }
    }

    fn element(self, turned: Turned, depth: usize, column: usize) -> f32 {
        fn at<T: Float>(w: &Matrix<Cpu, T>, row: usize, col: usize) -> f32 {
            w.buffer()[row * w.cols() + col].to_f32()
        }
        let (row, col) = if turned == Turned::Yes { (column, depth) } else { (depth, column) };
        match self.w {
            Weight::F32(w) => at(w, row, col),
            Weight::Bf16(w) => at(w, row, col),
            Weight::Nf4(w) => nf4_elements::element(w, row * w.cols() + col),
        }
    }
}

/// The entries of s by columns of the right operand.
struct ByColumn<'a> {
    /// Where each column's entries start.
    offsets: &'a [u32],
    columns: &'a [u32],
    depths: &'a [u32],
    /// The place of each entry's value, where that is not its own.
    permutation: Option<&'a [u32]>,
}

impl<'a> ByColumn<'a> {
    fn new(s: &'a Csr<Cpu>, turned: Turned) -> Self {
        let pattern = s.pattern();
        match turned {
            Turned::Yes => Self {
                offsets: &pattern.row_offsets,
                columns: pattern.row_of_each(),
                depths: &pattern.col_indices,
                permutation: None,
            },
            Turned::No => Self {
                offsets: &pattern.transpose.row_offsets,
                columns: pattern.column_of_each(),
                depths: &pattern.transpose.col_indices,
                permutation: Some(&pattern.transpose.permutation),
            },
        }
    }

    /// The values of a chunk of entries; zero for those that are missing.
    #[inline(always)]
    fn values(&self, s: &Csr<Cpu>, chunk: Range<usize>) -> [f32; CHUNK] {
        let Some(permutation) = self.permutation else { return filled(&s.values()[chunk], 0.0) };
        let mut values = [0.0; CHUNK];
        for (value, &entry) in values.iter_mut().zip(&permutation[chunk]) {
            *value = s.values()[to_usize(entry)];
        }
        values
    }
}

/// A chunk of elements, of which the last ones may be missing.
#[inline(always)]
fn filled<T: Copy>(elements: &[T], missing: T) -> [T; CHUNK] {
    let mut chunk = [missing; CHUNK];
    match elements.try_into() {
        Ok(whole) => whole,
        Err(_) => {
            chunk[..elements.len()].copy_from_slice(elements);
            chunk
        }
    }
}
