//! Counter-based random numbers: each is a function of (seed, stream, index) and of nothing else,
//! so every backend, thread count and batch split draws the same ones and no mask is ever stored.
//!
//! The generator is Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011).

use crate::num::{high_u32, low_u32};

/// One sequence of random numbers, told apart from all others by `seed` and `stream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// Which sequence of that run; see [`Stream::new`].
    pub stream: u64,
}

/// What a stream is used for; keeps the streams of a run apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Initial values of weights and adapters.
    Init = 1,
    /// The order of the training examples.
    Shuffle = 2,
    /// Dropout masks.
    Dropout = 3,
    /// Scores of the `random` mask.
    Mask = 4,
    /// Generated data.
    Data = 5,
}

impl Stream {
    /// The stream of one `purpose`, `step` (below 2³²) and `site` (below 2²⁴: a module's number).
    #[must_use]
    pub const fn new(seed: u64, purpose: Purpose, step: u64, site: u64) -> Self {
        Self { seed, stream: ((purpose as u64) << 56) | (site << 32) | (step & 0xffff_ffff) }
    }

    /// Random number `index` of this stream, uniform over all 32-bit values.
    #[must_use]
    pub const fn u32(self, index: u64) -> u32 {
        philox4x32(self.seed, self.stream, index / 4)[(index % 4) as usize]
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻²⁴.
    #[must_use]
    pub const fn uniform(self, index: u64) -> f32 {
        unit_interval(self.u32(index))
    }

    /// How many numbers [`uniforms`](Self::uniforms) draws together.
    pub const BLOCK: usize = 64;

    /// `uniform(i)` for the [`BLOCK`](Self::BLOCK) indices from `block · BLOCK` on: independent Philox calls,
    /// which the lanes of a vector make at once where the caller is compiled for vectors.
    #[inline(always)]
    #[must_use]
    pub fn uniforms(self, block: u64) -> [f32; Self::BLOCK] {
        let mut uniforms = [0.0; Self::BLOCK];
        let calls = uniforms.as_chunks_mut::<4>().0;
        for (index, four) in (block * calls.len() as u64..).zip(calls) {
            *four = philox4x32(self.seed, self.stream, index).map(unit_interval);
        }
        uniforms
    }

    /// Standard normal, by Box and Muller from the numbers `2·index` and `2·index + 1`.
    #[must_use]
    pub fn normal(self, index: u64) -> f32 {
        let radius = (-2.0 * (1.0 - f64::from(self.uniform(2 * index))).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(self.uniform(2 * index + 1));
        crate::num::to_f32(radius * angle.cos())
    }

    /// Uniform in `0..bound` (bound ≥ 1) by multiplication; the bias is below `bound / 2³²`.
    #[must_use]
    pub const fn below(self, index: u64, bound: u32) -> u32 {
        high_u32(self.u32(index) as u64 * bound as u64)
    }

    /// `0..n` in random order (Fisher and Yates).
    #[must_use]
    pub fn permutation(self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.below(u64::from(i), i + 1) as usize);
        }
        order
    }
}

/// The upper 24 bits of `word` as a fraction of 2²⁴.
#[inline(always)]
const fn unit_interval(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Ten Philox rounds: key `seed`, counter `(index, stream)`, low words first.
#[inline(always)]
#[must_use]
pub const fn philox4x32(seed: u64, stream: u64, index: u64) -> [u32; 4] {
    let mut key = [low_u32(seed), high_u32(seed)];
    let mut c = [low_u32(index), high_u32(index), low_u32(stream), high_u32(stream)];
    let mut round = 0;
    while round < 10 {
        let p0 = 0xD251_1F53_u64 * c[0] as u64;
        let p1 = 0xCD9E_8D57_u64 * c[2] as u64;
        c = [high_u32(p1) ^ c[1] ^ key[0], low_u32(p1), high_u32(p0) ^ c[3] ^ key[1], low_u32(p0)];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        round += 1;
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers_of_its_authors() {
        assert_eq!(philox4x32(0, 0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32(u64::MAX, u64::MAX, u64::MAX),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn uniforms_are_the_single_numbers_in_order() {
        let stream = Stream::new(7, Purpose::Dropout, 3, 4);
        for block in [0, 1, 1001, 1 << 40] {
            let first = block * Stream::BLOCK as u64;
            assert!(
                (first..).map(|i| stream.uniform(i)).zip(stream.uniforms(block)).all(|(one, of)| one == of)
            );
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(7, Purpose::Shuffle, 0, 0).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }
}
