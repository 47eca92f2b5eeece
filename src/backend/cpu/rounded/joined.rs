//! A sparse matrix joined to a weight in packed panels: where it has an entry, the panels hold `w + s`.

use super::{
    super::{Cpu, matmul::Turned, nf4_elements},
    pack_right::packed_right,
    panels::{Places, Split, Tile},
    unit::Vectors,
};
use crate::{
    device::Float,
    num::to_usize,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use half::bf16;
use std::{array::from_fn, ops::Range};

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
    /// Depths `depth` and columns `cols`, packed.
    pub(super) fn packed<const P: usize>(
        self,
        vectors: Vectors,
        depth: Range<usize>,
        cols: Range<usize>,
    ) -> Vec<Tile>
    where
        R: Split<P>,
    {
        let mut panels = packed_right::<R, P>(vectors, (self.w, self.turned), depth.clone(), cols.clone());
        if let Some(joined) = self.joined {
            // SAFETY: the features are proven.
            unsafe { joined.put::<P>(self.turned, depth, cols, &mut panels) };
        }
        panels
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
    ) {
        let s = ByColumn::new(self.s, turned);
        let places = Places::<P>::new(depth, cols.start);
        let panels: &mut [bf16] = bytemuck::cast_slice_mut(panels);
        let entries = to_usize(s.offsets[cols.start])..to_usize(s.offsets[cols.end]);
        for first in entries.clone().step_by(CHUNK) {
            let chunk = first..entries.end.min(first + CHUNK);
            let (depths, columns) =
                (filled(&s.depths[chunk.clone()], u32::MAX), filled(&s.columns[chunk.clone()], 0));
            let at: [_; CHUNK] = from_fn(|i| places.of(depths[i], columns[i]));
            let values: [_; CHUNK] = match s.permutation {
                None => filled(&self.s.values()[chunk], 0.0),
                Some(permutation) => {
                    filled(&permutation[chunk], 0).map(|entry| self.s.values()[to_usize(entry)])
                }
            };
            let mut sums: [_; CHUNK] = match self.w {
                // Of bf16, the panels hold w itself, and they are near.
                Weight::Bf16(_) => from_fn(|i| panels.get(to_usize(at[i])).map_or(0.0, |w| w.to_f32())),
                _ => from_fn(|i| match at[i] {
                    Places::<P>::NONE => 0.0,
                    _ if turned == Turned::Yes => self.element(columns[i], depths[i]),
                    _ => self.element(depths[i], columns[i]),
                }),
            };
            sums.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
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

    fn element(self, row: u32, col: u32) -> f32 {
        fn at<T: Float>(w: &Matrix<Cpu, T>, row: usize, col: usize) -> f32 {
            w.buffer()[row * w.cols() + col].to_f32()
        }
        let (row, col) = (to_usize(row), to_usize(col));
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
}

/// A chunk of elements, of which the last ones may be missing.
fn filled<T: Copy>(elements: &[T], missing: T) -> [T; CHUNK] {
    elements.try_into().unwrap_or_else(|_| from_fn(|i| elements.get(i).copied().unwrap_or(missing)))
}
