//! What an adapter adds to a weight, as a dense matrix.

use super::{ModuleAdapter, transfer::transpose};
use crate::{
    architecture::Architecture,
    backend::{Backend, Write},
    device::Float,
    error::Result,
    ops,
    sparse::Csr,
    tensor::Matrix,
};

/// `ΔW = s·B·A + S` of one module in f32; of an embedding's table `[vocab, hidden]`, `s·(B·A)ᵀ + S`.
///
/// # Errors
/// When a pattern is broken or the device is out of memory.
pub(super) fn delta<B: Backend>(be: &B, module: &str, part: &ModuleAdapter, scale: f32) -> Result<Vec<f32>> {
    let (out, inp) = (part.out_features, part.in_features);
    let transposed = module == Architecture::EMBEDDING;
    let (rows, cols) = if transposed { (inp, out) } else { (out, inp) };
    let mut delta = Matrix::zeros(be, rows, cols)?;
    if let Some(l) = &part.low_rank {
        let b = transpose(&l.b, out);
        let (left, right) = if transposed { (&l.a, &b) } else { (&b, &l.a) };
        add_product(be, l.rank, left, right, scale, &mut delta)?;
    }
    if let Some(s) = &part.sparse {
        let pattern = ops::csr_pattern(be, rows, cols, s.row_offsets.clone(), s.col_indices.clone())?;
        ops::csr_add(be, &Csr::new(pattern, be.upload(s.values.clone())?)?, &mut delta)?;
    }
    delta.download(be)
}

/// `w += scale · leftᵀ·right` in f32, with left `[rank, rows]`, right `[rank, cols]`.
///
/// A device that multiplies bf16 numbers gets both factors as sums of such. Every part of one meets every part of the
/// other, as further terms of the same sum: each product is exact, and only the sum is rounded, as any in f32 is.
fn add_product<B: Backend>(
    be: &B,
    rank: usize,
    left: &[f32],
    right: &[f32],
    scale: f32,
    w: &mut Matrix<B, f32>,
) -> Result<()> {
    let (left, right) = (parts::<B::Act>(left), parts::<B::Act>(right));
    let terms = rank * left.len() * right.len();
    let pairs = || left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
    let lefts = pairs().flat_map(|(left, _)| left).copied().collect();
    let rights = pairs().flat_map(|(_, right)| right).copied().collect();
    let lefts = Matrix::upload(be, terms, w.rows(), lefts)?;
    let rights = Matrix::upload(be, terms, w.cols(), rights)?;
    ops::matmul_tn(be, &lefts, &rights, 0..terms, scale, Write::Add, w)
}

/// Numbers of type `T` that add up to `values`: one each where `T` holds f32, else up to three, each of 8 of the 24 bits.
fn parts<T: Float>(values: &[f32]) -> Vec<Vec<T>> {
    let mut rest = values.to_vec();
    let mut parts = Vec::new();
    while parts.is_empty() || parts.len() < 3 && rest.iter().any(|&x| x != 0.0) {
        let part: Vec<T> = rest.iter().map(|&x| T::from_f32(x)).collect();
        rest.iter_mut().zip(&part).for_each(|(x, part)| *x -= part.to_f32());
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn parts_add_up_to_the_bit() {
        let values = [1.0, -0.3, f32::EPSILON, 1.0 / 3.0, -16_777_215.0, 2.5e-30, 0.0];
        assert_eq!(parts::<f32>(&values), [values]);
        let parts = parts::<bf16>(&values);
        assert_eq!(parts.len(), 3);
        for (i, value) in values.iter().enumerate() {
            assert_eq!(parts.iter().map(|part| f64::from(part[i].to_f32())).sum::<f64>(), f64::from(*value));
        }
        assert_eq!(super::parts::<bf16>(&[1.0, -0.5]).len(), 1);
    }
}
