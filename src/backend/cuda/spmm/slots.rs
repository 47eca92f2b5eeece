//! The entries of a pattern in the order in which the slab kernel reads them (`spmm.cu` says what a slot, a chunk, a
//! slice and a window are).

use super::{
    super::{
        Cuda, SparseValues,
        driver::Buffer,
        kernels::{
            SPMM_CHUNK_SLOTS, SPMM_CHUNKS_AHEAD, SPMM_NO_ROW, SPMM_ONE_ROW, SPMM_PAD_COLUMNS,
            SPMM_SOME_ROW_NOT_STORED, SPMM_SUM_PITCH, SPMM_WARPS, SPMM_WINDOW_ROWS,
        },
        plan::HostPattern,
    },
    bank_groups::{GROUPS, bank_group, deal},
};
use crate::{
    error::Result,
    num::{to_u32, to_usize},
};
use rayon::prelude::*;
use std::cmp::Reverse;

const CHUNK: usize = to_usize(SPMM_CHUNK_SLOTS);
const WINDOW: usize = to_usize(SPMM_WINDOW_ROWS);

/// The source of a slot that holds no entry.
const NO_SOURCE: u32 = u32::MAX;

/// A tile's columns are a multiple of this, so that its quarters hold whole rounds of the bank groups.
const TILE_STEP: usize = 32;

/// What the end of a slice costs, in chunks: about 20 instructions beside 10.
const SLICE_END: usize = 2;

/// Shared memory that the kernel declares itself, and what aligning the rest may cost.
const RESERVED: usize = 128;

/// A pattern's slots on the device.
pub(in super::super) struct Slots {
    pub(super) values: SparseValues,
    pub(super) tiles: Tiles,
    /// Windows that hold entries.
    pub(super) windows: usize,
    /// Chunks of all tiles, and those behind them.
    pub(super) chunks: usize,
    pub(super) ranges: Buffer<u32>,
    pub(super) slices: Buffer<u32>,
    pub(super) codes: Buffer<u16>,
    pub(super) sources: Buffer<u32>,
}

impl Slots {
    pub(in super::super) fn new(cuda: &Cuda, pattern: &HostPattern) -> Result<Self> {
        let tiles = Tiles::new(pattern.cols, to_usize(cuda.properties().shared_memory));
        let layout = Layout::new(pattern, tiles, cuda.sparse_values)?;
        let driver = &cuda.driver;
        Ok(Self {
            values: cuda.sparse_values,
            tiles,
            windows: layout.windows,
            chunks: layout.codes.len() / CHUNK,
            ranges: driver.upload(layout.ranges.as_flattened())?,
            slices: driver.upload(layout.slices.as_flattened())?,
            codes: driver.upload(&layout.codes)?,
            sources: driver.upload(&layout.sources)?,
        })
    }
}

/// How the columns are cut into tiles that shared memory holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub(super) count: usize,
    /// Columns of each but the last.
    pub(super) cols: usize,
    /// Whether rows of x start at multiples of eight bytes, and are read four columns at a time.
    quads: bool,
}

impl Tiles {
    /// As few tiles as `shared_memory` bytes a block allow, about equally wide. A slab of even all the shared memory
    /// that a 16-bit code could address would be 1 MiB, so codes always fit.
    pub(super) fn new(cols: usize, shared_memory: usize) -> Self {
        let room = shared_memory.saturating_sub(RESERVED + Self::shared_bytes(0)) / 32;
        let widest = (room / TILE_STEP * TILE_STEP).max(TILE_STEP);
        let count = cols.div_ceil(widest).max(1);
        let cols_of_tile = cols.div_ceil(count).next_multiple_of(TILE_STEP).max(TILE_STEP);
        Self { count: cols.div_ceil(cols_of_tile).max(1), cols: cols_of_tile, quads: cols.is_multiple_of(4) }
    }

    /// Dynamic shared memory of a block: the slab, the columns of zeros, the sums of each warp.
    pub(super) const fn shared_bytes(cols: usize) -> usize {
        let sums = SPMM_WARPS * SPMM_WINDOW_ROWS * SPMM_SUM_PITCH * 4;
        32 * (cols + to_usize(SPMM_PAD_COLUMNS)) + to_usize(sums)
    }

    /// Where a column of a tile lies in the slab, as `load_slab` puts it there.
    fn code(&self, col: usize) -> u16 {
        let position = if self.quads { col % 4 * (self.cols / 4) + col / 4 } else { col };
        u16::try_from(position).expect("a tile is far narrower than 2^16 columns")
    }

    /// The column of zeros in bank group `group`.
    fn pad(&self, group: usize) -> u16 {
        u16::try_from(self.cols + group).expect("a tile is far narrower than 2^16 columns")
    }
}

/// A pattern's slots on the host: the arrays of `SpmmSlabArgs`.
pub(super) struct Layout {
    pub(super) windows: usize,
    pub(super) ranges: Vec<[u32; 4]>,
    pub(super) slices: Vec<[u32; 4]>,
    pub(super) codes: Vec<u16>,
    /// The entry of each slot.
    pub(super) sources: Vec<u32>,
}

impl Layout {
    pub(super) fn new(pattern: &HostPattern, tiles: Tiles, values: SparseValues) -> Result<Self> {
        let offset = |row: usize| to_usize(pattern.row_offsets[row.min(pattern.rows)]);
        let mut windows: Vec<usize> = (0..pattern.rows.div_ceil(WINDOW)).collect();
        windows.retain(|&window| offset(window * WINDOW) < offset((window + 1) * WINDOW));
        // The longest first: warps take them in turn, and the last ones should be short.
        windows.sort_by_key(|&window| Reverse(offset((window + 1) * WINDOW) - offset(window * WINDOW)));

        let mut layout = Self {
            windows: windows.len(),
            ranges: Vec::new(),
            slices: Vec::new(),
            codes: Vec::new(),
            sources: Vec::new(),
        };
        for tile in 0..tiles.count {
            let dealt: Vec<_> =
                windows.par_iter().map(|&window| Window::new(pattern, tiles, values, tile, window)).collect();
            for (&number, window) in windows.iter().zip(&dealt) {
                layout.ranges.push([
                    to_u32("windows of a pattern", number)?,
                    to_u32("slices of a pattern", layout.slices.len())?,
                    to_u32("chunks of a pattern", layout.codes.len() / CHUNK)?,
                    to_u32("slices of a window", window.slices.len())? | window.flag,
                ]);
                layout.slices.extend_from_slice(&window.slices);
                layout.codes.extend_from_slice(&window.codes);
                layout.sources.extend_from_slice(&window.sources);
            }
        }
        // The kernel reads ahead, and does not use what it finds behind the end.
        let behind = to_usize(SPMM_CHUNKS_AHEAD * SPMM_CHUNK_SLOTS);
        layout.codes.resize(layout.codes.len() + behind, 0);
        layout.sources.resize(layout.sources.len() + behind, NO_SOURCE);
        Ok(layout)
    }
}

/// The part of a row that lies in one tile.
struct Piece {
    /// Within its window.
    row: u32,
    first_entry: u32,
    codes: Vec<u16>,
}

impl Piece {
    /// What goes to a slice of its own, and what to one that rows share; neither is empty.
    fn split(mut self, longest: usize) -> (Option<Self>, Option<Self>) {
        let alone = entries_alone(self.codes.len(), longest);
        let first_entry = self.first_entry + u32::try_from(alone).expect("an entry's number has 32 bits");
        let rest = Self { row: self.row, first_entry, codes: self.codes.split_off(alone) };
        let filled = |piece: Self| (!piece.codes.is_empty()).then_some(piece);
        (filled(self), filled(rest))
    }
}

/// The slots of one window in one tile.
#[derive(Default)]
struct Window {
    slices: Vec<[u32; 4]>,
    codes: Vec<u16>,
    sources: Vec<u32>,
    /// Of `ranges`.
    flag: u32,
}

impl Window {
    fn new(pattern: &HostPattern, tiles: Tiles, values: SparseValues, tile: usize, window: usize) -> Self {
        let rows = window * WINDOW..((window + 1) * WINDOW).min(pattern.rows);
        let (start, end) = (tile * tiles.cols, (tile + 1) * tiles.cols);
        let mut pieces: Vec<Piece> = Vec::new();
        for (row, entries) in (0..).zip(pattern.row_offsets[rows.start..=rows.end].windows(2)) {
            let cols = &pattern.col_indices[to_usize(entries[0])..to_usize(entries[1])];
            let before = cols.partition_point(|&col| to_usize(col) < start);
            let behind = cols.partition_point(|&col| to_usize(col) < end);
            let codes = cols[before..behind].iter().map(|&col| tiles.code(to_usize(col) - start));
            let skipped = u32::try_from(before).expect("an entry's number has 32 bits");
            pieces.push(Piece { row, first_entry: entries[0] + skipped, codes: codes.collect() });
        }
        pieces.retain(|piece| !piece.codes.is_empty());
        let lengths: Vec<usize> = pieces.iter().map(|piece| piece.codes.len()).collect();
        let longest = longest_shared(&lengths, values);
        let (mut shared, mut alone) = (Vec::new(), Vec::new());
        for piece in pieces {
            let (own, rest) = piece.split(longest);
            alone.extend(own);
            shared.extend(rest);
        }
        shared.sort_by_key(|piece| (Reverse(piece.codes.len()), piece.row));
        let stored = shared.len() == WINDOW;
        let mut dealt = Self { flag: if stored { 0 } else { SPMM_SOME_ROW_NOT_STORED }, ..Self::default() };
        for slice in shared.chunks_mut(values.slice_rows()) {
            order_for_stores(slice);
            dealt.push_shared(tiles, values, slice);
        }
        for piece in &alone {
            dealt.push_alone(tiles, piece);
        }
        dealt
    }

    /// A slice of one row.
    fn push_alone(&mut self, tiles: Tiles, piece: &Piece) {
        let chunks = piece.codes.len().div_ceil(CHUNK);
        let passes = deal(&[&piece.codes], 2 * chunks);
        for slots in passes.chunks(2) {
            let slots: Vec<_> =
                slots.iter().flatten().map(|&entry| entry.map(|entry| (piece, entry))).collect();
            self.push_chunk(tiles, &slots);
        }
        self.push_slice(chunks, SPMM_ONE_ROW, |_| [piece.row, SPMM_NO_ROW]);
    }

    /// A slice of up to `values.slice_rows()` rows.
    fn push_shared(&mut self, tiles: Tiles, values: SparseValues, slice: &[Piece]) {
        let slots_of_row = CHUNK / values.slice_rows();
        let longest = slice.iter().map(|piece| piece.codes.len()).max().unwrap_or(0);
        let chunks = longest.div_ceil(slots_of_row);
        let mut rows = vec![&[][..]; values.slice_rows()];
        for (codes, piece) in rows.iter_mut().zip(slice) {
            *codes = &piece.codes;
        }
        // Each pass holds as many slots of every row.
        for passes in deal(&rows, 2 * chunks).chunks(2) {
            let slots = passes.iter().flat_map(|slots| slots.iter().enumerate());
            let piece = |slot: usize| &slice[slot / (slots_of_row / 2)];
            let slots: Vec<_> = slots.map(|(slot, &entry)| entry.map(|entry| (piece(slot), entry))).collect();
            self.push_chunk(tiles, &slots);
        }
        let row = |row: usize| slice.get(row).map_or(SPMM_NO_ROW, |piece| piece.row);
        self.push_slice(chunks, 0, |member| match values {
            SparseValues::Bf16 => [row(2 * member), row(2 * member + 1)],
            SparseValues::F32 => [row(member), SPMM_NO_ROW],
        });
    }

    /// 16 slots; those without an entry take the bank groups that their pass leaves free.
    fn push_chunk(&mut self, tiles: Tiles, slots: &[Option<(&Piece, usize)>]) {
        for pass in slots.chunks(GROUPS) {
            let used: Vec<usize> =
                pass.iter().flatten().map(|(piece, entry)| bank_group(piece.codes[*entry])).collect();
            let mut free = (0..GROUPS).filter(|group| !used.contains(group));
            for slot in pass {
                match *slot {
                    Some((piece, entry)) => {
                        self.codes.push(piece.codes[entry]);
                        let entry = u32::try_from(entry).expect("an entry's number has 32 bits");
                        self.sources.push(piece.first_entry + entry);
                    }
                    None => {
                        let group = free.next().expect("entries use no more groups than they have slots");
                        self.codes.push(tiles.pad(group));
                        self.sources.push(NO_SOURCE);
                    }
                }
            }
        }
    }

    /// The slice's four words, one for each lane of a token: `rows` gives the two rows that a lane adds to.
    fn push_slice(&mut self, chunks: usize, flag: u32, rows: impl Fn(usize) -> [u32; 2]) {
        let chunks = u32::try_from(chunks).expect("a tile is far narrower than 2^15 chunks");
        self.slices.push(std::array::from_fn(|member| {
            let [first, second] = rows(member);
            chunks | flag | first << 16 | second << 24
        }));
    }
}

/// Orders the eight rows of a slice so that the sums of the even ones, which are stored together, and those of the odd
/// ones share as few banks as may be.
fn order_for_stores(slice: &mut [Piece]) {
    if slice.len() < 8 {
        return;
    }
    // Passes over 32 banks, of which a row's eight tokens take neighbouring ones.
    let passes = |rows: [u32; 4]| {
        let mut uses = [0; 32];
        for row in rows {
            for token in 0..8 {
                uses[to_usize((row * SPMM_SUM_PITCH + token) % 32)] += 1;
            }
        }
        uses.into_iter().max().unwrap_or(0)
    };
    let rows: [u32; 8] = std::array::from_fn(|i| slice[i].row);
    let cost = |evens: &[usize; 4]| {
        let mut odds = (0..8).filter(|i| !evens.contains(i));
        passes(evens.map(|i| rows[i])) + passes(evens.map(|_| odds.next().map_or(0, |i| rows[i])))
    };
    // Row 0 is even; any three of the others with it.
    let choices = (1..8).flat_map(|a| (a + 1..8).flat_map(move |b| (b + 1..8).map(move |c| [0, a, b, c])));
    let evens = choices.min_by_key(cost).expect("35 choices").map(|i| rows[i]);
    slice.sort_by_key(|piece| !evens.contains(&piece.row));
    // The evens stand first: 0 1 2 3 | 4 5 6 7 to 0 4 1 5 2 6 3 7.
    for (from, to) in [(4, 1), (5, 3), (6, 5)] {
        slice[to..=from].rotate_right(1);
    }
}

impl SparseValues {
    /// Rows that share a slice.
    const fn slice_rows(self) -> usize {
        match self {
            Self::Bf16 => 8,
            Self::F32 => 4,
        }
    }
}

/// How many entries of a row of `length` go to a slice of its own, when slices that rows share are at most `longest`
/// entries long: whole chunks, which have no empty slot.
fn entries_alone(length: usize, longest: usize) -> usize {
    length.saturating_sub(longest).next_multiple_of(CHUNK).min(length)
}

/// The length at which the rows of a window are best cut: an uneven slice has empty slots, another slice has an end.
fn longest_shared(lengths: &[usize], values: SparseValues) -> usize {
    let mut candidates = lengths.to_vec();
    candidates.push(0);
    candidates.sort_unstable_by_key(|&length| Reverse(length));
    candidates.dedup();
    candidates.into_iter().min_by_key(|&longest| chunks_of_window(lengths, longest, values)).unwrap_or(0)
}

/// The cost of a window in chunks when its rows are cut at `longest`.
fn chunks_of_window(lengths: &[usize], longest: usize, values: SparseValues) -> usize {
    let alone = lengths.iter().map(|&length| entries_alone(length, longest));
    let own_slices: usize =
        alone.clone().filter(|&alone| alone > 0).map(|alone| alone.div_ceil(CHUNK) + SLICE_END).sum();
    let mut rest: Vec<usize> = lengths.iter().zip(alone).map(|(length, alone)| length - alone).collect();
    rest.retain(|&length| length > 0);
    rest.sort_unstable_by_key(|&length| Reverse(length));
    let per_row = CHUNK / values.slice_rows();
    let shared = rest.chunks(values.slice_rows()).map(|slice| slice[0].div_ceil(per_row) + SLICE_END);
    own_slices + shared.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    const A100: usize = 166_912;

    /// Row, column and number.
    type Entry = (usize, usize, u32);

    fn pattern(rows: usize, cols: usize, density: impl Fn(usize) -> f32) -> HostPattern {
        let stream = Stream::new(4, Purpose::Mask, 0, 0);
        let (mut row_offsets, mut col_indices) = (vec![0], Vec::new());
        for row in 0..rows {
            let set = (0..cols).filter(|col| stream.uniform((row * cols + col) as u64) < density(row));
            col_indices.extend(set.map(|col| u32::try_from(col).unwrap()));
            row_offsets.push(u32::try_from(col_indices.len()).unwrap());
        }
        HostPattern { rows, cols, row_offsets, col_indices }
    }

    /// Walks `layout` as the kernel does; gives the entries found, and the passes over shared
    /// memory with the least there can be.
    fn walk(layout: &Layout, tiles: Tiles, values: SparseValues) -> (Vec<Entry>, (usize, usize)) {
        let col = |position: usize| {
            let quarter = tiles.cols / 4;
            if tiles.quads { position % quarter * 4 + position / quarter } else { position }
        };
        let (mut found, mut passes, mut least) = (Vec::new(), 0, 0);
        for (i, &[window, first_slice, first_chunk, slices]) in layout.ranges.iter().enumerate() {
            let first_col = i / layout.windows * tiles.cols;
            let (mut chunk, mut stored, mut one_row) = (to_usize(first_chunk), Vec::new(), false);
            let count = to_usize(slices & !SPMM_SOME_ROW_NOT_STORED);
            for words in &layout.slices[to_usize(first_slice)..][..count] {
                one_row |= words[0] & SPMM_ONE_ROW != 0;
                assert_eq!(one_row, words[0] & SPMM_ONE_ROW != 0, "slices that rows share come first");
                let row_of = |slot: usize| match (one_row, values) {
                    (true, _) => words[0] >> 16 & 0xff,
                    (false, SparseValues::Bf16) => words[slot % 8 / 2] >> (16 + slot % 2 * 8) & 0xff,
                    (false, SparseValues::F32) => words[slot % 8 / 2] >> 16 & 0xff,
                };
                if !one_row {
                    let rows = (0..CHUNK).map(row_of).filter(|&row| row != SPMM_NO_ROW);
                    let mut rows: Vec<_> = rows.collect();
                    rows.sort_unstable();
                    rows.dedup();
                    stored.extend(rows);
                }
                for _ in 0..words[0] & (SPMM_ONE_ROW - 1) {
                    let codes = &layout.codes[chunk * CHUNK..][..CHUNK];
                    for (slot, &code) in codes.iter().enumerate() {
                        match layout.sources[chunk * CHUNK + slot] {
                            NO_SOURCE => assert!(usize::from(code) >= tiles.cols, "a column of zeros"),
                            entry => {
                                let row = to_usize(window) * WINDOW + to_usize(row_of(slot));
                                found.push((row, first_col + col(usize::from(code)), entry));
                            }
                        }
                    }
                    for pass in codes.chunks(GROUPS) {
                        let uses = |group| pass.iter().filter(|&&code| bank_group(code) == group).count();
                        passes += (0..GROUPS).map(uses).max().unwrap();
                        least += 1;
                    }
                    chunk += 1;
                }
            }
            let distinct: std::collections::BTreeSet<_> = stored.iter().collect();
            assert_eq!(distinct.len(), stored.len(), "a row is stored once");
            assert_eq!(stored.len() < WINDOW, slices & SPMM_SOME_ROW_NOT_STORED != 0, "the flag");
        }
        (found, (passes, least))
    }

    fn entries(pattern: &HostPattern) -> Vec<Entry> {
        let row = |entry| pattern.row_offsets.partition_point(|&offset| offset <= entry) - 1;
        let cols = (0..).zip(&pattern.col_indices);
        cols.map(|(entry, &col)| (row(entry), to_usize(col), entry)).collect()
    }

    #[test]
    fn every_entry_stands_in_one_slot_of_its_row_and_column() {
        let uneven = |row: usize| if row.is_multiple_of(7) { 0.9 } else { 0.05 };
        for (label, pattern) in [
            ("uniform", pattern(70, 300, |_| 0.1)),
            ("long rows beside short ones", pattern(64, 400, uneven)),
            ("odd width", pattern(33, 301, uneven)),
            ("one row", pattern(1, 97, |_| 1.0)),
            ("nothing", pattern(40, 40, |_| 0.0)),
        ] {
            for values in [SparseValues::Bf16, SparseValues::F32] {
                // All columns in one tile, and few columns a tile.
                for shared_memory in [A100, Tiles::shared_bytes(96) + RESERVED] {
                    println!("{label}, {values:?}, {shared_memory} bytes");
                    let tiles = Tiles::new(pattern.cols, shared_memory);
                    let layout = Layout::new(&pattern, tiles, values).unwrap();
                    let (mut found, _) = walk(&layout, tiles, values);
                    found.sort_by_key(|&(_, _, entry)| entry);
                    assert_eq!(found, entries(&pattern));
                }
            }
        }
    }

    #[test]
    fn slots_are_full_and_seldom_conflict() {
        let pattern = pattern(256, 4096, |_| 0.006);
        let tiles = Tiles::new(pattern.cols, A100);
        for (values, fill, most) in [(SparseValues::Bf16, 0.88, 1.2), (SparseValues::F32, 0.86, 1.35)] {
            let layout = Layout::new(&pattern, tiles, values).unwrap();
            let (found, (passes, least)) = walk(&layout, tiles, values);
            let (passes, least) = (passes as f64, least as f64);
            assert!(passes <= most * least, "{values:?}: {passes} passes, {least} without conflicts");
            assert!(found.len() as f64 >= fill * 8.0 * least, "{values:?}: {} in {least}", found.len());
        }
    }

    #[test]
    fn tiles_fill_the_shared_memory_of_known_devices() {
        for (cols, shared_memory, count, width) in [
            (4096, A100, 1, 4096),
            (4097, A100, 2, 2080),
            (11_008, A100, 3, 3680),
            (6144, 232_448, 1, 6144),
            (4096, 101_376, 2, 2048),
            (70_001, A100, 18, 3904),
            (1, A100, 1, 32),
            (0, A100, 1, 32),
        ] {
            let tiles = Tiles::new(cols, shared_memory);
            assert_eq!((tiles.count, tiles.cols), (count, width), "{cols} columns, {shared_memory} bytes");
            assert!(Tiles::shared_bytes(width) + RESERVED <= shared_memory);
        }
    }
}
