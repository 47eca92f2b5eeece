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
//! products of parts make one that is as accurate as in f32. A core without tiles multiplies such numbers as they are, the
//! right operand in panels too, so that an adapter joins there as well, and its gradients are made of them. Dot products
//! serve the few rows of decoding everywhere, which wait for memory in any case. A machine that has neither tiles nor fast
//! dot products forms the products of many rows in f32.
//!
//! An element of the output is summed over the depth in an order that the depth alone decides: the same bits, however
//! the output is cut and whoever computes which part.

mod amx;
mod dots;
mod few;
mod grads;
mod joined;
mod kernel;
mod low_rank;
mod nf4;
mod pack_right;
mod panel_product;
mod panels;
mod tiled;
mod unit;

pub(super) use kernel::Square;
pub(super) use panel_product::{InPanels, PanelProducts, Panels};
pub(super) use unit::Unit;
