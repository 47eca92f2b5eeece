//! Blocks of 256 elements ("k-quants"): a scale `d` in f16 for all, and scales of a few bits for groups of 16 or 32.

use super::{half, part};
use std::array;

/// The 6-bit scales and minimums of eight groups, packed into 12 bytes: of the first four in the low 6 bits of bytes
/// 0‥4 and 4‥8; of the last four the low 4 bits in the halves of bytes 8‥12 and the high 2 in those of bytes 0‥8.
fn scales(packed: [u8; 12]) -> ([f32; 8], [f32; 8]) {
    let scale = array::from_fn(|group| match group {
        0..4 => packed[group] & 0x3f,
        _ => packed[group + 4] & 0xf | packed[group - 4] >> 6 << 4,
    });
    let minimum = array::from_fn(|group| match group {
        0..4 => packed[group + 4] & 0x3f,
        _ => packed[group + 4] >> 4 | packed[group] >> 6 << 4,
    });
    (scale.map(f32::from), minimum.map(f32::from))
}

/// The nibble of element i: of each 64 elements, the first 32 stand in the low, the others in the high halves of 32
/// bytes.
fn nibble(low: &[u8; 128], i: usize) -> u8 {
    low[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 0xf
}

/// `(d·scale)·q − (dmin·minimum)` in groups of 32; d, dmin, scales, nibbles.
pub(super) fn q4_k(block: &[u8; 144]) -> [f32; 256] {
    let (d, dmin) = (half(block, 0), half(block, 2));
    let (scale, minimum) = scales(part(block, 4));
    let (scale, minimum) = (scale.map(|s| d * s), minimum.map(|m| dmin * m));
    let low = part(block, 16);
    array::from_fn(|i| scale[i / 32] * f32::from(nibble(&low, i)) - minimum[i / 32])
}

/// `(d·scale)·q − (dmin·minimum)` in groups of 32; d, dmin, scales, fifth bits, nibbles. Bit g of byte l is the fifth
/// of element l of group g.
pub(super) fn q5_k(block: &[u8; 176]) -> [f32; 256] {
    let (d, dmin) = (half(block, 0), half(block, 2));
    let (scale, minimum) = scales(part(block, 4));
    let (scale, minimum) = (scale.map(|s| d * s), minimum.map(|m| dmin * m));
    let (high, low): ([u8; 32], _) = (part(block, 16), part(block, 48));
    array::from_fn(|i| {
        let q = nibble(&low, i) | (high[i % 32] >> (i / 32) & 1) << 4;
        scale[i / 32] * f32::from(q) - minimum[i / 32]
    })
}

/// `(d·scale)·(q − 32)` in groups of 16; the low 4 bits, the high 2, signed scales, d. Of each 128 elements, the four
/// quarters share 64 bytes of low bits (the first two in the low, the last two in the high halves) and 32 bytes of
/// high bits (quarter k in bits 2k and 2k + 1).
pub(super) fn q6_k(block: &[u8; 210]) -> [f32; 256] {
    let (low, high): ([u8; 128], [u8; 64]) = (part(block, 0), part(block, 128));
    let scale: [u8; 16] = part(block, 192);
    let d = half(block, 208);
    let scale = scale.map(|s| d * f32::from(s.cast_signed()));
    array::from_fn(|i| {
        let (part, quarter, l) = (i / 128, i / 32 % 4, i % 32);
        let low = low[part * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 0xf;
        let high = high[part * 32 + l] >> (quarter * 2) & 3;
        scale[i / 16] * (f32::from(low | high << 4) - 32.0)
    })
}
