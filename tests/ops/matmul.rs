use crate::support::{
    act,
    arbitrary::dense::numbers,
    assert_same_on_any_thread_count,
    bound::assert_within,
    cpu, cpus_and_without_bf16, f32s, host,
    reference::dense::{product, wide},
    rounded, stored,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Write, cpu::Cpu},
    device::Element,
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

/// A weight in the type that it is stored in, with the numbers that it then counts as and the parts that each has.
pub(super) struct Stored<'a, B: Backend> {
    pub(super) weight: Weight<'a, B>,
    pub(super) values: Vec<f64>,
    pub(super) parts: usize,
}

impl<B: Backend> Stored<'_, B> {
    /// Both operands as the product of so many tokens counts them.
    pub(super) fn meets(self, be: &B, tokens: usize, activations: &[f32]) -> (Vec<f64>, Vec<f64>) {
        match self.weight {
            Weight::F32(_) => (wide(activations), self.values),
            _ if !be.rounds_to_bf16(tokens) => (wide(activations), self.values),
            Weight::Bf16(_) => (wide(&rounded::<bf16>(activations)), self.values),
            Weight::Nf4(w) => {
                let w = Weight::Nf4(w).download(be).expect("download");
                (wide(&rounded::<bf16>(activations)), wide(&rounded::<bf16>(&w)))
            }
        }
    }
}

/// Both operands of a layer with S, and S where it has a product of its own.
pub(super) struct Met {
    pub(super) activations: Vec<f64>,
    pub(super) weight: Vec<f64>,
    pub(super) apart: Vec<f64>,
}

impl<B: Backend> Stored<'_, B> {
    /// What a layer counts them as, forward on `tokens` activations or backward on `usize::MAX`, of which there are `rows`.
    pub(super) fn meets_with(
        self,
        be: &B,
        rows: usize,
        tokens: usize,
        activations: &[f32],
        s: &[f32],
    ) -> Met {
        let joins = !matches!(self.weight, Weight::F32(_)) && be.rounds_sum_to_bf16(rows);
        let sum = |(&w, &s): (&f64, &f32)| bf16::from_f32(w as f32 + s).to_f64();
        let sums = joins.then(|| self.values.iter().zip(s).map(sum).collect());
        let (activations, weight) = self.meets(be, tokens, activations);
        // A product of its own takes the values of S as rounded to the type of the activations.
        let apart = if joins { vec![0.0; s.len()] } else { wide(&stored::<B>(s)) };
        Met { activations, weight: sums.unwrap_or(weight), apart }
    }
}

/// Runs `with` on the weight in every type that it may be stored in; in f32, its numbers fill all 24 bits.
pub(super) fn with_weights<B: Backend>(be: &B, rows: usize, cols: usize, with: impl Fn(Stored<'_, B>)) {
    let values = numbers::<Cpu>(2, rows * cols);
    let parts = if on_tensor_cores::<B>() { 2 } else { 1 };
    with(Stored { weight: Weight::F32(&f32s(be, rows, cols, &values)), values: wide(&values), parts });
    let narrow = Matrix::<B, bf16>::from_f32(be, rows, cols, &values).expect("upload");
    with(Stored { weight: Weight::Bf16(&narrow), values: wide(&rounded::<bf16>(&values)), parts: 1 });
    if !on_tensor_cores::<B>() && (rows * cols).is_multiple_of(32) {
        let once = || ops::nf4_quantize(be, &f32s(be, rows, cols, &values), 32).expect("whole blocks");
        for quantized in [once(), once().double_quantize(be).expect("memory")] {
            let weight = Weight::Nf4(&quantized);
            let values = wide(&weight.download(be).expect("download"));
            with(Stored { weight, values, parts: 1 });
        }
    }
}

/// Whether the products are those of bf16 numbers on tensor cores.
pub(super) fn on_tensor_cores<B: Backend>() -> bool {
    <B::Act as Element>::NAME == "bf16"
}

// A term passes its product and at most one sum per term (depth roundings in all), the scale, and the
// sum with what was there.
//
// Where a CPU splits f32 numbers into three of bf16, a term passes 17 sums within its step of 32 depths and six for each
// step after it, and a quarter of a rounding is left out of it: fewer than depth in all, as that is 64 at least.
//
// On tensor cores a product of two bf16 numbers is exact, but a sum may be cut instead of rounded, which counts as two
// roundings; in whatever parts the depth is summed, no term passes more sums than there are terms. An f32 weight counts
// as the sum of two bf16 numbers: twice the terms, and as the second one is the rounding of what the first leaves, of
// 2⁻⁸ of the weight or exactly half of that and less, the weight is off by 2⁻¹⁷ of itself at most: 128 roundings.
pub(super) fn roundings<B: Backend>(depth: usize, parts: usize) -> usize {
    let sums = if on_tensor_cores::<B>() { 2 * parts * depth } else { depth };
    sums + 128 * (parts - 1) + 2
}

fn check_nt<B: Backend>(be: &B, [t, n, k]: [usize; 3], write: Write) {
    let (x, y) = (numbers::<B>(1, t * k), before::<B>(write, t * n));
    with_weights(be, n, k, |stored| {
        let mut out = act(be, t, n, &y);
        ops::matmul_nt(be, &act(be, t, k, &x), stored.weight, SCALE, write, &mut out).expect("dims");
        let parts = stored.parts;
        let (x, w) = stored.meets(be, t, &x);
        let x = |i: usize, l: usize| x[i * k + l];
        let want =
            product([t, n, k], SCALE.into(), x, |l, j| w[j * k + l], |i, j| kept(write, &y, i * n + j));
        assert_within::<B::Act>(&host(be, &out), &want, roundings::<B>(k, parts));
    });
}

fn check_nn<B: Backend>(be: &B, [t, n, k]: [usize; 3], write: Write) {
    let (dy, dx) = (numbers::<B>(1, t * n), before::<B>(write, t * k));
    with_weights(be, n, k, |stored| {
        let mut out = act(be, t, k, &dx);
        ops::matmul_nn(be, &act(be, t, n, &dy), stored.weight, SCALE, write, &mut out).expect("dims");
        let parts = stored.parts;
        let (dy, w) = stored.meets(be, usize::MAX, &dy);
        let dy = |i: usize, l: usize| dy[i * n + l];
        let want =
            product([t, k, n], SCALE.into(), dy, |l, j| w[l * k + j], |i, j| kept(write, &dx, i * k + j));
        assert_within::<B::Act>(&host(be, &out), &want, roundings::<B>(n, parts));
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
    assert_within::<f32>(&out.download(be).expect("download"), &want, roundings::<B>(tokens.len(), 1));
}

/// Sums over a depth of many steps (of 32 or 64, up to six of which are on their way), in a few rows of a large output.
fn check_some_rows<B: Backend>(be: &B, [t, n, k]: [usize; 3]) {
    let some = [0, t / 2 + 1, t - 1];
    let assert =
        |got: &[f32], depth, left: &dyn Fn(usize, usize) -> f64, right: &dyn Fn(usize, usize) -> f64| {
            let got: Vec<f32> = some.iter().flat_map(|row| &got[row * n..][..n]).copied().collect();
            let want = product([some.len(), n, depth], 1.0, |i, l| left(some[i], l), right, |_, _| 0.0);
            assert_within::<B::Act>(&got, &want, roundings::<B>(depth, 1));
        };
    let (x, w) = (rounded::<bf16>(&numbers::<Cpu>(1, t * k)), rounded::<bf16>(&numbers::<Cpu>(2, n * k)));
    let (left, mut out) = (act(be, t, k, &x), act(be, t, n, &vec![0.0; t * n]));
    let narrow = Matrix::<B, bf16>::from_f32(be, n, k, &w).expect("upload");
    ops::matmul_nt(be, &left, Weight::Bf16(&narrow), 1.0, Write::Overwrite, &mut out).expect("dims");
    assert(&host(be, &out), k, &|i, l| x[i * k + l].into(), &|l, j| w[j * k + l].into());
    let narrow = Matrix::<B, bf16>::from_f32(be, k, n, &w).expect("upload");
    ops::matmul_nn(be, &left, Weight::Bf16(&narrow), 1.0, Write::Overwrite, &mut out).expect("dims");
    assert(&host(be, &out), k, &|i, l| x[i * k + l].into(), &|l, j| w[l * n + j].into());
}

const CORNERS: [(&str, [usize; 3]); 15] = [
    ("a single number", [1, 1, 1]),
    ("one token", [1, 70, 33]),
    ("one out feature", [37, 1, 20]),
    ("one in feature: an outer product", [37, 20, 1]),
    ("nothing to sum over", [3, 5, 0]),
    ("no tokens", [0, 5, 3]),
    ("a small rank, tokens in several tiles", [300, 16, 200]),
    ("more columns than a tile", [3, 1100, 65]),
    ("ragged in every direction, several tiles", [261, 131, 67]),
    // Rows of a multiple of 8 elements are copied 16 bytes at a time on a GPU, its small tiles are 64 × 64.
    ("aligned rows, one token", [1, 72, 40]),
    ("aligned rows, less than a tile and a step", [7, 8, 24]),
    ("aligned rows, ragged tiles", [70, 136, 72]),
    ("aligned rows in, odd rows out", [66, 131, 96]),
    ("odd rows in, aligned rows out", [66, 96, 14]),
    ("more than a band of eight tile rows", [590, 72, 16]),
];

// An A100 takes these tiles, an H100 those in brackets; other GPUs may take others.
pub(super) const TILES: [(&str, [usize; 2]); 3] = [
    (
        "58 wide tiles of 128 × 256, both halves of their rows; narrow ones of 128 × 64 of f32",
        [72, 256 * 58 - 8],
    ),
    ("80 middle tiles of 128 × 128 (as many)", [72, 128 * 80 - 8]),
    ("66 middle tiles in two rows (132 wide ones of 128 × 256)", [136, 256 * 66 - 8]),
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

    fn matches_the_oracle_in_tiles_of_any_size(be: &impl Backend) {
        for (label, [rows, cols]) in TILES {
            println!("{label}");
            check_nn(be, [rows, 40, cols], Write::Overwrite);
            check_tn(be, [37, rows, cols], 0..37, Write::Add);
            check_some_rows(be, [rows, cols, 456]);
        }
    }

    // A GPU's blocks share the depth from 481 on, 16 steps of 32, where there are few tiles. One multiprocessor adds up
    // the parts of 2048 elements at a time.
    fn matches_the_oracle_when_the_depth_is_split(be: &impl Backend) {
        for [rows, cols, depth] in [
            [1, 200, 1024],
            [70, 16, 808],
            [70, 40, 520],
            [16, 24, 512],
            [72, 14, 808],
            [14, 72, 808],
            [5, 7, 801],
        ] {
            println!("{rows} × {cols} over {depth}");
            for write in [Write::Overwrite, Write::Add] {
                check_nt(be, [rows, cols, depth], write);
                check_nn(be, [rows, depth, cols], write);
                check_tn(be, [depth + 1, rows, cols], 1..depth + 1, write);
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
            check_tn(be, [41, 9, 13], tokens.clone(), Write::Add);
            check_tn(be, [41, 16, 8], tokens, Write::Add);
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(ProptestConfig::with_cases(48), |(t in 0..80_usize, n in 1..80_usize, k in 0..80_usize, add: bool)| {
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

/// The order of a sum is the same in every tile: the columns of a wide product are those of the narrow one.
#[cfg(feature = "cuda")]
#[test]
fn gives_the_same_bits_in_tiles_of_any_size() {
    use rosa_kernels::backend::cuda::Cuda;
    let cuda = crate::support::cuda();
    let k = 40;
    let product = |t: usize, n: usize| {
        let x = act(cuda, t, k, &numbers::<Cuda>(1, t * k));
        let w = Matrix::<_, bf16>::from_f32(cuda, n, k, &numbers::<Cuda>(2, n * k)).expect("upload");
        let mut y = act(cuda, t, n, &vec![f32::NAN; t * n]);
        ops::matmul_nt(cuda, &x, Weight::Bf16(&w), SCALE, Write::Overwrite, &mut y).expect("dims");
        host(cuda, &y)
    };
    let narrow = 70;
    for (label, [t, n]) in TILES {
        // An odd length of the output's rows, where only the operands' must be aligned.
        let n = n - 3;
        let got: Vec<f32> = product(t, n).chunks(n).flat_map(|row| row[..narrow].to_vec()).collect();
        let want = product(t, narrow);
        assert!(got == want, "{label}: other bits than in one small tile");
    }
}

/// Products with rounded operands are cut into blocks of 32 × 32 and of 32 steps of the depth, the steps into parts of
/// 48, the rows into bands of 2048; up to eight rows take another way, four or two rows of the weight at a time.
const BLOCKS: [(&str, [usize; 3]); 13] = [
    ("whole blocks", [64, 96, 128]),
    ("whole blocks, a depth in two parts", [32, 64, 3072]),
    ("f32 numbers, ragged in every direction", [70, 101, 77]),
    ("f32 numbers, a depth in two parts", [301, 130, 801]),
    ("ragged in every direction, a depth in two parts", [45, 70, 1601]),
    ("two bands of rows", [2049, 40, 33]),
    ("more columns than a block of the weight has", [33, 500, 800]),
    ("one row", [1, 96, 640]),
    ("two rows, a ragged depth", [2, 33, 50]),
    ("three rows", [3, 7, 64]),
    ("five rows, fewer columns than are taken at a time", [5, 1, 96]),
    ("eight rows, several pieces", [8, 300, 480]),
    ("one row more than a few", [9, 64, 64]),
];

/// On the instructions that this machine has for rounded operands, and without them.
#[test]
fn matches_the_oracle_with_and_without_instructions_for_bf16() {
    let corners = CORNERS.into_iter().map(|case| (cpu().without_bf16(), case));
    let blocks =
        BLOCKS.into_iter().flat_map(|case| cpus_and_without_bf16().into_iter().map(move |cpu| (cpu, case)));
    for (cpu, (label, dims)) in corners.chain(blocks) {
        println!("{label}: {dims:?}, {}", cpu.vectors());
        for write in [Write::Overwrite, Write::Add] {
            check_nt(&cpu, dims, write);
            check_nn(&cpu, dims, write);
            check_tn(&cpu, dims, dims[0].min(1)..dims[0], write);
        }
    }
}

/// `1 + 2⁻⁷`, `−2⁻⁸` and `2⁻¹⁷` are what this number splits into: without one of them, or without the product of two of
/// the second, all terms are off in the same direction, by more than their roundings together.
#[test]
fn no_part_of_an_f32_number_is_lost() {
    let cpu = Cpu::new(Some(1)).expect("threads");
    let (split, one, n) = (1.0 + 2f32.powi(-8) + 2f32.powi(-17), 1.0, 64);
    for (x, w) in [(split, one), (one, split), (split, split)] {
        let mut y = act(&cpu, n, n, &vec![f32::NAN; n * n]);
        let [x_matrix, w_matrix] = [x, w].map(|number| f32s(&cpu, n, n, &vec![number; n * n]));
        ops::matmul_nt(&cpu, &x_matrix, (&w_matrix).into(), 1.0, Write::Overwrite, &mut y).expect("dims");
        let want = product([n, n, n], 1.0, |_, _| x.into(), |_, _| w.into(), |_, _| 0.0);
        assert_within::<f32>(&host(&cpu, &y), &want, roundings::<Cpu>(n, 1));
    }
}

/// The sums of whole blocks that are not scaled are formed in the output itself.
#[test]
fn adds_an_unscaled_product_in_place() {
    let cpu = Cpu::new(Some(2)).expect("threads");
    let [t, n, k] = [70, 100, 90];
    let (x, y) = (numbers::<Cpu>(1, t * k), numbers::<Cpu>(9, t * n));
    let values = rounded::<bf16>(&numbers::<Cpu>(2, n * k));
    let w = Matrix::<Cpu, bf16>::from_f32(&cpu, n, k, &values).expect("upload");
    for cpu in cpus_and_without_bf16() {
        for (write, before) in [(Write::Overwrite, vec![f32::NAN; t * n]), (Write::Add, y.clone())] {
            let mut out = act(&cpu, t, n, &before);
            ops::matmul_nt(&cpu, &act(&cpu, t, k, &x), Weight::Bf16(&w), 1.0, write, &mut out).expect("dims");
            let x = if cpu.rounds_to_bf16(t) { wide(&rounded::<bf16>(&x)) } else { wide(&x) };
            let want = product(
                [t, n, k],
                1.0,
                |i, l| x[i * k + l],
                |l, j| values[j * k + l].into(),
                |i, j| kept(write, &y, i * n + j),
            );
            assert_within::<f32>(&host(&cpu, &out), &want, roundings::<Cpu>(k, 1));
        }
    }
}

/// An output of more than a MiB is stored past the cache where its rows are whole lines.
#[test]
fn a_large_output_has_the_bits_of_a_small_one() {
    let [t, k, few] = [512, 70, 45];
    for n in [544, 545] {
        for cpu in cpus_and_without_bf16() {
            let x = numbers::<Cpu>(1, t * k);
            let w = Matrix::<Cpu, bf16>::from_f32(&cpu, n, k, &numbers::<Cpu>(2, n * k)).expect("upload");
            let product = |t: usize| {
                let mut y = Matrix::unwritten(&cpu, t, n).expect("memory");
                let x = act(&cpu, t, k, &x[..t * k]);
                ops::matmul_nt(&cpu, &x, Weight::Bf16(&w), 1.0, Write::Overwrite, &mut y).expect("dims");
                host(&cpu, &y)
            };
            let (large, small) = (product(t), product(few));
            assert!(large[..few * n] == small, "{n} columns, {}", cpu.vectors());
            assert!(large.iter().all(|y| !y.is_nan()), "all is written");
        }
    }
}

/// Where the rows of f32 numbers are contiguous they are multiplied as they stand, else from packed panels.
#[test]
fn rows_as_they_stand_have_the_bits_of_packed_ones() {
    let cpu = Cpu::new(Some(2)).expect("threads");
    for cpu in [cpu.clone().without_tiles(), cpu] {
        for [t, n, k] in [[64, 64, 64], [100, 1700, 70], [95, 77, 65]] {
            let (dy, w) = (numbers::<Cpu>(1, t * n), numbers::<Cpu>(2, n * k));
            let turned: Vec<f32> = (0..t * n).map(|i| dy[i % t * n + i / t]).collect();
            let [mut stands, mut packed] = [(); 2].map(|()| f32s(&cpu, t, k, &vec![0.5; t * k]));
            let (dy, turned, w) = (act(&cpu, t, n, &dy), act(&cpu, n, t, &turned), f32s(&cpu, n, k, &w));
            ops::matmul_nn(&cpu, &dy, Weight::F32(&w), 0.5, Write::Add, &mut stands).expect("dims");
            ops::matmul_tn(&cpu, &turned, &w, 0..n, 0.5, Write::Add, &mut packed).expect("dims");
            assert!(host(&cpu, &stands) == host(&cpu, &packed), "{t} × {n} × {k}, {}", cpu.vectors());
        }
    }
}

#[test]
fn gives_the_same_bits_on_any_number_of_threads() {
    for t in [301, 6] {
        same_bits(t);
        same_bits_of_narrow_weights(t);
    }
}

fn same_bits_of_narrow_weights(t: usize) {
    let (n, k) = (544, 1632);
    assert_same_on_any_thread_count(|cpu| {
        let (x, dy) = (numbers::<Cpu>(1, t * k), numbers::<Cpu>(2, t * n));
        let (x, dy) = (act(cpu, t, k, &x), act(cpu, t, n, &dy));
        let values = f32s(cpu, n, k, &numbers::<Cpu>(3, n * k));
        let narrow = Matrix::<Cpu, bf16>::from_f32(cpu, n, k, values.buffer()).expect("upload");
        let quantized = ops::nf4_quantize(cpu, &values, 64).expect("whole blocks");
        let mut results = Vec::new();
        for w in [Weight::Bf16(&narrow), Weight::Nf4(&quantized)] {
            let mut y = act(cpu, t, n, &numbers::<Cpu>(4, t * n));
            let mut dx = act(cpu, t, k, &numbers::<Cpu>(5, t * k));
            ops::matmul_nt(cpu, &x, w, 1.0, Write::Add, &mut y).expect("dims");
            ops::matmul_nn(cpu, &dy, w, 1.0, Write::Add, &mut dx).expect("dims");
            results.extend([host(cpu, &y), host(cpu, &dx)].concat());
        }
        results
    });
}

fn same_bits(t: usize) {
    let (n, k) = (130, 190);
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
