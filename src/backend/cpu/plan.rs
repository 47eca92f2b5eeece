//! What the products with a sparse matrix, and those at its entries, work out from its pattern, when they first need it:
//! how rows are cut, and in which order rows and entries are taken.

use super::{Cpu, row_pieces::row_pieces, turn::SIDE};
use crate::{
    num::{low_u32, to_usize},
    sparse::CsrPattern,
};
use std::{ops::Range, sync::OnceLock};

/// Rows of a block, at most: so many lines of an output's row are added to one after the other that rows which stand a
/// power of two apart contend little for the sets of a cache, and what is read ahead is used.
const BLOCK: usize = 128;

/// The same where the output's rows lie closer together than [`APART`]: their sums, of two cache lines each, stay in the nearest
/// cache until they are added, beside what they are added to.
const NARROW: usize = 32;

/// Features of a row of 4 KiB.
const APART: usize = 1024;

/// Rows with so many entries, or more, need no order: what one mistaken branch costs is small beside their work.
const LONG: usize = 63;

/// Rows of a block of entries: what a slab holds of them, two cache lines each, stays in the second cache while one
/// block of columns after the other is taken with them.
const ROWS: usize = 1024;

/// Columns of a block of entries: what a slab holds of them, two cache lines each, stays in the nearest cache for the most
/// part; fewer would fit better, but leave fewer entries of a row that share its reads.
const COLUMNS: usize = 256;

/// Entries that are taken together; those of one row share what is read of it.
pub(super) const FOUR: usize = 4;

/// Half of them.
const TWO: usize = FOUR / 2;

/// Columns of a panel of a product's right operand: w, of the shape of the pattern, by its rows or by its columns.
pub(super) const PANEL: usize = 32;

/// The plan of a pattern.
#[derive(Default)]
pub struct PatternPlan {
    pieces: OnceLock<Vec<Piece>>,
    transposed_pieces: OnceLock<Vec<Piece>>,
    entries: OnceLock<Entries>,
    by_rows: OnceLock<Vec<u32>>,
    by_columns: OnceLock<Vec<u32>>,
}

/// Bytes that the plan takes for each entry, about.
pub(super) const BYTES: usize = size_of::<Entry>() + 3 * size_of::<u32>();

/// Rows of a product that one thread takes.
pub(super) struct Piece {
    pub(super) rows: Range<usize>,
    pub(super) blocks: Vec<Block>,
}

/// Rows whose sums are made before any is added to the output.
pub(super) struct Block {
    pub(super) rows: Range<usize>,
    /// The rows by rising length: a loop whose number of rounds seldom changes is one that the processor foresees.
    pub(super) order: Vec<Row>,
}

/// Where a row of a block stands there, and its entries.
#[derive(Clone, Copy, Default)]
pub(super) struct Row {
    place: u32,
    first: u32,
    len: u32,
}

impl Row {
    #[inline(always)]
    pub(super) fn place(self) -> usize {
        to_usize(self.place)
    }

    #[inline(always)]
    pub(super) fn entries(self) -> Range<usize> {
        to_usize(self.first)..to_usize(self.first) + to_usize(self.len)
    }
}

/// A row and a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) row: u32,
    pub(super) column: u32,
}

/// Entries whose sums are one vector.
pub(super) type Chunk = [Entry; SIDE];

/// The entries of a pattern by blocks of rows, within these by blocks of columns, within these by row: first those that
/// stand four at a time in one row, then two at a time, then the others. So whether four have one row, or two, which spares
/// reading it for each, is a branch that the processor foresees.
///
/// Invariant: each row lies below `rows`, each column below `columns`.
pub(super) struct Entries {
    rows: usize,
    columns: usize,
    chunks: Vec<Chunk>,
    places: Vec<u32>,
}

impl CsrPattern<Cpu> {
    /// The rows, cut for the products with this pattern.
    pub(super) fn pieces(&self) -> &[Piece] {
        self.plan.pieces.get_or_init(|| pieces(&self.row_offsets))
    }

    /// The same for the products with its transpose.
    pub(super) fn transposed_pieces(&self) -> &[Piece] {
        self.plan.transposed_pieces.get_or_init(|| pieces(&self.transpose.row_offsets))
    }

    /// The entries, for products at them.
    pub(super) fn entries(&self) -> &Entries {
        self.plan.entries.get_or_init(|| Entries::new(&self.row_offsets, &self.col_indices, self.cols))
    }

    /// Where each entry stands in its panel of [`PANEL`] rows: `PANEL·column + row % PANEL`.
    pub(super) fn in_panels_of_rows(&self) -> &[u32] {
        self.plan.by_rows.get_or_init(|| in_panels(&self.row_offsets, &self.col_indices))
    }

    /// The same of the transpose: where each of its entries stands in its panel of columns, `PANEL·row + column % PANEL`.
    pub(super) fn in_panels_of_columns(&self) -> &[u32] {
        let transpose = &self.transpose;
        self.plan.by_columns.get_or_init(|| in_panels(&transpose.row_offsets, &transpose.col_indices))
    }
}

impl Entries {
    pub(super) fn new(offsets: &[u32], columns: &[u32], cols: usize) -> Self {
        assert!(columns.iter().all(|&column| to_usize(column) < cols), "columns of the pattern");
        let mut next: Vec<_> = offsets[..offsets.len() - 1].iter().map(|&first| to_usize(first)).collect();
        let (mut entries, mut places) = (Vec::with_capacity(columns.len()), vec![0; columns.len()]);
        for first in (0..next.len()).step_by(ROWS) {
            let rows = first..next.len().min(first + ROWS);
            for end in (COLUMNS..cols + COLUMNS).step_by(COLUMNS) {
                let mut found = Vec::new();
                for (row, next) in rows.clone().zip(&mut next[rows.clone()]) {
                    let of_row = &columns[*next..to_usize(offsets[row + 1])];
                    let len = of_row.iter().take_while(|&&column| to_usize(column) < end).count();
                    found.push((low_u32(row as u64), *next..*next + len));
                    *next += len;
                }
                for together in [FOUR, TWO, 1] {
                    for (row, rest) in &mut found {
                        let numbers = rest.start..rest.start + rest.len() / together * together;
                        rest.start = numbers.end;
                        for number in numbers {
                            places[number] = low_u32(entries.len() as u64);
                            entries.push(Entry { row: *row, column: columns[number] });
                        }
                    }
                }
                fill_up(&mut entries, FOUR);
            }
        }
        fill_up(&mut entries, SIDE);
        Self { rows: next.len(), columns: cols, chunks: entries.as_chunks().0.to_vec(), places }
    }

    /// All rows lie below this.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// All columns lie below this.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Consecutive entries; blocks of columns, and the last chunk, are filled up with some of them.
    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// For each entry of the pattern, its place among these.
    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }
}

/// Makes the number of entries a multiple of `unit`; nobody reads the sums of what is added.
fn fill_up(entries: &mut Vec<Entry>, unit: usize) {
    let last = entries.last().copied().unwrap_or_default();
    entries.resize(entries.len().next_multiple_of(unit), last);
}

/// See [`CsrPattern::in_panels_of_rows`].
fn in_panels(offsets: &[u32], columns: &[u32]) -> Vec<u32> {
    const SIDE: u32 = low_u32(PANEL as u64);
    let mut places = Vec::with_capacity(columns.len());
    for (row, bounds) in (0..).zip(offsets.windows(2)) {
        let columns = &columns[to_usize(bounds[0])..to_usize(bounds[1])];
        places.extend(columns.iter().map(|column| {
            column.checked_mul(SIDE).expect("a weight has fewer than 2^27 rows and columns") + row % SIDE
        }));
    }
    places
}

fn pieces(offsets: &[u32]) -> Vec<Piece> {
    let block = if offsets.len() > APART { BLOCK } else { NARROW };
    let blocks = |rows: &Range<usize>| {
        let starts = rows.clone().step_by(block);
        starts.map(|first| Block::new(offsets, first..rows.end.min(first + block))).collect()
    };
    row_pieces(offsets).into_iter().map(|rows| Piece { blocks: blocks(&rows), rows }).collect()
}

impl Block {
    fn new(offsets: &[u32], rows: Range<usize>) -> Self {
        let row =
            |(place, bounds): (u32, &[u32])| Row { place, first: bounds[0], len: bounds[1] - bounds[0] };
        let mut order: Vec<_> = (0..).zip(offsets[rows.start..=rows.end].windows(2)).map(row).collect();
        order.sort_by_key(|row| to_usize(row.len).min(LONG));
        Self { rows, order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_stands_in_one_block_with_its_entries() {
        let lengths: Vec<u32> = (0..300).map(|row| if row == 150 { 5000 } else { row * 7 % 80 }).collect();
        let offsets: Vec<u32> = [0]
            .into_iter()
            .chain(lengths.iter().scan(0, |sum, len| {
                *sum += len;
                Some(*sum)
            }))
            .collect();
        let mut next = 0;
        for piece in pieces(&offsets) {
            for block in &piece.blocks {
                assert!(
                    block.rows.start == next && block.rows.len() <= BLOCK && block.rows.end <= piece.rows.end
                );
                next = block.rows.end;
                let mut rows: Vec<_> = block.rows.clone().collect();
                for row in &block.order {
                    let at = block.rows.start + row.place();
                    assert_eq!(row.entries(), to_usize(offsets[at])..to_usize(offsets[at + 1]));
                    rows.retain(|&other| other != at);
                }
                assert!(rows.is_empty());
                assert!(block.order.is_sorted_by_key(|row| row.len.min(63)));
            }
            assert_eq!(next, piece.rows.end);
        }
        assert_eq!(next, lengths.len());
    }

    #[test]
    fn every_entry_stands_in_its_block_by_how_many_share_its_row() {
        // No row, an empty one, a full one; fewer columns than a block, as many, more; the same of rows.
        for (cols, height) in [
            (1, 5),
            (COLUMNS - 1, 5),
            (COLUMNS, 5),
            (COLUMNS + 1, 5),
            (3 * COLUMNS + 5, 5),
            (COLUMNS + 9, ROWS + 3),
        ] {
            let lengths = [0, cols, 1, cols / 3, 0].into_iter().cycle().take(height);
            let columns: Vec<_> =
                lengths.clone().flat_map(|len| (cols - len..cols).map(|j| low_u32(j as u64))).collect();
            let mut offsets = vec![0];
            offsets.extend(lengths.scan(0, |sum, len| {
                *sum += low_u32(len as u64);
                Some(*sum)
            }));
            let entries = Entries::new(&offsets, &columns, cols);
            assert_eq!((entries.rows(), entries.columns()), (height, cols));
            let all = entries.chunks().as_flattened();
            assert!(all.len().is_multiple_of(SIDE));
            let rows = (0..).zip(offsets.windows(2)).flat_map(|(row, of)| (of[0]..of[1]).map(move |_| row));
            let in_panels = in_panels(&offsets, &columns);
            for (((row, &column), &place), &in_panel) in
                rows.zip(&columns).zip(entries.places()).zip(&in_panels)
            {
                assert_eq!(all[to_usize(place)], Entry { row, column });
                assert_eq!([in_panel / 32, in_panel % 32], [column, row % 32]);
            }
            let mut taken = entries.places().to_vec();
            taken.sort_unstable();
            assert!(taken.is_sorted_by(|a, b| a < b), "none stands twice");
            let block_of = |entry: &Entry| (to_usize(entry.row) / ROWS, to_usize(entry.column) / COLUMNS);
            assert!(all.is_sorted_by_key(block_of));
            for block in all.chunk_by(|a, b| block_of(a) == block_of(b)) {
                let in_rows = |together: usize| {
                    let runs = block.iter().map(|entry| entry.row).collect::<BTreeSet<_>>();
                    let of_block = block_of(&block[0]).1;
                    let len = |row: u32| {
                        let of_row = to_usize(offsets[to_usize(row)])..to_usize(offsets[to_usize(row) + 1]);
                        columns[of_row]
                            .iter()
                            .filter(|&&column| to_usize(column) / COLUMNS == of_block)
                            .count()
                    };
                    runs.into_iter().map(|row| len(row) / together * together).sum::<usize>()
                };
                let (fours, twos) = block.split_at(in_rows(FOUR));
                let (twos, ones) = twos.split_at(in_rows(TWO) - fours.len());
                for (part, together) in [(fours, FOUR), (twos, TWO), (ones, 1)] {
                    assert!(part.is_sorted_by_key(|entry| entry.row));
                    assert!(
                        part.chunks(together).all(|some| some.iter().all(|entry| entry.row == some[0].row))
                    );
                }
            }
        }
        assert!(Entries::new(&[0, 0], &[], 9).chunks().is_empty());
    }
}
