//! The entries of a sparse adapter in the order in which a product with a 4-bit weight adds them.

use super::super::{
    Cuda,
    driver::Buffer,
    kernels::{
        NF4_MATMUL_COLS, NF4_MATMUL_ENTRIES, NF4_MATMUL_PLACE_SHIFT, NF4_MATMUL_SLOT_SHIFT, NF4_MATMUL_STEP,
        NF4_MATMUL_UNITS,
    },
};
use crate::{
    error::Result,
    num::{to_u32, to_usize},
    sparse::CsrPattern,
};
use std::sync::OnceLock;

/// Which product: with the weight as its rows lie, or with its transpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `y = x·wᵀ`: the depth runs along the rows of the weight.
    Nt,
    /// `dx = dy·w`: across them.
    Nn,
}

/// The entries for both products, each worked out when it is first needed.
#[derive(Default)]
pub(in super::super) struct Plans {
    nt: OnceLock<Option<Entries>>,
    nn: OnceLock<Option<Entries>>,
}

impl Plans {
    /// Those of `pattern`, which holds this plan; none where some step of a tile has more than a block can add.
    pub(super) fn entries<'a>(
        &'a self,
        cuda: &Cuda,
        pattern: &CsrPattern<Cuda>,
        form: Form,
    ) -> Result<Option<&'a Entries>> {
        let cell = if form == Form::Nt { &self.nt } else { &self.nn };
        if let Some(entries) = cell.get() {
            return Ok(entries.as_ref());
        }
        let offsets = cuda.driver.download(&pattern.row_offsets)?;
        let columns = cuda.driver.download(&pattern.col_indices)?;
        let entries = match order(form, pattern.rows, pattern.cols, &offsets, &columns)? {
            Some(Order { starts, entries }) => {
                Some(Entries { starts: cuda.driver.upload(&starts)?, entries: cuda.driver.upload(&entries)? })
            }
            None => None,
        };
        Ok(cell.get_or_init(|| entries).as_ref())
    }
}

/// As the kernels read them; see `Nf4MatmulArgs`.
pub(super) struct Entries {
    pub(super) starts: Buffer<u32>,
    pub(super) entries: Buffer<u32>,
}

/// The same on the host.
#[derive(Debug, PartialEq)]
struct Order {
    starts: Vec<u32>,
    entries: Vec<u32>,
}

/// Where the weight of row `row` and column `col` stands: the tile of columns of the output, the step of the depth, the
/// unit of the 8 weights that a lane makes together, and its place among them.
fn place(form: Form, row: usize, col: usize) -> (usize, usize, usize, usize) {
    let (out, depth) = if form == Form::Nt { (row, col) } else { (col, row) };
    let (tile_cols, step_depth) = (to_usize(NF4_MATMUL_COLS), to_usize(NF4_MATMUL_STEP));
    // A warp has 32 columns, and fragment j of them column 4·group + j of its lanes.
    let (warp, group, fragment) = (out % tile_cols / 32, out % 32 / 4, out % 4);
    // A member has an octet of the depth in each half of the step.
    let (octet, element) = (depth % step_depth / 8, depth % 8);
    let (member, half) = (octet / 2, octet % 2);
    let (number, place) = match form {
        Form::Nt => (fragment, element),
        Form::Nn => (element / 2, element % 2 * 4 + fragment),
    };
    let unit = (warp * 8 + 4 * half + number) * 32 + 4 * group + member;
    (out / tile_cols, depth / step_depth, unit, place)
}

/// Entries by tile and step, row-major within one; those of a unit share a slot.
fn order(form: Form, rows: usize, cols: usize, offsets: &[u32], columns: &[u32]) -> Result<Option<Order>> {
    let (out, depth) = if form == Form::Nt { (rows, cols) } else { (cols, rows) };
    let steps = depth.div_ceil(to_usize(NF4_MATMUL_STEP));
    let tiles = out.div_ceil(to_usize(NF4_MATMUL_COLS));
    let places = || {
        offsets.windows(2).enumerate().flat_map(move |(row, range)| {
            let entries = to_usize(range[0])..to_usize(range[1]);
            entries.map(move |entry| (entry, place(form, row, to_usize(columns[entry]))))
        })
    };
    let mut starts = vec![0; tiles * steps + 1];
    for (_, (tile, step, ..)) in places() {
        starts[tile * steps + step + 1] += 1;
    }
    if starts.iter().any(|&count| count > NF4_MATMUL_ENTRIES) {
        return Ok(None);
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    // The entries of each step: their unit and place, their number.
    let mut ordered = vec![(0, 0, 0); columns.len()];
    let mut next: Vec<usize> = starts.iter().copied().map(to_usize).collect();
    for (entry, (tile, step, unit, place)) in places() {
        let at = &mut next[tile * steps + step];
        ordered[*at] = (unit, place, entry);
        *at += 1;
    }
    let mut entries = Vec::with_capacity(2 * columns.len());
    let mut slot_of = vec![0; to_usize(NF4_MATMUL_UNITS)];
    for range in starts.windows(2) {
        let step = &ordered[to_usize(range[0])..to_usize(range[1])];
        let mut slots = 0;
        for &(unit, place, entry) in step {
            if slot_of[unit] == 0 {
                slots += 1;
                slot_of[unit] = slots;
            }
            let (unit_bits, place) = (to_u32("units", unit)?, to_u32("places", place)?);
            let slot = slot_of[unit] << NF4_MATMUL_SLOT_SHIFT;
            entries.extend([unit_bits | place << NF4_MATMUL_PLACE_SHIFT | slot, to_u32("entries", entry)?]);
        }
        step.iter().for_each(|&(unit, ..)| slot_of[unit] = 0);
    }
    Ok(Some(Order { starts, entries }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Row offsets of a pattern with so many entries in each row.
    fn offsets(lengths: &[u32]) -> Vec<u32> {
        let ends = lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        [0].into_iter().chain(ends).collect()
    }

    #[test]
    fn every_weight_of_a_step_has_a_place_of_its_own() {
        for form in [Form::Nt, Form::Nn] {
            let (rows, cols) = if form == Form::Nt { (256, 64) } else { (64, 256) };
            let places: BTreeSet<_> =
                (0..rows * cols).map(|i| place(form, 256 + i / cols, 512 + i % cols)).collect();
            assert_eq!(places.len(), 2048 * 8);
            let step = if form == Form::Nt { (1, 8) } else { (2, 4) };
            assert!(places.iter().all(|&(t, s, unit, place)| (t, s) == step && unit < 2048 && place < 8));
        }
    }

    #[test]
    fn entries_of_a_unit_share_a_slot() {
        // Columns 0, 5 and 8 of row 3: the first two are of one octet.
        let order = order(Form::Nt, 4, 64, &offsets(&[0, 0, 0, 3]), &[0, 5, 8]).expect("few").expect("few");
        assert_eq!(order.starts, [0, 3]);
        let slots: Vec<u32> = order.entries.chunks(2).map(|e| e[0] >> NF4_MATMUL_SLOT_SHIFT).collect();
        assert_eq!(slots, [1, 1, 2]);
        let numbers: Vec<u32> = order.entries.chunks(2).map(|e| e[1]).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }

    #[test]
    fn a_step_has_no_more_entries_than_a_block_has_threads_for() {
        let columns: Vec<u32> = (0..64).collect();
        let columns = [&columns[..], &columns, &columns, &columns].concat();
        assert!(order(Form::Nt, 4, 64, &offsets(&[64, 64, 64, 63]), &columns[..255]).expect("few").is_some());
        assert_eq!(order(Form::Nt, 4, 64, &offsets(&[64; 4]), &columns).expect("few"), None);
        // The depth of the other product runs over the rows: two steps of 128 entries.
        assert!(order(Form::Nn, 128, 4, &offsets(&[2; 128]), &[0, 1].repeat(128)).expect("few").is_some());
    }
}
