use crate::support::{
    arbitrary::sparse::normals,
    bound::{Exact, assert_within},
    f32s,
};
use half::bf16;
use rosa_kernels::{
    backend::ScoreTerm,
    ops,
    rng::{Purpose, Stream},
    tensor::{Matrix, Weight},
};

/// Nothing, one element, ragged sizes, more than one parallel piece, more than a GPU's threads take in one step.
const SHAPES: [(usize, usize); 6] = [(0, 3), (1, 1), (1, 2), (7, 13), (301, 67), (301, 751)];

on_every_backend! {
    fn squares_and_sums_are_added(be: &impl SparseBackend) {
        for (rows, cols) in SHAPES {
            let (g, old) = (normals(1, rows * cols), normals(2, rows * cols));
            for term in [ScoreTerm::Square, ScoreTerm::Sum] {
                let mut scores = f32s(be, rows, cols, &old);
                ops::score_add(be, &f32s(be, rows, cols, &g), term, &mut scores).expect("same shape");
                let got = scores.download(be).expect("download");
                match term {
                    ScoreTerm::Sum => assert!(got.iter().copied().eq(g.iter().zip(&old).map(|(g, old)| g + old))),
                    ScoreTerm::Square => {
                        let want: Vec<Exact> = g.iter().zip(&old).map(|(&g, &old)| {
                            let mut sum = Exact::default();
                            sum.add(1.0, f64::from(old));
                            sum.add(f64::from(g), f64::from(g));
                            sum
                        }).collect();
                        assert_within::<f32>(&got, &want, 2);
                    }
                }
            }
        }
    }

    fn the_weight_is_multiplied_in(be: &impl SparseBackend) {
        for (rows, cols) in SHAPES {
            let (w, old) = (normals(1, rows * cols), normals(2, rows * cols));
            let mut scores = f32s(be, rows, cols, &old);
            ops::score_times_weight(be, (&f32s(be, rows, cols, &w)).into(), &mut scores).expect("same shape");
            let want: Vec<f32> = w.iter().zip(&old).map(|(w, old)| old * w).collect();
            assert_eq!(scores.download(be).expect("download"), want);
        }
    }

    fn a_bf16_weight_is_widened_first(be: &impl SparseBackend) {
        let (w, old) = (normals(1, 50), normals(2, 50));
        let w: Vec<bf16> = w.into_iter().map(bf16::from_f32).collect();
        let want: Vec<f32> = w.iter().zip(&old).map(|(w, old)| old * w.to_f32()).collect();
        let w = Matrix::upload(be, 5, 10, w).expect("upload");
        let mut scores = f32s(be, 5, 10, &old);
        ops::score_times_weight(be, Weight::Bf16(&w), &mut scores).expect("same shape");
        assert_eq!(scores.download(be).expect("download"), want);
    }

    fn random_scores_are_the_numbers_of_their_stream(be: &impl SparseBackend) {
        let stream = Stream::new(7, Purpose::Mask, 0, 3);
        // The last shape is more than a GPU's threads take in one step, of four numbers each.
        for (rows, cols) in SHAPES.into_iter().chain([(901, 1003)]) {
            let mut scores = f32s(be, rows, cols, &vec![f32::NAN; rows * cols]);
            ops::score_random(be, stream, &mut scores).expect("runs");
            let want: Vec<f32> = (0..(rows * cols) as u64).map(|i| stream.uniform(i)).collect();
            assert_eq!(scores.download(be).expect("download"), want);
        }
    }

    fn operands_that_do_not_fit_are_refused(be: &impl SparseBackend) {
        let of = |rows, cols| f32s(be, rows, cols, &vec![0.0; rows * cols]);
        assert_eq!(
            ops::score_add(be, &of(2, 3), ScoreTerm::Sum, &mut of(3, 3)).expect_err("refused").to_string(),
            "score_add: g has 2 rows but scores has 3 rows"
        );
        assert_eq!(
            ops::score_times_weight(be, (&of(2, 3)).into(), &mut of(2, 4)).expect_err("refused").to_string(),
            "score_times_weight: w has 3 cols but scores has 4 cols"
        );
    }
}
