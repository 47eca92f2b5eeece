//! Which weights the entries of a sparse adapter are added to, as `nf4_dequantize` counts them: so rows may have any
//! length, and no thread looks for the row of an entry.

use super::super::{Cuda, driver::Buffer, kernels::NF4_DEQUANTIZE_CHUNK};
use crate::{error::Result, num::to_usize, sparse::CsrPattern};
use std::sync::OnceLock;

/// The places of a pattern's entries, worked out when they are first needed.
#[derive(Default)]
pub(in super::super) struct Plan(OnceLock<Places>);

impl Plan {
    /// Those of `pattern`, which holds this plan.
    pub(super) fn places<'a>(&'a self, cuda: &Cuda, pattern: &CsrPattern<Cuda>) -> Result<&'a Places> {
        if let Some(places) = self.0.get() {
            return Ok(places);
        }
        let offsets = cuda.driver.download(&pattern.row_offsets)?;
        let columns = cuda.driver.download(&pattern.col_indices)?;
        let (starts, places) = by_chunk(pattern.cols, &offsets, &columns);
        let places = Places { starts: cuda.driver.upload(&starts)?, places: cuda.driver.upload(&places)? };
        Ok(self.0.get_or_init(|| places))
    }
}

/// As the kernels read them; see `Nf4DequantizeArgs`.
pub(super) struct Places {
    pub(super) starts: Buffer<u32>,
    pub(super) places: Buffer<u16>,
}

/// Where the entries of each chunk begin, and the place of each entry in its chunk.
fn by_chunk(cols: usize, offsets: &[u32], columns: &[u32]) -> (Vec<u32>, Vec<u16>) {
    let chunk = to_usize(NF4_DEQUANTIZE_CHUNK);
    let rows = offsets.len() - 1;
    let mut starts = vec![0; (rows * cols).div_ceil(chunk) + 1];
    let mut places = Vec::with_capacity(columns.len());
    for (row, range) in offsets.windows(2).enumerate() {
        for &column in &columns[to_usize(range[0])..to_usize(range[1])] {
            let weight = row * cols + to_usize(column);
            starts[weight / chunk + 1] += 1;
            places.push(u16::try_from(weight % chunk).expect("a chunk has 4096 weights"));
        }
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    (starts, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_by_chunk() {
        // Rows of 3000: the second ends in chunk 1, the third begins there.
        let (starts, places) = by_chunk(3000, &[0, 1, 4, 4, 6], &[2999, 0, 1095, 1096, 0, 2999]);
        assert_eq!(starts, [0, 3, 4, 6]);
        assert_eq!(places, [2999, 3000, 4095, 0, 9000 - 2 * 4096, 11_999 - 2 * 4096]);
    }

    #[test]
    fn a_pattern_may_be_empty() {
        assert_eq!(by_chunk(4096, &[0, 0], &[]), (vec![0, 0], vec![]));
    }
}
