//! Which entries are read together: the eight addresses that shared memory serves in one pass should lie in eight
//! different bank groups of 16 bytes.

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
        let mut end = [0; GROUPS];
        for &code in codes {
            end[bank_group(code)] += 1;
        }
        let mut next = [0; GROUPS];
        for group in 1..GROUPS {
            next[group] = end[group - 1];
            end[group] += next[group];
        }
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

/// Deals the entries of `rows`, given by their codes, to `passes` of eight slots; slot `k` of a pass belongs to row
/// `k / (8 / rows.len())`, and holds the number of one of its entries or none.
///
/// Each pass is a largest matching of slots and bank groups, in which rows that have no time to lose come first and
/// groups with much left are preferred. A row that must place more than the matching gave it takes what conflicts least.
///
/// `rows.len()` divides eight, and no row has more entries than it has slots.
pub(super) fn deal(rows: &[&[u16]], passes: usize) -> Vec<[Option<usize>; GROUPS]> {
    let width = GROUPS / rows.len();
    let mut rows: Vec<Row> = rows.iter().map(|codes| Row::new(codes)).collect();
    let mut urgency: Vec<usize> = (0..rows.len()).collect();
    let mut dealt = Vec::with_capacity(passes);
    for pass in 0..passes {
        let mut total = [0; GROUPS];
        for row in &rows {
            for (group, total) in total.iter_mut().enumerate() {
                *total += row.remaining(group);
            }
        }
        let mut preference = [0, 1, 2, 3, 4, 5, 6, 7];
        preference.sort_by_key(|&group| std::cmp::Reverse(total[group]));
        urgency.sort_by_key(|&row| std::cmp::Reverse(rows[row].left));

        let mut matching = Matching { rows: &rows, width, preference, owner: [None; GROUPS] };
        for &row in &urgency {
            for slot in row * width..(row + 1) * width {
                matching.place(slot, &mut [false; GROUPS]);
            }
        }
        let owner = matching.owner;
        let mut slots = [None; GROUPS];
        let mut uses = [0; GROUPS];
        for group in 0..GROUPS {
            if let Some(slot) = owner[group] {
                slots[slot] = Some(rows[slot / width].take(group));
                uses[group] += 1;
            }
        }
        let later = width * (passes - pass - 1);
        for &row in &urgency {
            for slot in &mut slots[row * width..(row + 1) * width] {
                if slot.is_none() && rows[row].left > later {
                    let candidates = (0..GROUPS).filter(|&group| rows[row].remaining(group) > 0);
                    let group = candidates
                        .min_by_key(|&group| (uses[group], std::cmp::Reverse(rows[row].remaining(group))));
                    let group = group.expect("a row with entries left has them in some group");
                    *slot = Some(rows[row].take(group));
                    uses[group] += 1;
                }
            }
        }
        dealt.push(slots);
    }
    dealt
}

/// Slots and the bank groups they got, by augmenting paths (Kuhn's algorithm).
struct Matching<'a> {
    rows: &'a [Row],
    width: usize,
    preference: [usize; GROUPS],
    owner: [Option<usize>; GROUPS],
}

impl Matching<'_> {
    /// Finds a group for `slot`, moving others if need be; whether there is one.
    fn place(&mut self, slot: usize, visited: &mut [bool; GROUPS]) -> bool {
        for group in self.preference {
            if visited[group] || self.rows[slot / self.width].remaining(group) == 0 {
                continue;
            }
            visited[group] = true;
            if self.owner[group].is_none_or(|other| self.place(other, visited)) {
                self.owner[group] = Some(slot);
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

    /// Passes of the memory over `dealt`, and the least there can be.
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
        (dealt.iter().map(of_pass).sum(), dealt.len())
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
    fn random_entries_rarely_conflict() {
        for (rows, len, passes) in [(8, 30, 30), (2, 60, 15), (1, 240, 30)] {
            let codes = random(rows, len);
            let codes: Vec<&[u16]> = codes.iter().map(Vec::as_slice).collect();
            let (passes, least) = cost(&codes, &deal(&codes, passes));
            assert!(10 * passes <= 12 * least, "{rows} rows: {passes} passes, {least} without conflicts");
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
