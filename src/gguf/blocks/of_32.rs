//! Blocks of 32 elements with one scale `d`, and for some a minimum `m`, in f16.
//!
//! Of 16 bytes of nibbles, byte j holds element j in its low and element j + 16 in its high half. A fifth bit, where
//! there is one, stands in a word of 32: bit i belongs to element i.

use super::{half, part};
use std::array;

/// The 4 bits of each element.
fn nibbles(bytes: [u8; 16]) -> [u8; 32] {
    array::from_fn(|i| bytes[i % 16] >> (i / 16 * 4) & 0xf)
}

/// The 5 bits of each element.
fn fives(high: [u8; 4], low: [u8; 16]) -> [u8; 32] {
    let (high, low) = (u32::from_le_bytes(high), nibbles(low));
    array::from_fn(|i| low[i] | u8::from(high >> i & 1 == 1) << 4)
}

/// `d·(q − 8)`; d, nibbles.
pub(super) fn q4_0(block: &[u8; 18]) -> [f32; 32] {
    let d = half(block, 0);
    nibbles(part(block, 2)).map(|q| d * (f32::from(q) - 8.0))
}

/// `d·q + m`; d, m, nibbles.
pub(super) fn q4_1(block: &[u8; 20]) -> [f32; 32] {
    let (d, m) = (half(block, 0), half(block, 2));
    nibbles(part(block, 4)).map(|q| d * f32::from(q) + m)
}

/// `d·(q − 16)`; d, fifth bits, nibbles.
pub(super) fn q5_0(block: &[u8; 22]) -> [f32; 32] {
    let d = half(block, 0);
    fives(part(block, 2), part(block, 6)).map(|q| d * (f32::from(q) - 16.0))
}

/// `d·q + m`; d, m, fifth bits, nibbles.
pub(super) fn q5_1(block: &[u8; 24]) -> [f32; 32] {
    let (d, m) = (half(block, 0), half(block, 2));
    fives(part(block, 4), part(block, 8)).map(|q| d * f32::from(q) + m)
}

/// `d·q`; d, signed bytes.
pub(super) fn q8_0(block: &[u8; 34]) -> [f32; 32] {
    let d = half(block, 0);
    part(block, 2).map(|q: u8| d * f32::from(q.cast_signed()))
}
