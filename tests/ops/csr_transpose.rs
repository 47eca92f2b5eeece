use crate::support::arbitrary::sparse::{HostCsr, any_csr, corners};
use proptest::prelude::*;
use rosa_kernels::{
    backend::SparseBackend,
    ops,
    rng::{Purpose, Stream},
    sparse::Csr,
};

/// Entries and values of a matrix on the device; proves its row order on the way.
fn download<B: SparseBackend>(be: &B, s: &Csr<B>) -> HostCsr {
    let offsets = be.download(s.pattern().row_offsets()).expect("download");
    let columns = be.download(s.pattern().col_indices()).expect("download");
    let length = |row: u32| offsets[row as usize + 1] - offsets[row as usize];
    let mut by_length: Vec<u32> = (0..s.rows() as u32).collect();
    by_length.sort_by_key(|&row| (std::cmp::Reverse(length(row)), row));
    assert_eq!(be.download(s.pattern().row_order()).expect("download"), by_length);

    let row = |entry: usize| offsets.partition_point(|&offset| offset as usize <= entry) - 1;
    HostCsr {
        rows: s.rows(),
        cols: s.cols(),
        entries: columns.iter().enumerate().map(|(entry, &column)| (row(entry), column as usize)).collect(),
        values: be.download(s.values()).expect("download"),
    }
}

fn assert_equal(a: &HostCsr, b: &HostCsr) {
    assert_eq!((a.rows, a.cols, &a.entries, &a.values), (b.rows, b.cols, &b.entries, &b.values));
}

fn check<B: SparseBackend>(be: &B, s: &HostCsr) {
    let mut swapped: Vec<_> = s.entries.iter().map(|&(i, j)| (j, i)).zip(s.values.iter().copied()).collect();
    swapped.sort_by_key(|&(entry, _)| entry);
    let (entries, values) = swapped.into_iter().unzip();
    let want = HostCsr { rows: s.cols, cols: s.rows, entries, values };

    let uploaded = s.upload(be);
    assert_equal(&download(be, &uploaded), s);
    let transposed = ops::csr_transpose(be, &uploaded).expect("fits");
    assert_equal(&download(be, &transposed), &want);
    assert_equal(&download(be, &ops::csr_transpose(be, &transposed).expect("fits")), s);
}

/// Where the work is divided: in chunks of at least 512 entries or a quarter of the columns, windows of 256, steps of 32.
fn divisions() -> Vec<(&'static str, HostCsr)> {
    let hot = Stream::new(4, Purpose::Mask, 0, 0);
    let mut wide: Vec<_> = (0..4000).map(|i| (hot.below(2 * i, 2), hot.below(2 * i + 1, 100_000))).collect();
    wide.extend((0..3000).map(|column| (0, 33 * column)));
    let wide = wide.into_iter().map(|(row, column)| (row as usize, column as usize)).collect();
    vec![
        ("one chunk, full", HostCsr::random(4, 128, 1.0)),
        ("several chunks, every row the same columns", HostCsr::random(700, 3, 1.0)),
        ("one column in all chunks", HostCsr::new(2000, 9, (0..2000).map(|i| (i, 4)).collect())),
        ("chunks of more than 512 entries", HostCsr::random(3, 5000, 0.5)),
        ("few rows, 100 000 columns", HostCsr::new(2, 100_000, wide)),
        ("runs of empty rows", HostCsr::new(401, 7, [3, 34, 66, 163, 164, 400].map(|i| (i, i % 7)).to_vec())),
    ]
}

on_every_backend! {
    fn corner_cases(be: &impl SparseBackend) {
        for (label, s) in corners().into_iter().chain(divisions()) {
            println!("{label}");
            check(be, &s);
        }
    }

    fn any_case(be: &impl SparseBackend) {
        proptest!(|(s in any_csr())| check(be, &s));
    }

    fn what_is_no_pattern_is_refused(be: &impl SparseBackend) {
        let message = |offsets: &[u32], columns: &[u32]| match
            ops::csr_pattern(be, 2, 3, offsets.to_vec(), columns.to_vec())
        {
            Ok(_) => panic!("{offsets:?} {columns:?} was accepted"),
            Err(error) => error.to_string(),
        };
        let prefix = |row: usize, rest: &str| format!("sparse pattern, row {row}: {rest}");
        assert_eq!(
            message(&[0, 1], &[0]),
            prefix(2, "there is one offset per row and a last one: found 2, bound 3")
        );
        assert_eq!(message(&[1, 1, 1], &[0]), prefix(0, "the first offset is 0: found 1, bound 0"));
        assert_eq!(message(&[0, 1, 2], &[0]), prefix(2, "the last offset is nnz: found 2, bound 1"));
        assert_eq!(message(&[0, 2, 1], &[0]), prefix(0, "offsets never fall: found 2, bound 0"));
        assert_eq!(message(&[0, 2, 2], &[1, 1]), prefix(0, "columns rise strictly: found 1, bound 1"));
        assert_eq!(message(&[0, 0, 2], &[1, 3]), prefix(1, "columns are below cols: found 3, bound 3"));
    }
}
