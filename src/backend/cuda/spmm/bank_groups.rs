//! Which entries are read together: the eight addresses that shared memory serves in one pass should lie in eight
//! different bank groups of 16 bytes.

use std::cmp::Reverse;

/// Bank groups of shared memory, and slots of a pass.
pub(super) const GROUPS: usize = 8;

/// The bank group that the column at a position of the slab lies in.
pub(super) fn bank_group(code: u16) -> usize {
    usize::from(code) % GROUPS
}

/// The entries of one row, by bank group.
struct Row {
    /// Entry numbers, sorted by group.
    entries: Vec<usize>,
    /// Where the remaining entries of each group start and end.
    next: [usize; GROUPS],
    end: [usize; GROUPS],
    left: usize,
}

impl Row {
    fn new(codes: &[u16]) -> Self {
        let mut entries: Vec<usize> = (0..codes.len()).collect();
        entries.sort_by_key(|&entry| bank_group(codes[entry]));
        // Where the entries of groups up to this one end, and those of the groups before it.
        let up_to = |last: usize| entries.partition_point(|&entry| bank_group(codes[entry]) <= last);
        let end: [usize; GROUPS] = std::array::from_fn(up_to);
        let next = std::array::from_fn(|group| if group == 0 { 0 } else { end[group - 1] });
        Self { entries, next, end, left: codes.len() }
    }

    fn remaining(&self, group: usize) -> usize {
        self.end[group] - self.next[group]
    }

    fn take(&mut self, group: usize) -> usize {
        self.next[group] += 1;
        self.left -= 1;
        self.entries[self.next[group] - 1]
    }
}

/// Deals the entries of `rows`, given by their positions, to `passes` of eight slots; slot `k` of a pass belongs to row
/// `k / (8 / rows.len())`, and holds the number of one of its entries or none.
///
/// Each pass is a matching of slots and bank groups, in which rows with much left come first and groups with much left
/// are preferred. Where a row must place more than groups used once allow, all groups may be used twice, and so on: a
/// pass that conflicts anyway takes as much as it can of what would conflict later.
///
/// `rows.len()` divides eight, and no row has more entries than it has slots.
pub(super) fn deal(rows: &[&[u16]], passes: usize) -> Vec<[Option<usize>; GROUPS]> {
    let width = GROUPS / rows.len();
    let mut rows: Vec<Row> = rows.iter().map(|codes| Row::new(codes)).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let deal_pass = |pass| {
        let total: [usize; GROUPS] =
            std::array::from_fn(|group| rows.iter().map(|row| row.remaining(group)).sum());
        let mut preference = [0, 1, 2, 3, 4, 5, 6, 7];
        preference.sort_by_key(|&group| Reverse(total[group]));
        order.sort_by_key(|&row| Reverse(rows[row].left));

        let later = width * (passes - pass - 1);
        let matchings = (1..=GROUPS).map(|uses| Matching::new(&rows, &order, preference, uses));
        let mut enough = matchings.filter(|matching| {
            let placed = |row: usize| matching.group[row * width..(row + 1) * width].iter().flatten().count();
            rows.iter().enumerate().all(|(number, row)| row.left - placed(number) <= later)
        });
        let group = enough.next().expect("groups used eight times hold all slots").group;
        std::array::from_fn(|slot| group[slot].map(|group| rows[slot / width].take(group)))
    };
    (0..passes).map(deal_pass).collect()
}

/// The bank group of each slot of a pass.
struct Matching<'a> {
    rows: &'a [Row],
    preference: [usize; GROUPS],
    /// How many slots may have the same group.
    uses: usize,
    group: [Option<usize>; GROUPS],
}

impl<'a> Matching<'a> {
    /// Slots row by row in this order, each by an augmenting path (Kuhn's algorithm).
    fn new(rows: &'a [Row], order: &[usize], preference: [usize; GROUPS], uses: usize) -> Self {
        let width = GROUPS / rows.len();
        let mut matching = Self { rows, preference, uses, group: [None; GROUPS] };
        for slot in order.iter().flat_map(|&row| row * width..(row + 1) * width) {
            matching.place(slot, &mut [false; GROUPS]);
        }
        matching
    }

    /// Finds a group for `slot`, moving others if need be; whether there is one.
    fn place(&mut self, slot: usize, visited: &mut [bool; GROUPS]) -> bool {
        let width = GROUPS / self.rows.len();
        let row = slot / width;
        for group in self.preference {
            let own =
                self.group[row * width..(row + 1) * width].iter().filter(|&&g| g == Some(group)).count();
            if visited[group] || self.rows[row].remaining(group) <= own {
                continue;
            }
            visited[group] = true;
            let holders = self.group.map(|g| g == Some(group));
            let full = holders.iter().filter(|&&holds| holds).count() == self.uses;
            if !full || (0..GROUPS).any(|other| holders[other] && self.place(other, visited)) {
                self.group[slot] = Some(group);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, Stream};

    /// Passes of the memory over `dealt`, and a number below which no order comes: each bank group is read once a pass.
    fn cost(rows: &[&[u16]], dealt: &[[Option<usize>; GROUPS]]) -> (usize, usize) {
        let width = GROUPS / rows.len();
        let of_pass = |slots: &[Option<usize>; GROUPS]| {
            let mut uses = [0; GROUPS];
            for (slot, entry) in slots.iter().enumerate() {
                if let Some(entry) = *entry {
                    uses[bank_group(rows[slot / width][entry])] += 1;
                }
            }
            uses.into_iter().max().unwrap_or(0).max(1)
        };
        let mut total = [0; GROUPS];
        rows.iter().copied().flatten().for_each(|&code| total[bank_group(code)] += 1);
        let fullest = total.into_iter().max().unwrap_or(0);
        (dealt.iter().map(of_pass).sum(), fullest.max(dealt.len()))
    }

    fn random(rows: usize, len: usize) -> Vec<Vec<u16>> {
        let stream = Stream::new(1, Purpose::Data, 0, 0);
        let code = |row: usize, i: usize| u16::try_from(stream.below((row * 1000 + i) as u64, 8192)).unwrap();
        (0..rows).map(|row| (0..len - row).map(|i| code(row, i)).collect()).collect()
    }

    #[test]
    fn every_entry_gets_one_slot_of_its_row() {
        for (rows, passes) in [(8, 25), (2, 7), (1, 4), (8, 31)] {
            let codes = random(rows, 25);
            let codes: Vec<&[u16]> = codes.iter().map(Vec::as_slice).collect();
            let mut found = vec![Vec::new(); rows];
            for slots in deal(&codes, passes) {
                for (slot, entry) in slots.into_iter().enumerate() {
                    found[slot / (8 / rows)].extend(entry);
                }
            }
            for (found, codes) in found.iter_mut().zip(&codes) {
                found.sort_unstable();
                assert_eq!(*found, (0..codes.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn conflicts_are_few_more_than_unavoidable() {
        for (rows, len, passes) in [(8, 30, 30), (2, 60, 15), (1, 240, 30)] {
            let codes = random(rows, len);
            let codes: Vec<&[u16]> = codes.iter().map(Vec::as_slice).collect();
            let (passes, least) = cost(&codes, &deal(&codes, passes));
            assert!(10 * passes <= 11 * least, "{rows} rows: {passes} passes, {least} at least");
        }
    }

    #[test]
    fn a_perfect_deal_is_found_where_there_is_one() {
        // Row r may use groups r and r + 1 alone: greedy choices would take a neighbour's only group.
        let codes: Vec<Vec<u16>> = (0..8).map(|row| vec![row, (row + 1) % 8, row + 8]).collect();
        let codes: Vec<&[u16]> = codes.iter().map(Vec::as_slice).collect();
        assert_eq!(cost(&codes, &deal(&codes, 3)), (3, 3));
    }
}
