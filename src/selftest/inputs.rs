//! Operands: the same numbers on every device, rounded to what it stores.

use crate::{
    backend::Backend,
    device::{Element, Float},
    error::Result,
    nf4::Nf4Matrix,
    ops,
    rng::{Purpose, Stream},
    tensor::{Frozen, Ids, Matrix, Precision},
};
use half::bf16;

/// `count` numbers in `[-1, 1)` that `T` holds, apart for each `seed`.
pub(super) fn numbers<T: Float>(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Data, 0, 0);
    let blocks = (0..count.div_ceil(Stream::BLOCK) as u64).flat_map(|block| stream.uniforms(block));
    blocks.take(count).map(|x| T::from_f32(2.0 * x - 1.0).to_f32()).collect()
}

/// `count` indices below `bound`, with repetitions.
pub(super) fn indices(seed: u64, count: usize, bound: u32) -> Vec<u32> {
    let stream = Stream::new(seed, Purpose::Shuffle, 0, 0);
    (0..count as u64).map(|i| stream.below(i, bound)).collect()
}

/// A matrix of any float type with these numbers.
pub(super) fn matrix<B: Backend, T: Float>(
    be: &B,
    rows: usize,
    cols: usize,
    numbers: &[f32],
) -> Result<Matrix<B, T>> {
    Matrix::from_f32(be, rows, cols, numbers)
}

/// An activation matrix with the numbers of `seed`, and these numbers.
pub(super) fn act<B: Backend>(be: &B, rows: usize, cols: usize, seed: u64) -> Result<(Matrix<B>, Vec<f32>)> {
    let numbers = numbers::<B::Act>(seed, rows * cols);
    Ok((matrix(be, rows, cols, &numbers)?, numbers))
}

/// A weight of this type, and its numbers: in f32 they fill all 24 bits.
pub(super) fn frozen<B: Backend>(
    be: &B,
    [n, k]: [usize; 2],
    precision: Precision,
) -> Result<(Frozen<B>, Vec<f32>)> {
    Ok(match precision {
        Precision::F32 => {
            let values = numbers::<f32>(2, n * k);
            (Frozen::F32(matrix(be, n, k, &values)?), values)
        }
        Precision::Bf16 => {
            let values = numbers::<bf16>(2, n * k);
            (Frozen::Bf16(matrix(be, n, k, &values)?), values)
        }
        Precision::Nf4 => {
            let quantized = nf4(be, [n, k])?;
            let values = quantized.download(be)?;
            (Frozen::Nf4(quantized), values)
        }
    })
}

/// A weight in 4 bits with magnitudes that are quantized too, in blocks of 64, or of 32 where those are no whole ones.
pub(super) fn nf4<B: Backend>(be: &B, [n, k]: [usize; 2]) -> Result<Nf4Matrix<B>> {
    let block = if (n * k).is_multiple_of(64) { 64 } else { 32 };
    ops::nf4_quantize(be, &matrix(be, n, k, &numbers::<f32>(2, n * k))?, block)?.double_quantize(be)
}

/// What the activations `xs` and the weight `ws` count as in a product of so many tokens.
pub(super) fn met<B: Backend>(
    be: &B,
    tokens: usize,
    precision: Precision,
    xs: Vec<f32>,
    ws: Vec<f32>,
) -> (Vec<f32>, Vec<f32>) {
    if precision == Precision::F32 || !be.rounds_to_bf16(tokens) {
        return (xs, ws);
    }
    let rounded = |numbers: Vec<f32>| numbers.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect();
    (rounded(xs), rounded(ws))
}

/// The name of a weight's type.
pub(super) fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => f32::NAME,
        Precision::Bf16 => bf16::NAME,
        Precision::Nf4 => "nf4",
    }
}

/// Ids with their values on the host.
pub(super) fn ids<B: Backend>(be: &B, values: Vec<u32>) -> Result<(Ids<B>, Vec<u32>)> {
    Ok((Ids::upload(be, values.clone())?, values))
}

/// Bytes of an activation.
pub(super) const fn bytes<B: Backend>() -> usize {
    size_of::<B::Act>()
}

/// Whether products are those of bf16 numbers on tensor cores.
pub(super) fn on_tensor_cores<B: Backend>() -> bool {
    <B::Act as Element>::NAME == "bf16"
}
