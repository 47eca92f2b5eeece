//! The least work of the operations that have more to do than to pass over their operands.

use super::{Factors, Heads, LinearTerms};
use crate::{
    device::{Device, Element},
    packing::Packing,
    profile::Work,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use std::ops::Range;

/// Bytes of a matrix.
pub(crate) fn bytes<D: Device, T: Element>(matrix: &Matrix<D, T>) -> usize {
    matrix.len() * size_of::<T>()
}

/// A pass that moves `matrices` of the size of `x`.
pub(crate) fn passes<D: Device, T: Element>(matrices: usize, x: &Matrix<D, T>) -> Work {
    Work::traffic(matrices * bytes(x))
}

/// A product of `x` with a weight, either way, that makes `y`.
pub(crate) fn matmul<D: Device>(x: &Matrix<D>, w: Weight<'_, D>, y: &Matrix<D>) -> Work {
    Work::new(2 * x.rows() * w.rows() * w.cols(), bytes(x) + w.bytes() + bytes(y))
}

/// The gradient of a weight over a range of tokens, written to or added into `dw`.
pub(crate) fn matmul_tn<D: Device>(
    dy: &Matrix<D>,
    x: &Matrix<D>,
    tokens: &Range<usize>,
    dw: &Matrix<D, f32>,
) -> Work {
    Work::new(2 * tokens.len() * dw.len(), bytes(dy) + bytes(x) + bytes(dw))
}

/// A linear layer without its sparse part: a backend notes that as [`joined`], or as a product of its own.
pub(crate) fn linear<D: Device>(
    x: &Matrix<D>,
    w: Weight<'_, D>,
    terms: LinearTerms<'_, D>,
    y: &Matrix<D>,
) -> Work {
    let mut work = matmul(x, w, y);
    if let Some(l) = terms.low_rank {
        work += Work::new(2 * y.len() * l.u.cols(), bytes(l.u) + bytes(l.factor));
    }
    work
}

/// A linear layer with both products of its factors, without its sparse part, in the same way.
pub(crate) fn adapted<D: Device>(
    x: &Matrix<D>,
    w: Weight<'_, D>,
    Factors { a, b, .. }: Factors<'_, D>,
    y: &Matrix<D>,
) -> Work {
    let mut work = matmul(x, w, y);
    work += Work::new(2 * x.rows() * (a.len() + b.len()), bytes(a) + bytes(b));
    work
}

/// A sparse matrix that is added to a weight on the way: an addition an entry, its value and its column.
pub(crate) fn joined<D: Device>(s: &Csr<D>) -> Work {
    Work::new(s.nnz(), 8 * s.nnz())
}

/// The gradients of an adapter's factors, added to `da` and `db`.
pub(crate) fn adapter_grads<D: Device>(
    x: &Matrix<D>,
    dy: &Matrix<D>,
    [u, du]: [&Matrix<D>; 2],
    [da, db]: [&Matrix<D, f32>; 2],
) -> Work {
    let mut work = matmul_tn(du, x, &(0..x.rows()), da);
    work += matmul_tn(dy, u, &(0..x.rows()), db);
    work
}

/// A product of `x` with a sparse matrix, either way, that adds to `y`.
pub(crate) fn spmm<D: Device>(s: &Csr<D>, x: &Matrix<D>, y: &Matrix<D>) -> Work {
    Work::new(2 * x.rows() * s.nnz(), bytes(x) + 2 * bytes(y) + 8 * s.nnz())
}

/// The product of dy and x where the pattern of `ds` is set, added to it.
pub(crate) fn sddmm<D: Device>(dy: &Matrix<D>, x: &Matrix<D>, ds: &Csr<D>) -> Work {
    Work::new(2 * x.rows() * ds.nnz(), bytes(dy) + bytes(x) + 12 * ds.nnz())
}

/// `products` products of each query with the keys that it sees: two forward, five backward.
pub(crate) fn attention<D: Device>(packing: &Packing<D>, heads: Heads, products: usize) -> Work {
    let Heads { heads, kv_heads, head_dim } = heads;
    let (mut pairs, mut rows) = (0, 0);
    for s in packing.sequences() {
        let (queries, keys) = (s.q_len as usize, s.k_len as usize);
        // The last query sees all keys, each one before it one less.
        pairs += queries * keys - queries * queries.saturating_sub(1) / 2;
        rows += queries * 2 * heads + keys * 2 * kv_heads;
    }
    let flops = 2 * products * pairs * heads * head_dim;
    Work::new(flops, rows * head_dim * size_of::<D::Act>() * products.div_ceil(2))
}
