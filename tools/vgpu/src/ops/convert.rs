//! `cvt` among integers and floats, and to packed pairs of halves.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::ops::float::{flush, saturate};
use crate::registers::{Registers, Slot};
use crate::rounding::{BF16, F16, F32, F64, Format, Rounding, TF32};
use crate::types::Type;

/// A conversion.
#[derive(Debug)]
pub(crate) struct Convert {
    to: Type,
    from: Type,
    /// Of a floating-point result, or to an integral value.
    rounding: Option<Rounding>,
    integral: Option<Rounding>,
    flush: bool,
    saturate: bool,
    relu: bool,
    d: Slot,
    /// Bits of the destination register, which may be wider than the type.
    d_bits: u32,
    s: [Slot; 2],
    /// Whether the source register is in the 64-bit file.
    s_wide: bool,
}

pub(crate) fn format(ty: Type) -> Option<Format> {
    Some(match ty {
        Type::F16 | Type::F16x2 => F16,
        Type::BF16 | Type::BF16x2 => BF16,
        Type::F32 => F32,
        Type::TF32 => TF32,
        Type::F64 => F64,
        _ => return None,
    })
}

impl Convert {
    /// None when the opcode is not `cvt`.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        if op.name() != "cvt" {
            return Ok(None);
        }
        let &[to, from] = op.types().as_slice() else {
            return decoder.fail("cvt needs two types");
        };
        if to == Type::Pred || from == Type::Pred || from.half().is_some() {
            return decoder.fail(format!("{} has an unsupported type", op.text()));
        }
        op.allow(
            decoder,
            &["rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi", "ftz", "sat", "relu"],
        )?;
        let packed = to.half().is_some();
        op.operands(decoder, if packed { 3 } else { 2 })?;
        let (d, d_bits) = decoder.any_destination(op, 0, to)?;
        let (a, s_wide) = decoder.any_source(op, 1, from)?;
        let b = if packed { decoder.source(op, 2, from)? } else { a };
        Ok(Some(Self {
            to,
            from,
            rounding: op.rounding(),
            integral: op.integral(),
            flush: op.has("ftz"),
            saturate: op.has("sat"),
            relu: op.has("relu"),
            d,
            d_bits,
            s: [a, b],
            s_wide,
        }))
    }

    #[inline(always)]
    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        let Self { to, from, d, s: [a, _], .. } = *self;
        match (to, from) {
            (Type::F32, Type::S32) if self.rounding == Some(Rounding::Nearest) => {
                r.map1(mask, d, a, |x: u32| (x as i32 as f32).to_bits());
            }
            (Type::S64, Type::S32) => r.map1(mask, d, a, |x: u32| i64::from(x as i32) as u64),
            (Type::U64 | Type::S64, Type::U32) => r.map1(mask, d, a, |x: u32| u64::from(x)),
            (Type::U32 | Type::S32, Type::U64 | Type::S64) if !self.saturate => {
                r.map1(mask, d, a, |x: u64| x as u32);
            }
            (Type::U32 | Type::S32, Type::U16) if !self.s_wide => {
                r.map1(mask, d, a, |x: u32| x & 0xffff);
            }
            _ => self.run_any(r, mask),
        }
    }

    fn run_any(&self, r: &mut Registers, mask: u32) {
        if let Some(half) = self.to.half() {
            return r.set_each(mask, self.d, |r, i| {
                let [high, low] = self.s.map(|slot| self.one(r.lane::<u32>(slot, i).into(), half) as u32);
                high << 16 | low
            });
        }
        let value = |r: &Registers, i| {
            let bits =
                if self.s_wide { r.lane(self.s[0], i) } else { u64::from(r.lane::<u32>(self.s[0], i)) };
            let bits = self.one(bits, self.to);
            let bits = if self.to.is_signed() { sign_extend(bits, self.to.bits()) as u64 } else { bits };
            if self.d_bits == 64 { bits } else { bits & (u64::MAX >> (64 - self.d_bits)) }
        };
        if self.d_bits == 64 {
            r.set_each(mask, self.d, value);
        } else {
            r.set_each(mask, self.d, |r, i| value(r, i) as u32);
        }
    }

    /// One value's bits as `to`.
    fn one(&self, bits: u64, to: Type) -> u64 {
        match (format(self.from), format(to)) {
            (Some(source), Some(target)) => self.float_to_float(bits, source, to, target),
            (Some(source), None) => self.float_to_int(bits, source, to),
            (None, Some(target)) => {
                let (negative, magnitude) = self.integer(bits);
                let mode = self.rounding.unwrap_or(Rounding::Nearest);
                target.round(negative, magnitude, 0, false, mode)
            }
            (None, None) => self.int_to_int(bits, to),
        }
    }

    /// Sign and magnitude of an integer source.
    fn integer(&self, bits: u64) -> (bool, u64) {
        if self.from.is_signed() {
            let value = sign_extend(bits, self.from.bits());
            (value < 0, value.unsigned_abs())
        } else {
            (false, bits & (u64::MAX >> (64 - self.from.bits())))
        }
    }

    fn int_to_int(&self, bits: u64, to: Type) -> u64 {
        let (negative, magnitude) = self.integer(bits);
        let value = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
        let value = if self.saturate { clamp(value, to) } else { value };
        value as u64 & (u64::MAX >> (64 - to.bits()))
    }

    fn float_to_int(&self, bits: u64, source: Format, to: Type) -> u64 {
        let bits = if self.flush && self.from == Type::F32 { flush(bits as u32).into() } else { bits };
        let x = self.integral.unwrap_or(Rounding::Zero).integral(source.value(bits));
        // A NaN is 0, or the integer with the top bit alone where 64 bits are involved.
        if x.is_nan() && (self.from == Type::F64 || to.bytes() == 8) {
            return 1 << (to.bits() - 1);
        }
        // The cast clamps to the range of i128, and a NaN is 0.
        clamp(x as i128, to) as u64 & (u64::MAX >> (64 - to.bits()))
    }

    fn float_to_float(&self, bits: u64, source: Format, to: Type, target: Format) -> u64 {
        let bits = if self.flush && self.from == Type::F32 { flush(bits as u32).into() } else { bits };
        let mut x = source.value(bits);
        if let Some(integral) = self.integral {
            x = integral.integral(x);
        }
        if self.relu && x <= 0.0 {
            x = 0.0;
        }
        if self.saturate {
            x = if to == Type::F64 || self.from == Type::F64 {
                if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) + 0.0 }
            } else {
                f64::from(saturate(x as f32))
            };
        }
        let out = target.round_f64(x, self.rounding.unwrap_or(Rounding::Nearest));
        match to {
            Type::F32 if self.flush => flush(out as u32).into(),
            // The fraction's lower 13 bits of an f32 that holds a tf32 are zero.
            Type::TF32 => out << 13,
            _ => out,
        }
    }
}

fn sign_extend(bits: u64, from: u32) -> i64 {
    ((bits << (64 - from)) as i64) >> (64 - from)
}

/// `value` within the range of an integer type.
fn clamp(value: i128, ty: Type) -> i128 {
    let bits = ty.bits();
    if ty.is_signed() {
        value.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        value.clamp(0, (1 << bits) - 1)
    }
}
