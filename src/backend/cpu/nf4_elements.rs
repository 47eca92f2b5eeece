//! Runs of a 4-bit weight in f32: the inner loop of all that reads one. The 16 values of a block stand in registers:
//! in one of AVX-512's, where a lane finds its own by number, or in two of AVX2's, of which each lane takes one.

use super::Cpu;
use crate::nf4::{ABSMAX_BLOCK, Absmax, CODES, Nf4Matrix, magnitude, values};
use pulp::Arch;
use std::ops::Range;

/// Overwrites `out` with the elements `range` of `w`, counted row-major, each rounded to f32 once. The caller's loop is
/// compiled for `arch`.
#[inline(always)]
pub(super) fn elements(arch: Arch, w: &Nf4Matrix<Cpu>, range: Range<usize>, mut out: &mut [f32]) {
    let mut start = range.start;
    while start < range.end {
        let number = start / w.block();
        let end = range.end.min((number + 1) * w.block());
        let (block, rest) = out.split_at_mut(end - start);
        codes(arch, w.packed(), start, of_block(w, number), block);
        (start, out) = (end, rest);
    }
}

/// Element `index`, counted row-major, rounded to f32 once.
pub(super) fn element(w: &Nf4Matrix<Cpu>, index: usize) -> f32 {
    values(w.packed()[index / 2], of_block(w, index >> w.block().trailing_zeros()))[index % 2]
}

/// The magnitude of block `number`.
#[inline(always)]
pub(super) fn of_block(w: &Nf4Matrix<Cpu>, number: usize) -> f32 {
    match w.absmax() {
        Absmax::Single(absmax) => absmax[number],
        Absmax::Double(d) => magnitude(d.codes[number], d.absmax[number / ABSMAX_BLOCK], d.offset),
    }
}

/// The elements from `start` on, all of one block with this magnitude; the first may be the second of its byte.
#[inline(always)]
fn codes(arch: Arch, packed: &[u8], start: usize, absmax: f32, mut out: &mut [f32]) {
    let mut packed = &packed[start / 2..];
    if start % 2 == 1 {
        out[0] = values(packed[0], absmax)[1];
        (packed, out) = (&packed[1..], &mut out[1..]);
    }
    let (pairs, last) = out.as_chunks_mut::<2>();
    look_up(arch, packed, absmax, pairs);
    if let [last] = last {
        *last = CODES[usize::from(packed[pairs.len()] >> 4)] * absmax;
    }
}

/// The two elements of each byte, as many bytes as there are pairs.
#[inline(always)]
fn look_up(arch: Arch, packed: &[u8], absmax: f32, pairs: &mut [[f32; 2]]) {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => sixteen_at_once(simd, packed, absmax, pairs),
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => eight_at_once(simd, packed, absmax, pairs),
        _ => one_by_one(packed, absmax, pairs),
    }
}

#[inline(always)]
fn one_by_one(packed: &[u8], absmax: f32, pairs: &mut [[f32; 2]]) {
    for (out, &pair) in pairs.iter_mut().zip(packed) {
        *out = values(pair, absmax);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sixteen_at_once(simd: pulp::x86::V4, packed: &[u8], absmax: f32, pairs: &mut [[f32; 2]]) {
    let values = simd.avx512f._mm512_mul_ps(pulp::cast(CODES), simd.avx512f._mm512_set1_ps(absmax));
    let ((pairs, last), packed) = (pairs.as_chunks_mut::<8>(), packed.as_chunks::<8>());
    for (out, &bytes) in pairs.iter_mut().zip(packed.0) {
        let codes = unpacked(*simd, simd.sse2._mm_set_epi64x(0, i64::from_le_bytes(bytes)));
        let codes = simd.avx512f._mm512_cvtepu8_epi32(codes);
        *out = pulp::cast(simd.avx512f._mm512_permutexvar_ps(codes, values));
    }
    let rest = packed.0.get(pairs.len()).map_or(packed.1, |bytes| &bytes[..]);
    one_by_one(rest, absmax, last);
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn eight_at_once(simd: pulp::x86::V3, packed: &[u8], absmax: f32, pairs: &mut [[f32; 2]]) {
    let [low, high]: [[f32; 8]; 2] = pulp::cast(CODES);
    let absmaxes = simd.avx._mm256_set1_ps(absmax);
    let low = simd.avx._mm256_mul_ps(pulp::cast(low), absmaxes);
    let high = simd.avx._mm256_mul_ps(pulp::cast(high), absmaxes);
    let ((pairs, last), packed) = (pairs.as_chunks_mut::<4>(), packed.as_chunks::<4>());
    for (out, &bytes) in pairs.iter_mut().zip(packed.0) {
        let codes = unpacked(simd, simd.sse2._mm_cvtsi32_si128(i32::from_le_bytes(bytes)));
        let codes = simd.avx2._mm256_cvtepu8_epi32(codes);
        // The three lowest bits choose within eight values; the fourth, moved to where a sign stands, between both eights.
        let fourth = simd.avx._mm256_castsi256_ps(simd.avx2._mm256_slli_epi32::<28>(codes));
        let [low, high] = [low, high].map(|eight| simd.avx2._mm256_permutevar8x32_ps(eight, codes));
        *out = pulp::cast(simd.avx._mm256_blendv_ps(low, high, fourth));
    }
    let rest = packed.0.get(pairs.len()).map_or(packed.1, |bytes| &bytes[..]);
    one_by_one(rest, absmax, last);
}

/// The codes of the lower eight bytes, a byte each: of every byte the high four bits first.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn unpacked(simd: pulp::x86::V3, bytes: std::arch::x86_64::__m128i) -> std::arch::x86_64::__m128i {
    let four_bits = simd.sse2._mm_set1_epi8(15);
    let high = simd.sse2._mm_and_si128(simd.sse2._mm_srli_epi16::<4>(bytes), four_bits);
    simd.sse2._mm_unpacklo_epi8(high, simd.sse2._mm_and_si128(bytes, four_bits))
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use pulp::x86::{V3, V4};

    /// Looks up bytes, all of one block.
    type Way = dyn Fn(&[u8], &mut [[f32; 2]]);

    #[test]
    fn every_way_to_look_up_gives_the_same_bits() {
        let packed: Vec<u8> = (0..=255).collect();
        let run = |way: &Way, count: usize| {
            let mut pairs = vec![[f32::NAN; 2]; count];
            way(&packed[256 - count..], &mut pairs);
            pairs.into_iter().flatten().map(f32::to_bits).collect::<Vec<_>>()
        };
        const ABSMAX: f32 = 0.123_456_7;
        let mut ways: Vec<Box<Way>> = Vec::new();
        if let Some(simd) = V3::try_new() {
            ways.push(Box::new(move |packed, pairs| eight_at_once(simd, packed, ABSMAX, pairs)));
        }
        if let Some(simd) = V4::try_new() {
            ways.push(Box::new(move |packed, pairs| sixteen_at_once(simd, packed, ABSMAX, pairs)));
        }
        for count in [0, 1, 3, 4, 7, 8, 9, 31, 32, 33, 255, 256] {
            let want = run(&|packed, pairs| one_by_one(packed, ABSMAX, pairs), count);
            for way in &ways {
                assert_eq!(run(way, count), want, "{count} bytes");
            }
        }
    }
}
