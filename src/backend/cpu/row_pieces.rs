//! How sparse work is cut for the thread pool: by rows, in pieces of about equal work.

use crate::num::to_usize;
use std::ops::Range;

/// Entries and rows of one piece: a few microseconds, many times what waking a thread costs.
const WORK: usize = 4096;

/// All rows of a pattern, cut into ranges of about [`WORK`] entries and rows each.
///
/// A function of the pattern alone, so results do not depend on the number of threads. Rows count
/// because each costs something even when it is empty; a row is never cut.
pub(super) fn row_pieces(row_offsets: &[u32]) -> Vec<Range<usize>> {
    let rows = row_offsets.len() - 1;
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < rows {
        let full = to_usize(row_offsets[start]) + start + WORK;
        let rest = start + 1..rows;
        let end = rest.start + partition_point(rest, |row| to_usize(row_offsets[row + 1]) + row < full);
        pieces.push(start..end);
        start = end;
    }
    pieces
}

/// How many numbers at the start of `range` satisfy `holds`; once it fails, it fails for all that follow.
fn partition_point(range: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low - range.start
}

/// Cuts `data` into consecutive parts of these lengths.
pub(super) fn split<T>(mut data: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    lengths.map(|length| data.split_off_mut(..length).expect("the lengths add up to the data's")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_row_once_and_hold_about_equal_work() {
        // A full row, then empty rows, then short ones.
        let lengths = [vec![10_000], vec![0; 9000], vec![3; 5000]].concat();
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        let pieces = row_pieces(&offsets);
        assert_eq!(pieces[0], 0..1);
        assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(pieces.last().expect("some").end, offsets.len() - 1);
        for piece in &pieces[1..] {
            let work = to_usize(offsets[piece.end] - offsets[piece.start]) + piece.len();
            assert!(work <= WORK, "{piece:?} holds {work}");
        }
        assert!(row_pieces(&[0]).is_empty());
    }
}
