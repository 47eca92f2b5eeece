//! Products with 4-bit weights whose rows are whole runs of 64, as those of models are, in every form that a GPU has
//! for them: few tokens, tiles, a shared depth, S in the tile.

use super::{
    matmul::roundings,
    nf4_linear::{Has, Shape, check_weight},
};
use crate::support::{
    act,
    arbitrary::{
        dense::numbers,
        sparse::{HostCsr, normals},
    },
    bound::assert_within,
    f32s, host,
    reference::dense::{product, wide},
    rounded,
};
use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Write},
    nf4::Nf4Matrix,
    ops,
    tensor::Weight,
};

const SCALE: f32 = 0.75;

#[derive(Clone, Copy, Debug)]
enum Magnitudes {
    Single,
    Double,
}

fn weight<B: Backend>(be: &B, n: usize, k: usize, block: usize, magnitudes: Magnitudes) -> Nf4Matrix<B> {
    let w = ops::nf4_quantize(be, &f32s(be, n, k, &normals(1, n * k)), block).expect("whole blocks");
    match magnitudes {
        Magnitudes::Single => w,
        Magnitudes::Double => w.double_quantize(be).expect("memory"),
    }
}

/// The numbers that both operands of a product of so many tokens count as: known exactly where they are rounded.
fn met<B: Backend>(be: &B, tokens: usize, numbers: &[f32]) -> Vec<f64> {
    wide(&if be.rounds_to_bf16(tokens) { rounded::<half::bf16>(numbers) } else { numbers.to_vec() })
}

/// Both products with the weight alone.
fn check<B: Backend>(be: &B, [t, n, k]: [usize; 3], w: &Nf4Matrix<B>, write: Write) {
    let values = w.download(be).expect("download");
    let before = |count| match write {
        Write::Overwrite => vec![f32::NAN; count],
        Write::Add => numbers::<B>(9, count),
    };
    let kept = |before: &[f32], index: usize| if write == Write::Add { before[index].into() } else { 0.0 };

    let (x, y) = (numbers::<B>(2, t * k), before(t * n));
    let mut out = act(be, t, n, &y);
    ops::matmul_nt(be, &act(be, t, k, &x), Weight::Nf4(w), SCALE, write, &mut out).expect("dims");
    let (x, w_met) = (met(be, t, &x), met(be, t, &values));
    let x = |i: usize, l: usize| x[i * k + l];
    let want = product([t, n, k], SCALE.into(), x, |l, j| w_met[j * k + l], |i, j| kept(&y, i * n + j));
    assert_within::<B::Act>(&host(be, &out), &want, roundings::<B>(k, 1));

    let (dy, dx) = (numbers::<B>(3, t * n), before(t * k));
    let mut out = act(be, t, k, &dx);
    ops::matmul_nn(be, &act(be, t, n, &dy), Weight::Nf4(w), SCALE, write, &mut out).expect("dims");
    let (dy, w_met) = (met(be, usize::MAX, &dy), met(be, usize::MAX, &values));
    let dy = |i: usize, l: usize| dy[i * n + l];
    let want = product([t, k, n], SCALE.into(), dy, |l, j| w_met[l * k + j], |i, j| kept(&dx, i * k + j));
    assert_within::<B::Act>(&host(be, &out), &want, roundings::<B>(n, 1));
}

const ALL: Has = Has { bias: true, low_rank: true };

on_every_backend! {
    fn matches_the_oracle_at_the_corners(be: &impl Backend) {
        for (label, dims, block) in [
            ("one token", [1, 100, 128], 64),
            ("eight tokens, two turns of each warp", [8, 33, 2304], 64),
            ("nine tokens: a tile", [9, 304, 192], 128),
            ("no tokens", [0, 64, 64], 64),
            ("more rows than a tile, ragged in every direction", [133, 264, 320], 64),
            ("several tile rows", [300, 48, 64], 64),
            ("blocks over several rows", [20, 128, 192], 4096),
            ("small blocks", [20, 24, 64], 32),
            ("rows that no block ends with", [20, 64, 172], 64),
            ("a shared depth", [20, 72, 1600], 64),
            ("more tiles than multiprocessors", [9, 256 * 110, 64], 256),
        ] {
            println!("{label}: {dims:?} in blocks of {block}");
            check(be, dims, &weight(be, dims[1], dims[2], block, Magnitudes::Single), Write::Overwrite);
            check(be, dims, &weight(be, dims[1], dims[2], block, Magnitudes::Double), Write::Add);
        }
    }

    fn joins_the_terms_of_a_layer(be: &impl Backend) {
        let first = |count: usize| HostCsr::new(256, 64, (0..count).map(|i| (i / 64, i % 64)).collect());
        for (label, [t, n, k], r, s) in [
            ("few tokens", [3, 70, 576], 8, HostCsr::random(70, 576, 0.05)),
            ("few tokens, an odd rank", [8, 32, 128], 5, HostCsr::random(32, 128, 0.3)),
            ("tiles", [140, 264, 320], 16, HostCsr::random(264, 320, 0.01)),
            ("a shared depth", [20, 256, 1600], 72, HostCsr::random(256, 1600, 0.006)),
            ("a full column and a full row", [9, 72, 192], 8,
                HostCsr::new(72, 192, (0..192).map(|j| (5, j)).chain((0..72).map(|i| (i, 70))).collect())),
            ("as many entries as a step may have", [9, 256, 64], 0, first(255)),
            ("one more", [9, 256, 64], 12, first(256)),
            ("every entry set", [9, 64, 128], 8, HostCsr::random(64, 128, 1.0)),
        ] {
            println!("{label}: {t} × {n} × {k}, rank {r}");
            for magnitudes in [Magnitudes::Single, Magnitudes::Double] {
                let w = weight(be, n, k, 64, magnitudes);
                check_weight(be, Shape { t, n, k, r }, ALL, Weight::Nf4(&w), Some(&s));
            }
        }
    }

    fn matches_the_oracle_on_any_shape(be: &impl Backend) {
        proptest!(ProptestConfig::with_cases(24), |(
            t in 0..40_usize, n in 1..80_usize, k in 1..5_usize, r in 0..10_usize, shift in 5..9_u32, density in 0.0..0.1_f32,
        )| {
            let (n, k) = (n.next_multiple_of(4), 64 * k);
            let w = weight(be, n, k, 1 << shift, Magnitudes::Single);
            check(be, [t, n, k], &w, Write::Overwrite);
            check_weight(be, Shape { t, n, k, r }, ALL, Weight::Nf4(&w), Some(&HostCsr::random(n, k, density)));
        });
    }
}

/// One pass over the weight gives other bits than two only by the rounding of `w + s`: where s is so small that it
/// changes no bf16 number, there is no difference at all.
#[cfg(feature = "cuda")]
#[test]
fn adds_s_before_the_one_rounding() {
    use rosa_kernels::{backend::LinearTerms, device::Device, sparse::Csr};
    let cuda = crate::support::cuda();
    let (t, n, k) = (16, 64, 128);
    let w = weight(cuda, n, k, 64, Magnitudes::Single);
    let x = act(cuda, t, k, &numbers::<rosa_kernels::backend::cuda::Cuda>(2, t * k));
    let s = HostCsr::random(n, k, 0.01).upload(cuda);
    let with = |value: f32| {
        let values = cuda.upload(vec![value; s.nnz()]).expect("upload");
        let s = Csr::new(s.pattern().clone(), values).expect("one value per entry");
        let mut y = act(cuda, t, n, &vec![f32::NAN; t * n]);
        let terms = LinearTerms { bias: None, sparse: Some(&s), low_rank: None };
        ops::linear(cuda, &x, Weight::Nf4(&w), terms, &mut y).expect("dims");
        host(cuda, &y)
    };
    // Far below half a bf16 unit of any weight but the zeros among them, to which it adds nothing that shows.
    assert!(with(0.0) == with(1e-30));
    assert!(with(0.0) != with(0.5));
}
