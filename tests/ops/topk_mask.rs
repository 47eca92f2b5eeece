use crate::support::{arbitrary::sparse::normals, f32s, reference};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{SparseBackend, cpu::Cpu},
    num::fraction_of,
    ops,
    rng::{Purpose, Stream},
    tensor::Matrix,
};

/// The scores of one matrix, and its number of columns.
type Scores = (usize, Vec<f32>);

/// The kept entries as `(matrix, index)`, row-major.
fn select<B: SparseBackend>(be: &B, scores: &[Scores], k: usize) -> Vec<(usize, usize)> {
    let matrices: Vec<Matrix<B, f32>> =
        scores.iter().map(|(cols, scores)| f32s(be, scores.len() / cols, *cols, scores)).collect();
    let patterns = ops::topk_mask(be, &matrices.iter().collect::<Vec<_>>(), k).expect("k fits");
    assert_eq!(patterns.len(), scores.len());
    let mut kept = Vec::new();
    for (matrix, pattern) in patterns.iter().enumerate() {
        assert_eq!((pattern.rows(), pattern.cols()), (matrices[matrix].rows(), matrices[matrix].cols()));
        let offsets = be.download(pattern.row_offsets()).expect("download");
        let columns = be.download(pattern.col_indices()).expect("download");
        assert_eq!(*offsets.last().expect("one more than rows") as usize, columns.len());
        for (row, bounds) in offsets.windows(2).enumerate() {
            for &column in &columns[bounds[0] as usize..bounds[1] as usize] {
                kept.push((matrix, row * pattern.cols() + column as usize));
            }
        }
    }
    kept
}

fn check<B: SparseBackend>(be: &B, scores: &[Scores], k: usize) {
    let oracle: Vec<Vec<f32>> = scores.iter().map(|(_, scores)| scores.clone()).collect();
    assert_eq!(select(be, scores, k), reference::sparse::topk(&oracle, k));
}

/// Numbers whose every bit varies.
fn any_bits(i: u32) -> u32 {
    Stream::new(9, Purpose::Data, 0, 0).u32(u64::from(i))
}

/// Scores of few distinct magnitudes, with every special value among them.
fn special(count: usize) -> Vec<f32> {
    const VALUES: [f32; 12] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        1.000_000_1,
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE / 4.0,
        f32::MAX,
    ];
    (0..count).map(|i| VALUES[i * 7 % 12]).collect()
}

on_every_backend! {
    fn corner_cases(be: &impl SparseBackend) {
        let cases: Vec<(&str, Vec<Scores>)> = vec![
            ("one score", vec![(1, vec![-3.0])]),
            ("no matrix", vec![]),
            ("a matrix without rows", vec![(4, vec![]), (1, vec![2.0])]),
            ("all scores zero", vec![(5, vec![0.0; 20])]),
            ("zeros of either sign tie", vec![(2, vec![0.0, -0.0, -0.0, 0.0])]),
            ("all NaN", vec![(3, vec![f32::NAN; 9])]),
            ("infinities, NaN, subnormals, ties", vec![(9, special(90))]),
            ("ties across matrices", vec![(3, special(30)), (7, special(35)), (1, special(11))]),
            ("magnitudes one bit apart", vec![(8, (0..64).map(|i| f32::from_bits(0x3f80_0000 ^ i)).collect())]),
            ("more than 65 535 columns", vec![(70_001, normals(3, 140_002))]),
            ("more than one parallel piece", vec![(61, normals(4, 61 * 1100))]),
            ("a tile", vec![(32, normals(5, 1024))]),
            ("a score more than two tiles, a row each", vec![(1, special(2049))]),
            ("ties over tiles and matrices", vec![(5, vec![-2.0; 3005]), (1024, vec![2.0; 2048])]),
            ("rows of several tiles", vec![(2500, normals(6, 7500)), (2500, special(7500))]),
            ("any bits", vec![(19, (0..1900).map(|i| f32::from_bits(any_bits(i))).collect())]),
        ];
        for (label, scores) in cases {
            let total: usize = scores.iter().map(|(_, scores)| scores.len()).sum();
            let few = [0, 1, total / 100, total / 2, total.saturating_sub(1), total];
            // Of many scores, a share as masks have it.
            for &k in if total < 50_000 { &few } else { &few[2..3] } {
                println!("{label}, k = {k}");
                check(be, &scores, k.min(total));
            }
        }
    }

    /// More than the 1024 tiles of 1024 scores that a GPU sums at once; the last tie that is kept lies beyond them.
    fn a_million_scores(be: &impl SparseBackend) {
        let scores = (0..1030 * 1024).map(|i| match any_bits(i) % 200 {
            0 => -1.5,
            1 => 2.0,
            _ => 0.0,
        });
        let scores: Vec<f32> = scores.collect();
        let count = |value| scores.iter().filter(|&&score| score == value).count();
        let k = count(2.0) + count(-1.5) - 3;
        check(be, &[(1030, scores)], k);
    }

    fn any_case(be: &impl SparseBackend) {
        let value = prop_oneof![any::<f32>(), (-3..3_i8).prop_map(f32::from)];
        let matrix = (1..30_usize, 0..30_usize).prop_flat_map(move |(cols, rows)| {
            (Just(cols), prop::collection::vec(value.clone(), rows * cols))
        });
        proptest!(|(scores in prop::collection::vec(matrix, 0..4), share in 0.0..=1.0_f64)| {
            let total: usize = scores.iter().map(|(_, scores)| scores.len()).sum();
            check(be, &scores, fraction_of(share, total));
        });
    }

    fn more_than_there_are_cannot_be_selected(be: &impl SparseBackend) {
        let scores = f32s(be, 2, 3, &[0.0; 6]);
        let error = ops::topk_mask(be, &[&scores], 7).err().expect("refused");
        assert_eq!(error.to_string(), "topk_mask: k 7 is not below 7");
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let scores = [(300, special(300 * 1000)), (77, normals(8, 77 * 2000))];
    let run = |threads| select(&Cpu::new(Some(threads)).expect("threads"), &scores, 50_000);
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}
