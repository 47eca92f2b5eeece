//! Linear layers with their adapter in one pass over the weight.
//!
//! On tiles of bf16, A and B join the product. Elsewhere a tile of a 4-bit weight becomes f32 in any case; there S joins
//! it, and costs an addition an entry instead of a multiplication a token and entry. B and the bias join a tile of the
//! output while it is in the cache.

use super::{
    Cpu,
    matmul::{Added, Narrow, Right, Turned, product},
    rounded::{LowRank, Unit},
    strided::{View, ViewMut},
};
use crate::{
    backend::{Factors, LinearTerms, Write},
    tensor::{Matrix, Weight},
};

/// The tokens from which on the joined form takes less time than an op a term. With 0.6 % of the entries and rank 16,
/// the terms add to the product with the weight, joined and an op each, forward: 3 % and 20 % at 512 tokens, 4 % and
/// 15 % at 64, 13 % and 3 % at one token of a 4096 × 4096 weight, where an entry's place in the tile costs more than its
/// one multiplication.
const JOINED_FROM: usize = 32;

/// Whether the terms are joined: where the weight becomes f32 a tile at a time, and enough tokens share the tile.
///
/// Not where there are tiles of bf16, whose product takes a fraction of the time. Nor could S join those: what training
/// has moved an entry by is often less than half the last place of the weight in bf16, and would be rounded away.
pub(super) fn joins(cpu: &Cpu, w: Weight<'_, Cpu>, tokens: usize) -> bool {
    let in_f32 = !cpu.rounded.is_some_and(Unit::has_tiles);
    matches!(w, Weight::Nf4(_)) && in_f32 && tokens >= JOINED_FROM
}

pub(super) fn linear(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    terms: LinearTerms<'_, Cpu>,
    y: &mut Matrix<Cpu>,
) {
    let b = Right::Narrow(Narrow { w, s: terms.sparse, turned: Turned::Yes });
    let low_rank = terms.low_rank.map(|l| (View::of(l.u), View::of(l.factor).transposed(), l.scale));
    let bias = terms.bias.map(|bias| &bias.buffer()[..]);
    let added = Added { bias, low_rank };
    product(cpu, 1.0, View::of(x), b, added, Write::Overwrite, ViewMut::of(y));
}

pub(super) fn linear_t(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    terms: LinearTerms<'_, Cpu>,
    write: Write,
    dx: &mut Matrix<Cpu>,
) {
    let b = Right::Narrow(Narrow { w, s: terms.sparse, turned: Turned::No });
    let low_rank = terms.low_rank.map(|l| (View::of(l.u), View::of(l.factor), l.scale));
    let added = Added { bias: None, low_rank };
    product(cpu, 1.0, View::of(dy), b, added, write, ViewMut::of(dx));
}

/// `u = x·aᵀ` and `y = x·wᵀ + scale·u·bᵀ` in one product, from packed panels of x; nothing, and false, where that is not
/// the faster way.
pub(super) fn adapted(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    Factors { a, b, scale }: Factors<'_, Cpu>,
    u: &mut Matrix<Cpu>,
    y: &mut Matrix<Cpu>,
) -> bool {
    let shape = [x.rows(), w.rows(), w.cols(), a.rows()];
    let Some(unit) = cpu.rounded.filter(|unit| unit.joins(w, shape)) else { return false };
    let term = LowRank {
        inner: (View::of(a), Turned::Yes),
        inner_scale: 1.0,
        u: ViewMut::of(u),
        outer: (View::of(b), Turned::Yes),
        outer_scale: scale,
    };
    unit.product_with(cpu, View::of(x), (w, Turned::Yes), term, Write::Overwrite, ViewMut::of(y))
}

/// `du = scale·dy·b` and `dx ← [dx +] dy·w + du·a`, in the same way.
pub(super) fn adapted_t(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    Factors { a, b, scale }: Factors<'_, Cpu>,
    write: Write,
    du: &mut Matrix<Cpu>,
    dx: &mut Matrix<Cpu>,
) -> bool {
    let shape = [dy.rows(), w.cols(), w.rows(), a.rows()];
    let Some(unit) = cpu.rounded.filter(|unit| unit.joins(w, shape)) else { return false };
    let term = LowRank {
        inner: (View::of(b), Turned::No),
        inner_scale: scale,
        u: ViewMut::of(du),
        outer: (View::of(a), Turned::No),
        outer_scale: 1.0,
    };
    unit.product_with(cpu, View::of(dy), (w, Turned::No), term, write, ViewMut::of(dx))
}
