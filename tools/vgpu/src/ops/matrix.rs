//! `mma.sync` by the fragment layouts of the PTX manual.
//!
//! With group = lane / 4 and pair = lane % 4, a lane holds of the 16 × k operand A rows `group` and `group + 8`, of the
//! k × 8 operand B column `group`, and of the 16 × 8 accumulator columns `2·pair` and `2·pair + 1`.
//! Floating-point products are exact and summed in f32 in the order of k, starting from C.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::registers::{FULL, Lanes, Registers, Slot};
use crate::rounding::{F16, Rounding};
use crate::types::Type;

/// How A or B is stored and multiplied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Element {
    F16,
    Bf16,
    Tf32,
    S8,
    U8,
}

/// How C and D are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Accumulator {
    F32,
    F16,
    /// Whether sums that overflow become the nearest s32; else they wrap.
    S32(bool),
}

/// A product of matrix fragments: `d = a·b + c`.
#[derive(Debug)]
pub(crate) struct Mma {
    k: usize,
    elements: [Element; 2],
    accumulator: Accumulator,
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
        let shape = op.part(3);
        op.allow(decoder, &["sync", "aligned", "row", "col", "satfinite", shape])?;
        let (k, elements, accumulator) = match (shape, op.types().as_slice()) {
            ("m16n8k16", [Type::F32, Type::F16, Type::F16, Type::F32]) => {
                (16, [Element::F16; 2], Accumulator::F32)
            }
            ("m16n8k16", [Type::F16, Type::F16, Type::F16, Type::F16]) => {
                (16, [Element::F16; 2], Accumulator::F16)
            }
            ("m16n8k16", [Type::F32, Type::BF16, Type::BF16, Type::F32]) => {
                (16, [Element::Bf16; 2], Accumulator::F32)
            }
            ("m16n8k8", [Type::F32, Type::F16, Type::F16, Type::F32]) => {
                (8, [Element::F16; 2], Accumulator::F32)
            }
            ("m16n8k8", [Type::F16, Type::F16, Type::F16, Type::F16]) => {
                (8, [Element::F16; 2], Accumulator::F16)
            }
            ("m16n8k8", [Type::F32, Type::BF16, Type::BF16, Type::F32]) => {
                (8, [Element::Bf16; 2], Accumulator::F32)
            }
            ("m16n8k8", [Type::F32, Type::TF32, Type::TF32, Type::F32]) => {
                (8, [Element::Tf32; 2], Accumulator::F32)
            }
            ("m16n8k4", [Type::F32, Type::TF32, Type::TF32, Type::F32]) => {
                (4, [Element::Tf32; 2], Accumulator::F32)
            }
            (
                "m16n8k16" | "m16n8k32",
                &[Type::S32, a @ (Type::S8 | Type::U8), b @ (Type::S8 | Type::U8), Type::S32],
            ) => {
                let byte = |ty| if ty == Type::S8 { Element::S8 } else { Element::U8 };
                let k = if shape == "m16n8k32" { 32 } else { 16 };
                (k, [byte(a), byte(b)], Accumulator::S32(op.has("satfinite")))
            }
            _ => return decoder.fail(format!("unsupported mma shape or type: {}", op.text())),
        };
        let integral = matches!(accumulator, Accumulator::S32(_));
        if op.part(4) != "row" || op.part(5) != "col" || op.has("satfinite") && !integral {
            return decoder.fail(format!("unsupported mma modifiers: {}", op.text()));
        }
        op.operands(decoder, 4)?;
        // Registers of A per lane: 16·k elements over 32 lanes of 32 bits.
        let registers = 16 * k * elements[0].bytes() / 128;
        let (ty, count) = accumulator.registers(16 * 8);
        Ok(Some(Self {
            k,
            elements,
            accumulator,
            d: decoder.vector_destination(op, 0, ty, count)?,
            a: decoder.vector_source(op, 1, Type::B32, registers)?,
            b: decoder.vector_source(op, 2, Type::B32, registers / 2)?,
            c: decoder.vector_source(op, 3, ty, count)?,
        }))
    }

    /// Operations of one instruction.
    pub(crate) fn operations(&self) -> u64 {
        2 * 16 * 8 * self.k as u64
    }

    pub(crate) fn run(&self, r: &mut Registers) {
        match self.elements {
            [Element::F16, _] => self.run_float::<2>(r, half),
            [Element::Bf16, _] => self.run_float::<2>(r, bf16),
            [Element::Tf32, _] => self.run_float::<1>(r, tf32),
            [a, b] => self.run_bytes(r, a == Element::S8, b == Element::S8),
        }
    }

    /// `element` takes one of `PER` elements out of a register.
    #[inline(always)]
    fn run_float<const PER: usize>(&self, r: &mut Registers, element: impl Fn(u32, usize) -> f32) {
        let mut sums = [[0.0; 32]; 4];
        let halves = self.accumulator == Accumulator::F16;
        let words = self.c.iter().map(|&slot| r.get::<u32>(slot));
        r.vectorised(
            #[inline(always)]
            || {
                for (i, words) in words.clone().enumerate() {
                    for lane in 0..32 {
                        if halves {
                            sums[2 * i][lane] = half(words[lane], 0);
                            sums[2 * i + 1][lane] = half(words[lane], 1);
                        } else {
                            sums[i][lane] = f32::from_bits(words[lane]);
                        }
                    }
                }
                self.multiply::<f32, PER>(r, &element, &element, |x, y, sum| x.mul_add(y, sum), &mut sums);
            },
        );
        for (i, &slot) in self.d.iter().enumerate() {
            let mut words = [0; 32];
            for (lane, word) in words.iter_mut().enumerate() {
                *word = if halves {
                    to_half(sums[2 * i + 1][lane]) << 16 | to_half(sums[2 * i][lane])
                } else {
                    canonical(sums[i][lane])
                };
            }
            r.set::<u32>(FULL, slot, &words);
        }
    }

    fn run_bytes(&self, r: &mut Registers, a_signed: bool, b_signed: bool) {
        let mut sums = [[0_i32; 32]; 4];
        let a = |word, e| byte(word, e, a_signed);
        let b = |word, e| byte(word, e, b_signed);
        r.vectorised(
            #[inline(always)]
            || self.multiply::<i32, 4>(r, &a, &b, |x, y, sum| x * y + sum, &mut sums),
        );
        for (i, sums) in sums.iter().enumerate() {
            // 32 products of bytes are far from overflow: only the sum with C can.
            let c = r.get::<u32>(self.c[i]);
            let mut words = [0; 32];
            for lane in 0..32 {
                words[lane] = match self.accumulator {
                    Accumulator::S32(true) => (c[lane] as i32).saturating_add(sums[lane]) as u32,
                    _ => c[lane].wrapping_add(sums[lane] as u32),
                };
            }
            r.set::<u32>(FULL, self.d[i], &words);
        }
    }

    /// Adds A·B to the four accumulators of each lane.
    ///
    /// A is used where it lies: row `group` is four consecutive lanes of a register. The accumulators' columns of a row
    /// are taken in the order of their registers, even ones first, and B's columns are put into that order.
    #[inline(always)]
    fn multiply<T: Copy + Default, const PER: usize>(
        &self,
        r: &Registers,
        a_element: &impl Fn(u32, usize) -> T,
        b_element: &impl Fn(u32, usize) -> T,
        multiply_add: impl Fn(T, T, T) -> T,
        sums: &mut [Lanes<T>; 4],
    ) {
        // Columns of k that four lanes cover with one register.
        let span = 4 * PER;
        let mut a = [[[T::default(); 32]; PER]; 4];
        for (a, &slot) in a.iter_mut().zip(&self.a) {
            let words = r.get::<u32>(slot);
            for (e, a) in a.iter_mut().enumerate() {
                for lane in 0..32 {
                    a[lane] = a_element(words[lane], e);
                }
            }
        }
        let mut b = [[T::default(); 8]; 32];
        for (i, &slot) in self.b.iter().enumerate() {
            let words = r.get::<u32>(slot);
            for pair in 0..4 {
                let mut row = [0; 8];
                for (column, word) in row.iter_mut().enumerate() {
                    *word = words[4 * (column % 4 * 2 + column / 4) + pair];
                }
                for e in 0..PER {
                    for column in 0..8 {
                        b[i * span + pair * PER + e][column] = b_element(row[column], e);
                    }
                }
            }
        }
        // Eight rows at a time, which stay in the processor's registers; each of their sums grows in the order of k.
        for half in 0..2 {
            let mut rows = [[T::default(); 8]; 8];
            for group in 0..8 {
                for pair in 0..4 {
                    rows[group][pair] = sums[2 * half][4 * group + pair];
                    rows[group][4 + pair] = sums[2 * half + 1][4 * group + pair];
                }
            }
            for i in 0..self.k / span {
                for pair in 0..4 {
                    for e in 0..PER {
                        let y = b[i * span + pair * PER + e];
                        let x = &a[2 * i + half][e];
                        for group in 0..8 {
                            let x = x[4 * group + pair];
                            for column in 0..8 {
                                rows[group][column] = multiply_add(x, y[column], rows[group][column]);
                            }
                        }
                    }
                }
            }
            for group in 0..8 {
                for pair in 0..4 {
                    sums[2 * half][4 * group + pair] = rows[group][pair];
                    sums[2 * half + 1][4 * group + pair] = rows[group][4 + pair];
                }
            }
        }
    }
}

impl Element {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::Tf32 => 4,
            Self::S8 | Self::U8 => 1,
        }
    }
}

impl Accumulator {
    /// The type and the number of the registers in which a lane holds its part of `elements`.
    pub(crate) fn registers(self, elements: usize) -> (Type, usize) {
        match self {
            Self::F32 => (Type::F32, elements / 32),
            Self::S32(_) => (Type::S32, elements / 32),
            Self::F16 => (Type::B32, elements / 64),
        }
    }
}

/// One of two f16 in a register.
#[inline(always)]
pub(crate) fn half(word: u32, e: usize) -> f32 {
    let bits = word >> (16 * e);
    let magnitude = (bits & 0x7fff) << 13;
    // The exponent's bias is 15 here and 127 there; subnormal numbers become right by the same product.
    let finite = f32::from_bits(magnitude) * f32::from_bits((112 + 127) << 23);
    let special = f32::from_bits(magnitude | 0x7f80_0000);
    let value = if magnitude >= 0x7c00 << 13 { special } else { finite };
    f32::from_bits(value.to_bits() | (bits & 0x8000) << 16)
}

/// One of two bf16 in a register.
#[inline(always)]
pub(crate) fn bf16(word: u32, e: usize) -> f32 {
    f32::from_bits(word >> (16 * e) << 16)
}

/// The tensor core reads the upper 19 bits.
#[inline(always)]
fn tf32(word: u32, _: usize) -> f32 {
    f32::from_bits(word & 0xffff_e000)
}

#[inline(always)]
fn byte(word: u32, e: usize, signed: bool) -> i32 {
    let bits = (word >> (8 * e)) as u8;
    if signed { i32::from(bits as i8) } else { i32::from(bits) }
}

/// `x` rounded to f16.
pub(crate) fn to_half(x: f32) -> u32 {
    F16.round_f64(x.into(), Rounding::Nearest) as u32
}

/// The bits of `x`; every NaN is 0x7fffffff.
#[inline(always)]
pub(crate) fn canonical(x: f32) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits() }
}
