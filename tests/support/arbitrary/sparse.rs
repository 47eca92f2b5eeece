//! Sparse matrices on the host, the corner cases that every sparse op must pass, and random ones.

use proptest::prelude::*;
use rosa_kernels::{
    backend::SparseBackend,
    ops,
    rng::{Purpose, Stream},
    sparse::Csr,
};

/// Numbers of a test: the same on every machine.
pub fn normals(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Data, 0, 0);
    (0..count as u64).map(|i| stream.normal(i)).collect()
}

/// A sparse matrix, by its set entries in row-major order.
#[derive(Clone, Debug)]
pub struct HostCsr {
    pub rows: usize,
    pub cols: usize,
    pub entries: Vec<(usize, usize)>,
    pub values: Vec<f32>,
}

impl HostCsr {
    /// Normal values, which fill all 24 bits, at `entries`, which may stand in any order and more than once.
    pub fn new(rows: usize, cols: usize, mut entries: Vec<(usize, usize)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        let values = normals(1, entries.len());
        Self { rows, cols, entries, values }
    }

    /// Each entry set with probability `density`.
    pub fn random(rows: usize, cols: usize, density: f32) -> Self {
        let stream = Stream::new(2, Purpose::Mask, 0, 0);
        let all = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
        let set = all.filter(|&(row, col)| stream.uniform((row * cols + col) as u64) < density);
        Self::new(rows, cols, set.collect())
    }

    pub fn offsets(&self) -> Vec<u32> {
        (0..=self.rows).map(|row| self.entries.partition_point(|&(r, _)| r < row) as u32).collect()
    }

    pub fn columns(&self) -> Vec<u32> {
        self.entries.iter().map(|&(_, column)| column as u32).collect()
    }

    /// All `rows · cols` elements.
    pub fn dense(&self) -> Vec<f32> {
        let mut dense = vec![0.0; self.rows * self.cols];
        for (&(row, column), &value) in self.entries.iter().zip(&self.values) {
            dense[row * self.cols + column] = value;
        }
        dense
    }

    /// All elements as the products of a backend count them: rounded like the activations that they meet.
    pub fn counted<B: SparseBackend>(&self) -> Vec<f32> {
        crate::support::stored::<B>(&self.dense())
    }

    pub fn upload<B: SparseBackend>(&self, be: &B) -> Csr<B> {
        let pattern =
            ops::csr_pattern(be, self.rows, self.cols, self.offsets(), self.columns()).expect("pattern");
        Csr::new(pattern, be.upload(self.values.clone()).expect("upload")).expect("one value per entry")
    }
}

/// The corner cases: what each exercises, and the matrix.
pub fn corners() -> Vec<(&'static str, HostCsr)> {
    let hot = Stream::new(3, Purpose::Mask, 0, 0);
    let clustered = (0..1000).map(|i| {
        // 80 % of the entries in the first tenth of the rows and columns.
        let (rows, cols) = if hot.uniform(3 * i) < 0.8 { (12, 10) } else { (120, 100) };
        (hot.below(3 * i + 1, rows) as usize, hot.below(3 * i + 2, cols) as usize)
    });
    vec![
        ("one entry, all there is", HostCsr::new(1, 1, vec![(0, 0)])),
        ("no entries", HostCsr::new(5, 7, vec![])),
        ("no rows", HostCsr::new(0, 7, vec![])),
        ("no columns", HostCsr::new(5, 0, vec![])),
        ("only the last entry", HostCsr::new(33, 17, vec![(32, 16)])),
        ("a full row between empty ones", HostCsr::new(40, 300, (0..300).map(|j| (20, j)).collect())),
        ("a full column", HostCsr::new(300, 40, (0..300).map(|i| (i, 39)).collect())),
        ("every entry, ragged sizes", HostCsr::random(19, 37, 1.0)),
        ("longer than one parallel piece", HostCsr::random(130, 97, 0.9)),
        ("more rows than one parallel piece", HostCsr::random(9001, 5, 0.02)),
        ("more than 65 535 columns", HostCsr::new(3, 70_001, vec![(0, 70_000), (2, 65_536), (2, 3)])),
        ("clustered: hot rows and columns", HostCsr::new(120, 100, clustered.collect())),
    ]
}

/// Any small sparse matrix.
pub fn any_csr() -> impl Strategy<Value = HostCsr> {
    (1..60_usize, 1..60_usize).prop_flat_map(|(rows, cols)| {
        prop::collection::vec((0..rows, 0..cols), 0..rows * cols)
            .prop_map(move |entries| HostCsr::new(rows, cols, entries))
    })
}
