//! Which form, from counts of the kernels' memory sectors, instructions and bank passes, and from rates of an
//! A100 and an H100, not from clocks. For a weight of 4096 × 4096, a uniform mask and 512 tokens the largest
//! term gives, in µs on an A100 / H100:
//!
//! | density | 0.15 % | 0.3 % | 0.6 % | 2.4 % | 3.6 % | 4.7 % | 6 % |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | slabs of 32 tokens × 2048 columns | 5.6 / 5.8 | 6.5 / 6.6 | 9.2 / 8.3 | | | | |
//! | slabs of 64 tokens × 1024 columns | 6.8 / 6.9 | 7.4 / 7.5 | 9.2 / 8.5 | 28 / 19 | 40 / 26 | 51 / 34 | 64 / 42 |
//! | dense tiles | | | | 55 / 31 | 55 / 32 | 55 / 32 | 55 / 32 |
//!
//! A slab's time is the L2 cache's (its load, dy and partials) until, from 0.6 % on, reading the slab from
//! shared memory binds; a dense tile's is the tensor cores' on an A100, the L2 cache's on an H100. Memory
//! itself is left out: dy and x take it 5.4 and 2.5 µs, and the partials are meant to stay in the cache
//! between the two launches.

use super::slots::even_width;
use crate::{
    backend::cuda::{
        Properties,
        kernels::{SDDMM_DENSE_COLS, SDDMM_DENSE_ROWS, SDDMM_SLAB_THREADS, SDDMM_WINDOW, SDDMM_ZERO_COLUMNS},
    },
    num::to_usize,
};

/// Up to this density slabs of twice as many columns and half as many tokens win: they read dy half as often,
/// and write twice as many partials, which weigh little while entries are few.
const WIDE_DENSITY: f64 = 0.004;

/// Cycles of a multiprocessor for an entry over 64 tokens in the slab form: passes over its shared memory.
/// One pass brings a column's 64 tokens, a quarter more are the conflicts and empty slots.
const SLAB_CYCLES: f64 = 1.25;

/// Cycles of a multiprocessor for a tile of the dense form over 64 tokens, at the peak of an A100's tensor
/// cores.
const DENSE_CYCLES: f64 = 2048.0;

/// The same where tensor cores are twice as fast: the share of an H100's L2 cache that it reads.
const FAST_DENSE_CYCLES: f64 = 1750.0;

/// Blocks may have more shared memory than this where tensor cores are as fast as an H100's.
const FAST_SHARED_MEMORY: u32 = 200 << 10;

/// How much longer a tile takes whose rows start at no multiple of 16 bytes: it asks for seven times the
/// sectors.
const UNALIGNED: f64 = 5.0;

/// Sectors that the gather form may ask for, one for each entry and token. They take 3 µs from an A100's L2
/// cache, no more than the slab form's second launch.
const GATHER_SECTORS: usize = 1 << 19;

/// More tokens than this are too long a walk for one lane, however few the entries.
const GATHER_TOKENS: usize = 32;

/// The form that suits a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Slab(SlabShape),
    Dense,
}

/// What a block of the slab form holds of x, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlabShape {
    /// 32 or 64.
    pub(super) tokens: usize,
    /// Below 2¹³.
    pub(super) columns: usize,
}

impl Form {
    /// The form of a pattern, whatever the tokens: both forms' work grows with them alike. Slabs spread
    /// evenly over the device, dense tiles run in waves of one a multiprocessor: so the dense form begins at
    /// 5.3 % of 4096 × 4096 on an A100 and at 4.4 % on an H100, and later for weights with too few tiles.
    pub(super) fn of(rows: usize, cols: usize, nnz: usize, device: &Properties) -> Self {
        let tiles = rows.div_ceil(to_usize(SDDMM_DENSE_ROWS)) * cols.div_ceil(to_usize(SDDMM_DENSE_COLS));
        let multiprocessors = to_usize(device.multiprocessors.max(1));
        let waves = tiles.div_ceil(multiprocessors) as f64;
        let fast = device.shared_memory > FAST_SHARED_MEMORY;
        let cycles = if fast { FAST_DENSE_CYCLES } else { DENSE_CYCLES };
        let tile = if dense_is_aligned(rows, cols) { cycles } else { UNALIGNED * cycles };
        if nnz as f64 * SLAB_CYCLES > waves * tile * multiprocessors as f64 {
            return Self::Dense;
        }
        let density = nnz as f64 / (rows as f64 * cols as f64);
        Self::Slab(SlabShape::of(cols, density, to_usize(device.shared_memory)))
    }
}

impl SlabShape {
    const WIDE: Self = Self { tokens: 32, columns: 2048 };
    const TALL: Self = Self { tokens: 64, columns: 1024 };
    /// For devices whose blocks have 99 KB.
    const SMALL: Self = Self { tokens: 32, columns: 1024 };

    fn of(cols: usize, density: f64, shared_memory: usize) -> Self {
        let wide = density < WIDE_DENSITY && cols > Self::TALL.columns;
        let shapes = [wide.then_some(Self::WIDE), Some(Self::TALL)];
        let fits = |shape: &Self| shape.bytes(even_width(cols, shape.columns)) <= shared_memory;
        shapes.into_iter().flatten().find(fits).unwrap_or(Self::SMALL)
    }

    /// Shared memory of a slab with tiles of `columns` columns: each of them and of the zeros behind them
    /// takes 2 bytes a token, and 16 that keep neighbours out of each other's banks.
    pub(super) const fn bytes(self, columns: usize) -> usize {
        (columns + to_usize(SDDMM_ZERO_COLUMNS)) * (2 * self.tokens + 16)
    }

    /// The number of blocks that share the items of each tile of columns: what makes the last block end
    /// first. More blocks fill the device, and each loads the slab again. `tiles` and `slabs` make a round,
    /// `items` and `chunks` are those of all tiles. In cycles of a multiprocessor, a sector from the L2 cache
    /// one, like a pass over the banks.
    pub(super) fn sharers(
        self,
        columns: usize,
        tiles: usize,
        slabs: usize,
        items: usize,
        chunks: usize,
        multiprocessors: usize,
    ) -> usize {
        let load = self.tokens * columns / 16;
        // An item brings the tokens of 16 rows of dy; a chunk gathers those of 16 columns, an eighth of a
        // pass each 8.
        let item = self.tokens * to_usize(SDDMM_WINDOW) / 16;
        let work = (items * item + chunks * self.tokens * 5 / 16).div_ceil(tiles.max(1));
        let warps = to_usize(SDDMM_SLAB_THREADS) / 32;
        let most = items.div_ceil(tiles.max(1) * warps).clamp(1, multiprocessors.max(1));
        let cycles = |sharers: &usize| {
            let waves = (slabs * tiles * sharers).div_ceil(multiprocessors.max(1));
            waves * (load + work.div_ceil(*sharers))
        };
        (1..=most).min_by_key(cycles).unwrap_or(1)
    }
}

/// Whether the few tokens that there are make the gather form the shortest.
pub(super) fn gathers(tokens: usize, nnz: usize) -> bool {
    tokens <= GATHER_TOKENS && tokens.saturating_mul(nnz) <= GATHER_SECTORS
}

/// Whether the slab form may read pairs of dy and fours of x as words.
pub(super) const fn slab_is_aligned(rows: usize, cols: usize) -> bool {
    rows.is_multiple_of(2) && cols.is_multiple_of(4)
}

/// Whether the dense form may copy eight elements at a time.
pub(super) const fn dense_is_aligned(rows: usize, cols: usize) -> bool {
    rows.is_multiple_of(8) && cols.is_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(multiprocessors: u32, kilobytes: u32) -> Properties {
        Properties {
            name: String::new(),
            capability: (8, 0),
            multiprocessors,
            shared_memory: kilobytes << 10,
            memory: 1 << 30,
        }
    }

    #[test]
    fn the_dense_form_begins_where_its_waves_are_the_shorter() {
        let (a100, h100) = (device(108, 163), device(132, 227));
        // 512 tiles: 5 waves of 108 at 2048 / 1.25 entries a tile, 4 of 132 at 1750 / 1.25.
        for (device, last) in [(&a100, 5 * 108 * 16_384 / 10), (&h100, 4 * 132 * 1_400)] {
            assert_eq!(Form::of(4096, 4096, last, device), Form::Slab(SlabShape::TALL));
            assert_eq!(Form::of(4096, 4096, last + 1, device), Form::Dense);
            // A row more, and nothing is aligned; 17 × 32 tiles.
            assert_eq!(Form::of(4097, 4096, last + 1, device), Form::Slab(SlabShape::TALL));
        }
        // 15 tiles leave most of the device idle.
        assert_eq!(Form::of(576, 576, 176_947, &a100), Form::Slab(SlabShape::TALL));
        assert_eq!(Form::of(576, 576, 176_948, &a100), Form::Dense);
        assert_eq!(Form::of(0, 7, 0, &a100), Form::Slab(SlabShape::TALL));
    }

    #[test]
    fn slabs_are_as_large_as_shared_memory_allows() {
        let shape = |cols, density, kilobytes: usize| SlabShape::of(cols, density, kilobytes << 10);
        assert_eq!(shape(4096, 0.0039, 163), SlabShape::WIDE);
        assert_eq!(shape(4096, 0.004, 163), SlabShape::TALL);
        assert_eq!(shape(1025, 0.001, 163), SlabShape::WIDE);
        assert_eq!(shape(1024, 0.001, 163), SlabShape::TALL);
        assert_eq!(shape(4096, 0.001, 160), SlabShape::TALL);
        assert_eq!(shape(4096, 0.01, 99), SlabShape::SMALL);
        assert_eq!(shape(672, 0.01, 99), SlabShape::TALL);
        assert_eq!(shape(700, 0.01, 99), SlabShape::SMALL);
        for shape in [SlabShape::WIDE, SlabShape::TALL] {
            assert!(shape.bytes(shape.columns) <= 163 << 10);
        }
        assert!(SlabShape::SMALL.bytes(SlabShape::SMALL.columns) <= 99 << 10);
    }

    #[test]
    fn tiles_are_shared_until_the_device_is_full() {
        let sharers = |slabs, items, multiprocessors| {
            SlabShape::TALL.sharers(1024, 4, slabs, items, 7256, multiprocessors)
        };
        // 4096 × 4096 at 0.6 %, 512 tokens: 32 blocks fill an A100 three times, an H100 four times.
        assert_eq!(sharers(8, 1024, 108), 3);
        assert_eq!(sharers(8, 1024, 132), 4);
        // One slab: as many as leave each warp an item.
        assert_eq!(sharers(1, 1024, 108), 16);
        assert_eq!(sharers(1, 64, 108), 1);
        assert_eq!(sharers(8, 0, 108), 1);
    }

    #[test]
    fn few_tokens_gather() {
        assert!(gathers(32, 16_384));
        assert!(!gathers(32, 16_385));
        assert!(!gathers(33, 1));
        assert!(gathers(1, 1 << 19));
        assert!(!gathers(1, (1 << 19) + 1));
    }
}
