//! Operands: the same numbers on every device, rounded to what it stores.

use crate::{
    backend::Backend,
    device::{Element, Float},
    error::Result,
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
    if precision == Precision::Bf16 {
        let values = numbers::<bf16>(2, n * k);
        return Ok((Frozen::Bf16(matrix(be, n, k, &values)?), values));
    }
    let values = numbers::<f32>(2, n * k);
    Ok((Frozen::F32(matrix(be, n, k, &values)?), values))
}

/// The name of a weight's type.
pub(super) fn name(precision: Precision) -> &'static str {
    if precision == Precision::Bf16 { bf16::NAME } else { f32::NAME }
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
