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
            // Below, at and above tiles of the CPU and of a GPU.
            for tokens in if s.cols > 10_000 { &[1, 64][..] } else { &[0, 1, 63, 64, 65, 256, 300] } {
                println!("{label}, {tokens} tokens");
                check(be, &s, *tokens);
            }
        }
    }

    fn where_a_gpu_changes_its_form(be: &impl SparseBackend) {
        let first = |entries: usize| HostCsr::new(128, 129, (0..entries).map(|i| (i / 129, i % 129)).collect());
        let outer = HostCsr::new(70, 4200, (0..700).map(|i| (i % 70, (i * i % 40 + 4160) % 4200)).collect());
        for (label, s, tokens) in [
            ("few tokens: an entry a lane", HostCsr::random(60, 90, 0.1), &[32, 33][..]),
            ("as many products as that may have", first(1 << 14), &[32]),
            ("an entry more", first((1 << 14) + 1), &[32]),
            ("sparse and wide: two tiles of columns, three slabs", HostCsr::random(50, 2100, 0.003), &[70]),
            ("less sparse: three tiles, two slabs", HostCsr::random(50, 2100, 0.02), &[70]),
            ("one tile, whole slabs", HostCsr::random(64, 1024, 0.02), &[128]),
            ("words of dy and x", HostCsr::random(62, 1028, 0.02), &[65]),
            ("entries in the first and the last tile", outer, &[65]),
            ("full enough for dense tiles", HostCsr::random(432, 432, 0.99), &[1, 40]),
        ] {
            for &tokens in tokens {
                println!("{label}, {tokens} tokens");
                check(be, &s, tokens);
            }
        }
    }

    fn where_a_cpu_changes_its_form(be: &impl SparseBackend) {
        let diagonal = |entries: usize| HostCsr::new(entries, 20, (0..entries).map(|i| (i, 7 * i % 20)).collect());
        let last = HostCsr::new(3, 400, vec![(0, 191), (0, 192), (2, 0), (2, 383), (2, 384), (2, 399)]);
        for (label, s) in [
            ("entries of one vector, less one", diagonal(15)),
            ("entries of one vector", diagonal(16)),
            ("an entry more", diagonal(17)),
            ("the first and last columns of blocks", last),
            ("blocks of columns, and rows with entries in each", HostCsr::random(90, 580, 0.06)),
            ("more entries than a piece of the work", HostCsr::random(70, 200, 0.5)),
        ] {
            // Tiles of 32 tokens, or of 64 where entries are many and tokens 128, in two groups; from 256 or 512 tokens on two
            // threads do not meet within a tile.
            for tokens in [31, 32, 33, 65, 127, 128, 129, 255, 257, 513] {
                println!("{label}, {tokens} tokens");
                check(be, &s, tokens);
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
    // Tiles of 32 and of 64 tokens.
    for s in [HostCsr::random(700, 300, 0.01), HostCsr::random(700, 300, 0.1)] {
        let run = |threads| gradient(&Cpu::new(Some(threads)).expect("threads"), &s, 300);
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }
}
