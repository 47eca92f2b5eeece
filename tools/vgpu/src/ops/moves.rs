//! Moves: mov, cvta, isspacep, and the packing and unpacking of vectors.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::module::Operand;
use crate::registers::{Registers, Slot};
use crate::types::{Space, Type};

/// A move.
#[derive(Debug)]
pub(crate) enum Move {
    /// 32 bits or less.
    Word {
        d: Slot,
        a: Slot,
    },
    /// 64 bits.
    Double {
        d: Slot,
        a: Slot,
    },
    Predicate {
        d: Slot,
        a: Slot,
    },
    /// Elements of `bits` bits each, lowest first, into one register.
    Pack {
        d: Slot,
        wide: bool,
        from: Vec<Slot>,
        bits: u32,
    },
    /// One register into its elements; None is a sink.
    Unpack {
        to: Vec<Option<Slot>>,
        a: Slot,
        wide: bool,
        bits: u32,
    },
    /// Adds or subtracts the base of a window.
    Window {
        d: Slot,
        a: Slot,
        offset: u64,
    },
    /// Whether a generic address lies in a space.
    IsSpace {
        d: Slot,
        a: Slot,
        space: Space,
    },
}

impl Move {
    /// None when the opcode belongs to another family.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        let space = || op.parts().find_map(Space::parse);
        match op.name() {
            "mov" => Self::decode_mov(decoder, op).map(Some),
            "cvta" => {
                op.operands(decoder, 2)?;
                let Some(space) = space() else { return decoder.fail("cvta without a space") };
                let (d, a) = (decoder.destination(op, 0, Type::U64)?, decoder.source(op, 1, Type::U64)?);
                let base = space.base();
                let offset = if op.has("to") { base.wrapping_neg() } else { base };
                Ok(Some(Self::Window { d, a, offset }))
            }
            "isspacep" => {
                op.operands(decoder, 2)?;
                let Some(space) = space() else { return decoder.fail("isspacep without a space") };
                let (d, a) = (decoder.destination(op, 0, Type::Pred)?, decoder.source(op, 1, Type::U64)?);
                Ok(Some(Self::IsSpace { d, a, space }))
            }
            _ => Ok(None),
        }
    }

    fn decode_mov(decoder: &mut Decoder, op: &Opcode) -> Result<Self, Error> {
        op.operands(decoder, 2)?;
        let Some(ty) = op.ty(0) else { return decoder.fail("mov without a type") };
        let wide = ty.bytes() == 8;
        let element = |count: usize| match (ty.bits() as usize).checked_div(count) {
            Some(8) => Some(Type::B8),
            Some(16) => Some(Type::B16),
            Some(32) => Some(Type::B32),
            _ => None,
        };
        if let Operand::Vector(elements) = op.operand(1) {
            let Some(part) = element(elements.len()) else {
                return decoder.fail("mov of a vector this long");
            };
            let from = elements.iter().map(|e| decoder.source_operand(e, part)).collect::<Result<_, _>>()?;
            return Ok(Self::Pack { d: decoder.destination(op, 0, ty)?, wide, from, bits: part.bits() });
        }
        if let Operand::Vector(elements) = op.operand(0) {
            let Some(part) = element(elements.len()) else {
                return decoder.fail("mov to a vector this long");
            };
            let to =
                elements.iter().map(|e| decoder.sink_or_destination(e, part)).collect::<Result<_, _>>()?;
            return Ok(Self::Unpack { to, a: decoder.source(op, 1, ty)?, wide, bits: part.bits() });
        }
        let (d, a) = (decoder.destination(op, 0, ty)?, decoder.source(op, 1, ty)?);
        Ok(match ty {
            Type::Pred => Self::Predicate { d, a },
            _ if wide => Self::Double { d, a },
            _ => Self::Word { d, a },
        })
    }

    #[inline(always)]
    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        match *self {
            Self::Word { d, a } => {
                let a = *r.get::<u32>(a);
                r.set(mask, d, &a);
            }
            Self::Double { d, a } => {
                let a = *r.get::<u64>(a);
                r.set(mask, d, &a);
            }
            Self::Predicate { d, a } => r.set_predicate(mask, d, r.predicate(a)),
            Self::Pack { d, wide, ref from, bits } => {
                let value = |r: &Registers, i| {
                    from.iter()
                        .rev()
                        .fold(0_u64, |all, &slot| all << bits | u64::from(r.lane::<u32>(slot, i)))
                };
                if wide {
                    r.set_each(mask, d, value);
                } else {
                    r.set_each(mask, d, |r, i| value(r, i) as u32);
                }
            }
            Self::Unpack { ref to, a, wide, bits } => {
                let cut = u32::MAX >> (32 - bits);
                let from: [u64; 32] = if wide { *r.get::<u64>(a) } else { r.get::<u32>(a).map(u64::from) };
                for (k, d) in to.iter().enumerate() {
                    if let Some(d) = *d {
                        r.set(mask, d, &from.map(|x| (x >> (k as u32 * bits)) as u32 & cut));
                    }
                }
            }
            Self::Window { d, a, offset } => r.map1(mask, d, a, |x: u64| x.wrapping_add(offset)),
            Self::IsSpace { d, a, space } => {
                let value = r.test([a, a], |x: u64, _| Space::of(x) == space);
                r.set_predicate(mask, d, value);
            }
        }
    }
}
