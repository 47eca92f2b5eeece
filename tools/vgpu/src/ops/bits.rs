//! Bits: and or xor not cnot lop3 shl shr shf prmt bfe bfi bfind brev clz popc.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::registers::{Registers, Slot};
use crate::types::Type;

#[derive(Clone, Copy, Debug)]
enum Function {
    And,
    Or,
    Xor,
    Not,
    Cnot,
    Shl,
    Shr,
    Lop3(u8),
    /// Whether the shift goes right and whether its amount is clamped (else wrapped).
    Funnel {
        right: bool,
        clamp: bool,
    },
    Prmt,
    Bfe,
    Bfi,
    /// Whether the result is the shift that would bring the bit to the top.
    Bfind(bool),
    Brev,
    Clz,
    Popc,
}

/// An instruction on bits.
#[derive(Debug)]
pub(crate) struct Bits {
    function: Function,
    ty: Type,
    d: Slot,
    s: [Slot; 4],
}

impl Bits {
    /// None when the opcode belongs to another family.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        use Function::{
            And, Bfe, Bfi, Bfind, Brev, Clz, Cnot, Funnel, Lop3, Not, Or, Popc, Prmt, Shl, Shr, Xor,
        };
        let Some(ty) = op.ty(0) else { return Ok(None) };
        let u = Type::U32;
        let (function, sources): (_, &[Type]) = match op.name() {
            "and" => (And, &[ty, ty]),
            "or" => (Or, &[ty, ty]),
            "xor" => (Xor, &[ty, ty]),
            "not" => (Not, &[ty]),
            "cnot" => (Cnot, &[ty]),
            "shl" => (Shl, &[ty, u]),
            "shr" => (Shr, &[ty, u]),
            "lop3" => (Lop3(decoder.immediate(op, 4)? as u8), &[ty, ty, ty]),
            "shf" => (Funnel { right: op.has("r"), clamp: op.has("clamp") }, &[u, u, u]),
            "prmt" => (Prmt, &[u, u, u]),
            "bfe" => (Bfe, &[ty, u, u]),
            "bfi" => (Bfi, &[ty, ty, u, u]),
            "bfind" => (Bfind(op.has("shiftamt")), &[ty]),
            "brev" => (Brev, &[ty]),
            "clz" => (Clz, &[ty]),
            "popc" => (Popc, &[ty]),
            _ => return Ok(None),
        };
        match function {
            Funnel { .. } => op.allow(decoder, &["l", "r", "wrap", "clamp"])?,
            Bfind(_) => op.allow(decoder, &["shiftamt"])?,
            _ => op.allow(decoder, &[])?,
        }
        let possible = match function {
            And | Or | Xor | Not => true,
            Lop3(_) | Funnel { .. } | Prmt => ty.bytes() == 4,
            _ => ty != Type::Pred,
        };
        if !possible {
            return decoder.fail(format!("{} has no such type", op.text()));
        }
        op.operands(decoder, 1 + sources.len() + usize::from(matches!(function, Lop3(_))))?;
        let result = if matches!(function, Bfind(_) | Clz | Popc) { u } else { ty };
        let d = decoder.destination(op, 0, result)?;
        let mut s = [0; 4];
        for (i, &ty) in sources.iter().enumerate() {
            s[i] = decoder.source(op, 1 + i, ty)?;
        }
        Ok(Some(Self { function, ty, d, s }))
    }

    #[inline(always)]
    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        match self.ty.bytes() {
            0 => self.run_predicate(r, mask),
            8 => self.run64(r, mask),
            _ => self.run32(r, mask),
        }
    }

    fn run_predicate(&self, r: &mut Registers, mask: u32) {
        let (a, b) = (r.predicate(self.s[0]), r.predicate(self.s[1]));
        let value = match self.function {
            Function::And => a & b,
            Function::Or => a | b,
            Function::Xor => a ^ b,
            _ => !a,
        };
        r.set_predicate(mask, self.d, value);
    }

    fn run32(&self, r: &mut Registers, mask: u32) {
        let Self { function, ty, d, s: [a, b, c, e] } = *self;
        let (ab, abc) = ([a, b], [a, b, c]);
        let bits = ty.bits();
        let cut = u32::MAX >> (32 - bits);
        match function {
            Function::And => r.map2(mask, d, ab, |a: u32, b: u32| a & b),
            Function::Or => r.map2(mask, d, ab, |a: u32, b: u32| a | b),
            Function::Xor => r.map2(mask, d, ab, |a: u32, b: u32| a ^ b),
            Function::Not => r.map1(mask, d, a, |a: u32| !a & cut),
            Function::Cnot => r.map1(mask, d, a, |a: u32| u32::from(a == 0)),
            Function::Shl => {
                r.map2(mask, d, ab, |a: u32, b: u32| if b < 32 { a << b & cut } else { 0 });
            }
            Function::Shr if ty.is_signed() && bits == 16 => {
                r.map2(mask, d, ab, |a: u32, b: u32| (i32::from(a as i16) >> b.min(15)) as u32 & cut);
            }
            Function::Shr if ty.is_signed() => {
                r.map2(mask, d, ab, |a: u32, b: u32| ((a as i32) >> b.min(31)) as u32);
            }
            Function::Shr => r.map2(mask, d, ab, |a: u32, b: u32| if b < 32 { a >> b } else { 0 }),
            Function::Lop3(table) => r.map3(mask, d, abc, |a: u32, b: u32, c: u32| lop3(a, b, c, table)),
            Function::Funnel { right, clamp } => r.map3(mask, d, abc, |low: u32, high: u32, n: u32| {
                let pair = u64::from(high) << 32 | u64::from(low);
                let n = if clamp { n.min(32) } else { n & 31 };
                if right { (pair >> n) as u32 } else { (pair << n >> 32) as u32 }
            }),
            Function::Prmt => r.map3(mask, d, abc, prmt),
            Function::Bfe if ty.is_signed() => r.map3(mask, d, abc, |a: u32, p: u32, n: u32| {
                extract(i64::from(a as i32) as u64, p, n, 32, true) as u32
            }),
            Function::Bfe => {
                r.map3(mask, d, abc, |a: u32, p: u32, n: u32| extract(u64::from(a), p, n, 32, false) as u32)
            }
            Function::Bfi => r.set_each(mask, d, |r, i| {
                let [from, into, p, n] = [a, b, c, e].map(|slot| r.lane::<u32>(slot, i));
                insert(u64::from(from), u64::from(into), p, n, 32) as u32
            }),
            Function::Bfind(shift) => r.map1(mask, d, a, |a: u32| {
                let a = if ty.is_signed() && (a as i32) < 0 { !a } else { a };
                if a == 0 {
                    u32::MAX
                } else if shift {
                    a.leading_zeros()
                } else {
                    31 - a.leading_zeros()
                }
            }),
            Function::Brev => r.map1(mask, d, a, u32::reverse_bits),
            Function::Clz => r.map1(mask, d, a, u32::leading_zeros),
            Function::Popc => r.map1(mask, d, a, u32::count_ones),
        }
    }

    fn run64(&self, r: &mut Registers, mask: u32) {
        let Self { function, ty, d, s: [a, b, c, e] } = *self;
        let ab = [a, b];
        match function {
            Function::And => r.map2(mask, d, ab, |a: u64, b: u64| a & b),
            Function::Or => r.map2(mask, d, ab, |a: u64, b: u64| a | b),
            Function::Xor => r.map2(mask, d, ab, |a: u64, b: u64| a ^ b),
            Function::Not => r.map1(mask, d, a, |a: u64| !a),
            Function::Cnot => r.map1(mask, d, a, |a: u64| u64::from(a == 0)),
            Function::Shl => r.map2(mask, d, ab, |a: u64, b: u32| if b < 64 { a << b } else { 0 }),
            Function::Shr if ty.is_signed() => {
                r.map2(mask, d, ab, |a: u64, b: u32| ((a as i64) >> b.min(63)) as u64);
            }
            Function::Shr => r.map2(mask, d, ab, |a: u64, b: u32| if b < 64 { a >> b } else { 0 }),
            Function::Bfe => {
                r.map3(mask, d, [a, b, c], |a: u64, p: u32, n: u32| extract(a, p, n, 64, ty.is_signed()))
            }
            Function::Bfi => r.set_each(mask, d, |r, i| {
                let [p, n] = [c, e].map(|slot| r.lane::<u32>(slot, i));
                insert(r.lane(a, i), r.lane(b, i), p, n, 64)
            }),
            Function::Bfind(shift) => r.map1(mask, d, a, |a: u64| {
                let a = if ty.is_signed() && (a as i64) < 0 { !a } else { a };
                if a == 0 {
                    u32::MAX
                } else if shift {
                    a.leading_zeros()
                } else {
                    63 - a.leading_zeros()
                }
            }),
            Function::Brev => r.map1(mask, d, a, u64::reverse_bits),
            Function::Clz => r.map1(mask, d, a, |a: u64| a.leading_zeros()),
            Function::Popc => r.map1(mask, d, a, |a: u64| a.count_ones()),
            Function::Lop3(_) | Function::Funnel { .. } | Function::Prmt => {
                unreachable!("these have 32-bit operands")
            }
        }
    }
}

fn lop3(a: u32, b: u32, c: u32, table: u8) -> u32 {
    (0..8).filter(|row| table >> row & 1 == 1).fold(0, |out, row| {
        let pick = |x: u32, bit: u32| if row >> bit & 1 == 1 { x } else { !x };
        out | pick(a, 2) & pick(b, 1) & pick(c, 0)
    })
}

/// The default mode: each nibble of `selector` names a byte of `{b, a}`, its top bit replicates the byte's sign.
fn prmt(a: u32, b: u32, selector: u32) -> u32 {
    let pair = u64::from(b) << 32 | u64::from(a);
    (0..4).fold(0, |out, i| {
        let nibble = selector >> (4 * i);
        let byte = (pair >> (8 * (nibble & 7))) as u8;
        let byte = if nibble & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 };
        out | u32::from(byte) << (8 * i)
    })
}

/// `n` bits of `a` from bit `position`; a signed field repeats its top bit, or that of `a` where it reaches beyond.
fn extract(a: u64, position: u32, n: u32, bits: u32, signed: bool) -> u64 {
    let (position, n) = (position & 0xff, n & 0xff);
    if n == 0 {
        return 0;
    }
    let top = (position + n - 1).min(bits - 1);
    let negative = signed && a >> top & 1 == 1;
    let field = if position >= bits { 0 } else { (a & (u64::MAX >> (64 - bits))) >> position };
    let kept = if position >= bits { 0 } else { n.min(bits - position) };
    let low = if kept >= 64 { u64::MAX } else { (1 << kept) - 1 };
    if negative { field & low | !low } else { field & low }
}

/// `into` with `n` bits from bit `position` replaced by the low bits of `from`.
fn insert(from: u64, into: u64, position: u32, n: u32, bits: u32) -> u64 {
    let (position, n) = (position & 0xff, n & 0xff);
    if position >= bits || n == 0 {
        return into;
    }
    let field = if n >= 64 { u64::MAX } else { (1 << n) - 1 };
    (into & !(field << position)) | (from & field) << position
}
