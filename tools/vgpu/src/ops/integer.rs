//! Integer arithmetic: add sub mul mad div rem min max abs neg sad dp4a.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::registers::{Registers, Slot};
use crate::types::Type;

/// What an instruction computes from a, b, c.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Add,
    Sub,
    MulLow,
    MulHigh,
    MulWide,
    MadLow,
    MadHigh,
    MadWide,
    Div,
    Rem,
    Min,
    Max,
    Abs,
    Neg,
    Sad,
    /// Four products of bytes; whether a and b are signed.
    Dp4a(bool, bool),
}

/// An integer instruction.
#[derive(Debug)]
pub(crate) struct Integer {
    function: Function,
    ty: Type,
    d: Slot,
    s: [Slot; 3],
}

impl Integer {
    /// None when the opcode belongs to another family.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        let integral = |ty: &Type| !ty.is_float() && ty.half().is_none() && ty.bytes() >= 2;
        let Some(ty) = op.ty(0).filter(integral) else { return Ok(None) };
        let part = |low, high, wide| {
            if op.has("wide") {
                wide
            } else if op.has("hi") {
                high
            } else {
                low
            }
        };
        use Function::{
            Abs, Add, Div, Dp4a, MadHigh, MadLow, MadWide, Max, Min, MulHigh, MulLow, MulWide, Neg, Rem, Sad,
            Sub,
        };
        let (function, sources) = match op.name() {
            "add" => (Add, 2),
            "sub" => (Sub, 2),
            "mul" => (part(MulLow, MulHigh, MulWide), 2),
            "mad" => (part(MadLow, MadHigh, MadWide), 3),
            "div" => (Div, 2),
            "rem" => (Rem, 2),
            "min" => (Min, 2),
            "max" => (Max, 2),
            "abs" => (Abs, 1),
            "neg" => (Neg, 1),
            "sad" => (Sad, 3),
            "dp4a" => (Dp4a(ty.is_signed(), op.ty(1).is_some_and(Type::is_signed)), 3),
            _ => return Ok(None),
        };
        op.allow(decoder, &["lo", "hi", "wide"])?;
        if matches!(function, Dp4a(..)) && ty.bytes() != 4 {
            return decoder.fail("dp4a has 32-bit operands");
        }
        let wide = match (function, ty) {
            (MulWide | MadWide, Type::U16) => Type::U32,
            (MulWide | MadWide, Type::S16) => Type::S32,
            (MulWide | MadWide, Type::U32) => Type::U64,
            (MulWide | MadWide, Type::S32) => Type::S64,
            (MulWide | MadWide, _) => return decoder.fail("mul.wide of a 64-bit type"),
            _ => ty,
        };
        op.operands(decoder, 1 + sources)?;
        let d = decoder.destination(op, 0, wide)?;
        let mut s = [0; 3];
        for (i, slot) in s.iter_mut().enumerate().take(sources) {
            *slot = decoder.source(op, 1 + i, if i == 2 { wide } else { ty })?;
        }
        Ok(Some(Self { function, ty, d, s }))
    }

    #[inline(always)]
    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        match self.ty.bytes() {
            2 => self.run16(r, mask),
            4 => self.run32(r, mask),
            _ => self.run64(r, mask),
        }
    }

    fn run32(&self, r: &mut Registers, mask: u32) {
        let Self { function, ty, d, s: s @ [a, b, _] } = *self;
        let ab = [a, b];
        let signed = ty.is_signed();
        match function {
            Function::Add => r.map2(mask, d, ab, u32::wrapping_add),
            Function::Sub => r.map2(mask, d, ab, u32::wrapping_sub),
            Function::MulLow => r.map2(mask, d, ab, u32::wrapping_mul),
            Function::MadLow => {
                r.map3(mask, d, s, |a: u32, b: u32, c: u32| a.wrapping_mul(b).wrapping_add(c));
            }
            Function::MulHigh if signed => r.map2(mask, d, ab, |a: u32, b: u32| (wide(a, b) >> 32) as u32),
            Function::MulHigh => r.map2(mask, d, ab, |a: u32, b: u32| (uwide(a, b) >> 32) as u32),
            Function::MadHigh => r.map3(mask, d, s, |a: u32, b: u32, c: u32| {
                let high = if signed { wide(a, b) >> 32 } else { uwide(a, b) >> 32 };
                c.wrapping_add(high as u32)
            }),
            Function::MulWide if signed => r.map2(mask, d, ab, wide),
            Function::MulWide => r.map2(mask, d, ab, uwide),
            Function::MadWide if signed => {
                r.map3(mask, d, s, |a, b, c: u64| wide(a, b).wrapping_add(c));
            }
            Function::MadWide => r.map3(mask, d, s, |a, b, c: u64| uwide(a, b).wrapping_add(c)),
            // Division by zero is undefined: all ones, as a GPU gives.
            Function::Div if signed => {
                r.map2(
                    mask,
                    d,
                    ab,
                    |a: u32, b: u32| {
                        if b == 0 { u32::MAX } else { (a as i32).wrapping_div(b as i32) as u32 }
                    },
                )
            }
            Function::Div => r.map2(mask, d, ab, |a: u32, b: u32| a.checked_div(b).unwrap_or(u32::MAX)),
            Function::Rem if signed => {
                r.map2(
                    mask,
                    d,
                    ab,
                    |a: u32, b: u32| {
                        if b == 0 { u32::MAX } else { (a as i32).wrapping_rem(b as i32) as u32 }
                    },
                )
            }
            Function::Rem => r.map2(mask, d, ab, |a: u32, b: u32| a.checked_rem(b).unwrap_or(u32::MAX)),
            Function::Min if signed => {
                r.map2(mask, d, ab, |a: u32, b: u32| (a as i32).min(b as i32) as u32);
            }
            Function::Min => r.map2(mask, d, ab, |a: u32, b: u32| a.min(b)),
            Function::Max if signed => {
                r.map2(mask, d, ab, |a: u32, b: u32| (a as i32).max(b as i32) as u32);
            }
            Function::Max => r.map2(mask, d, ab, |a: u32, b: u32| a.max(b)),
            Function::Abs => r.map1(mask, d, a, |a: u32| (a as i32).wrapping_abs() as u32),
            Function::Neg => r.map1(mask, d, a, u32::wrapping_neg),
            Function::Sad if signed => {
                r.map3(mask, d, s, |a: u32, b: u32, c: u32| c.wrapping_add((a as i32).abs_diff(b as i32)));
            }
            Function::Sad => r.map3(mask, d, s, |a: u32, b: u32, c: u32| c.wrapping_add(a.abs_diff(b))),
            Function::Dp4a(sa, sb) => r.map3(mask, d, s, |a: u32, b: u32, c: u32| {
                (0..4).fold(c, |sum, i| {
                    let byte = |x: u32, signed: bool| {
                        let byte = (x >> (8 * i)) as u8;
                        if signed { i32::from(byte as i8) } else { i32::from(byte) }
                    };
                    sum.wrapping_add((byte(a, sa) * byte(b, sb)) as u32)
                })
            }),
        }
    }

    /// 16-bit operands are widened; the result is cut to 16 bits but for `.wide`.
    fn run16(&self, r: &mut Registers, mask: u32) {
        let Self { function, ty, d, s } = *self;
        let signed = ty.is_signed();
        let widen = |x: u32| if signed { i64::from(x as i16) } else { i64::from(x as u16) };
        r.map3(mask, d, s, |a: u32, b: u32, c: u32| {
            let full = c;
            let (a, b, c) = (widen(a), widen(b), widen(c));
            let value = match function {
                Function::Add => a + b,
                Function::Sub => a - b,
                Function::MulLow => a * b,
                Function::MulHigh => (a * b) >> 16,
                Function::MadLow => a * b + c,
                Function::MadHigh => ((a * b) >> 16) + c,
                Function::MulWide => return (a * b) as u32,
                Function::MadWide => return ((a * b) as u32).wrapping_add(full),
                Function::Div => a.checked_div(b).unwrap_or(-1),
                Function::Rem => a.checked_rem(b).unwrap_or(-1),
                Function::Min => a.min(b),
                Function::Max => a.max(b),
                Function::Abs => a.abs(),
                Function::Neg => -a,
                Function::Sad => c + (a - b).abs(),
                Function::Dp4a(..) => unreachable!("dp4a has 32-bit operands"),
            };
            u32::from(value as u16)
        });
    }

    fn run64(&self, r: &mut Registers, mask: u32) {
        let Self { function, ty, d, s: s @ [a, b, _] } = *self;
        let ab = [a, b];
        let signed = ty.is_signed();
        let high = move |a: u64, b: u64| {
            if signed {
                ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
            } else {
                ((u128::from(a) * u128::from(b)) >> 64) as u64
            }
        };
        match function {
            Function::Add => r.map2(mask, d, ab, u64::wrapping_add),
            Function::Sub => r.map2(mask, d, ab, u64::wrapping_sub),
            Function::MulLow => r.map2(mask, d, ab, u64::wrapping_mul),
            Function::MadLow => {
                r.map3(mask, d, s, |a: u64, b: u64, c: u64| a.wrapping_mul(b).wrapping_add(c));
            }
            Function::MulHigh => r.map2(mask, d, ab, high),
            Function::MadHigh => r.map3(mask, d, s, |a, b, c: u64| high(a, b).wrapping_add(c)),
            Function::Div if signed => {
                r.map2(
                    mask,
                    d,
                    ab,
                    |a: u64, b: u64| {
                        if b == 0 { u64::MAX } else { (a as i64).wrapping_div(b as i64) as u64 }
                    },
                )
            }
            Function::Div => r.map2(mask, d, ab, |a: u64, b: u64| a.checked_div(b).unwrap_or(u64::MAX)),
            Function::Rem if signed => {
                r.map2(
                    mask,
                    d,
                    ab,
                    |a: u64, b: u64| {
                        if b == 0 { u64::MAX } else { (a as i64).wrapping_rem(b as i64) as u64 }
                    },
                )
            }
            Function::Rem => r.map2(mask, d, ab, |a: u64, b: u64| a.checked_rem(b).unwrap_or(u64::MAX)),
            Function::Min if signed => {
                r.map2(mask, d, ab, |a: u64, b: u64| (a as i64).min(b as i64) as u64);
            }
            Function::Min => r.map2(mask, d, ab, |a: u64, b: u64| a.min(b)),
            Function::Max if signed => {
                r.map2(mask, d, ab, |a: u64, b: u64| (a as i64).max(b as i64) as u64);
            }
            Function::Max => r.map2(mask, d, ab, |a: u64, b: u64| a.max(b)),
            Function::Abs => r.map1(mask, d, a, |a: u64| (a as i64).wrapping_abs() as u64),
            Function::Neg => r.map1(mask, d, a, u64::wrapping_neg),
            Function::Sad => r.map3(mask, d, s, |a: u64, b: u64, c: u64| {
                c.wrapping_add(if signed { (a as i64).abs_diff(b as i64) } else { a.abs_diff(b) })
            }),
            Function::MulWide | Function::MadWide | Function::Dp4a(..) => {
                unreachable!("decoding admits these for 16 and 32 bits only")
            }
        }
    }
}

fn wide(a: u32, b: u32) -> u64 {
    (i64::from(a as i32) * i64::from(b as i32)) as u64
}

fn uwide(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}
