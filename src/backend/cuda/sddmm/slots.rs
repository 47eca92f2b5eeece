//! The entries of a pattern in the order of the slab form.
//!
//! Columns are cut into tiles, rows into windows of 16: what a block and a warp hold at a time. A window has
//! two slices, its 8 even and its 8 odd rows, because two neighbours of a row of dy come in one word. The
//! entries of a slice within a tile fill chunks of 16 slots, those of a tensor-core product; what is left of
//! the last chunk stays without an entry.
//!
//! A chunk's 16 columns are read 8 at a time, and columns that agree mod 8 share their banks: [`deal`] orders
//! the entries so that the 8 are as different as the slice allows.

use crate::{
    backend::cuda::{
        kernels::{
            SDDMM_CHUNK, SDDMM_CODES_AHEAD, SDDMM_COLUMN_BITS, SDDMM_NO_ENTRY, SDDMM_WINDOW,
            SDDMM_ZERO_COLUMNS, SddmmItem, SddmmTile,
        },
        plan::HostPattern,
    },
    error::Result,
    num::{to_u32, to_usize},
};
use rayon::prelude::*;
use std::{array::from_fn, cmp::Reverse};

/// Slots that are read at a time, in groups of banks of which there are as many.
const PHASE: usize = to_usize(SDDMM_ZERO_COLUMNS);

/// Codes behind the last slot that a warp asks for, and does not use.
const BEYOND: usize = to_usize(SDDMM_CODES_AHEAD * SDDMM_CHUNK);

/// Chunks of a slice in one item, at least. Windows much longer than the others are cut, so that no warp works much
/// longer than the others; each item costs a load of dy that weighs as much as three chunks.
const ITEM_CHUNKS: usize = 16;

/// Columns are transposed in groups of this many.
const COLUMN_STEP: usize = 32;

/// One entry, or none, as the kernels read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// The row within the slice above, the column within the tile below.
    code: u16,
    /// The entry's number in the pattern.
    entry: u32,
}

/// The lists of the slab form, on the host.
#[derive(Debug)]
pub(super) struct Slots {
    /// Columns of a tile.
    pub(super) columns: usize,
    /// The tiles that have entries, by rising column.
    pub(super) tiles: Vec<SddmmTile>,
    /// The items of each tile, by falling length.
    pub(super) items: Vec<SddmmItem>,
    /// A code per slot, and [`BEYOND`] more.
    pub(super) codes: Vec<u16>,
    /// The entry of each slot.
    pub(super) entries: Vec<u32>,
}

/// What a warp does at a time, before its place is known.
struct Piece {
    tile: usize,
    first_row: usize,
    /// The slots of even rows; whole chunks.
    even: Vec<Slot>,
    /// The slots of odd rows; whole chunks.
    odd: Vec<Slot>,
}

impl Slots {
    /// The slots of `pattern` for slabs of at most `columns` columns.
    ///
    /// # Errors
    /// When there are more than 2³² slots.
    pub(super) fn new(pattern: &HostPattern, columns: usize) -> Result<Self> {
        let columns = even_width(pattern.cols, columns);
        let windows = pattern.rows.div_ceil(to_usize(SDDMM_WINDOW));
        let longest = longest_piece(pattern, columns);
        let pieces =
            (0..windows).into_par_iter().flat_map_iter(|window| pieces(pattern, columns, longest, window));
        let mut pieces: Vec<_> = pieces.collect();
        pieces.sort_by_key(|piece| (piece.tile, Reverse(piece.even.len() + piece.odd.len())));
        let count = pieces.iter().map(|piece| piece.even.len() + piece.odd.len()).sum();
        let mut slots = Self {
            columns,
            tiles: Vec::new(),
            items: Vec::with_capacity(pieces.len()),
            codes: Vec::with_capacity(count + BEYOND),
            entries: Vec::with_capacity(count),
        };
        for piece in &pieces {
            slots.push(piece)?;
        }
        slots.codes.resize(count + BEYOND, 0);
        Ok(slots)
    }

    fn push(&mut self, piece: &Piece) -> Result<()> {
        let (first_column, item) =
            (to_u32("cols", piece.tile * self.columns)?, to_u32("items", self.items.len())?);
        match self.tiles.last_mut() {
            Some(tile) if tile.first_column == first_column => tile.end_item = item + 1,
            _ => self.tiles.push(SddmmTile { first_column, first_item: item, end_item: item + 1 }),
        }
        let begin = self.chunks()?;
        self.extend(&piece.even);
        let middle = self.chunks()?;
        self.extend(&piece.odd);
        let end = self.chunks()?;
        self.items.push(SddmmItem { first_row: to_u32("rows", piece.first_row)?, begin, middle, end });
        Ok(())
    }

    fn extend(&mut self, slots: &[Slot]) {
        self.codes.extend(slots.iter().map(|slot| slot.code));
        self.entries.extend(slots.iter().map(|slot| slot.entry));
    }

    /// The chunks so far.
    pub(super) fn chunks(&self) -> Result<u32> {
        to_u32("slots", self.entries.len()).map(|slots| slots / SDDMM_CHUNK)
    }
}

/// The width of a tile: `cols` in as few tiles as `columns` allows, all about as wide.
pub(super) fn even_width(cols: usize, columns: usize) -> usize {
    let tiles = cols.div_ceil(columns).max(1);
    cols.div_ceil(tiles).next_multiple_of(COLUMN_STEP).max(COLUMN_STEP)
}

/// The most slots of a slice in one item: twice the entries of the average slice, in whole chunks.
fn longest_piece(pattern: &HostPattern, columns: usize) -> usize {
    let slices = 2 * pattern.rows.div_ceil(to_usize(SDDMM_WINDOW)) * pattern.cols.div_ceil(columns);
    let chunk = to_usize(SDDMM_CHUNK);
    (2 * pattern.col_indices.len() / slices.max(1)).next_multiple_of(chunk).max(ITEM_CHUNKS * chunk)
}

/// The pieces of one window, tile after tile.
fn pieces(pattern: &HostPattern, columns: usize, longest: usize, window: usize) -> Vec<Piece> {
    let first_row = window * to_usize(SDDMM_WINDOW);
    let end_row = pattern.rows.min(first_row + to_usize(SDDMM_WINDOW));
    // Every entry as (tile, parity of its row, slot): sorted by tile, stable, it falls into slices.
    let mut found = Vec::new();
    for row in first_row..end_row {
        let (start, end) = (pattern.row_offsets[row], pattern.row_offsets[row + 1]);
        for entry in start..end {
            let column = to_usize(pattern.col_indices[to_usize(entry)]);
            let (tile, local) = (column / columns, column % columns);
            found.push((tile, row % 2, Slot { code: code(row % to_usize(SDDMM_WINDOW) / 2, local), entry }));
        }
    }
    found.sort_by_key(|&(tile, parity, _)| (tile, parity));
    let mut pieces = Vec::new();
    for of_tile in found.chunk_by(|a, b| a.0 == b.0) {
        let (even, odd) = of_tile.split_at(of_tile.partition_point(|&(_, parity, _)| parity == 0));
        let [even, odd] = [even, odd].map(|slice| deal(slice.iter().map(|&(_, _, slot)| slot), columns));
        let part = |slots: &[Slot], i: usize| slots.chunks(longest).nth(i).unwrap_or_default().to_vec();
        let count = even.len().max(odd.len()).div_ceil(longest);
        pieces.extend((0..count).map(|i| Piece {
            tile: of_tile[0].0,
            first_row,
            even: part(&even, i),
            odd: part(&odd, i),
        }));
    }
    pieces
}

/// The code of a row within its slice and a column within its tile.
fn code(row: usize, column: usize) -> u16 {
    u16::try_from(row << SDDMM_COLUMN_BITS | column)
        .expect("a slice has 8 rows, a tile fewer than 2¹³ columns")
}

/// The group of banks that a slot's column lies in.
fn bank_group(slot: Slot) -> usize {
    usize::from(slot.code) % PHASE
}

/// The slots of one slice in whole chunks: each phase of 8 takes from the fullest groups of banks first, one each. It
/// takes a second one of a group only if the slots without entries could not make up for it later. Those read zeros, in
/// groups of banks that their phase has left.
fn deal(slice: impl Iterator<Item = Slot>, columns: usize) -> Vec<Slot> {
    let mut groups: [Vec<Slot>; PHASE] = from_fn(|_| Vec::new());
    let mut left = 0_usize;
    for slot in slice {
        groups[bank_group(slot)].push(slot);
        left += 1;
    }
    let places = left.next_multiple_of(to_usize(SDDMM_CHUNK));
    let mut dealt = Vec::with_capacity(places);
    for end in (PHASE..=places).step_by(PHASE) {
        let must = left.saturating_sub(places - end);
        let mut taken = [0; PHASE];
        for place in 0..PHASE {
            let next = (0..PHASE).filter(|&g| !groups[g].is_empty());
            let next = next.min_by_key(|&g| (taken[g], Reverse(groups[g].len())));
            let Some(group) = next.filter(|&g| taken[g] == 0 || place < must) else { break };
            dealt.extend(groups[group].pop());
            taken[group] += 1;
            left -= 1;
        }
        let free = (0..PHASE).filter(|&g| taken[g] == 0);
        let zeros = free.map(|g| Slot { code: code(0, columns + g), entry: SDDMM_NO_ENTRY });
        dealt.extend(zeros.take(end - dealt.len()));
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    /// Each entry set with probability `density(row, column)`.
    fn pattern(rows: usize, cols: usize, density: impl Fn(usize, usize) -> f32) -> HostPattern {
        let stream = Stream::new(7, Purpose::Mask, 0, 0);
        let (mut row_offsets, mut col_indices) = (vec![0], Vec::new());
        for row in 0..rows {
            let set = |&col: &usize| stream.uniform((row * cols + col) as u64) < density(row, col);
            col_indices.extend((0..cols).filter(set).map(|col| to_u32("cols", col).expect("fits")));
            row_offsets.push(to_u32("nnz", col_indices.len()).expect("fits"));
        }
        HostPattern { rows, cols, row_offsets, col_indices }
    }

    /// Every slot as the kernels read it: its row and column, None for zeros, and its entry.
    fn read(slots: &Slots) -> Vec<(Option<(usize, usize)>, u32)> {
        let mut read = Vec::new();
        for tile in &slots.tiles {
            for item in &slots.items[to_usize(tile.first_item)..to_usize(tile.end_item)] {
                assert_eq!(read.len(), to_usize(item.begin * SDDMM_CHUNK), "items follow each other");
                for place in to_usize(item.begin * SDDMM_CHUNK)..to_usize(item.end * SDDMM_CHUNK) {
                    let code = usize::from(slots.codes[place]);
                    let (row, column) = (code >> SDDMM_COLUMN_BITS, code % (1 << SDDMM_COLUMN_BITS));
                    let odd = usize::from(place >= to_usize(item.middle * SDDMM_CHUNK));
                    let at = (to_usize(item.first_row) + 2 * row + odd, to_usize(tile.first_column) + column);
                    assert!(column < slots.columns + PHASE, "column {column} of {}", slots.columns);
                    read.push(((column < slots.columns).then_some(at), slots.entries[place]));
                }
            }
        }
        assert_eq!(read.len(), slots.entries.len(), "every slot belongs to an item");
        assert_eq!(read.len() + BEYOND, slots.codes.len());
        read
    }

    /// Every entry stands in one slot with its own row and column; the other slots read zeros.
    fn check(pattern: &HostPattern, columns: usize) -> Slots {
        let slots = Slots::new(pattern, columns).expect("fits");
        let mut seen = vec![None; pattern.col_indices.len()];
        for (at, entry) in read(&slots) {
            assert_eq!(at.is_none(), entry == SDDMM_NO_ENTRY, "zeros belong to no entry, {entry}");
            if at.is_some() {
                assert_eq!(seen[to_usize(entry)], None, "entry {entry} stands in two slots");
                seen[to_usize(entry)] = at;
            }
        }
        for (row, bounds) in pattern.row_offsets.windows(2).enumerate() {
            for entry in bounds[0]..bounds[1] {
                let column = to_usize(pattern.col_indices[to_usize(entry)]);
                assert_eq!(seen[to_usize(entry)], Some((row, column)), "entry {entry}");
            }
        }
        slots
    }

    #[test]
    fn every_entry_stands_in_one_slot() {
        for (rows, cols, columns) in
            [(1, 1, 1024), (0, 7, 64), (7, 0, 64), (33, 300, 64), (50, 300, 2048), (17, 4000, 1024)]
        {
            for density in [0.0, 0.01, 0.3, 1.0] {
                check(&pattern(rows, cols, |_, _| density), columns);
            }
        }
        check(&pattern(3, 70_001, |_, col| if col % 7000 == 0 { 1.0 } else { 0.0 }), 1024);
        check(&pattern(64, 500, |row, _| if row % 20 == 3 { 1.0 } else { 0.0 }), 512);
    }

    #[test]
    fn tiles_are_as_few_and_as_even_as_they_can_be() {
        assert_eq!(even_width(4096, 1024), 1024);
        assert_eq!(even_width(1536, 1024), 768);
        assert_eq!(even_width(1025, 1024), 544);
        assert_eq!(even_width(3, 1024), 32);
        assert_eq!(even_width(0, 1024), 32);
    }

    #[test]
    fn long_windows_are_cut_and_long_items_come_first() {
        let slots = check(&pattern(320, 1024, |row, _| if row == 5 { 1.0 } else { 0.01 }), 1024);
        let lengths: Vec<_> = slots.items.iter().map(|item| item.end - item.begin).collect();
        // The row of 1024 entries and some 70 of its neighbours: 5 pieces of at most 16 chunks, beside 19 windows
        // that stay whole.
        let cut = slots.items.iter().filter(|item| item.first_row == 0);
        assert!(cut.clone().all(|item| item.end - item.middle <= 16));
        assert_eq!((cut.count(), slots.items.len()), (5, 24), "{lengths:?}");
        assert!(lengths.is_sorted_by(|a, b| a >= b), "{lengths:?}");
        // Windows that are all long stay whole.
        assert_eq!(check(&pattern(64, 1024, |_, _| 0.5), 1024).items.len(), 4);
    }

    /// The passes over the banks that reading a slice takes: for each phase, the slots in its fullest group.
    fn passes(dealt: &[Slot]) -> usize {
        let fullest = |phase: &[Slot]| {
            let mut count = [0; PHASE];
            phase.iter().for_each(|&slot| count[bank_group(slot)] += 1);
            count.into_iter().max().unwrap_or(0)
        };
        dealt.chunks(PHASE).map(fullest).sum()
    }

    #[test]
    fn a_slice_is_read_in_about_as_few_passes_as_can_be() {
        let stream = Stream::new(8, Purpose::Mask, 0, 0);
        let (mut taken, mut least) = (0, 0);
        for round in 0..200 {
            let len = stream.below(3 * round, 120) as usize;
            // Groups of banks that are even, uneven, or one.
            let groups = 1 + stream.below(3 * round + 1, 8) as usize;
            let column = |i: usize| {
                let random = stream.below(1_000 * (round + 1) + i as u64, 64) as usize;
                8 * (i % 100) + (random % 8).min(random / 8) % groups
            };
            let slots = (0..len).map(|i| Slot { code: code(0, column(i)), entry: 0 });
            let mut count = [0; PHASE];
            slots.clone().for_each(|slot| count[bank_group(slot)] += 1);
            let dealt = deal(slots, 1024);
            assert_eq!(dealt.len(), len.next_multiple_of(to_usize(SDDMM_CHUNK)));
            // No order does with less than a pass for each phase and for each slot of the fullest group.
            least += (dealt.len() / PHASE).max(count.into_iter().max().unwrap_or(0));
            taken += passes(&dealt);
        }
        assert!(least <= taken && 100 * taken <= 102 * least, "{taken} passes, at least {least}");
    }
}
