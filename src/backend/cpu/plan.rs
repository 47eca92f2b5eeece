//! What the products with a sparse matrix work out from its pattern, when they first need it: how its rows are cut, and in
//! which order they are summed.

use super::{Cpu, row_pieces::row_pieces};
use crate::{num::to_usize, sparse::CsrPattern};
use std::{ops::Range, sync::OnceLock};

/// Rows of a block, at most: their sums, of two cache lines each, stay in the nearest cache until they are added.
pub(super) const BLOCK: usize = 128;

/// Rows with so many entries, or more, need no order: what one mistaken branch costs is small beside their work.
const LONG: usize = 63;

/// The plan of a pattern.
#[derive(Default)]
pub struct PatternPlan {
    pieces: OnceLock<Vec<Piece>>,
    transposed_pieces: OnceLock<Vec<Piece>>,
}

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

impl CsrPattern<Cpu> {
    /// The rows, cut for the products with this pattern.
    pub(super) fn pieces(&self) -> &[Piece] {
        self.plan.pieces.get_or_init(|| pieces(&self.row_offsets))
    }

    /// The same for the products with its transpose.
    pub(super) fn transposed_pieces(&self) -> &[Piece] {
        self.plan.transposed_pieces.get_or_init(|| pieces(&self.transpose.row_offsets))
    }
}

fn pieces(offsets: &[u32]) -> Vec<Piece> {
    let blocks = |rows: &Range<usize>| {
        let starts = rows.clone().step_by(BLOCK);
        starts.map(|first| Block::new(offsets, first..rows.end.min(first + BLOCK))).collect()
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
}
