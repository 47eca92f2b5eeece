//! A sparse matrix joined to a weight in packed panels: where it has an entry, the panels hold `w + s`.

use super::{
    super::{Cpu, matmul::Turned, nf4_elements},
    nf4::Aligned,
    pack_right::pack_right,
    panels::{PANEL, Places, Split, Tile, WHOLE, ask, depths_and_columns, lanes, split},
    unit::Vectors,
};
use crate::{
    device::Float,
    num::{low_u32, to_usize},
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use half::bf16;
use std::{arch::x86_64::*, ops::Range};

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
        if let Some(joined) = self.joined {
            joined.ask(self.turned, cols.clone());
        }
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
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn put<const P: usize>(
        self,
        turned: Turned,
        depth: Range<usize>,
        cols: Range<usize>,
        panels: &mut [Tile],
        stride: usize,
    ) {
        let s = ByColumn::new(self.s, turned);
        let places = Places::<P>::new(depth, stride, panels.len());
        for (panel, col) in cols.clone().step_by(PANEL).enumerate() {
            let entries = s.entries(col..cols.end.min(col + PANEL));
            for first in entries.clone().step_by(CHUNK) {
                let there = _mm512_int2mask(lanes(entries.end - first).cast_signed());
                // SAFETY: these entries are there, as `entries` says.
                let (elements, values) = unsafe { s.some(first, there) };
                let (at, packed) = places.of(panel, there, elements);
                let w = match self.w {
                    // Of bf16, the panels hold w itself, and they are near.
                    // SAFETY: places lie in the panels.
                    Weight::Bf16(_) => unsafe { gathered(panels, packed, at) },
                    _ if P == WHOLE => {
                        let panels: *mut f32 = panels.as_mut_ptr().cast();
                        // SAFETY: places lie in the panels, each a number of f32, and no two are one.
                        unsafe {
                            let w = _mm512_mask_i32gather_ps::<4>(values, packed, at, panels);
                            _mm512_mask_i32scatter_ps::<4>(panels, packed, at, _mm512_add_ps(w, values));
                        }
                        continue;
                    }
                    _ => self.stored(turned, col, packed, elements),
                };
                place::<P>(panels, at, _mm512_add_ps(w, values));
            }
        }
    }

    /// Asks for the entries of these columns: they arrive while w is packed.
    fn ask(self, turned: Turned, cols: Range<usize>) {
        let s = ByColumn::new(self.s, turned);
        let entries = s.entries(cols);
        let lines = |of: &[u32]| of[entries.clone()].iter().step_by(16).for_each(|entry| ask(entry));
        lines(s.elements);
        s.permutation.into_iter().for_each(lines);
        let values = if s.permutation.is_some() { 0..s.values.len() } else { entries.clone() };
        s.values[values].iter().step_by(16).for_each(|value| ask(value));
    }

    /// What w holds at these elements of the panel that begins with column `col`, in f32, if `lanes` names them; zero elsewhere.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn stored(self, turned: Turned, col: usize, lanes: __mmask16, elements: __m512i) -> __m512 {
        let (depths, in_panel) = depths_and_columns(elements);
        let columns = _mm512_add_epi32(in_panel, _mm512_set1_epi32(low_u32(col as u64).cast_signed()));
        let (rows, columns) = if turned == Turned::Yes { (columns, depths) } else { (depths, columns) };
        if let Weight::Nf4(w) = self.w
            && let Some(w) = Aligned::new(w)
        {
            // SAFETY: s has the shape of w.
            return unsafe { w.gathered(lanes, rows, columns) };
        }
        let (rows, columns) = (numbers_of(rows), numbers_of(columns));
        let element = |i: usize| {
            let (row, col) = (to_usize(rows[i]), to_usize(columns[i]));
            if lanes >> i & 1 == 1 { self.element(row, col) } else { 0.0 }
        };
        let elements: [f32; CHUNK] = std::array::from_fn(element);
        // SAFETY: there are 16.
        unsafe { _mm512_loadu_ps(elements.as_ptr()) }
    }

    fn element(self, row: usize, col: usize) -> f32 {
        fn at<T: Float>(w: &Matrix<Cpu, T>, row: usize, col: usize) -> f32 {
            w.buffer()[row * w.cols() + col].to_f32()
        }
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
    /// Each entry's [`depths_and_columns`], joined.
    elements: &'a [u32],
    values: &'a [f32],
    /// The place of each entry's value, where that is not its own.
    permutation: Option<&'a [u32]>,
}

impl<'a> ByColumn<'a> {
    fn new(s: &'a Csr<Cpu>, turned: Turned) -> Self {
        assert!(i32::try_from(s.values().len()).is_ok(), "a vector of places holds numbers below 2^31");
        let pattern = s.pattern();
        match turned {
            Turned::Yes => Self {
                offsets: &pattern.row_offsets,
                elements: pattern.in_panels_of_rows(),
                values: s.values(),
                permutation: None,
            },
            Turned::No => Self {
                offsets: &pattern.transpose.row_offsets,
                elements: pattern.in_panels_of_columns(),
                values: s.values(),
                permutation: Some(&pattern.transpose.permutation),
            },
        }
    }

    /// The entries in these columns.
    fn entries(&self, cols: Range<usize>) -> Range<usize> {
        to_usize(self.offsets[cols.start])..to_usize(self.offsets[cols.end])
    }

    /// Elements and values of the entries from `first` on that `lanes` names.
    ///
    /// # Safety
    /// They are there.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn some(&self, first: usize, lanes: __mmask16) -> (__m512i, __m512) {
        // SAFETY: as promised; a pattern has all of these for each entry, and its permutation is one of the values,
        // whose places `new` found to fit.
        unsafe {
            let of = |numbers: &[u32]| _mm512_maskz_loadu_epi32(lanes, numbers.as_ptr().add(first).cast());
            let values = match self.permutation {
                None => _mm512_maskz_loadu_ps(lanes, self.values.as_ptr().add(first)),
                Some(permutation) => {
                    let at = of(permutation);
                    _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), lanes, at, self.values.as_ptr())
                }
            };
            (of(self.elements), values)
        }
    }
}

/// The numbers of bf16 in these places, which `lanes` names, as f32; zero elsewhere.
///
/// # Safety
/// They lie in the panels.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn gathered(panels: &[Tile], lanes: __mmask16, at: __m512i) -> __m512 {
    // Pairs are what can be gathered; of each, one number moves to the upper half, or stands there.
    let (pairs, odd) = (_mm512_srli_epi32::<1>(at), _mm512_and_si512(at, _mm512_set1_epi32(1)));
    // SAFETY: as promised.
    let pairs = unsafe {
        _mm512_mask_i32gather_epi32::<4>(_mm512_setzero_si512(), lanes, pairs, panels.as_ptr().cast())
    };
    let shift = _mm512_sub_epi32(_mm512_set1_epi32(16), _mm512_slli_epi32::<4>(odd));
    let upper = _mm512_set1_epi32(i32::MIN >> 15);
    _mm512_castsi512_ps(_mm512_and_si512(_mm512_sllv_epi32(pairs, shift), upper))
}

/// Overwrites these places with the P parts of the sums; those beyond the panels are none.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn place<const P: usize>(panels: &mut [Tile], at: __m512i, sums: __m512) {
    let panels: &mut [bf16] = bytemuck::cast_slice_mut(panels);
    for (part, numbers) in split::<P>([sums, _mm512_setzero_ps()]).into_iter().enumerate() {
        // SAFETY: both are 512 bits of plain data.
        let numbers = unsafe { std::mem::transmute::<__m512i, [bf16; 2 * CHUNK]>(numbers) };
        for (&number, at) in numbers.iter().zip(numbers_of(at)) {
            if let Some(place) = panels.get_mut(to_usize(at) + Places::<P>::PART * part) {
                *place = number;
            }
        }
    }
}

/// The lanes of a vector.
fn numbers_of(vector: __m512i) -> [u32; CHUNK] {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute(vector) }
}
