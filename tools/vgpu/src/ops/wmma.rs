//! `wmma`: products of matrices whose fragments the warp loads and stores itself.
//!
//! Which lane holds which element is left open by the manual. Here a fragment's elements lie in row-major order, lane
//! by lane, register by register, lowest half first; a fragment with more room than elements, as f16 operands have it,
//! holds further copies of all of them behind the first.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::instruction::{Address, Register};
use crate::ops::matrix::{Accumulator, Element, bf16, canonical, half, to_half};
use crate::registers::{FULL, Registers, Slot};
use crate::types::{Space, Type};

/// A matrix in the registers of a warp.
#[derive(Debug)]
pub(crate) struct Fragment {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Of an element.
    pub(crate) bytes: usize,
    pub(crate) registers: Vec<Slot>,
}

impl Fragment {
    /// Elements in one lane.
    pub(crate) fn per_lane(&self) -> usize {
        4 * self.registers.len() / self.bytes
    }

    /// The register of an element in its lane, and the shift that brings it down.
    pub(crate) fn register(&self, within: usize) -> (Slot, usize) {
        let per = 4 / self.bytes;
        (self.registers[within / per], within % per * 8 * self.bytes)
    }

    /// Elements in row-major order as `element` reads a register's part.
    fn values(&self, r: &Registers, element: impl Fn(u32, usize) -> f32) -> Vec<f32> {
        let value = |i: usize| {
            let (slot, shift) = self.register(i % self.per_lane());
            element(r.lane(slot, i / self.per_lane()), shift / 16)
        };
        (0..self.rows * self.columns).map(value).collect()
    }
}

/// Whether a matrix is stored row by row or column by column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Row,
    Column,
}

/// `wmma.load` or `wmma.store`.
#[derive(Debug)]
pub(crate) struct FragmentAccess {
    pub(crate) fragment: Fragment,
    pub(crate) order: Order,
    pub(crate) address: Address,
    /// Elements from one row (or column) to the next; None where they are adjacent.
    pub(crate) stride: Option<Slot>,
    pub(crate) stores: bool,
}

/// `wmma.mma`: `d = a·b + c`.
#[derive(Debug)]
pub(crate) struct Wmma {
    element: Element,
    accumulators: [Accumulator; 2],
    d: Fragment,
    a: Fragment,
    b: Fragment,
    c: Fragment,
}

/// Sizes m, n, k.
fn sizes(op: &Opcode) -> Option<[usize; 3]> {
    op.parts().find_map(|part| match part {
        "m16n16k16" => Some([16, 16, 16]),
        "m32n8k16" => Some([32, 8, 16]),
        "m8n32k16" => Some([8, 32, 16]),
        _ => None,
    })
}

/// Registers of A or B in a lane; those of f16 have room for 16 elements whatever the shape.
fn operand_registers(ty: Type, elements: usize) -> usize {
    if ty == Type::F16 { 8 } else { elements / 64 }
}

const SHAPES: [&str; 3] = ["m16n16k16", "m32n8k16", "m8n32k16"];

fn known(decoder: &Decoder, op: &Opcode, rest: &[&str]) -> Result<(), Error> {
    op.allow(decoder, &[&["sync", "aligned", "row", "col"], SHAPES.as_slice(), rest].concat())
}

impl FragmentAccess {
    /// None when the opcode is neither `wmma.load` nor `wmma.store`.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode, space: Space) -> Result<Option<Self>, Error> {
        let stores = match [op.name(), op.part(1)] {
            ["wmma", "load"] => false,
            ["wmma", "store"] => true,
            _ => return Ok(None),
        };
        let matrix = op.part(2);
        known(decoder, op, &["load", "store", matrix, "global", "shared", "shared::cta"])?;
        let unsupported = format!("unsupported wmma shape, type or modifier: {}", op.text());
        let (Some([m, n, k]), Some(ty)) = (sizes(op), op.ty(0)) else { return decoder.fail(unsupported) };
        let half = matches!(ty, Type::F16 | Type::BF16);
        let (rows, columns, count) = match (matrix, ty) {
            ("a", _) if half && !stores => (m, k, operand_registers(ty, m * k)),
            ("b", _) if half && !stores => (k, n, operand_registers(ty, k * n)),
            ("c" | "d", Type::F32 | Type::F16) if (matrix == "d") == stores => {
                (m, n, m * n * ty.bytes() / 128)
            }
            _ => return decoder.fail(unsupported),
        };
        let order = match (op.has("row"), op.has("col")) {
            (true, false) => Order::Row,
            (false, true) => Order::Column,
            _ => return decoder.fail(unsupported),
        };
        let strided = op.operand_count() == 3;
        op.operands(decoder, if strided { 3 } else { 2 })?;
        // Elements of 16 bits come in pairs.
        let register = if half { Type::B32 } else { ty };
        let registers = if stores {
            decoder.vector_source(op, 1, register, count)?
        } else {
            decoder.vector_destination(op, 0, register, count)?
        };
        let address = decoder.address(op, usize::from(!stores), space)?;
        let stride = if strided { Some(decoder.source(op, 2, Type::U32)?) } else { None };
        let fragment = Fragment { rows, columns, bytes: ty.bytes(), registers };
        Ok(Some(Self { fragment, order, address, stride, stores }))
    }

    /// A register of one element, as memory is accessed.
    pub(crate) fn element(&self) -> (Type, Register) {
        (if self.fragment.bytes == 2 { Type::B16 } else { Type::B32 }, Register { slot: 0, bits: 32 })
    }
}

impl Wmma {
    /// None when the opcode is not `wmma.mma`.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        if [op.name(), op.part(1)] != ["wmma", "mma"] {
            return Ok(None);
        }
        known(decoder, op, &["mma"])?;
        let unsupported = format!("unsupported wmma shape, type or modifier: {}", op.text());
        let Some([m, n, k]) = sizes(op) else { return decoder.fail(unsupported) };
        let orders = op.parts().filter(|part| ["row", "col"].contains(part)).count();
        let accumulator = |ty| if ty == Type::F16 { Accumulator::F16 } else { Accumulator::F32 };
        let (ty, element, accumulators) = match *op.types().as_slice() {
            [to @ (Type::F16 | Type::F32), from @ (Type::F16 | Type::F32)] => {
                (Type::F16, Element::F16, [to, from].map(accumulator))
            }
            [Type::F32, Type::BF16, Type::BF16, Type::F32] => {
                (Type::BF16, Element::Bf16, [Accumulator::F32; 2])
            }
            _ => return decoder.fail(unsupported),
        };
        if orders != 2 {
            return decoder.fail(unsupported);
        }
        op.operands(decoder, 4)?;
        let sum = |accumulator: Accumulator, registers| Fragment {
            rows: m,
            columns: n,
            bytes: if accumulator == Accumulator::F16 { 2 } else { 4 },
            registers,
        };
        let operand = |rows, columns, registers| Fragment { rows, columns, bytes: 2, registers };
        let [to, from] = accumulators;
        let (d_type, d_count) = to.registers(m * n);
        let (c_type, c_count) = from.registers(m * n);
        Ok(Some(Self {
            element,
            accumulators,
            d: sum(to, decoder.vector_destination(op, 0, d_type, d_count)?),
            a: operand(m, k, decoder.vector_source(op, 1, Type::B32, operand_registers(ty, m * k))?),
            b: operand(k, n, decoder.vector_source(op, 2, Type::B32, operand_registers(ty, k * n))?),
            c: sum(from, decoder.vector_source(op, 3, c_type, c_count)?),
        }))
    }

    /// Floating-point operations of one instruction.
    pub(crate) fn operations(&self) -> u64 {
        2 * (self.a.rows * self.a.columns * self.b.columns) as u64
    }

    pub(crate) fn run(&self, r: &mut Registers) {
        let operand = |fragment: &Fragment| match self.element {
            Element::Bf16 => fragment.values(r, bf16),
            _ => fragment.values(r, half),
        };
        let (a, b) = (operand(&self.a), operand(&self.b));
        let mut sums = match self.accumulators[1] {
            Accumulator::F16 => self.c.values(r, half),
            _ => self.c.values(r, |word, _| f32::from_bits(word)),
        };
        let (k, n) = (self.a.columns, self.b.columns);
        r.vectorised(
            #[inline(always)]
            || {
                for (row, sums) in a.chunks_exact(k).zip(sums.chunks_exact_mut(n)) {
                    for (x, column) in row.iter().zip(b.chunks_exact(n)) {
                        for (sum, y) in sums.iter_mut().zip(column) {
                            *sum = x.mul_add(*y, *sum);
                        }
                    }
                }
            },
        );
        let per_lane = self.d.per_lane();
        for (i, &slot) in self.d.registers.iter().enumerate() {
            let mut words = [0; 32];
            for (lane, word) in words.iter_mut().enumerate() {
                let at = lane * per_lane;
                *word = match self.accumulators[0] {
                    Accumulator::F16 => to_half(sums[at + 2 * i + 1]) << 16 | to_half(sums[at + 2 * i]),
                    _ => canonical(sums[at + i]),
                };
            }
            r.set::<u32>(FULL, slot, &words);
        }
    }
}
