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
/// products as its row (or column) has entries.
fn check<B: SparseBackend>(be: &B, s: &HostCsr, tokens: usize) {
    let wide = |count| stored::<B>(&normals(5, tokens * count));
    let old = |count| stored::<B>(&normals(6, tokens * count));
    if s.rows > 0 {
        let want = reference::sparse::spmm(&s.dense(), &wide(s.cols), &old(s.rows), s.rows, s.cols);
        assert_within::<B::Act>(&forward(be, s, tokens), &want, s.cols + 1);
    }
    if s.cols > 0 {
        let want = reference::sparse::spmm_t(&s.dense(), &wide(s.rows), &old(s.cols), s.rows, s.cols);
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
