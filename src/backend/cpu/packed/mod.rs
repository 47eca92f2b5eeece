//! Products of packed panels, by the instructions that [`Unit`] finds; sums are f32.
//!
//! A weight of fewer bits than f32 meets activations rounded to bf16, to nearest, ties to even; the gradients of an adapter
//! beside it are made of the same numbers, and attention rounds what it multiplies in the same way. Instructions for bf16
//! count numbers below 2⁻¹²⁶ as zero.
//!
//! | on one core, GFLOP/s in registers | Sapphire Rapids | Zen 4 |
//! | --- | --- | --- |
//! | multiply-adds of f32, AVX-512 | 214 | 117 |
//! | dot products of bf16, AVX-512 | 105 | 234 |
//! | tiles of bf16, AMX | 3100 | – |
//!
//! So products of many rows go by tiles where there are some, by dot products where those are fast, and both read the same
//! packed panels. Where both operands are f32, tiles multiply numbers split into three of bf16 that add up to each: six
//! products of parts make one that is as accurate as in f32. A core without tiles multiplies such numbers as they are, in
//! panels too, so that an adapter joins there as well, and its gradients are made of them. Dot products serve the few rows
//! of decoding everywhere, which wait for memory in any case. A machine that has neither tiles nor fast dot products forms
//! the products of many rows in f32.
//!
//! An element of the output is summed over the depth in an order that the depth alone decides: the same bits, however
//! the output is cut and whoever computes which part.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod dots;
#[cfg(target_arch = "x86_64")]
mod few;
#[cfg(target_arch = "x86_64")]
mod grads;
#[cfg(target_arch = "x86_64")]
mod joined;
#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod low_rank;
#[cfg(target_arch = "x86_64")]
mod nf4;
#[cfg(target_arch = "x86_64")]
mod pack_right;
#[cfg(target_arch = "x86_64")]
mod panel_product;
#[cfg(target_arch = "x86_64")]
mod panels;
#[cfg(target_arch = "x86_64")]
mod tiled;
#[cfg(target_arch = "x86_64")]
mod unit;

#[cfg(target_arch = "x86_64")]
pub(super) use kernel::Square;
#[cfg(target_arch = "x86_64")]
pub(super) use panel_product::{InPanels, PanelProducts, Panels};
#[cfg(target_arch = "x86_64")]
pub(super) use unit::Unit;

#[cfg(not(target_arch = "x86_64"))]
use super::matmul::Stored;
use super::{
    matmul::Turned,
    strided::{View, ViewMut},
};

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

/// No instructions for rounded operands are known on this architecture.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(super) enum Unit {}

#[cfg(not(target_arch = "x86_64"))]
impl Unit {
    pub(super) fn detect() -> Option<Self> {
        None
    }

    pub(super) fn without_tiles(self) -> Self {
        match self {}
    }

    pub(super) fn takes_many(self) -> bool {
        match self {}
    }

    pub(super) fn has_tiles(self) -> bool {
        match self {}
    }

    pub(super) fn takes_by_panels(self, _: usize) -> bool {
        match self {}
    }

    pub(super) fn takes(self, _: usize, _: Turned) -> bool {
        match self {}
    }

    pub(super) fn product(
        self,
        _: &super::Cpu,
        _: f32,
        _: View<'_>,
        _: Stored<'_>,
        _: Option<LowRank<'_>>,
        _: crate::backend::Write,
        _: ViewMut<'_>,
    ) -> bool {
        match self {}
    }

    pub(super) fn takes_f32(self, _: usize, _: usize, _: usize) -> bool {
        match self {}
    }

    pub(super) fn joins(self, _: crate::tensor::Weight<'_, super::Cpu>, _: [usize; 3]) -> bool {
        match self {}
    }

    pub(super) fn rounded_grads_add(
        self,
        _: &super::Cpu,
        _: GradOperands<'_>,
        _: crate::backend::AdapterGrads<'_, super::Cpu>,
    ) {
        match self {}
    }

    pub(super) fn f32_grads_add(
        self,
        _: &super::Cpu,
        _: GradOperands<'_>,
        _: &mut crate::tensor::Matrix<super::Cpu, f32>,
        _: &mut crate::tensor::Matrix<super::Cpu, f32>,
    ) {
        match self {}
    }

    pub(super) fn product_of_f32(
        self,
        _: &super::Cpu,
        _: f32,
        _: View<'_>,
        _: (View<'_>, Turned),
        _: crate::backend::Write,
        _: ViewMut<'_>,
    ) -> bool {
        match self {}
    }
}
