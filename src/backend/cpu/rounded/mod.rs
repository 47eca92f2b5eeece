//! Products of activations with weights that are kept in fewer bits than f32: both operands are rounded to bf16, sums
//! are f32.
//!
//! A block of the output is summed over the depth in steps of 32, in an order that the depth alone decides: the same
//! bits, however the output is cut and whoever computes which block.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod panels;
#[cfg(target_arch = "x86_64")]
mod tiled;

#[cfg(target_arch = "x86_64")]
pub(super) use {
    panels::{Rows, Side},
    amx::Amx,
    tiled::product,
};
