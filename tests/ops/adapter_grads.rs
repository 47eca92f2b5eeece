use super::matmul::{Stored, roundings, with_weights};
use crate::support::{
    act,
    arbitrary::{dense::numbers, sparse::HostCsr},
    assert_same_on_any_thread_count,
    bound::assert_within,
    f32s,
    reference::{dense::product, sparse::sddmm},
    rounded,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{AdapterGrads, Backend, cpu::Cpu},
    ops,
    tensor::{Matrix, Weight},
};

const SCALE: f32 = 0.75;

/// Tokens, out features, in features, rank.
type Dims = [usize; 4];

/// x, dy, u, du, and what a, b and s hold before.
struct Inputs {
    dims: Dims,
    acts: [Vec<f32>; 4],
    olds: [Vec<f32>; 2],
    s: HostCsr,
}

impl Inputs {
    fn new<B: Backend>(dims: Dims) -> Self {
        let [t, n, k, r] = dims;
        let acts =
            [(1, t * k), (2, t * n), (3, t * r), (4, t * r)].map(|(seed, count)| numbers::<B>(seed, count));
        let olds = [numbers::<Cpu>(5, r * k), numbers::<Cpu>(6, n * r)];
        Self { dims, acts, olds, s: HostCsr::random(n, k, 0.2) }
    }

    /// The gradients of a, b and s beside this weight.
    fn grads<B: Backend>(&self, be: &B, weight: Weight<'_, B>, with_s: bool) -> [Vec<f32>; 3] {
        let ([t, n, k, r], [x, dy, u, du], [a, b]) = (self.dims, &self.acts, &self.olds);
        let (mut da, mut db, mut ds) = (f32s(be, r, k, a), f32s(be, n, r, b), self.s.upload(be));
        let [x, dy] = [act(be, t, k, x), act(be, t, n, dy)];
        let [u, du] = [u, du].map(|u| act(be, t, r, u));
        let grads = AdapterGrads { a: &mut da, b: &mut db, s: with_s.then_some(&mut ds) };
        ops::adapter_grads_add(be, &x, &dy, weight, [&u, &du], SCALE, grads).expect("dims");
        [
            da.download(be).expect("download"),
            db.download(be).expect("download"),
            be.download(ds.values()).expect("download"),
        ]
    }
}

/// Whether activations are rounded to bf16: where they meet w as such, in panels.
fn rounds<B: Backend>(be: &B, weight: Weight<'_, B>, [t, n, k, r]: Dims) -> bool {
    let joins = be.rounds_sum_to_bf16(t) && n > 0 && k > 0 && (1..=64).contains(&r);
    joins && !matches!(weight, Weight::F32(_))
}

fn check<B: Backend>(be: &B, dims: Dims, with_s: bool) {
    let [t, n, k, r] = dims;
    let inputs = Inputs::new::<B>(dims);
    with_weights(be, n, k, |Stored { weight, .. }| {
        let [da, db, ds] = inputs.grads(be, weight, with_s);
        let [x, dy, u, du] = &inputs.acts;
        let rounds = rounds(be, weight, dims);
        let met = |numbers: &[f32]| if rounds { rounded::<bf16>(numbers) } else { numbers.to_vec() };
        let (x, dy, u, du) = (met(x), met(dy), met(u), met(du));
        // A term passes t sums and one of two groups of tokens.
        let roundings = roundings::<B>(t, 1) + 1;
        let [old_a, old_b] = &inputs.olds;
        let want = product(
            [r, k, t],
            1.0,
            |i, l| du[l * r + i].into(),
            |l, j| x[l * k + j].into(),
            |i, j| old_a[i * k + j].into(),
        );
        assert_within::<f32>(&da, &want, roundings);
        let want = product(
            [n, r, t],
            SCALE.into(),
            |i, l| dy[l * n + i].into(),
            |l, j| u[l * r + j].into(),
            |i, j| old_b[i * r + j].into(),
        );
        assert_within::<f32>(&db, &want, roundings);
        if with_s {
            let want = sddmm(&inputs.s.entries, &dy, &x, &inputs.s.values, n.max(1), k);
            assert_within::<f32>(&ds, &want, t + 2);
        } else {
            assert_eq!(ds, inputs.s.values, "s has no gradient");
        }
    });
}

const CORNERS: [(&str, Dims); 12] = [
    ("a single number", [1, 1, 1, 1]),
    ("no tokens", [0, 5, 3, 2]),
    ("no in features", [40, 5, 0, 2]),
    ("a few tokens", [5, 64, 64, 4]),
    ("whole panels, whole steps", [128, 64, 96, 16]),
    ("a single rank, whose rows and columns are contiguous", [40, 9, 11, 1]),
    ("ragged in every direction", [67, 71, 69, 5]),
    ("a panel of ranks and one", [40, 70, 66, 17]),
    ("three panels of ranks", [70, 66, 130, 33]),
    ("as many ranks as join, and one more", [66, 64, 64, 65]),
    ("two groups of tokens, the last steps empty", [140, 33, 40, 14]),
    ("two passes a group, two pieces of features", [400, 520, 40, 3]),
];

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, dims) in CORNERS {
            println!("{label}: {dims:?}");
            check(be, dims, false);
            check(be, dims, true);
        }
    }

    fn names_both_numbers_when_shapes_disagree(be: &impl Backend) {
        let w = f32s(be, 5, 3, &[0.0; 15]);
        let act = |rows: usize, cols: usize| act(be, rows, cols, &vec![0.0; rows * cols]);
        let message = |x, dy, u, du, a: [usize; 2], b: [usize; 2]| {
            let [mut a, mut b] = [a, b].map(|[rows, cols]| f32s(be, rows, cols, &vec![0.0; rows * cols]));
            let grads = AdapterGrads { a: &mut a, b: &mut b, s: None };
            let result = ops::adapter_grads_add(be, &x, &dy, (&w).into(), [&u, &du], SCALE, grads);
            result.expect_err("refused").to_string()
        };
        for (got, want) in [
            (message(act(4, 2), act(4, 5), act(4, 2), act(4, 2), [2, 3], [5, 2]), "w has 3 cols but x has 2 cols"),
            (message(act(4, 3), act(3, 5), act(4, 2), act(4, 2), [2, 3], [5, 2]), "dy has 3 rows but x has 4 rows"),
            (message(act(4, 3), act(4, 5), act(4, 2), act(4, 1), [2, 3], [5, 2]), "du has 1 cols but u has 2 cols"),
            (message(act(4, 3), act(4, 5), act(4, 2), act(4, 2), [1, 3], [5, 2]), "da has 1 rows but u has 2 cols"),
            (message(act(4, 3), act(4, 5), act(4, 2), act(4, 2), [2, 3], [4, 2]), "db has 4 rows but w has 5 rows"),
        ] {
            assert_eq!(got, format!("adapter_grads_add: {want}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 12 } else { 48 }))]

    #[test]
    fn matches_the_oracle(dims in [1_usize..300, 1..100, 1..100, 1..40], with_s: bool) {
        crate::support::cpus().iter().for_each(|cpu| check(cpu, dims, with_s));
    }
}

#[test]
fn same_bits_on_any_thread_count() {
    assert_same_on_any_thread_count(|cpu| {
        let inputs = Inputs::new::<Cpu>([400, 520, 300, 14]);
        let w = Matrix::<_, bf16>::zeros(cpu, 520, 300).expect("memory");
        inputs.grads(cpu, Weight::Bf16(&w), true).concat()
    });
}
