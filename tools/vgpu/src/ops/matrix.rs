//! `mma.sync` by the fragment layouts of the PTX manual.
//!
//! With group = lane / 4 and pair = lane % 4, a lane holds of the 16 × k operand A rows `group` and `group + 8`, of the
//! k × 8 operand B column `group`, and of the 16 × 8 accumulator columns `2·pair` and `2·pair + 1`.
//! Products are exact and summed in f32 in the order of k, starting from C.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::registers::{FULL, Registers, Slot};
use crate::rounding::{F16, Rounding};
use crate::types::Type;

/// A product of matrix fragments: `d = a·b + c`.
#[derive(Debug)]
pub(crate) struct Mma {
    k: usize,
    /// Of A and B.
    ty: Type,
    /// Whether C and D are pairs of f16 (else f32).
    half: [bool; 2],
    d: Vec<Slot>,
    a: Vec<Slot>,
    b: Vec<Slot>,
    c: Vec<Slot>,
}

impl Mma {
    /// None when the opcode is not `mma.sync`.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        if op.name() != "mma" {
            return Ok(None);
        }
        let &[to, a, b, from] = op.types().as_slice() else {
            return decoder.fail("mma needs four types");
        };
        let k = match (op.parts().find(|part| part.starts_with('m')), a) {
            (Some("m16n8k16"), Type::F16 | Type::BF16) => 16,
            (Some("m16n8k8"), Type::F16 | Type::BF16 | Type::TF32) => 8,
            (Some("m16n8k4"), Type::TF32) => 4,
            _ => return decoder.fail(format!("unsupported mma shape or type: {}", op.text())),
        };
        let half = [to, from].map(|ty| ty == Type::F16);
        let accumulates = |ty| ty == Type::F32 || ty == Type::F16 && a == Type::F16;
        if a != b || !accumulates(to) || !accumulates(from) || !op.has("row") || !op.has("col") {
            return decoder.fail(format!("unsupported mma types: {}", op.text()));
        }
        op.operands(decoder, 4)?;
        // Registers of A per lane: 16·k elements over 32 lanes of 32 bits.
        let registers = 16 * k * a.bytes() / 128;
        Ok(Some(Self {
            k,
            ty: a,
            half,
            d: decoder.vector_destination(op, 0, to_word(to), if half[0] { 2 } else { 4 })?,
            a: decoder.vector_source(op, 1, Type::B32, registers)?,
            b: decoder.vector_source(op, 2, Type::B32, registers / 2)?,
            c: decoder.vector_source(op, 3, to_word(from), if half[1] { 2 } else { 4 })?,
        }))
    }

    /// Floating-point operations of one instruction.
    pub(crate) fn operations(&self) -> u64 {
        2 * 16 * 8 * self.k as u64
    }

    pub(crate) fn run(&self, r: &mut Registers) {
        match self.ty {
            // The tensor core reads the upper 19 bits.
            Type::TF32 => self.run_with::<1>(r, |word, _| f32::from_bits(word & 0xffff_e000)),
            Type::BF16 => self.run_with::<2>(r, |word, e| f32::from_bits(word >> (16 * e) << 16)),
            _ => self.run_with::<2>(r, half),
        }
    }

    /// `element` takes one of `PER` elements out of a register.
    #[inline(always)]
    fn run_with<const PER: usize>(&self, r: &mut Registers, element: impl Fn(u32, usize) -> f32) {
        // Columns of k that four lanes cover with one register.
        let span = 4 * PER;
        let (mut a, mut b, mut c) = ([[0.0_f32; 16]; 16], [[0.0_f32; 8]; 16], [[0.0_f32; 8]; 16]);
        for (i, &slot) in self.a.iter().enumerate() {
            for (lane, &word) in r.get::<u32>(slot).iter().enumerate() {
                for e in 0..PER {
                    a[lane / 4 + 8 * (i % 2)][lane % 4 * PER + e + i / 2 * span] = element(word, e);
                }
            }
        }
        for (i, &slot) in self.b.iter().enumerate() {
            for (lane, &word) in r.get::<u32>(slot).iter().enumerate() {
                for e in 0..PER {
                    b[lane % 4 * PER + e + i * span][lane / 4] = element(word, e);
                }
            }
        }
        for (i, &slot) in self.c.iter().enumerate() {
            for (lane, &word) in r.get::<u32>(slot).iter().enumerate() {
                if self.half[1] {
                    for e in 0..2 {
                        c[lane / 4 + 8 * i][lane % 4 * 2 + e] = half(word, e);
                    }
                } else {
                    c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2] = f32::from_bits(word);
                }
            }
        }
        let k = self.k;
        r.vectorised(
            #[inline(always)]
            || {
                for (row, out) in a.iter().zip(&mut c) {
                    let mut sum = *out;
                    for (x, column) in row[..k].iter().zip(&b[..k]) {
                        for j in 0..8 {
                            sum[j] += x * column[j];
                        }
                    }
                    *out = sum;
                }
            },
        );
        for (i, &slot) in self.d.iter().enumerate() {
            let mut words = [0; 32];
            for (lane, word) in words.iter_mut().enumerate() {
                *word = if self.half[0] {
                    let [low, high] = [0, 1].map(|e| c[lane / 4 + 8 * i][lane % 4 * 2 + e]);
                    let round = |x: f32| F16.round_f64(x.into(), Rounding::Nearest) as u32;
                    round(high) << 16 | round(low)
                } else {
                    let value = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
                    if value.is_nan() { 0x7fff_ffff } else { value.to_bits() }
                };
            }
            r.set::<u32>(FULL, slot, &words);
        }
    }
}

/// One of two f16 in a register.
fn half(word: u32, e: usize) -> f32 {
    F16.value(u64::from(word >> (16 * e) & 0xffff)) as f32
}

/// The type of an accumulator's registers.
fn to_word(ty: Type) -> Type {
    if ty == Type::F16 { Type::B32 } else { ty }
}
