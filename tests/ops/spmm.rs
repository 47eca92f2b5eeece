use crate::support::{
    act,
    arbitrary::sparse::{HostCsr, any_csr, corners, normals},
    bound::assert_within,
    host, reference, stored,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{SparseBackend, cpu::Cpu},
    ops,
    sparse::Csr,
};

/// Below, at and above the sizes at which the CPU changes its form: 8 and 32 tokens.
const TOKENS: [usize; 8] = [0, 1, 8, 9, 31, 32, 41, 70];

fn forward<B: SparseBackend>(be: &B, s: &HostCsr, tokens: usize) -> Vec<f32> {
    let x = act(be, tokens, s.cols, &normals(5, tokens * s.cols));
    let mut y = act(be, tokens, s.rows, &normals(6, tokens * s.rows));
    ops::spmm_add(be, &s.upload(be), &x, &mut y).expect("dimensions agree");
    host(be, &y)
}

fn backward<B: SparseBackend>(be: &B, s: &HostCsr, tokens: usize) -> Vec<f32> {
    let dy = act(be, tokens, s.rows, &normals(5, tokens * s.rows));
    let mut dx = act(be, tokens, s.cols, &normals(6, tokens * s.cols));
    ops::spmm_t_add(be, &s.upload(be), &dy, &mut dx).expect("dimensions agree");
    host(be, &dx)
}

/// Both directions against the oracle. An element is a sum of one old value and at most as many
/// products as its row (or column) has entries; a value counts as rounded to the type of the activations.
fn check<B: SparseBackend>(be: &B, s: &HostCsr, tokens: usize) {
    let wide = |count| stored::<B>(&normals(5, tokens * count));
    let old = |count| stored::<B>(&normals(6, tokens * count));
    if s.rows > 0 {
        let want = reference::sparse::spmm(&s.counted::<B>(), &wide(s.cols), &old(s.rows), s.rows, s.cols);
        assert_within::<B::Act>(&forward(be, s, tokens), &want, s.cols + 1);
    }
    if s.cols > 0 {
        let want = reference::sparse::spmm_t(&s.counted::<B>(), &wide(s.rows), &old(s.cols), s.rows, s.cols);
        assert_within::<B::Act>(&backward(be, s, tokens), &want, s.rows + 1);
    }
}

on_every_backend! {
    fn corner_cases(be: &impl SparseBackend) {
        for (label, s) in corners() {
            for tokens in if s.rows * s.cols > 10_000 { &[1, 9][..] } else { &TOKENS[..] } {
                println!("{label}, {tokens} tokens");
                check(be, &s, *tokens);
            }
        }
    }

    fn any_case(be: &impl SparseBackend) {
        proptest!(|(s in any_csr(), tokens in 0..80_usize)| check(be, &s, tokens));
    }

    fn an_empty_row_leaves_the_output_as_it_is(be: &impl SparseBackend) {
        let s = HostCsr::new(20, 20, vec![(3, 3)]);
        for tokens in [1, 40] {
            let x = act(be, tokens, 20, &normals(5, tokens * 20));
            let mut y = act(be, tokens, 20, &vec![-0.0; tokens * 20]);
            ops::spmm_add(be, &s.upload(be), &x, &mut y).expect("dimensions agree");
            for row in host(be, &y).chunks(20) {
                let untouched = row.iter().filter(|y| y.to_bits() == (-0.0_f32).to_bits()).count();
                assert_eq!(untouched, 19);
            }
        }
    }

    fn sizes_around_windows_and_tiles(be: &impl SparseBackend) {
        // Rows 31 to 33 around a window; columns that are read four at a time or one by one, in one tile or several.
        for (rows, cols, density) in
            [(31, 64, 0.2), (32, 33, 0.5), (33, 4100, 0.01), (3, 8195, 0.02), (36, 9000, 0.004)]
        {
            let s = HostCsr::random(rows, cols, density);
            for tokens in [8, 17] {
                println!("{rows} x {cols}, {tokens} tokens");
                check(be, &s, tokens);
            }
        }
    }

    fn a_long_row_beside_short_ones(be: &impl SparseBackend) {
        let long = (0..2000).map(|j| (5, j));
        let short = (0..64).flat_map(|i| (0..6).map(move |j| (i, (37 * i + 311 * j) % 2000)));
        check(be, &HostCsr::new(64, 2000, long.chain(short).collect()), 20);
    }

    fn changed_values_are_seen(be: &impl SparseBackend) {
        let mut s = HostCsr::random(20, 24, 0.3);
        let mut reused = s.upload(be);
        let x = act(be, 16, 24, &normals(5, 16 * 24));
        let product = |s: &Csr<_>| {
            let mut y = act(be, 16, 20, &[0.0; 16 * 20]);
            ops::spmm_add(be, s, &x, &mut y).expect("dimensions agree");
            host(be, &y)
        };
        let before = product(&reused);
        s.values.iter_mut().for_each(|value| *value *= 2.0);
        let values = be.upload(s.values.clone()).expect("upload");
        be.copy(&values, reused.values_mut()).expect("copy");
        assert_eq!(product(&reused), product(&s.upload(be)));
        assert_ne!(product(&reused), before);
    }

    fn operands_that_do_not_fit_are_refused(be: &impl SparseBackend) {
        let s = HostCsr::random(4, 6, 0.5).upload(be);
        let of = |rows, cols| act(be, rows, cols, &vec![0.0; rows * cols]);
        let message = |result: rosa_kernels::error::Result<()>| result.expect_err("refused").to_string();
        assert_eq!(
            message(ops::spmm_add(be, &s, &of(2, 5), &mut of(2, 4))),
            "spmm_add: s has 6 cols but x has 5 cols"
        );
        assert_eq!(
            message(ops::spmm_add(be, &s, &of(2, 6), &mut of(2, 5))),
            "spmm_add: s has 4 rows but y has 5 cols"
        );
        assert_eq!(
            message(ops::spmm_add(be, &s, &of(2, 6), &mut of(3, 4))),
            "spmm_add: x has 2 rows but y has 3 rows"
        );
        assert_eq!(
            message(ops::spmm_t_add(be, &s, &of(2, 6), &mut of(2, 6))),
            "spmm_t_add: s has 4 rows but dy has 6 cols"
        );
        assert_eq!(
            message(ops::spmm_t_add(be, &s, &of(2, 4), &mut of(2, 5))),
            "spmm_t_add: s has 6 cols but dx has 5 cols"
        );
        assert_eq!(
            message(ops::spmm_t_add(be, &s, &of(2, 4), &mut of(1, 6))),
            "spmm_t_add: dy has 2 rows but dx has 1 rows"
        );
    }
}

/// Values as two bf16 parts err by 2⁻¹⁷ of the value, as much as 128 roundings; each part has a product of its own.
/// What the sums are added to is their negative, so that rounding the output to bf16 hides nothing.
#[cfg(feature = "cuda")]
#[test]
fn split_values_are_precise_and_rounded_ones_are_not() {
    use rosa_kernels::backend::cuda::SparseValues;
    let s = HostCsr::random(50, 120, 0.4);
    for tokens in [4, 20] {
        let x = stored::<rosa_kernels::backend::cuda::Cuda>(&normals(5, tokens * s.cols));
        let negative: Vec<f32> = {
            let sums = reference::sparse::spmm(&s.dense(), &x, &vec![0.0; tokens * s.rows], s.rows, s.cols);
            sums.into_iter().map(|sum| -sum.value as f32).collect()
        };
        let negative = stored::<rosa_kernels::backend::cuda::Cuda>(&negative);
        let want = reference::sparse::spmm(&s.dense(), &x, &negative, s.rows, s.cols);
        let got = |values| {
            let be = &crate::support::cuda().clone().with_sparse_values(values);
            let mut y = act(be, tokens, s.rows, &negative);
            ops::spmm_add(be, &s.upload(be), &act(be, tokens, s.cols, &x), &mut y).expect("dimensions agree");
            host(be, &y)
        };
        let roundings = 2 * s.cols + 1 + 128;
        assert_within::<half::bf16>(&got(SparseValues::F32), &want, roundings);
        let rounded = got(SparseValues::Bf16);
        let outside = rounded.iter().zip(&want).filter(|(got, want)| {
            (f64::from(**got) - want.value).abs()
                > crate::support::bound::gamma(roundings) * want.magnitude + want.value.abs() / 256.0
        });
        assert!(outside.count() > rounded.len() / 2, "the bound tells the forms apart");
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let s = HostCsr::random(700, 300, 0.1);
    let run = |threads| {
        let cpu = Cpu::new(Some(threads)).expect("threads");
        (forward(&cpu, &s, 100), backward(&cpu, &s, 100))
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn a_token_does_not_depend_on_the_tokens_around_it() {
    let cpu = crate::support::cpu();
    let s = HostCsr::random(50, 60, 0.3);
    let together = forward(&cpu, &s, 40);
    for (t, together) in together.chunks(s.rows).enumerate() {
        let x = act(&cpu, 1, s.cols, &normals(5, 40 * s.cols)[t * s.cols..(t + 1) * s.cols]);
        let mut y = act(&cpu, 1, s.rows, &normals(6, 40 * s.rows)[t * s.rows..(t + 1) * s.rows]);
        ops::spmm_add(&cpu, &s.upload(&cpu), &x, &mut y).expect("dimensions agree");
        assert_eq!(host(&cpu, &y), together);
    }
}
