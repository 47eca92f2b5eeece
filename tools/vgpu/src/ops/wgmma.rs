//! `wgmma.mma_async`: a warpgroup's product of matrices of 16-bit elements, A and B by descriptors of shared memory.
//!
//! Of the 64 × n sums each warp holds 16 rows, per 8 columns as in an `mma` of m16n8; A in registers is that of an `mma`
//! of m16n8k16. Products are exact and summed in f32 in the order of k, starting from D or from 0.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::module::Operand;
use crate::ops::matrix::{bf16, canonical, half};
use crate::registers::{FULL, Lanes, Registers, Slot};
use crate::types::Type;
use std::ops::Range;

/// What a warpgroup does.
#[derive(Debug)]
pub(crate) enum Warpgroup {
    /// Orders accesses to registers before the products that follow.
    Fence,
    Multiply(Multiply),
    Commit,
    /// Waits until at most so many committed groups are pending.
    Wait(u32),
}

/// `d = a·b + d`
#[derive(Debug)]
pub(crate) struct Multiply {
    pub(crate) n: usize,
    half: bool,
    pub(crate) d: Vec<Slot>,
    pub(crate) a: Left,
    /// B's descriptor.
    pub(crate) b: Slot,
    pub(crate) b_order: Order,
    /// Whether D is added; else the sums start at 0.
    pub(crate) adds: (Slot, bool),
    /// Whether the products change their signs.
    negates: bool,
}

/// Where A is.
#[derive(Debug)]
pub(crate) enum Left {
    Registers(Vec<Slot>),
    /// In shared memory, by its descriptor.
    Shared(Slot, Order),
}

/// Which index of A[m, k] or B[k, n] is the fast one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Order {
    /// K-major.
    Inner,
    /// M-major or N-major.
    Outer,
}

/// Eight rows of A or columns of B by k.
pub(crate) type Strip = [[f32; 8]; 16];

impl Warpgroup {
    /// None when the opcode is no `wgmma`.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        if op.name() != "wgmma" {
            return Ok(None);
        }
        let count = match op.text() {
            "wgmma.fence.sync.aligned" | "wgmma.commit_group.sync.aligned" => 0,
            "wgmma.wait_group.sync.aligned" => 1,
            _ => return Multiply::decode(decoder, op).map(|multiply| Some(Self::Multiply(multiply))),
        };
        op.operands(decoder, count)?;
        Ok(Some(match op.part(1) {
            "fence" => Self::Fence,
            "commit_group" => Self::Commit,
            _ => Self::Wait(decoder.immediate(op, 0)? as u32),
        }))
    }
}

impl Multiply {
    fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Self, Error> {
        let shape = op.text().strip_prefix("wgmma.mma_async.sync.aligned.m64n");
        let (n, half) = match shape.and_then(|rest| rest.split_once("k16.")) {
            Some((n, "f32.bf16.bf16")) => (n, false),
            Some((n, "f32.f16.f16")) => (n, true),
            _ => return decoder.fail(format!("unsupported wgmma shape or type: {}", op.text())),
        };
        let n = n.parse::<usize>().ok().filter(|n| n.is_multiple_of(8) && (8..=256).contains(n));
        let Some(n) = n else {
            return decoder.fail(format!("wgmma has columns by 8 from 8 to 256: {}", op.text()));
        };
        let in_registers = op.operand_count() > 1 && matches!(op.operand(1), Operand::Vector(_));
        op.operands(decoder, if in_registers { 7 } else { 8 })?;
        let negative = |index| match decoder.immediate(op, index)? as i64 {
            1 => Ok(false),
            -1 => Ok(true),
            other => decoder.fail(format!("wgmma scales A and B by 1 or -1, not by {other}")),
        };
        let order = |index| match decoder.immediate(op, index)? {
            0 => Ok(Order::Inner),
            1 => Ok(Order::Outer),
            other => decoder.fail(format!("wgmma transposes or not, as 1 or 0, not {other}")),
        };
        let negates = negative(4)? != negative(5)?;
        let orders = if in_registers { [Order::Inner, order(6)?] } else { [order(6)?, order(7)?] };
        let a = if in_registers {
            Left::Registers(decoder.vector_source(op, 1, Type::B32, 4)?)
        } else {
            Left::Shared(decoder.source(op, 1, Type::B64)?, orders[0])
        };
        Ok(Self {
            n,
            half,
            d: decoder.vector_destination(op, 0, Type::F32, n / 2)?,
            a,
            b: decoder.source(op, 2, Type::B64)?,
            b_order: orders[1],
            adds: decoder.condition(op, 3)?,
            negates,
        })
    }

    /// Operations of one of the four warps.
    pub(crate) fn operations(&self) -> u64 {
        2 * 16 * 16 * self.n as u64
    }

    /// The registers that it reads while it runs and those that it writes.
    pub(crate) fn registers(&self) -> impl Iterator<Item = Slot> {
        let a = match &self.a {
            Left::Registers(slots) => slots.as_slice(),
            Left::Shared(..) => &[],
        };
        self.d.iter().chain(a).copied()
    }

    /// The strips of a matrix that lies in rows of 16 bytes: per strip eight rows of the lower half of k and eight of the
    /// upper.
    pub(crate) fn strips(&self, r: &Registers, rows: &[[u64; 2]], order: Order) -> Vec<Strip> {
        let mut strips = vec![Strip::default(); rows.len() / 16];
        r.vectorised(
            #[inline(always)]
            || {
                if self.half {
                    unpack(&mut strips, rows, order, half);
                } else {
                    unpack(&mut strips, rows, order, bf16);
                }
            },
        );
        strips
    }

    /// The two strips of A in registers.
    pub(crate) fn fragment(&self, words: &[Lanes<u32>]) -> Vec<Strip> {
        let mut strips = vec![Strip::default(); 2];
        for (i, words) in words.iter().enumerate() {
            for (lane, &word) in words.iter().enumerate() {
                for e in 0..2 {
                    let value = if self.half { half(word, e) } else { bf16(word, e) };
                    strips[i % 2][i / 2 * 8 + lane % 4 * 2 + e][lane / 4] = value;
                }
            }
        }
        strips
    }

    /// Multiplies the warp's two strips of A by those of B.
    pub(crate) fn run(&self, r: &mut Registers, a: &mut [Strip], b: &[Strip], adds: bool) {
        if self.negates {
            a.as_flattened_mut().as_flattened_mut().iter_mut().for_each(|x| *x = -*x);
        }
        let mut out = vec![[0_u32; 32]; self.d.len()];
        r.vectorised(
            #[inline(always)]
            || {
                for (i, b) in b.iter().enumerate() {
                    // As registers hold them: of the upper eight rows the even columns and the odd ones, of the lower.
                    for (half, a) in a.iter().enumerate() {
                        let at = 4 * i + 2 * half;
                        let mut sums = [[0.0; 8]; 8];
                        if adds {
                            let [even, odd] = [0, 1].map(|e| r.get::<u32>(self.d[at + e]));
                            for group in 0..8 {
                                for pair in 0..4 {
                                    sums[group][pair] = f32::from_bits(even[4 * group + pair]);
                                    sums[group][4 + pair] = f32::from_bits(odd[4 * group + pair]);
                                }
                            }
                        }
                        for k in 0..16 {
                            let (x, y) = (a[k], b[k]);
                            for group in 0..8 {
                                for column in 0..8 {
                                    sums[group][column] = x[group].mul_add(y[column], sums[group][column]);
                                }
                            }
                        }
                        for group in 0..8 {
                            for pair in 0..4 {
                                out[at][4 * group + pair] = canonical(sums[group][pair]);
                                out[at + 1][4 * group + pair] = canonical(sums[group][4 + pair]);
                            }
                        }
                    }
                }
            },
        );
        for (&slot, words) in self.d.iter().zip(&out) {
            r.set::<u32>(FULL, slot, words);
        }
    }
}

#[inline(always)]
fn unpack(strips: &mut [Strip], rows: &[[u64; 2]], order: Order, element: impl Fn(u32, usize) -> f32) {
    for (strip, rows) in strips.iter_mut().zip(rows.chunks_exact(16)) {
        for (i, row) in rows.iter().enumerate() {
            let mut values = [0.0; 8];
            for (e, value) in values.iter_mut().enumerate() {
                *value = element((row[e / 4] >> (32 * (e / 2 % 2))) as u32, e % 2);
            }
            match order {
                Order::Outer => strip[i] = values,
                Order::Inner => {
                    for (e, value) in values.into_iter().enumerate() {
                        strip[i / 8 * 8 + e][i % 8] = value;
                    }
                }
            }
        }
    }
}

/// Puts a strip's even columns before its odd ones, as the registers of D have them.
pub(crate) fn part(strips: &mut [Strip]) {
    for row in strips.as_flattened_mut() {
        let [a, b, c, d, e, f, g, h] = *row;
        *row = [a, c, e, g, b, d, f, h];
    }
}

/// Where a matrix lies in shared memory, as the 64 bits of the manual's matrix descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Descriptor(pub(crate) u64);

/// Bits 14, 15, 30, 31, 46 to 48 and 52 to 61.
const UNUSED: u64 = 0x3ff1_c000_c000_c000;

impl Descriptor {
    /// 14 bits from `first` on, which leave out the lowest four of a number of bytes.
    fn bytes(self, first: u32) -> u64 {
        (self.0 >> first & 0x3fff) << 4
    }

    /// The pieces of 16 bytes in a row of the pattern that the swizzle repeats; 1 without one.
    fn width(self) -> u64 {
        [1, 8, 4, 2][(self.0 >> 62) as usize]
    }

    /// Addresses of the pieces of 16 bytes that hold the strips of a matrix of 8 rows (or columns) each: per strip, for
    /// either half of k, eight, from one row to the next, or from one k to the next where rows (or columns) are the
    /// fast index.
    ///
    /// # Errors
    /// What is wrong with the descriptor.
    pub(crate) fn pieces(self, order: Order, strips: Range<usize>) -> Result<Vec<u64>, &'static str> {
        let (width, start) = (self.width(), self.bytes(0));
        let (leading, stride) = (self.bytes(16), self.bytes(32));
        if self.0 & UNUSED != 0 {
            return Err("has bits that must be 0");
        }
        if self.0 >> 49 & 7 != 0 {
            return Err("has a base offset, which vgpu does not support");
        }
        // A swizzle's pattern is eight rows of `width` pieces, and lies at a multiple of its size.
        let pattern = 128 * width;
        if width > 1 {
            let first = start % pattern / 16;
            if first >= width {
                return Err("starts inside of a swizzled pattern, beyond its first row");
            }
            let pieces = if order == Order::Inner { 2 } else { width.min(strips.end as u64) };
            if first + pieces > width {
                return Err("starts where a row crosses the end of the swizzled pattern");
            }
            let strides = strips.len() > 1 || order == Order::Outer;
            let leads = order == Order::Outer && strips.end as u64 > width;
            if strides && !stride.is_multiple_of(pattern) || leads && !leading.is_multiple_of(pattern) {
                return Err("has a stride that is no multiple of the swizzled pattern");
            }
        }
        let mask = (width - 1) << 4;
        let mut pieces = Vec::with_capacity(16 * strips.len());
        for strip in strips.map(|strip| strip as u64) {
            for half in 0..2 {
                let offset = match (order, width) {
                    (Order::Inner, 1) => strip * stride + half * leading,
                    (Order::Inner, _) => strip * stride + half * 16,
                    (Order::Outer, 1) => strip * stride + half * leading,
                    (Order::Outer, _) => strip % width * 16 + strip / width * leading + half * stride,
                };
                for row in 0..8 {
                    let address = start + offset + row * 16 * width;
                    pieces.push(address ^ (address >> 3 & mask));
                }
            }
        }
        Ok(pieces)
    }
}
