//! The masks of the workload.

use rosa_kernels::{
    num::{fraction_of, to_u32},
    rng::{Purpose, Stream},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clustering {
    Uniform,
    /// 80 % of the entries in a tenth of the rows and a tenth of the columns.
    Clustered,
}

/// Offsets and columns of a `[size, size]` mask.
pub fn mask(size: usize, density: f64, clustering: Clustering) -> (Vec<u32>, Vec<u32>) {
    let chosen = Stream::new(5, Purpose::Data, 1, 2);
    let hot = |index: usize| clustering == Clustering::Clustered && chosen.uniform(index as u64) < 0.1;
    let is_hot = |place: usize| hot(place / size) || hot(place % size);
    let k = fraction_of(density, size * size);
    let stream = Stream::new(5, Purpose::Data, 1, 1);
    // Entries are drawn until each kind of place has its share.
    let hot_share = if clustering == Clustering::Clustered { k * 4 / 5 } else { 0 };
    let mut left = [k - hot_share, hot_share];
    let mut set = vec![false; size * size];
    for draw in 0.. {
        if left == [0, 0] {
            break;
        }
        let place = ((u64::from(stream.u32(draw)) * (size * size) as u64) >> 32) as usize;
        let share = &mut left[usize::from(is_hot(place))];
        if !set[place] && *share > 0 {
            set[place] = true;
            *share -= 1;
        }
    }
    let (mut offsets, mut columns) = (vec![0], Vec::with_capacity(k));
    for row in set.chunks(size) {
        columns.extend((0..).zip(row).filter(|(_, set)| **set).map(|(column, _)| column));
        offsets.push(to_u32("entries", columns.len()).expect("fits"));
    }
    (offsets, columns)
}
