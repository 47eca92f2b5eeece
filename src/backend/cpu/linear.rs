//! Linear layers with their adapter in one pass over the weight.
//!
//! In packed panels, S joins the weight as that is packed, and A and B join the product. Elsewhere a tile of a 4-bit weight
//! becomes f32 in any case; there S joins it, and B and the bias join a tile of the output while it is in the cache.
//! Either way an entry of S costs an addition, instead of a multiplication a token.

use super::{
    Cpu,
    bias::bias_add,
    matmul::{Added, Right, Stored, Turned, in_tiles, matmul_nn, matmul_nt, product},
    packed::Unit,
    strided::{View, ViewMut},
};
use crate::{
    backend::{Factors, LinearTerms, Write, work},
    sparse::Csr,
    tensor::{Matrix, Weight},
};

/// The tokens from which on the joined form takes less time than an op a term, where there are no panels. With 0.6 % of the
/// entries and rank 16, the terms add to the product with the weight, joined and an op each, forward: 3 % and 20 % at 512
/// tokens, 4 % and 15 % at 64, 13 % and 3 % at one token of a 4096 × 4096 weight, where an entry's place in the tile costs
/// more than its one multiplication.
const JOINED_FROM: usize = 32;

/// A term of more ranks is worth a product of its own.
const MOST_RANKS: usize = 64;

/// `u = inner_scale · a · inner`, with u `[rows, rank]`, made on the way of a product with a, and its term
/// `outer_scale · u · outer`.
pub(super) struct LowRank<'a> {
    /// `[depth, rank]`, or turned.
    pub(super) inner: (View<'a>, Turned),
    pub(super) inner_scale: f32,
    pub(super) u: ViewMut<'a>,
    /// `[rank, cols]`, or turned.
    pub(super) outer: (View<'a>, Turned),
    pub(super) outer_scale: f32,
}

/// What the gradients of an adapter are made of: activations `[t, k]` and `[t, n]`, and what the factors made of them,
/// `[t, rank]`.
#[derive(Clone, Copy)]
pub(super) struct GradOperands<'a> {
    pub(super) x: View<'a>,
    pub(super) du: View<'a>,
    pub(super) dy: View<'a>,
    pub(super) u: View<'a>,
    pub(super) scale: f32,
}

/// Whether S joins the weight in the product of this shape: of so many tokens, columns and depths.
pub(super) fn joins(cpu: &Cpu, w: Weight<'_, Cpu>, shape: [usize; 3]) -> bool {
    match panels(cpu) {
        Some(unit) => unit.joins(w, shape),
        None => matches!(w, Weight::Nf4(_)) && shape[0] >= JOINED_FROM,
    }
}

fn panels(cpu: &Cpu) -> Option<Unit> {
    cpu.packed.filter(|unit| unit.takes_many())
}

/// The weight, with S added where there is one.
fn stored<'a>(cpu: &Cpu, w: Weight<'a, Cpu>, s: Option<&'a Csr<Cpu>>, turned: Turned) -> Stored<'a> {
    if let Some(s) = s {
        cpu.profile.note(work::joined(s));
    }
    Stored { w, s, turned }
}

pub(super) fn linear(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    terms: LinearTerms<'_, Cpu>,
    y: &mut Matrix<Cpu>,
) {
    let b = Right::Stored(stored(cpu, w, terms.sparse, Turned::Yes));
    if panels(cpu).is_some() {
        product(cpu, 1.0, View::of(x), b, Write::Overwrite, ViewMut::of(y));
        if let Some(bias) = terms.bias {
            bias_add(cpu, bias, y);
        }
        if let Some(l) = terms.low_rank {
            matmul_nt(cpu, l.u, l.factor.into(), l.scale, Write::Add, y);
        }
        return;
    }
    let low_rank = terms.low_rank.map(|l| (View::of(l.u), View::of(l.factor).transposed(), l.scale));
    let bias = terms.bias.map(|bias| &bias.buffer()[..]);
    in_tiles(cpu, 1.0, View::of(x), b, Added { bias, low_rank }, Write::Overwrite, ViewMut::of(y));
}

pub(super) fn linear_t(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    terms: LinearTerms<'_, Cpu>,
    write: Write,
    dx: &mut Matrix<Cpu>,
) {
    let b = Right::Stored(stored(cpu, w, terms.sparse, Turned::No));
    if panels(cpu).is_some() {
        product(cpu, 1.0, View::of(dy), b, write, ViewMut::of(dx));
        if let Some(l) = terms.low_rank {
            matmul_nn(cpu, l.u, l.factor.into(), l.scale, Write::Add, dx);
        }
        return;
    }
    let low_rank = terms.low_rank.map(|l| (View::of(l.u), View::of(l.factor), l.scale));
    in_tiles(cpu, 1.0, View::of(dy), b, Added { bias: None, low_rank }, write, ViewMut::of(dx));
}

/// `u = x·aᵀ` and `y = x·(w + s)ᵀ + scale·u·bᵀ` in one product, from packed panels of x; nothing, and false, where that is
/// not the faster way.
pub(super) fn adapted(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    (w, s): (Weight<'_, Cpu>, Option<&Csr<Cpu>>),
    Factors { a, b, scale }: Factors<'_, Cpu>,
    u: &mut Matrix<Cpu>,
    y: &mut Matrix<Cpu>,
) -> bool {
    let Some(unit) = joining(cpu, w, [x.rows(), w.rows(), w.cols()], a.rows()) else { return false };
    let term = LowRank {
        inner: (View::of(a), Turned::Yes),
        inner_scale: 1.0,
        u: ViewMut::of(u),
        outer: (View::of(b), Turned::Yes),
        outer_scale: scale,
    };
    let b = stored(cpu, w, s, Turned::Yes);
    unit.product(cpu, 1.0, View::of(x), b, Some(term), Write::Overwrite, ViewMut::of(y))
}

/// `du = scale·dy·b` and `dx ← [dx +] dy·(w + s) + du·a`, in the same way.
pub(super) fn adapted_t(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    (w, s): (Weight<'_, Cpu>, Option<&Csr<Cpu>>),
    Factors { a, b, scale }: Factors<'_, Cpu>,
    write: Write,
    du: &mut Matrix<Cpu>,
    dx: &mut Matrix<Cpu>,
) -> bool {
    let Some(unit) = joining(cpu, w, [dy.rows(), w.cols(), w.rows()], a.rows()) else { return false };
    let term = LowRank {
        inner: (View::of(b), Turned::No),
        inner_scale: scale,
        u: ViewMut::of(du),
        outer: (View::of(a), Turned::No),
        outer_scale: 1.0,
    };
    let b = stored(cpu, w, s, Turned::No);
    unit.product(cpu, 1.0, View::of(dy), b, Some(term), write, ViewMut::of(dx))
}

/// What makes the gradients of an adapter of this rank in panels, from x and dy as they meet w. Where f32 numbers would be
/// split for tiles, products of so few ranks are left to gemm.
pub(super) fn of_grads(cpu: &Cpu, w: Weight<'_, Cpu>, tokens: usize, rank: usize) -> Option<Unit> {
    let whole = matches!(w, Weight::F32(_));
    joining(cpu, w, [tokens, w.rows(), w.cols()], rank).filter(|unit| !(whole && unit.has_tiles()))
}

/// What joins factors of this rank to the product of this shape.
fn joining(cpu: &Cpu, w: Weight<'_, Cpu>, shape: [usize; 3], rank: usize) -> Option<Unit> {
    panels(cpu).filter(|unit| unit.joins(w, shape) && (1..=MOST_RANKS).contains(&rank))
}
