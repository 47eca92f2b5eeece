use crate::support::{
    act,
    arbitrary::dense::{indices, numbers},
    host,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::Backend,
    ops,
    rng::{Purpose, Stream},
    tensor::Ids,
};

fn best<B: Backend>(be: &B, rows: usize, cols: usize, x: &[f32]) -> Vec<u32> {
    let mut best = be.upload(vec![u32::MAX; rows]).expect("upload");
    ops::argmax_rows(be, &act(be, rows, cols, x), &mut best).expect("dims");
    be.download(&best).expect("download")
}

on_every_backend! {
    fn gathers_rows(be: &impl Backend) {
        proptest!(|(rows in 1..30_usize, count in 0..40_usize, k in 1..20_usize)| {
            let x = numbers::<B>(1, rows * k);
            let chosen = indices(2, count, rows as u32);
            let mut y = act(be, count, k, &vec![f32::NAN; count * k]);
            let ids = Ids::upload(be, chosen.clone()).expect("upload");
            ops::gather_rows(be, &act(be, rows, k, &x), &ids, &mut y).expect("dims");
            let want: Vec<f32> = chosen.iter().flat_map(|&row| &x[row as usize * k..][..k]).copied().collect();
            prop_assert_eq!(host(be, &y), want);
        });
    }

    fn scatters_rows_and_keeps_the_others(be: &impl Backend) {
        proptest!(|(rows in 1..30_u32, k in 1..20_usize)| {
            let order = Stream::new(3, Purpose::Shuffle, 0, 0).permutation(rows);
            let chosen = order[..order.len() / 2].to_vec();
            let (x, mut want) = (numbers::<B>(1, chosen.len() * k), numbers::<B>(2, order.len() * k));
            let mut y = act(be, order.len(), k, &want);
            let ids = Ids::upload(be, chosen.clone()).expect("upload");
            ops::scatter_rows(be, &act(be, chosen.len(), k, &x), &ids, &mut y).expect("dims");
            for (x, &row) in x.chunks(k).zip(&chosen) {
                want[row as usize * k..][..k].copy_from_slice(x);
            }
            prop_assert_eq!(host(be, &y), want);
        });
    }

    fn finds_the_first_of_the_largest(be: &impl Backend) {
        let nan = f32::NAN;
        for (label, row, want) in [
            ("one column", vec![-3.0], 0),
            ("a tie", vec![1.0, 2.0, 2.0, 0.0, 2.0], 1),
            ("a tie beyond a vector", [vec![0.0; 37], vec![5.0; 3]].concat(), 37),
            ("the last", [vec![-1.0; 99], vec![0.5]].concat(), 99),
            ("negative infinity everywhere", vec![f32::NEG_INFINITY; 20], 0),
            ("positive infinity", vec![1.0, f32::INFINITY, 3.0], 1),
            ("NaN is never the largest", vec![nan, 1.0, nan, 2.0, nan], 3),
            ("nothing but NaN", vec![nan; 18], 18),
            ("zeros of both signs", vec![-1.0, -0.0, 0.0], 1),
            ("a tie between threads", (0..9000).map(|i| f32::from(u8::from(i % 1000 == 777))).collect(), 777),
        ] {
            assert_eq!(best(be, 1, row.len(), &row), [want], "{label}");
        }
    }

    fn finds_the_largest_of_every_row(be: &impl Backend) {
        proptest!(|(rows in 0..40_usize, cols in 1..70_usize)| {
            let x = numbers::<B>(1, rows * cols);
            let want = x.chunks(cols).map(|row| {
                (0..cols).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("a column") as u32
            });
            prop_assert_eq!(best(be, rows, cols, &x), want.collect::<Vec<_>>());
        });
    }

    fn says_what_is_wrong(be: &impl Backend) {
        let x = act(be, 2, 3, &[0.0; 6]);
        let ids = Ids::upload(be, vec![0, 2]).expect("upload");
        let mut y = act(be, 2, 3, &[0.0; 6]);
        let error = ops::gather_rows(be, &x, &ids, &mut y).expect_err("2 rows");
        assert_eq!(error.to_string(), "gather_rows: row 2 is not below 2");
        let error = ops::scatter_rows(be, &x, &ids, &mut y).expect_err("2 rows");
        assert_eq!(error.to_string(), "scatter_rows: row 2 is not below 2");
        let mut best = be.upload(vec![0; 3]).expect("upload");
        let error = ops::argmax_rows(be, &x, &mut best).expect_err("2 rows");
        assert_eq!(error.to_string(), "argmax_rows: best has 3 elements but x has 2 rows");
        let empty = act(be, 3, 0, &[]);
        let error = ops::argmax_rows(be, &empty, &mut best).expect_err("no columns");
        assert_eq!(error.to_string(), "argmax_rows: column 0 is not below 0");
    }
}
