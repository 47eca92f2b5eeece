use super::matmul::{Met, TILES, on_tensor_cores, roundings, with_weights};
use crate::support::{
    act,
    arbitrary::{dense::numbers, sparse::HostCsr},
    bound::{Exact, U32, assert_within, unit},
    f32s, host,
    reference::dense::product,
};
use half::bf16;
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Factors, LinearTerms, LowRankTerm, Write, cpu::Cpu},
    ops,
    profile::OpClass,
    tensor::{Matrix, Weight},
};

const SCALE: f32 = 0.75;

/// Tokens, out features, in features, rank.
type Dims = [usize; 4];

/// The parts that are there.
#[derive(Clone, Copy, Debug)]
struct Parts {
    bias: bool,
    sparse: bool,
    low_rank: bool,
}

fn every_choice() -> impl Iterator<Item = Parts> {
    (0..8).map(|i| Parts { bias: i & 1 > 0, sparse: i & 2 > 0, low_rank: i & 4 > 0 })
}

/// The parts of a layer on the host; u and the factor stand for either direction.
struct Layer {
    parts: Parts,
    rank: usize,
    bias: Vec<f32>,
    s: HostCsr,
    u: Vec<f32>,
    factor: Vec<f32>,
}

impl Layer {
    /// The factor has `width · rank` numbers, which fill all 24 bits.
    fn new<B: Backend>([t, n, k, rank]: Dims, parts: Parts, width: usize) -> Self {
        Self {
            parts,
            rank,
            bias: numbers::<Cpu>(11, n),
            s: HostCsr::random(n, k, 0.2),
            u: numbers::<B>(12, t * rank),
            factor: numbers::<Cpu>(13, width * rank),
        }
    }

    /// S, or zeros where there is none.
    fn added(&self) -> Vec<f32> {
        let s = self.s.dense();
        if self.parts.sparse { s } else { vec![0.0; s.len()] }
    }

    /// Calls the op with the parts that are there.
    fn with_terms<B: Backend>(
        &self,
        be: &B,
        factor_shape: (usize, usize),
        op: impl FnOnce(LinearTerms<'_, B>) -> rosa_kernels::error::Result<()>,
    ) {
        let bias = f32s(be, 1, self.bias.len(), &self.bias);
        let s = self.s.upload(be);
        let u = act(be, self.u.len() / self.rank, self.rank, &self.u);
        let factor = f32s(be, factor_shape.0, factor_shape.1, &self.factor);
        op(LinearTerms {
            bias: self.parts.bias.then_some(&bias),
            sparse: self.parts.sparse.then_some(&s),
            low_rank: self.parts.low_rank.then_some(LowRankTerm { u: &u, factor: &factor, scale: SCALE }),
        })
        .expect("dims");
    }

    /// The roundings on the path of an element that sums over `depth`: each part's own, as no term passes more sums
    /// than there are terms, one for the factor times its scale, and an output per part where nothing is joined. On
    /// tensor cores S is added to an output that was rounded to its type before.
    fn roundings<B: Backend>(&self, depth: usize, weight_parts: usize) -> usize {
        let Parts { sparse, low_rank, .. } = self.parts;
        let of_sparse = if sparse { roundings::<B>(depth, 1) } else { 0 };
        let factor_parts = if on_tensor_cores::<B>() { 2 } else { 1 };
        let of_low_rank = if low_rank { roundings::<B>(self.rank, factor_parts) + 1 } else { 0 };
        let narrowed = if sparse && on_tensor_cores::<B>() { (unit::<B::Act>() / U32) as usize } else { 0 };
        roundings::<B>(depth, weight_parts) + 2 + of_sparse + of_low_rank + 4 + narrowed
    }
}

fn sum(mut terms: Vec<Exact>, others: &[Exact]) -> Vec<Exact> {
    for (term, other) in terms.iter_mut().zip(others) {
        term.value += other.value;
        term.magnitude += other.magnitude;
    }
    terms
}

fn check_linear<B: Backend>(be: &B, dims: Dims, parts: Parts) {
    let [t, n, k, r] = dims;
    let layer = Layer::new::<B>(dims, parts, n);
    let x = numbers::<B>(1, t * k);
    let s = layer.added();
    with_weights(be, n, k, |stored| {
        let (weight, weight_parts) = (stored.weight, stored.parts);
        let Met { activations: met, weight: w, apart } = stored.meets_with(be, t, t, &x, &s);
        let mut y = act(be, t, n, &vec![f32::NAN; t * n]);
        layer.with_terms(be, (n, r), |terms| ops::linear(be, &act(be, t, k, &x), weight, terms, &mut y));
        let x = |i: usize, l: usize| f64::from(x[i * k + l]);
        let met = |i: usize, l: usize| met[i * k + l];
        let bias = |_, j: usize| if parts.bias { layer.bias[j].into() } else { 0.0 };
        let mut want = product([t, n, k], 1.0, met, |l, j| w[j * k + l], bias);
        if parts.sparse {
            want = sum(want, &product([t, n, k], 1.0, x, |l, j| apart[j * k + l], |_, _| 0.0));
        }
        if parts.low_rank {
            let u = |i: usize, l: usize| layer.u[i * r + l].into();
            let factor = |l: usize, j: usize| layer.factor[j * r + l].into();
            want = sum(want, &product([t, n, r], SCALE.into(), u, factor, |_, _| 0.0));
        }
        assert_within::<B::Act>(&host(be, &y), &want, layer.roundings::<B>(k, weight_parts));
    });
}

fn check_linear_t<B: Backend>(be: &B, dims: Dims, parts: Parts) {
    for write in [Write::Add, Write::Overwrite] {
        check_linear_t_that(be, write, dims, parts);
    }
}

fn check_linear_t_that<B: Backend>(be: &B, write: Write, dims: Dims, parts: Parts) {
    let [t, n, k, r] = dims;
    let layer = Layer::new::<B>(dims, parts, k);
    let dy = numbers::<B>(1, t * n);
    let old = (write == Write::Add).then(|| numbers::<B>(3, t * k));
    let s = layer.added();
    with_weights(be, n, k, |stored| {
        let (weight, weight_parts) = (stored.weight, stored.parts);
        let Met { activations: met, weight: w, apart } = stored.meets_with(be, t, usize::MAX, &dy, &s);
        let mut dx = act(be, t, k, old.as_deref().unwrap_or(&vec![f32::NAN; t * k]));
        layer.with_terms(be, (r, k), |terms| {
            ops::linear_t(be, &act(be, t, n, &dy), weight, terms, write, &mut dx)
        });
        let dy = |i: usize, l: usize| f64::from(dy[i * n + l]);
        let met = |i: usize, l: usize| met[i * n + l];
        let mut want = product(
            [t, k, n],
            1.0,
            met,
            |l, j| w[l * k + j],
            |i, j| old.as_ref().map_or(0.0, |old| old[i * k + j].into()),
        );
        if parts.sparse {
            want = sum(want, &product([t, k, n], 1.0, dy, |l, j| apart[l * k + j], |_, _| 0.0));
        }
        if parts.low_rank {
            let u = |i: usize, l: usize| layer.u[i * r + l].into();
            let factor = |l: usize, j: usize| layer.factor[l * k + j].into();
            want = sum(want, &product([t, k, r], SCALE.into(), u, factor, |_, _| 0.0));
        }
        assert_within::<B::Act>(&host(be, &dx), &want, layer.roundings::<B>(n, weight_parts));
    });
}

const CORNERS: [(&str, Dims); 13] = [
    ("a single number", [1, 1, 1, 1]),
    ("one token, rank 1", [1, 70, 33, 1]),
    ("no tokens", [0, 5, 3, 2]),
    ("ragged in every direction, several tiles", [131, 67, 69, 5]),
    // Rows of a multiple of 8 elements are copied 16 bytes at a time on a GPU, in steps of 32.
    ("aligned, one step of u", [70, 136, 72, 8]),
    ("aligned, half a step of u", [70, 136, 72, 16]),
    ("aligned, but for u", [70, 136, 72, 4]),
    ("aligned, u longer than a step by one", [66, 72, 40, 33]),
    ("aligned, u in three steps", [66, 72, 40, 72]),
    ("ragged, u in two aligned steps", [66, 71, 41, 64]),
    ("a rank above the depth", [33, 40, 8, 48]),
    ("odd rows out of aligned ones in", [66, 131, 96, 16]),
    ("so many tokens that a GPU adds S to a copy of the weight", [1030, 40, 24, 3]),
];

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, dims) in CORNERS {
            println!("{label}: {dims:?}");
            for parts in every_choice() {
                check_linear(be, dims, parts);
                check_linear_t(be, dims, parts);
            }
        }
    }

    fn matches_the_oracle_in_tiles_of_any_size(be: &impl Backend) {
        let parts = Parts { bias: true, sparse: false, low_rank: true };
        for ((label, [rows, cols]), [rank, rank_t]) in TILES.into_iter().zip([[16, 5], [40, 16], [24, 33]]) {
            println!("{label}, ranks {rank} and {rank_t}");
            check_linear(be, [rows, cols, 40, rank], parts);
            check_linear_t(be, [rows, 40, cols, rank_t], parts);
        }
    }

    // A GPU's blocks share the depth from 481 on; the bias must be added once, and the low-rank term.
    fn matches_the_oracle_when_the_depth_is_split(be: &impl Backend) {
        let parts = Parts { bias: true, sparse: false, low_rank: true };
        for [rows, cols, depth] in [[1, 200, 1024], [16, 24, 512], [5, 7, 801]] {
            for rank in [8, 3] {
                println!("{rows} × {cols} over {depth}, rank {rank}");
                check_linear(be, [rows, cols, depth, rank], parts);
                check_linear_t(be, [rows, depth, cols, rank], parts);
            }
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        let dims = (0..80_usize, 1..80_usize, 1..80_usize, 1..40_usize);
        proptest!(ProptestConfig::with_cases(32), |((t, n, k, r) in dims, bias: bool, sparse: bool, low_rank: bool)| {
            let parts = Parts { bias, sparse, low_rank };
            check_linear(be, [t, n, k, r], parts);
            check_linear_t(be, [t, n, k, r], parts);
        });
    }

    fn names_both_numbers_when_shapes_disagree(be: &impl Backend) {
        let (x, w) = (act(be, 2, 3, &[0.0; 6]), f32s(be, 5, 3, &[0.0; 15]));
        let (mut y, mut dx) = (act(be, 2, 5, &[0.0; 10]), act(be, 2, 3, &[0.0; 6]));
        let none = || LinearTerms { bias: None, sparse: None, low_rank: None };
        let bias = f32s(be, 1, 4, &[0.0; 4]);
        let (u, factor) = (act(be, 2, 2, &[0.0; 4]), f32s(be, 5, 1, &[0.0; 5]));
        let low_rank = Some(LowRankTerm { u: &u, factor: &factor, scale: 1.0 });
        let s = HostCsr::random(5, 4, 0.5).upload(be);
        let mut forward = |terms| ops::linear(be, &x, (&w).into(), terms, &mut y).expect_err("wrong").to_string();
        assert_eq!(forward(LinearTerms { bias: Some(&bias), ..none() }), "linear: bias has 4 cols but w has 5 rows");
        assert_eq!(forward(LinearTerms { sparse: Some(&s), ..none() }), "linear: s has 4 cols but w has 3 cols");
        assert_eq!(forward(LinearTerms { low_rank, ..none() }), "linear: factor has 1 cols but u has 2 cols");
        let dy: &Matrix<_> = &act(be, 2, 5, &[0.0; 10]);
        let mut backward =
            |terms| ops::linear_t(be, dy, (&w).into(), terms, Write::Add, &mut dx).expect_err("wrong").to_string();
        assert_eq!(backward(LinearTerms { sparse: Some(&s), ..none() }), "linear_t: s has 4 cols but w has 3 cols");
        assert_eq!(backward(LinearTerms { low_rank, ..none() }), "linear_t: factor has 5 rows but u has 2 cols");
    }
}

/// As an addition an entry where it joins, or as a product of its own. The profile of `be` is that of this test alone.
fn assert_the_work_of_s_is_noted_once(be: &impl Backend) {
    let [n, k] = [64, 128];
    let (s, mut products) = (HostCsr::random(n, k, 0.1).upload(be), 0);
    let terms = LinearTerms { bias: None, sparse: Some(&s), low_rank: None };
    let w = f32s(be, n, k, &numbers::<Cpu>(1, n * k));
    let narrow = Matrix::<_, bf16>::from_f32(be, n, k, &numbers::<Cpu>(1, n * k)).expect("upload");
    let quantized = ops::nf4_quantize(be, &w, 64).expect("whole blocks");
    let factors =
        Factors { a: &f32s(be, 4, k, &vec![0.5; 4 * k]), b: &f32s(be, n, 4, &vec![0.5; 4 * n]), scale: 1.0 };
    for w in [Weight::F32(&w), Weight::Bf16(&narrow), Weight::Nf4(&quantized)] {
        for t in [5, 64, 1030] {
            let (mut x, mut y) = (act(be, t, k, &vec![0.5; t * k]), act(be, t, n, &vec![0.5; t * n]));
            let mut u = act(be, t, 4, &vec![0.0; 4 * t]);
            for call in 0..4 {
                be.profile().reset();
                match call {
                    0 => ops::linear(be, &x, w, terms, &mut y),
                    1 => ops::linear_t(be, &y, w, terms, Write::Add, &mut x),
                    2 => ops::adapted_linear(be, &x, w, terms, factors, &mut u, &mut y),
                    _ => ops::adapted_linear_t(be, &y, w, terms, factors, Write::Add, &mut u, &mut x),
                }
                .expect("dims");
                let nodes = be.profile().nodes();
                let product = nodes.iter().find(|node| node.class == Some(OpClass::Spmm));
                let of_s = match product {
                    None => s.nnz(),
                    Some(product) => {
                        products += 1;
                        assert_eq!(product.work.flops, (2 * t * s.nnz()) as f64);
                        2 * t * s.nnz()
                    }
                };
                let of_factors = if call < 2 { 0 } else { 2 * t * 4 * (n + k) };
                assert_eq!(
                    nodes[0].work.flops,
                    (2 * t * n * k + of_factors + of_s) as f64,
                    "{t} tokens, call {call}"
                );
            }
        }
    }
    assert!((1..36).contains(&products), "it joins in some of 36 calls and not in others: {products}");
}

#[test]
fn the_work_of_s_is_noted_once() {
    assert_the_work_of_s_is_noted_once(&crate::support::cpu());
}

#[cfg(feature = "cuda")]
#[test]
fn the_work_of_s_is_noted_once_on_a_gpu() {
    assert_the_work_of_s_is_noted_once(&rosa_kernels::backend::cuda::Cuda::new(0).expect("a GPU, or vgpu"));
}
