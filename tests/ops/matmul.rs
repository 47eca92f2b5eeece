use crate::support::{
    act,
    arbitrary::dense::numbers,
    assert_same_on_any_thread_count,
    bound::assert_within,
    f32s, host,
    reference::dense::{product, wide},
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Write, cpu::Cpu},
    ops,
    tensor::{Matrix, Weight},
};

const SCALE: f32 = 0.75;

/// What a product starts from: what must not be read, or what is added to.
fn before<B: Backend>(write: Write, count: usize) -> Vec<f32> {
    match write {
        Write::Overwrite => vec![f32::NAN; count],
        Write::Add => numbers::<B>(9, count),
    }
}

/// The same in the oracle.
fn kept(write: Write, before: &[f32], index: usize) -> f64 {
    if write == Write::Add { before[index].into() } else { 0.0 }
}

/// Runs `with` on the weight in both types that it may be stored in, with the numbers that it then has.
fn with_weights<B: Backend>(be: &B, rows: usize, cols: usize, with: impl Fn(Weight<'_, B>, &[f64])) {
    let values = numbers::<B>(2, rows * cols);
    with(Weight::F32(&f32s(be, rows, cols, &values)), &wide(&values));
    let rounded: Vec<f32> = values.iter().map(|&x| bf16::from_f32(x).to_f32()).collect();
    let narrow = Matrix::<B, bf16>::from_f32(be, rows, cols, &rounded).expect("upload");
    with(Weight::Bf16(&narrow), &wide(&rounded));
}

// A term passes its product and at most one sum per term (depth roundings in all), the scale, and the
// sum with what was there.
fn roundings(depth: usize) -> usize {
    depth + 2
}

fn check_nt<B: Backend>(be: &B, [t, n, k]: [usize; 3], write: Write) {
    let (x, y) = (numbers::<B>(1, t * k), before::<B>(write, t * n));
    with_weights(be, n, k, |weight, w| {
        let mut out = act(be, t, n, &y);
        ops::matmul_nt(be, &act(be, t, k, &x), weight, SCALE, write, &mut out).expect("dims");
        let x = |i: usize, l: usize| f64::from(x[i * k + l]);
        let want =
            product([t, n, k], SCALE.into(), x, |l, j| w[j * k + l], |i, j| kept(write, &y, i * n + j));
        assert_within::<B::Act>(&host(be, &out), &want, roundings(k));
    });
}

fn check_nn<B: Backend>(be: &B, [t, n, k]: [usize; 3], write: Write) {
    let (dy, dx) = (numbers::<B>(1, t * n), before::<B>(write, t * k));
    with_weights(be, n, k, |weight, w| {
        let mut out = act(be, t, k, &dx);
        ops::matmul_nn(be, &act(be, t, n, &dy), weight, SCALE, write, &mut out).expect("dims");
        let dy = |i: usize, l: usize| f64::from(dy[i * n + l]);
        let want =
            product([t, k, n], SCALE.into(), dy, |l, j| w[l * k + j], |i, j| kept(write, &dx, i * k + j));
        assert_within::<B::Act>(&host(be, &out), &want, roundings(n));
    });
}

fn check_tn<B: Backend>(be: &B, [t, n, k]: [usize; 3], tokens: std::ops::Range<usize>, write: Write) {
    let (dy, x) = (numbers::<B>(1, t * n), numbers::<B>(2, t * k));
    let dw = before::<B>(write, n * k);
    let mut out = f32s(be, n, k, &dw);
    let (dy_matrix, x_matrix) = (act(be, t, n, &dy), act(be, t, k, &x));
    ops::matmul_tn(be, &dy_matrix, &x_matrix, tokens.clone(), SCALE, write, &mut out).expect("dims");
    let want = product(
        [n, k, tokens.len()],
        SCALE.into(),
        |i, l| dy[(tokens.start + l) * n + i].into(),
        |l, j| x[(tokens.start + l) * k + j].into(),
        |i, j| kept(write, &dw, i * k + j),
    );
    assert_within::<f32>(&out.download(be).expect("download"), &want, roundings(tokens.len()));
}

const CORNERS: [(&str, [usize; 3]); 9] = [
    ("a single number", [1, 1, 1]),
    ("one token", [1, 70, 33]),
    ("one out feature", [37, 1, 20]),
    ("one in feature: an outer product", [37, 20, 1]),
    ("nothing to sum over", [3, 5, 0]),
    ("no tokens", [0, 5, 3]),
    ("a small rank, tokens in several tiles", [300, 16, 200]),
    ("more columns than a tile", [3, 1100, 65]),
    ("ragged in every direction, several tiles", [261, 131, 67]),
];

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, dims) in CORNERS {
            println!("{label}: {dims:?}");
            for write in [Write::Overwrite, Write::Add] {
                check_nt(be, dims, write);
                check_nn(be, dims, write);
                check_tn(be, dims, 0..dims[0], write);
            }
        }
    }

    fn sums_over_more_rows_of_a_bf16_weight_than_are_widened_at_a_time(be: &impl Backend) {
        check_nt(be, [3, 5, 2500], Write::Overwrite);
        check_nn(be, [3, 2500, 5], Write::Add);
    }

    fn sums_over_a_part_of_the_tokens(be: &impl Backend) {
        for tokens in [0..0, 0..1, 3..17, 40..41, 41..41] {
            check_tn(be, [41, 9, 13], tokens.clone(), Write::Overwrite);
            check_tn(be, [41, 9, 13], tokens, Write::Add);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(|(t in 0..80_usize, n in 1..80_usize, k in 0..80_usize, add: bool)| {
            let write = if add { Write::Add } else { Write::Overwrite };
            check_nt(be, [t, n, k], write);
            check_nn(be, [t, n, k], write);
            check_tn(be, [t, n, k], t / 3..t, write);
        });
    }

    fn names_both_numbers_when_shapes_disagree(be: &impl Backend) {
        let (x, w) = (act(be, 2, 3, &[0.0; 6]), f32s(be, 5, 4, &[0.0; 20]));
        let mut y = act(be, 2, 5, &[0.0; 10]);
        let error = ops::matmul_nt(be, &x, (&w).into(), 1.0, Write::Overwrite, &mut y).expect_err("3 is not 4");
        assert_eq!(error.to_string(), "matmul_nt: w has 4 cols but x has 3 cols");
        let error = ops::matmul_nn(be, &x, (&w).into(), 1.0, Write::Overwrite, &mut y).expect_err("3 is not 5");
        assert_eq!(error.to_string(), "matmul_nn: w has 5 rows but dy has 3 cols");
        let mut dw = f32s(be, 3, 3, &[0.0; 9]);
        let error = ops::matmul_tn(be, &x, &x, 1..3, 1.0, Write::Overwrite, &mut dw).expect_err("only 2 tokens");
        assert_eq!(error.to_string(), "matmul_tn: token 2 is not below 2");
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    let (t, n, k) = (301, 130, 190);
    assert_same_on_any_thread_count(|cpu| {
        let (x, dy) = (numbers::<Cpu>(1, t * k), numbers::<Cpu>(2, t * n));
        let (x, dy) = (act(cpu, t, k, &x), act(cpu, t, n, &dy));
        let w = Matrix::<Cpu, bf16>::from_f32(cpu, n, k, &numbers::<Cpu>(3, n * k)).expect("upload");
        let mut y = act(cpu, t, n, &numbers::<Cpu>(4, t * n));
        let mut dx = act(cpu, t, k, &numbers::<Cpu>(5, t * k));
        let mut dw = f32s(cpu, n, k, &numbers::<Cpu>(6, n * k));
        ops::matmul_nt(cpu, &x, Weight::Bf16(&w), SCALE, Write::Add, &mut y).expect("dims");
        ops::matmul_nn(cpu, &dy, Weight::Bf16(&w), SCALE, Write::Add, &mut dx).expect("dims");
        ops::matmul_tn(cpu, &dy, &x, 0..t, SCALE, Write::Add, &mut dw).expect("dims");
        [host(cpu, &y), host(cpu, &dx), host(cpu, &dw)].concat()
    });
}
