use crate::support::{
    act,
    arbitrary::{
        dense::numbers,
        sparse::{HostCsr, normals},
    },
    assert_same_on_any_thread_count,
    bound::{Exact, assert_within},
    cpu, f32s, host,
    reference::dense::wide,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, LinearTerms, LowRankTerm, Write, cpu::Cpu},
    device::Element,
    ops,
    sparse::Csr,
    tensor::Weight,
};

const SCALE: f32 = 0.75;

/// A layer `[n, k]` with `r` columns of low rank, on `t` tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) t: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) r: usize,
}

/// Which terms a layer has beside its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Has {
    pub(super) bias: bool,
    pub(super) low_rank: bool,
}

/// Runs `with` on the weight `[n, k]` in 4 bits, with magnitudes as they are and quantized, where it is whole blocks.
fn with_weights<B: Backend>(be: &B, n: usize, k: usize, with: impl Fn(Weight<'_, B>)) {
    let values = normals(1, n * k);
    let f32s = f32s(be, n, k, &values);
    if n * k > 0 && (n * k).is_multiple_of(32) {
        let quantized = ops::nf4_quantize(be, &f32s, 32).expect("whole blocks");
        with(Weight::Nf4(&quantized));
        with(Weight::Nf4(&quantized.double_quantize(be).expect("memory")));
    }
}

// A term passes its product, at most one sum a term of its part, four sums of parts, the scale and the sum of w and s.
//
// On tensor cores a sum may be cut, which counts as two roundings, and an f32 factor counts as two bf16 numbers. What
// is rounded to bf16 there moves by 2⁻⁸ of itself at most, which is 2¹⁶ roundings to f32: a 4-bit weight, a value of S
// unless that joins it, an f32 weight by 128, and y after each of four parts.
//
// On the CPU a product with a weight narrower than f32 may round the activations and a 4-bit weight to bf16.
fn roundings<B: Backend>(be: &B, tokens: usize, w: Weight<'_, B>, terms: usize) -> usize {
    let on_tensor_cores = <B::Act as Element>::NAME == "bf16";
    match w {
        _ if on_tensor_cores => 4 * terms + 5 * (1 << 16),
        Weight::Bf16(_) | Weight::Nf4(_) if be.rounds_to_bf16(tokens) => terms + 6 + 2 * (1 << 16),
        _ => terms + 6,
    }
}

fn check<B: Backend>(be: &B, shape: Shape, has: Has, s: Option<&HostCsr>) {
    with_weights(be, shape.n, shape.k, |w| check_weight(be, shape, has, w, s));
}

/// Both directions with this weight, joined and in parts.
pub(super) fn check_weight<B: Backend>(
    be: &B,
    shape: Shape,
    has: Has,
    w: Weight<'_, B>,
    s: Option<&HostCsr>,
) {
    let Shape { n, k, .. } = shape;
    let sparse = s.map(|s| s.upload(be));
    let dense = s.map_or_else(|| vec![0.0; n * k], HostCsr::dense);
    let values = wide(&w.download(be).expect("download"));
    let of_weight = |i: usize, j: usize| [values[i * k + j], dense[i * k + j].into()];
    forward(be, shape, has, w, sparse.as_ref(), of_weight);
    backward(be, shape, has, w, sparse.as_ref(), of_weight);
}

fn forward<B: Backend>(
    be: &B,
    Shape { t, n, k, r }: Shape,
    has: Has,
    w: Weight<'_, B>,
    s: Option<&Csr<B>>,
    of_weight: impl Fn(usize, usize) -> [f64; 2],
) {
    let (x, u, factor) = (numbers::<B>(2, t * k), numbers::<B>(3, t * r), numbers::<B>(4, n * r));
    let bias = numbers::<Cpu>(5, n);
    let mut want = vec![Exact::default(); t * n];
    for (index, want) in want.iter_mut().enumerate() {
        let (t, i) = (index / n, index % n);
        (0..k).for_each(|j| of_weight(i, j).into_iter().for_each(|w| want.add(w, x[t * k + j].into())));
        if has.bias {
            want.add(bias[i].into(), 1.0);
        }
        for l in (0..r).filter(|_| has.low_rank) {
            want.add(f64::from(u[t * r + l]) * f64::from(SCALE), factor[i * r + l].into());
        }
    }

    let (x, u) = (act(be, t, k, &x), act(be, t, r, &u));
    let (bias, factor) = (f32s(be, 1, n, &bias), f32s(be, n, r, &factor));
    let low_rank = LowRankTerm { u: &u, factor: &factor, scale: SCALE };
    let terms = LinearTerms {
        bias: has.bias.then_some(&bias),
        sparse: s,
        low_rank: has.low_rank.then_some(low_rank),
    };
    let mut y = act(be, t, n, &vec![f32::NAN; t * n]);
    ops::linear(be, &x, w, terms, &mut y).expect("dims");
    assert_within::<B::Act>(&host(be, &y), &want, roundings(be, t, w, k + r));

    let mut y = act(be, t, n, &vec![f32::NAN; t * n]);
    ops::matmul_nt(be, &x, w, 1.0, Write::Overwrite, &mut y).expect("dims");
    terms.bias.into_iter().for_each(|bias| ops::bias_add(be, bias, &mut y).expect("dims"));
    terms.sparse.into_iter().for_each(|s| ops::spmm_add(be, s, &x, &mut y).expect("dims"));
    terms.low_rank.into_iter().for_each(|l| {
        ops::matmul_nt(be, l.u, l.factor.into(), l.scale, Write::Add, &mut y).expect("dims");
    });
    assert_within::<B::Act>(&host(be, &y), &want, roundings(be, t, w, k + r));
}

fn backward<B: Backend>(
    be: &B,
    Shape { t, n, k, r }: Shape,
    has: Has,
    w: Weight<'_, B>,
    s: Option<&Csr<B>>,
    of_weight: impl Fn(usize, usize) -> [f64; 2],
) {
    let (dy, u, factor) = (numbers::<B>(2, t * n), numbers::<B>(3, t * r), numbers::<B>(4, r * k));
    let before = numbers::<B>(5, t * k);
    let mut want = vec![Exact::default(); t * k];
    for (index, want) in want.iter_mut().enumerate() {
        let (t, j) = (index / k, index % k);
        (0..n).for_each(|i| of_weight(i, j).into_iter().for_each(|w| want.add(w, dy[t * n + i].into())));
        for l in (0..r).filter(|_| has.low_rank) {
            want.add(f64::from(u[t * r + l]) * f64::from(SCALE), factor[l * k + j].into());
        }
    }

    let (dy, u, factor) = (act(be, t, n, &dy), act(be, t, r, &u), f32s(be, r, k, &factor));
    let low_rank = LowRankTerm { u: &u, factor: &factor, scale: SCALE };
    let terms = LinearTerms { bias: None, sparse: s, low_rank: has.low_rank.then_some(low_rank) };
    let mut dx = act(be, t, k, &vec![f32::NAN; t * k]);
    ops::linear_t(be, &dy, w, terms, Write::Overwrite, &mut dx).expect("dims");
    assert_within::<B::Act>(&host(be, &dx), &want, roundings(be, usize::MAX, w, n + r));

    want.iter_mut().zip(&before).for_each(|(want, &before)| want.add(before.into(), 1.0));
    let mut dx = act(be, t, k, &before);
    ops::linear_t(be, &dy, w, terms, Write::Add, &mut dx).expect("dims");
    assert_within::<B::Act>(&host(be, &dx), &want, roundings(be, usize::MAX, w, n + r));

    let mut dx = act(be, t, k, &before);
    ops::matmul_nn(be, &dy, w, 1.0, Write::Add, &mut dx).expect("dims");
    terms.sparse.into_iter().for_each(|s| ops::spmm_t_add(be, s, &dy, &mut dx).expect("dims"));
    terms.low_rank.into_iter().for_each(|l| {
        ops::matmul_nn(be, l.u, l.factor.into(), l.scale, Write::Add, &mut dx).expect("dims");
    });
    assert_within::<B::Act>(&host(be, &dx), &want, roundings(be, usize::MAX, w, n + r));
}

const ALL: Has = Has { bias: true, low_rank: true };

fn at_the_corners(be: &impl Backend) {
    let shape = |t, n, k, r| Shape { t, n, k, r };
    for (label, shape, has, s) in [
        ("the weight alone", shape(5, 8, 12, 1), Has { bias: false, low_rank: false }, None),
        ("S without entries", shape(32, 8, 12, 2), ALL, Some(HostCsr::new(8, 12, vec![]))),
        ("a token less than are joined", shape(31, 40, 32, 3), ALL, Some(HostCsr::random(40, 32, 0.1))),
        ("one token", shape(1, 40, 33, 3), ALL, Some(HostCsr::random(40, 33, 0.1))),
        ("one feature in and out", shape(3, 1, 1, 1), ALL, Some(HostCsr::new(1, 1, vec![(0, 0)]))),
        ("no tokens", shape(0, 8, 4, 2), ALL, Some(HostCsr::random(8, 4, 0.5))),
        ("no rank", shape(4, 8, 4, 0), ALL, Some(HostCsr::random(8, 4, 0.5))),
        ("every entry set, odd rows", shape(40, 32, 31, 5), ALL, Some(HostCsr::random(32, 31, 1.0))),
        (
            "full rows",
            shape(40, 31, 32, 5),
            ALL,
            Some(HostCsr::new(31, 32, (0..64).map(|i| (15 * (i / 32), i % 32)).collect())),
        ),
        ("several tiles each way", shape(261, 600, 64, 8), ALL, Some(HostCsr::random(600, 64, 0.02))),
        (
            "so many that a GPU copies the weight",
            shape(1030, 24, 32, 3),
            ALL,
            Some(HostCsr::random(24, 32, 0.1)),
        ),
        ("deeper than a tile", shape(33, 16, 2500, 8), ALL, Some(HostCsr::random(16, 2500, 0.02))),
        ("wider than a tile", shape(33, 2500, 16, 8), ALL, Some(HostCsr::random(2500, 16, 0.02))),
    ] {
        println!("{label}");
        check(be, shape, has, s.as_ref());
    }
}

fn on_any_shape(be: &impl Backend) {
    proptest!(ProptestConfig::with_cases(32), |(
        t in 0..90_usize, n in 1..40_usize, k in 1..40_usize, r in 0..6_usize,
        bias: bool, low_rank: bool, density in -0.2..1.0_f32,
    )| {
        // Whole blocks, for 4 bits.
        let k = k * (32 >> (n * k).trailing_zeros().min(5));
        let s = (density >= 0.0).then(|| HostCsr::random(n, k, density));
        check(be, Shape { t, n, k, r }, Has { bias, low_rank }, s.as_ref());
    });
}

on_every_backend! {
    fn joined_and_in_parts_match_the_oracle_at_the_corners(be: &impl Backend) {
        at_the_corners(be);
    }

    fn joined_and_in_parts_match_the_oracle_on_any_shape(be: &impl Backend) {
        on_any_shape(be);
    }

    fn operands_that_do_not_fit_are_refused(be: &impl Backend) {
        let zeros = |rows, cols| f32s(be, rows, cols, &vec![0.0; rows * cols]);
        let acts = |rows, cols| act(be, rows, cols, &vec![0.0; rows * cols]);
        let (x, w, s) = (acts(2, 3), zeros(5, 3), HostCsr::new(4, 3, vec![]).upload(be));
        let none = LinearTerms { bias: None, sparse: None, low_rank: None };
        let message = |terms, y_cols| {
            let mut y = acts(2, y_cols);
            ops::linear(be, &x, (&w).into(), terms, &mut y).expect_err("refused").to_string()
        };
        assert_eq!(message(none, 4), "linear: y has 4 cols but w has 5 rows");
        let bias = zeros(1, 4);
        assert_eq!(message(LinearTerms { bias: Some(&bias), ..none }, 5), "linear: bias has 4 cols but w has 5 rows");
        assert_eq!(message(LinearTerms { sparse: Some(&s), ..none }, 5), "linear: s has 4 rows but w has 5 rows");
        let (u, factor) = (acts(2, 2), zeros(5, 3));
        let low_rank = Some(LowRankTerm { u: &u, factor: &factor, scale: 1.0 });
        assert_eq!(message(LinearTerms { low_rank, ..none }, 5), "linear: factor has 3 cols but u has 2 cols");

        let dy = acts(2, 5);
        let message = |terms| {
            let mut dx = acts(2, 3);
            ops::linear_t(be, &dy, (&w).into(), terms, Write::Add, &mut dx).expect_err("refused").to_string()
        };
        assert_eq!(message(LinearTerms { sparse: Some(&s), ..none }), "linear_t: s has 4 rows but w has 5 rows");
        assert_eq!(message(LinearTerms { low_rank, ..none }), "linear_t: factor has 5 rows but u has 2 cols");
    }
}

/// Where the machine multiplies packed panels, no terms join tiles of f32 numbers.
#[test]
fn matches_the_oracle_without_instructions_for_bf16() {
    let cpu = cpu().without_bf16();
    at_the_corners(&cpu);
    on_any_shape(&cpu);
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    assert_same_on_any_thread_count(same_bits);
    assert_same_on_any_thread_count(|cpu| same_bits(&cpu.clone().without_bf16()));
}

fn same_bits(cpu: &Cpu) -> Vec<f32> {
    let (t, n, k, r) = (301, 130, 192, 4);
    let w = f32s(cpu, n, k, &normals(1, n * k));
    let w = ops::nf4_quantize(cpu, &w, 64).expect("whole blocks").double_quantize(cpu).expect("memory");
    let s = HostCsr::random(n, k, 0.05).upload(cpu);
    let bias = f32s(cpu, 1, n, &normals(2, n));
    let (x, u) = (act(cpu, t, k, &normals(3, t * k)), act(cpu, t, r, &normals(4, t * r)));
    let (b, a) = (f32s(cpu, n, r, &normals(5, n * r)), f32s(cpu, r, k, &normals(6, r * k)));
    let mut y = act(cpu, t, n, &vec![f32::NAN; t * n]);
    let low_rank = |factor| Some(LowRankTerm { u: &u, factor, scale: SCALE });
    let terms = LinearTerms { bias: Some(&bias), sparse: Some(&s), low_rank: low_rank(&b) };
    ops::linear(cpu, &x, Weight::Nf4(&w), terms, &mut y).expect("dims");
    let mut dx = act(cpu, t, k, &normals(7, t * k));
    let terms = LinearTerms { bias: None, sparse: Some(&s), low_rank: low_rank(&a) };
    ops::linear_t(cpu, &y, Weight::Nf4(&w), terms, Write::Add, &mut dx).expect("dims");
    [host(cpu, &y), host(cpu, &dx)].concat()
}
