//! Operands as the kernels read them: tiles of 16 rows of 64 bytes, in panels of two tiles side by side.
//!
//! | | a row of the tile | a panel |
//! | --- | --- | --- |
//! | left operand | 32 consecutive depths of one row | 32 rows: rows 0..16, then 16..32, for each step of 32 depths |
//! | right operand | two consecutive depths of 16 columns | 32 columns: columns 0..16, then 16..32, for each step |
//!
//! An operand has P parts, and a step the tiles of the first part, then those of the next:
//!
//! | P | the parts of a step |
//! | --- | --- |
//! | [`ROUNDED`] | its numbers rounded to bf16 |
//! | [`WHOLE`] | its f32 numbers, which take the room of two: those of the first 16 depths, and of the others |
//! | [`SPLIT`] | three numbers of bf16 that add up to each f32 number |

use super::super::{plan, strided::View};
use crate::num::low_u32;
use bytemuck::{Pod, Zeroable};
use half::bf16;
use std::{arch::x86_64::*, ops::Range};

/// Rows of a panel of the left operand, columns of one of the right.
pub(super) const PANEL: usize = plan::PANEL;
/// Depths of a tile.
pub(super) const STEP: usize = 32;

/// Parts of numbers rounded to bf16.
pub(super) const ROUNDED: usize = 1;
/// Parts of f32 numbers that are multiplied as they are.
pub(super) const WHOLE: usize = 2;
/// Parts of f32 numbers that are split.
pub(super) const SPLIT: usize = 3;

/// Numbers of bf16 that a tile holds.
const NUMBERS: usize = 512;

/// 16 rows of 64 bytes.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
pub(super) struct Tile([u32; 256]);

impl Tile {
    /// Its rows, as pairs of numbers.
    #[inline(always)]
    pub(super) fn lines(&self) -> &[[u32; 16]; 16] {
        bytemuck::cast_ref(&self.0)
    }

    /// Its rows.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn rows(&self) -> [__m512i; 16] {
        // SAFETY: both are 1024 bytes of plain data, aligned alike.
        unsafe { std::mem::transmute::<[u32; 256], [__m512i; 16]>(self.0) }
    }

    /// The same to be written.
    #[inline(always)]
    pub(super) fn rows_mut(&mut self) -> &mut [__m512i; 16] {
        // SAFETY: both are 1024 bytes of plain data, aligned alike.
        unsafe { &mut *std::ptr::from_mut(self).cast() }
    }
}

/// Where elements of the right operand stand among the numbers of its panels.
pub(super) struct Places<const P: usize> {
    /// The first depth that is packed, and how many are.
    depth: (u32, u32),
    /// Numbers of a panel, of a step of one, and of all panels.
    panel: u32,
    step: u32,
    all: u32,
}

impl<const P: usize> Places<P> {
    /// The place of an element that is not packed: beyond all others.
    const NONE: u32 = u32::MAX;
    /// Numbers of a tile: whole ones are twice as wide.
    const OF_TILE: usize = if P == WHOLE { NUMBERS / 2 } else { NUMBERS };
    /// From a part of an element to its next one.
    pub(super) const PART: usize = 2 * Self::OF_TILE;

    /// Of panels that begin with these depths, `stride` tiles from each other, `tiles` in all.
    pub(super) fn new(depth: Range<usize>, stride: usize, tiles: usize) -> Self {
        let low = |n: usize| low_u32(n as u64);
        Self {
            depth: (low(depth.start), low(depth.len())),
            panel: low(stride * Self::OF_TILE),
            step: low(P * Self::PART),
            all: low(tiles * Self::OF_TILE),
        }
    }

    /// The first part of each of these elements of a panel, by its number, and which have one: those that `lanes` names, if
    /// their depth is packed. The others' places lie beyond all panels.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn of(&self, panel: usize, lanes: __mmask16, elements: __m512i) -> (__m512i, __mmask16) {
        const { assert!(STEP == 32 && NUMBERS == 512) };
        let all = |n: u32| _mm512_set1_epi32(n.cast_signed());
        let of = |n, mask: u32| _mm512_and_si512(n, all(mask));
        let add = |a, b| _mm512_add_epi32(a, b);
        let (depths, cols) = depths_and_columns(elements);
        let depths = _mm512_sub_epi32(depths, all(self.depth.0));
        let packed = _mm512_mask_cmplt_epu32_mask(lanes, depths, all(self.depth.1));
        let panel = all(low_u32(panel as u64) * self.panel);
        let steps = _mm512_mullo_epi32(_mm512_srli_epi32::<5>(depths), all(self.step));
        // Two tiles side by side, whose rows are 16 depths, or 16 pairs of them.
        let in_step = if P == WHOLE {
            // depth / 16 % 2 * 512 + depth % 16 * 16, and col / 16 % 2 * 256 + col % 16
            let row = add(_mm512_slli_epi32::<5>(of(depths, 16)), _mm512_slli_epi32::<4>(of(depths, 15)));
            add(row, add(_mm512_slli_epi32::<4>(of(cols, 16)), of(cols, 15)))
        } else {
            // depth % 32 / 2 * 32 + depth % 2, and col / 16 % 2 * 512 + col % 16 * 2
            let row = add(_mm512_slli_epi32::<4>(of(depths, 30)), of(depths, 1));
            add(row, add(_mm512_slli_epi32::<5>(of(cols, 16)), _mm512_slli_epi32::<1>(of(cols, 15))))
        };
        let at = add(add(panel, steps), in_step);
        let packed = _mm512_mask_cmplt_epu32_mask(packed, at, all(self.all));
        (_mm512_mask_mov_epi32(all(Self::NONE), packed, at), packed)
    }
}

/// The depths of elements and their columns within a panel, which stand joined in the plan of a pattern.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn depths_and_columns(elements: __m512i) -> (__m512i, __m512i) {
    const { assert!(PANEL == 32) };
    (_mm512_srli_epi32::<5>(elements), _mm512_and_si512(elements, _mm512_set1_epi32(31)))
}

/// A matrix whose rows are read 32 elements at a time, in P parts.
pub(super) trait Split<const P: usize>: Copy + Sync {
    /// The parts of the elements that [`Rows::load`] states.
    ///
    /// # Safety
    /// As stated there.
    unsafe fn load_parts(self, row: usize, col: usize, lanes: u32) -> [__m512i; P];

    /// As [`Rows::ask`].
    fn ask_parts(self, row: usize, col: usize);
}

impl<R: Rows> Split<1> for R {
    #[inline(always)]
    unsafe fn load_parts(self, row: usize, col: usize, lanes: u32) -> [__m512i; 1] {
        // SAFETY: as the caller promises.
        unsafe { [self.load(row, col, lanes)] }
    }

    #[inline(always)]
    fn ask_parts(self, row: usize, col: usize) {
        self.ask(row, col);
    }
}

impl Split<SPLIT> for View<'_> {
    #[inline(always)]
    unsafe fn load_parts(self, row: usize, col: usize, lanes: u32) -> [__m512i; SPLIT] {
        // SAFETY: the caller promises AVX-512 and that the elements named by `lanes` exist.
        unsafe { split(numbers(self.pointer_to(row, col), lanes)) }
    }

    #[inline(always)]
    fn ask_parts(self, row: usize, col: usize) {
        ask_numbers(self, row, col);
    }
}

impl Split<WHOLE> for View<'_> {
    #[inline(always)]
    unsafe fn load_parts(self, row: usize, col: usize, lanes: u32) -> [__m512i; WHOLE] {
        // SAFETY: the caller promises AVX-512 and that the elements named by `lanes` exist.
        unsafe { parts(numbers(self.pointer_to(row, col), lanes)) }
    }

    #[inline(always)]
    fn ask_parts(self, row: usize, col: usize) {
        ask_numbers(self, row, col);
    }
}

/// Asks for 32 numbers.
#[inline(always)]
pub(super) fn ask_numbers(of: View<'_>, row: usize, col: usize) {
    ask(of.pointer_to(row, col));
    ask(of.pointer_to(row, col + 16));
}

/// A matrix whose rows are read 32 elements at a time, rounded to bf16.
pub(super) trait Rows: Copy + Sync {
    /// Elements `(row, col..col + 32)` as bf16, for a col that is a multiple of 32; those that `lanes`, the lowest few,
    /// does not name are zero.
    ///
    /// # Safety
    /// The machine has what [`Vectors`](super::unit::Vectors) proves; the elements that `lanes` names exist.
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i;

    /// Asks for the memory of elements `(row, col..col + 32)`, or of what stands in their place.
    fn ask(self, row: usize, col: usize);

    /// Asks for the memory of what stands [`RUNWAY`] behind elements `(row, col..col + 64)`, in later rows where need be.
    #[inline(always)]
    fn ask_ahead(self, _row: usize, _col: usize) {}

    /// Elements `(row, col..col + 64)` in the same way.
    ///
    /// # Safety
    /// As for [`load`](Self::load); all 64 exist.
    #[inline(always)]
    unsafe fn load_two(self, row: usize, col: usize) -> [__m512i; 2] {
        // SAFETY: as the caller promises.
        unsafe { [self.load(row, col, !0), self.load(row, col + 32, !0)] }
    }
}

impl Rows for View<'_, bf16> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        let at = self.pointer_to(row, col).cast::<i16>();
        // SAFETY: the caller promises AVX-512 and that the elements named by `lanes` exist; others are not read.
        unsafe {
            if lanes == !0 { _mm512_loadu_si512(at.cast()) } else { _mm512_maskz_loadu_epi16(lanes, at) }
        }
    }

    #[inline(always)]
    fn ask(self, row: usize, col: usize) {
        ask(self.pointer_to(row, col));
    }

    #[inline(always)]
    fn ask_ahead(self, row: usize, col: usize) {
        let ahead = self.pointer_to(row, col).wrapping_byte_add(RUNWAY);
        ask(ahead);
        ask(ahead.wrapping_byte_add(LINE));
    }
}

impl Rows for View<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        // SAFETY: the caller promises AVX-512 with BF16 and that the elements named by `lanes` exist.
        unsafe { rounded(self.pointer_to(row, col), lanes) }
    }

    #[inline(always)]
    fn ask(self, row: usize, col: usize) {
        ask_numbers(self, row, col);
    }
}

/// Asks for the cache line at `place`.
#[inline(always)]
pub(super) fn ask<T>(place: *const T) {
    // SAFETY: it changes nothing that a program sees, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) };
}

/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes from what a stream of rows reads to what it asks for: far enough for memory to answer, and to meet the next page
/// before it is read, yet so near that what was asked for is still in the cache when it is read.
pub(super) const RUNWAY: usize = 1024;

/// The lanes of 32 that `left` more elements fill.
#[inline(always)]
pub(super) fn lanes(left: usize) -> u32 {
    if left >= 32 { !0 } else { (1 << left) - 1 }
}

/// Packs the rows of `a`, at most 32, into a panel: two tiles per part and step of its depth.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack_left<const P: usize>(a: View<'_>, panel: &mut [Tile]) {
    assert!(a.rows() <= PANEL && panel.len() == 2 * P * a.cols().div_ceil(STEP), "a panel holds its rows");
    if a.is_row_major() { by_rows::<P>(a, panel) } else { by_tiles::<P>(a, panel) }
}

/// Row after row, each as memory holds it, so that the processor fetches ahead: tile by tile, from 16 rows in turn, takes
/// twice as long.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn by_rows<const P: usize>(a: View<'_>, panel: &mut [Tile]) {
    for row in 0..PANEL {
        for (step, tiles) in panel.chunks_exact_mut(2 * P).enumerate() {
            let depth = step * STEP;
            let numbers = if row < a.rows() {
                // SAFETY: the row lies in a, and `lanes` names only what stands before its end.
                unsafe { numbers(a.pointer_to(row, depth), lanes(a.cols() - depth)) }
            } else {
                [_mm512_setzero_ps(); 2]
            };
            for (part, line) in parts::<P>(numbers).into_iter().enumerate() {
                tiles[2 * part + row / 16].rows_mut()[row % 16] = line;
            }
        }
    }
}

/// A matrix whose columns are contiguous.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn by_tiles<const P: usize>(a: View<'_>, panel: &mut [Tile]) {
    for (step, tiles) in panel.chunks_exact_mut(2 * P).enumerate() {
        for half in 0..2 {
            let mut parts = [[_mm512_setzero_si512(); 16]; P];
            for (r, numbers) in along_columns(a, 16 * half, step * STEP).into_iter().enumerate() {
                for (part, row) in parts.iter_mut().zip(self::parts::<P>(numbers)) {
                    part[r] = row;
                }
            }
            for (part, rows) in parts.into_iter().enumerate() {
                *tiles[2 * part + half].rows_mut() = rows;
            }
        }
    }
}

/// 32 numbers, as two vectors.
pub(super) type Numbers = [__m512; 2];

/// For each of 16 rows from `row` on, the 32 numbers from `depth` on; zero where there are none.
#[inline]
#[target_feature(enable = "avx512f")]
fn along_columns(a: View<'_>, row: usize, depth: usize) -> [Numbers; 16] {
    let lanes = _mm512_int2mask(lanes(a.rows().saturating_sub(row)).cast_signed());
    let [low, high] = [0, 16].map(|half| {
        let columns = std::array::from_fn(|d| {
            let depth = depth + half + d;
            if depth >= a.cols() {
                return _mm512_setzero_si512();
            }
            // SAFETY: the column lies in a, and `lanes` names only what stands before its end.
            _mm512_castps_si512(unsafe { _mm512_maskz_loadu_ps(lanes, a.pointer_to(row, depth)) })
        });
        transposed(columns)
    });
    std::array::from_fn(|r| [_mm512_castsi512_ps(low[r]), _mm512_castsi512_ps(high[r])])
}

/// 32 numbers from `at` on; those that `lanes` does not name are zero.
///
/// # Safety
/// The numbers that `lanes` names exist.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn numbers(at: *const f32, lanes: u32) -> Numbers {
    let [low, high] = [_mm512_int2mask(lanes.cast_signed()), _mm512_int2mask((lanes >> 16).cast_signed())];
    // SAFETY: as promised; a masked load reads nothing else.
    unsafe {
        if lanes == !0 {
            [_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16))]
        } else {
            [_mm512_maskz_loadu_ps(low, at), _mm512_maskz_loadu_ps(high, at.wrapping_add(16))]
        }
    }
}

/// 32 numbers from `at` on, rounded to bf16; those that `lanes` does not name are zero.
///
/// # Safety
/// The numbers that `lanes` names exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn rounded(at: *const f32, lanes: u32) -> __m512i {
    // SAFETY: as promised.
    let [rounded] = split(unsafe { numbers(at, lanes) });
    rounded
}

/// The numbers rounded to bf16, then what that leaves, rounded, and so on: a bf16 number has 8 bits, so three hold the
/// 24 of an f32 number. Parts below 2⁻¹²⁶ become zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn split<const P: usize>([mut low, mut high]: Numbers) -> [__m512i; P] {
    std::array::from_fn(|part| {
        // SAFETY: both are 512 bits of plain data.
        let rounded = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
        if part + 1 < P {
            let wide = |half| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)));
            low = _mm512_sub_ps(low, wide(_mm512_castsi512_si256(rounded)));
            high = _mm512_sub_ps(high, wide(_mm512_extracti64x4_epi64::<1>(rounded)));
        }
        rounded
    })
}

/// The parts of 32 numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn parts<const P: usize>(numbers: Numbers) -> [__m512i; P] {
    if P == WHOLE {
        return std::array::from_fn(|half| _mm512_castps_si512(numbers[half]));
    }
    split(numbers)
}

/// Packs rows of 32 numbers, 32 rows at a time: each such square as a panel of a left operand, all as the steps of one
/// panel of a right operand.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack_lanes<const P: usize>(
    rows: &[[f32; PANEL]],
    left: Option<&mut [Tile]>,
    right: Option<&mut [Tile]>,
) {
    let tiles = 2 * P;
    let squares = rows.len() / PANEL;
    assert!(rows.len().is_multiple_of(PANEL), "whole squares");
    let [left, right] = [left, right].map(|room| {
        room.map(|room| {
            assert_eq!(room.len(), tiles * squares, "tiles hold their squares");
            room.as_mut_ptr().cast::<__m512i>()
        })
    });
    for (i, [even, odd]) in rows.as_chunks().0.iter().enumerate() {
        // SAFETY: a row has 32 numbers.
        let [even, odd] = unsafe { [even, odd].map(|row| parts::<P>(numbers(row.as_ptr(), !0))) };
        // A square has 16 pairs of rows, a tile 16 vectors.
        let (square, pair) = (i / 16, i % 16);
        for (part, (even, odd)) in even.into_iter().zip(odd).enumerate() {
            let tile = 16 * (square * tiles + 2 * part);
            // SAFETY: there are so many tiles of 16 vectors for each square, as asserted.
            unsafe {
                if let Some(left) = left {
                    // Rows 0..16 lie in the first tile of a part, the others in the second, which follows it.
                    left.add(tile + 2 * pair).write(even);
                    left.add(tile + 2 * pair + 1).write(odd);
                }
                if let Some(right) = right {
                    if P == WHOLE {
                        // A part is half of the columns, and a row of a tile a depth.
                        let line = right.add(16 * (square * tiles + pair / 8 * 2 + part) + 2 * pair % 16);
                        line.write(even);
                        line.add(1).write(odd);
                        continue;
                    }
                    let [low, high] = interleaved(even, odd);
                    right.add(tile + pair).write(low);
                    right.add(tile + 16 + pair).write(high);
                }
            }
        }
    }
}

/// `even[0], odd[0], even[1], odd[1] …` of 32 elements each, in two vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn interleaved(even: __m512i, odd: __m512i) -> [__m512i; 2] {
    let first = _mm512_set_epi16(
        47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34,
        2, 33, 1, 32, 0,
    );
    let second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    [first, second].map(|order| _mm512_permutex2var_epi16(even, order, odd))
}

/// 16 × 16 elements of 32 bits, rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut v = rows;
    // Within each quarter of four rows: v[4g + c] then holds, in lane q, rows 4g..4g + 4 of column 4q + c.
    for g in 0..4 {
        let [a, b, c, d] = [v[4 * g], v[4 * g + 1], v[4 * g + 2], v[4 * g + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        (v[4 * g], v[4 * g + 1]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        (v[4 * g + 2], v[4 * g + 3]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    // Then lane q of the four quarters becomes column 4q + c.
    let mut out = v;
    for c in 0..4 {
        let [p, q, r, s] = [v[c], v[4 + c], v[8 + c], v[12 + c]];
        let (pq, rs) = (_mm512_shuffle_i32x4::<0x44>(p, q), _mm512_shuffle_i32x4::<0x44>(r, s));
        (out[c], out[4 + c]) = (_mm512_shuffle_i32x4::<0x88>(pq, rs), _mm512_shuffle_i32x4::<0xdd>(pq, rs));
        let (pq, rs) = (_mm512_shuffle_i32x4::<0xee>(p, q), _mm512_shuffle_i32x4::<0xee>(r, s));
        (out[8 + c], out[12 + c]) =
            (_mm512_shuffle_i32x4::<0x88>(pq, rs), _mm512_shuffle_i32x4::<0xdd>(pq, rs));
    }
    out
}
