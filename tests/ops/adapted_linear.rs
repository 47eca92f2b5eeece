use super::matmul::{Met, Stored, on_tensor_cores, roundings, with_weights};
use crate::support::{
    act,
    arbitrary::{dense::numbers, sparse::HostCsr},
    assert_same_on_any_thread_count,
    bound::{Exact, U32, assert_within, unit},
    f32s, host,
    reference::dense::product,
    rounded,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Factors, LinearTerms, Write, cpu::Cpu},
    ops,
    tensor::Weight,
};

const SCALE: f32 = 0.75;

/// Tokens, out features, in features, rank.
type Dims = [usize; 4];

fn plus(terms: &mut [Exact], others: &[Exact]) {
    for (term, other) in terms.iter_mut().zip(others) {
        term.value += other.value;
        term.magnitude += other.magnitude;
    }
}

/// Both directions for every type of weight. Activations are numbers of bf16, which no product rounds, while the factors
/// fill all 24 bits of f32: what is lost of them shows, and what is rounded and should not be.
fn check<B: Backend>(be: &B, [t, n, k, r]: Dims, with_s: bool) {
    let exact = |seed, count| -> Vec<f32> { rounded::<bf16>(&numbers::<B>(seed, count)) };
    let (x, dy, old) = (exact(1, t * k), exact(2, t * n), exact(6, t * k));
    let (a, b) = (numbers::<Cpu>(3, r * k), numbers::<Cpu>(4, n * r));
    let (bias, s) = (numbers::<Cpu>(5, n), HostCsr::random(n, k, 0.2));
    let on_device = (f32s(be, r, k, &a), f32s(be, n, r, &b), f32s(be, 1, n, &bias), s.upload(be));
    let factors = Factors { a: &on_device.0, b: &on_device.1, scale: SCALE };
    let terms =
        LinearTerms { bias: Some(&on_device.2), sparse: with_s.then_some(&on_device.3), low_rank: None };
    let s = if with_s { s.dense() } else { vec![0.0; n * k] };
    // The factors count in so many parts; S may be added to an output that was rounded before.
    let parts_of_factors = if on_tensor_cores::<B>() { 2 } else { 1 };
    let narrowed = if on_tensor_cores::<B>() { 2 * (unit::<B::Act>() / U32) as usize } else { 0 };
    let whole = |depth, parts| {
        let of_s = roundings::<B>(depth, 1);
        roundings::<B>(depth, parts) + of_s + roundings::<B>(r, parts_of_factors) + 8 + narrowed
    };
    with_weights(be, n, k, |Stored { weight, values, parts }| {
        // Beside activations that are rounded, so are both factors, and u as it meets the second one.
        let joins = be.rounds_sum_to_bf16(t) && n > 0 && k > 0 && (1..=64).contains(&r);
        let rounds = joins && !on_tensor_cores::<B>() && !matches!(weight, Weight::F32(_));
        let counted = |numbers: &[f32], scale: f32| -> Vec<f64> {
            if rounds {
                let scaled: Vec<f32> = numbers.iter().map(|x| scale * x).collect();
                return rounded::<bf16>(&scaled).iter().copied().map(f64::from).collect();
            }
            numbers.iter().map(|&x| f64::from(scale) * f64::from(x)).collect()
        };
        let (a, b) = (counted(&a, 1.0), counted(&b, SCALE));
        let assert_u = |u: &[f32], want: &[Exact], depth| {
            assert_within::<B::Act>(u, want, roundings::<B>(depth, parts_of_factors) + 1);
        };
        let stored = |tokens, met: &[f32]| {
            Stored { weight, values: values.clone(), parts }.meets_with(be, t, tokens, met, &s)
        };
        let Met { activations: met, weight: w, apart } = stored(t, &x);
        let (mut u, mut y) = (act(be, t, r, &vec![f32::NAN; t * r]), act(be, t, n, &vec![f32::NAN; t * n]));
        ops::adapted_linear(be, &act(be, t, k, &x), weight, terms, factors, &mut u, &mut y).expect("dims");
        let u = host(be, &u);
        let x = |i: usize, l: usize| f64::from(x[i * k + l]);
        let want = product([t, r, k], 1.0, x, |l, j| a[j * k + l], |_, _| 0.0);
        assert_u(&u, &want, k);
        let u = counted(&u, 1.0);
        let mut want =
            product([t, n, k], 1.0, |i, l| met[i * k + l], |l, j| w[j * k + l], |_, j| bias[j].into());
        if with_s {
            plus(&mut want, &product([t, n, k], 1.0, x, |l, j| apart[j * k + l], |_, _| 0.0));
        }
        // The term as u was made.
        plus(&mut want, &product([t, n, r], 1.0, |i, l| u[i * r + l], |l, j| b[j * r + l], |_, _| 0.0));
        assert_within::<B::Act>(&host(be, &y), &want, whole(k, parts));

        let Met { activations: met, weight: w, apart } = stored(usize::MAX, &dy);
        for write in [Write::Add, Write::Overwrite] {
            let before = if write == Write::Add { old.clone() } else { vec![f32::NAN; t * k] };
            let (mut du, mut dx) = (act(be, t, r, &vec![f32::NAN; t * r]), act(be, t, k, &before));
            let of_dy = act(be, t, n, &dy);
            ops::adapted_linear_t(be, &of_dy, weight, terms, factors, write, &mut du, &mut dx).expect("dims");
            let du = host(be, &du);
            let dy = |i: usize, l: usize| f64::from(dy[i * n + l]);
            let want = product([t, r, n], 1.0, dy, |l, j| b[l * r + j], |_, _| 0.0);
            assert_u(&du, &want, n);
            let du = counted(&du, 1.0);
            let kept = |i: usize, j: usize| if write == Write::Add { f64::from(old[i * k + j]) } else { 0.0 };
            let mut want = product([t, k, n], 1.0, |i, l| met[i * n + l], |l, j| w[l * k + j], kept);
            if with_s {
                plus(&mut want, &product([t, k, n], 1.0, dy, |l, j| apart[l * k + j], |_, _| 0.0));
            }
            plus(&mut want, &product([t, k, r], 1.0, |i, l| du[i * r + l], |l, j| a[l * k + j], |_, _| 0.0));
            assert_within::<B::Act>(&host(be, &dx), &want, whole(n, parts));
        }
    });
}

const CORNERS: [(&str, Dims); 11] = [
    ("a single number", [1, 1, 1, 1]),
    ("no tokens", [0, 5, 3, 2]),
    ("no in features", [40, 5, 0, 2]),
    ("a few tokens", [5, 64, 64, 4]),
    ("whole panels", [64, 64, 96, 16]),
    ("ragged in every direction", [67, 71, 69, 5]),
    ("half a step of ranks and one", [40, 70, 66, 17]),
    ("a whole step of ranks and one", [70, 66, 130, 33]),
    ("as many ranks as join, and one more", [66, 64, 64, 65]),
    ("the depth in parts, forward", [100, 70, 1600, 14]),
    ("the depth in parts, backward", [100, 1600, 70, 14]),
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
        let (a, b) = (f32s(be, 2, 3, &[0.0; 6]), f32s(be, 5, 2, &[0.0; 10]));
        let none = LinearTerms { bias: None, sparse: None, low_rank: None };
        let (x, dy) = (act(be, 4, 3, &[0.0; 12]), act(be, 4, 5, &[0.0; 20]));
        let message = |factors, rank: usize| {
            let (mut u, mut y, mut dx) =
                (act(be, 4, rank, &vec![0.0; 4 * rank]), act(be, 4, 5, &[0.0; 20]), act(be, 4, 3, &[0.0; 12]));
            let forward = ops::adapted_linear(be, &x, (&w).into(), none, factors, &mut u, &mut y);
            let backward =
                ops::adapted_linear_t(be, &dy, (&w).into(), none, factors, Write::Add, &mut u, &mut dx);
            [forward, backward].map(|result| result.expect_err("wrong").to_string())
        };
        assert_eq!(
            message(Factors { a: &b, b: &b, scale: 1.0 }, 2),
            ["adapted_linear: a has 2 cols but x has 3 cols", "adapted_linear_t: a has 2 cols but w has 3 cols"]
        );
        assert_eq!(
            message(Factors { a: &a, b: &a, scale: 1.0 }, 2),
            ["adapted_linear: b has 2 rows but w has 5 rows", "adapted_linear_t: b has 2 rows but w has 5 rows"]
        );
        assert_eq!(
            message(Factors { a: &a, b: &b, scale: 1.0 }, 3),
            ["adapted_linear: u has 3 cols but a has 2 rows", "adapted_linear_t: du has 3 cols but a has 2 rows"]
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 12 } else { 48 }))]

    #[test]
    fn matches_the_oracle(dims in [1_usize..100, 1..100, 1..100, 1..40], with_s: bool) {
        crate::support::cpus().iter().for_each(|cpu| check(cpu, dims, with_s));
    }
}

#[test]
fn same_bits_on_any_thread_count() {
    assert_same_on_any_thread_count(|cpu| {
        let [t, n, k, r] = [200, 192, 1600, 14];
        let w = f32s(cpu, n, k, &numbers::<Cpu>(1, n * k));
        let (x, dy) = (act(cpu, t, k, &numbers::<Cpu>(2, t * k)), act(cpu, t, n, &numbers::<Cpu>(3, t * n)));
        let (a, b) = (f32s(cpu, r, k, &numbers::<Cpu>(4, r * k)), f32s(cpu, n, r, &numbers::<Cpu>(5, n * r)));
        let (factors, none) = (
            Factors { a: &a, b: &b, scale: SCALE },
            LinearTerms { bias: None, sparse: None, low_rank: None },
        );
        let zeros = |rows, cols| act(cpu, rows, cols, &vec![0.0; rows * cols]);
        let (mut u, mut y, mut du, mut dx) = (zeros(t, r), zeros(t, n), zeros(t, r), zeros(t, k));
        ops::adapted_linear(cpu, &x, (&w).into(), none, factors, &mut u, &mut y).expect("dims");
        ops::adapted_linear_t(cpu, &dy, (&w).into(), none, factors, Write::Add, &mut du, &mut dx)
            .expect("dims");
        [&u, &y, &du, &dx].map(|m| host(cpu, m)).concat()
    });
}
