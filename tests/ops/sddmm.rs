use crate::support::{
    act,
    arbitrary::sparse::{HostCsr, any_csr, corners, normals},
    bound::assert_within,
    reference, stored,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{SparseBackend, cpu::Cpu},
    ops,
};

/// The gradient of `s.values`, added to the values of `s`.
fn gradient<B: SparseBackend>(be: &B, s: &HostCsr, tokens: usize) -> Vec<f32> {
    let dy = act(be, tokens, s.rows, &normals(5, tokens * s.rows));
    let x = act(be, tokens, s.cols, &normals(6, tokens * s.cols));
    let mut ds = s.upload(be);
    ops::sddmm_add(be, &dy, &x, &mut ds).expect("dimensions agree");
    be.download(ds.values()).expect("download")
}

/// Against the oracle: an element is a sum of one old value and a product per token.
fn check<B: SparseBackend>(be: &B, s: &HostCsr, tokens: usize) {
    let dy = stored::<B>(&normals(5, tokens * s.rows));
    let x = stored::<B>(&normals(6, tokens * s.cols));
    let want = reference::sparse::sddmm(&s.entries, &dy, &x, &s.values, s.rows.max(1), s.cols);
    assert_within::<f32>(&gradient(be, s, tokens), &want, tokens + 1);
}

on_every_backend! {
    fn corner_cases(be: &impl SparseBackend) {
        for (label, s) in corners() {
            // Below, at and above the CPU's slabs (64 tokens) and tiles (4 slabs).
            for tokens in if s.cols > 10_000 { &[1, 64][..] } else { &[0, 1, 63, 64, 65, 256, 300] } {
                println!("{label}, {tokens} tokens");
                check(be, &s, *tokens);
            }
        }
    }

    fn any_case(be: &impl SparseBackend) {
        proptest!(|(s in any_csr(), tokens in 0..300_usize)| check(be, &s, tokens));
    }

    fn operands_that_do_not_fit_are_refused(be: &impl SparseBackend) {
        let of = |rows, cols| act(be, rows, cols, &vec![0.0; rows * cols]);
        let message = |dy, x| {
            let mut ds = HostCsr::random(4, 6, 0.5).upload(be);
            ops::sddmm_add(be, &dy, &x, &mut ds).expect_err("refused").to_string()
        };
        assert_eq!(message(of(2, 4), of(3, 6)), "sddmm_add: dy has 2 rows but x has 3 rows");
        assert_eq!(message(of(2, 5), of(2, 6)), "sddmm_add: ds has 4 rows but dy has 5 cols");
        assert_eq!(message(of(2, 4), of(2, 5)), "sddmm_add: ds has 6 cols but x has 5 cols");
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let s = HostCsr::random(700, 300, 0.1);
    let run = |threads| gradient(&Cpu::new(Some(threads)).expect("threads"), &s, 300);
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}
