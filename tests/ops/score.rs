use super::matmul::{TILES, roundings};
use crate::support::{
    act,
    arbitrary::{dense::numbers, sparse::normals},
    assert_same_on_any_thread_count,
    bound::{Exact, assert_within, gamma},
    f32s,
    reference::dense::product,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, ScoreTerm, Write, cpu::Cpu},
    ops,
    rng::{Purpose, Stream},
    tensor::{Matrix, Weight},
};

/// Nothing, one element, ragged sizes, more than one parallel piece, more than a GPU's threads take in one step.
const SHAPES: [(usize, usize); 6] = [(0, 3), (1, 1), (1, 2), (7, 13), (301, 67), (301, 751)];

/// `scores + g²` or `scores + g` for the gradient of `tokens`, out of `t`.
///
/// With `|δ| ≤ γ(n)·M` the error of g and M its magnitude, `(g + δ)²` is off by `2·|g·δ| + δ² ≤ γ(n)·(2 + γ(n))·M²`; so a
/// square counts with `(2 + γ(n))·M²` as its magnitude, and its sum with the score is rounded once more.
fn check_product<B: Backend>(be: &B, [t, n, k]: [usize; 3], tokens: std::ops::Range<usize>) {
    let (dy, x, old) = (numbers::<B>(1, t * n), numbers::<B>(2, t * k), normals(3, n * k));
    let count = roundings::<B>(tokens.len(), 1);
    let gradient = product(
        [n, k, tokens.len()],
        1.0,
        |i, l| dy[(tokens.start + l) * n + i].into(),
        |l, j| x[(tokens.start + l) * k + j].into(),
        |_, _| 0.0,
    );
    for term in [ScoreTerm::Square, ScoreTerm::Sum] {
        let mut scores = f32s(be, n, k, &old);
        let (dy, x) = (act(be, t, n, &dy), act(be, t, k, &x));
        ops::score_product_add(be, &dy, &x, tokens.clone(), term, &mut scores).expect("dims");
        let want: Vec<Exact> = gradient
            .iter()
            .zip(&old)
            .map(|(g, &old)| {
                let old = f64::from(old);
                let (value, magnitude) = match term {
                    ScoreTerm::Square => {
                        (g.value * g.value, (2.0 + gamma(count)) * g.magnitude * g.magnitude)
                    }
                    ScoreTerm::Sum => (g.value, g.magnitude),
                };
                Exact { value: old + value, magnitude: old.abs() + magnitude }
            })
            .collect();
        assert_within::<f32>(&scores.download(be).expect("download"), &want, count + 1);
    }
}

on_every_backend! {
    fn a_product_is_added_without_being_stored(be: &impl Backend) {
        for (label, dims, tokens) in [
            ("a single number", [1, 1, 1], 0..1),
            ("no tokens: nothing is added", [4, 5, 3], 2..2),
            ("no features", [4, 0, 3], 0..4),
            ("ragged, several tiles", [37, 131, 67], 0..37),
            ("aligned, some of the tokens", [70, 136, 72], 3..67),
            ("aligned rows, odd tokens", [33, 64, 8], 1..33),
            ("thin: the depth is split on a GPU", [801, 16, 24], 0..801),
            ("thin and ragged", [801, 5, 7], 1..801),
        ] {
            println!("{label}");
            check_product(be, dims, tokens);
        }
        for (label, [rows, cols]) in TILES {
            println!("{label}");
            check_product(be, [37, rows, cols], 0..37);
        }
    }

    fn a_product_of_any_shape_is_added(be: &impl Backend) {
        proptest!(ProptestConfig::with_cases(32), |(t in 0..80_usize, n in 1..80_usize, k in 0..80_usize)| {
            check_product(be, [t, n, k], t / 3..t);
        });
    }

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

    fn products_that_do_not_fit_are_refused(be: &impl Backend) {
        let (dy, x) = (act(be, 2, 3, &[0.0; 6]), act(be, 2, 4, &[0.0; 8]));
        let message = |tokens, rows, cols| {
            let mut scores = f32s(be, rows, cols, &vec![0.0; rows * cols]);
            let result = ops::score_product_add(be, &dy, &x, tokens, ScoreTerm::Sum, &mut scores);
            result.expect_err("refused").to_string()
        };
        assert_eq!(message(0..2, 4, 4), "score_product_add: scores has 4 rows but dy has 3 cols");
        assert_eq!(message(0..2, 3, 3), "score_product_add: scores has 3 cols but x has 4 cols");
        assert_eq!(message(1..3, 3, 4), "score_product_add: token 2 is not below 2");
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

/// A tile of the gradient at a time is the same arithmetic as all of it.
#[test]
fn the_gradient_that_is_not_stored_is_that_of_matmul_tn_to_the_bit() {
    let cpu = crate::support::cpu();
    for [t, n, k] in [[3, 1, 1], [9, 70, 1], [9, 1, 70], [40, 300, 513], [512, 10, 1030], [200, 129, 257]] {
        let (dy, x) = (act(&cpu, t, n, &normals(1, t * n)), act(&cpu, t, k, &normals(2, t * k)));
        for term in [ScoreTerm::Square, ScoreTerm::Sum] {
            let mut g = f32s(&cpu, n, k, &vec![f32::NAN; n * k]);
            ops::matmul_tn(&cpu, &dy, &x, 1..t, 1.0, Write::Overwrite, &mut g).expect("dims");
            let [mut want, mut got] = [(); 2].map(|()| f32s(&cpu, n, k, &normals(3, n * k)));
            ops::score_add(&cpu, &g, term, &mut want).expect("dims");
            ops::score_product_add(&cpu, &dy, &x, 1..t, term, &mut got).expect("dims");
            assert!(got.buffer() == want.buffer(), "[{t}, {n}, {k}], {term:?}: other bits");
        }
    }
}

#[test]
fn a_product_gives_the_same_bits_on_any_number_of_threads() {
    assert_same_on_any_thread_count(|cpu: &Cpu| {
        let (dy, x) = (act(cpu, 90, 301, &normals(1, 90 * 301)), act(cpu, 90, 530, &normals(2, 90 * 530)));
        let mut scores = f32s(cpu, 301, 530, &normals(3, 301 * 530));
        ops::score_product_add(cpu, &dy, &x, 0..90, ScoreTerm::Square, &mut scores).expect("dims");
        scores.download(cpu).expect("download")
    });
}
