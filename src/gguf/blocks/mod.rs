//! The element types of GGUF tensors, and their values in f32.
//!
//! Each formula is evaluated in f32 in the order in which it is written, as ggml's reference does: equal files give
//! equal bits. Source: ggml's block structures and the NumPy form of them in its package `gguf`.

mod of_256;
mod of_32;

use half::{bf16, f16};
use std::array;

/// How a tensor's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the formats' own names; the formulas stand with the functions")]
pub enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Format {
    /// Every format that is read.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Number in the file, name, elements and bytes of a block.
    const fn facts(self) -> (u32, &'static str, usize, usize) {
        match self {
            Self::F32 => (0, "F32", 1, 4),
            Self::F16 => (1, "F16", 1, 2),
            Self::Bf16 => (30, "BF16", 1, 2),
            Self::Q4_0 => (2, "Q4_0", 32, 18),
            Self::Q4_1 => (3, "Q4_1", 32, 20),
            Self::Q5_0 => (6, "Q5_0", 32, 22),
            Self::Q5_1 => (7, "Q5_1", 32, 24),
            Self::Q8_0 => (8, "Q8_0", 32, 34),
            Self::Q4K => (12, "Q4_K", 256, 144),
            Self::Q5K => (13, "Q5_K", 256, 176),
            Self::Q6K => (14, "Q6_K", 256, 210),
        }
    }

    /// The format of this number.
    #[must_use]
    pub fn of_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.id() == id)
    }

    /// Its number in the file.
    #[must_use]
    pub const fn id(self) -> u32 {
        self.facts().0
    }

    /// Its name as ggml spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().1
    }

    /// The elements that are stored together.
    #[must_use]
    pub const fn block_elements(self) -> usize {
        self.facts().2
    }

    /// The bytes that a block takes.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        self.facts().3
    }

    /// The elements that `bytes`, whole blocks, stand for.
    #[must_use]
    pub fn dequantize(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => blocks(bytes, |&x| [f32::from_le_bytes(x)]),
            Self::F16 => blocks(bytes, |&x| [f16::from_le_bytes(x).to_f32()]),
            Self::Bf16 => blocks(bytes, |&x| [bf16::from_le_bytes(x).to_f32()]),
            Self::Q4_0 => blocks(bytes, of_32::q4_0),
            Self::Q4_1 => blocks(bytes, of_32::q4_1),
            Self::Q5_0 => blocks(bytes, of_32::q5_0),
            Self::Q5_1 => blocks(bytes, of_32::q5_1),
            Self::Q8_0 => blocks(bytes, of_32::q8_0),
            Self::Q4K => blocks(bytes, of_256::q4_k),
            Self::Q5K => blocks(bytes, of_256::q5_k),
            Self::Q6K => blocks(bytes, of_256::q6_k),
        }
    }
}

/// The elements of blocks of B bytes that hold N elements each.
fn blocks<const B: usize, const N: usize>(bytes: &[u8], block: impl Fn(&[u8; B]) -> [f32; N]) -> Vec<f32> {
    let (whole, rest) = bytes.as_chunks();
    assert!(rest.is_empty(), "{} bytes are no whole number of blocks of {B}", bytes.len());
    whole.iter().flat_map(block).collect()
}

/// N bytes from `at` on; the compiler sees that they lie inside.
fn part<const N: usize, const B: usize>(block: &[u8; B], at: usize) -> [u8; N] {
    array::from_fn(|i| block[at + i])
}

/// The f16 at `at`.
fn half<const B: usize>(block: &[u8; B], at: usize) -> f32 {
    f16::from_le_bytes(part(block, at)).to_f32()
}
