//! Half precision, single and in pairs: add sub mul fma min max abs neg ex2 tanh of f16, bf16, f16x2, bf16x2.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::ops::convert::format;
use crate::registers::{Registers, Slot};
use crate::rounding::{Format, Rounding, two_sum};

#[derive(Clone, Copy, Debug)]
enum Function {
    Add,
    Sub,
    Mul,
    Fma,
    Min(bool),
    Max(bool),
    Abs,
    Neg,
    Ex2,
    Tanh,
}

/// An instruction on halves or pairs of halves.
#[derive(Debug)]
pub(crate) struct Packed {
    function: Function,
    format: Format,
    /// Whether there are two.
    pair: bool,
    flush: bool,
    saturate: bool,
    relu: bool,
    d: Slot,
    s: [Slot; 3],
}

impl Packed {
    /// None when the opcode belongs to another family.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        use Function::{Abs, Add, Ex2, Fma, Max, Min, Mul, Neg, Sub, Tanh};
        let Some(ty) = op.ty(0).filter(|ty| ty.half().is_some() || ty.is_float() && ty.bytes() == 2) else {
            return Ok(None);
        };
        let Some(format) = format(ty) else { return Ok(None) };
        let propagates = op.has("NaN");
        let (function, sources) = match op.name() {
            "add" => (Add, 2),
            "sub" => (Sub, 2),
            "mul" => (Mul, 2),
            "fma" => (Fma, 3),
            "min" => (Min(propagates), 2),
            "max" => (Max(propagates), 2),
            "abs" => (Abs, 1),
            "neg" => (Neg, 1),
            "ex2" => (Ex2, 1),
            "tanh" => (Tanh, 1),
            _ => return Ok(None),
        };
        op.allow(decoder, &["rn", "ftz", "sat", "relu", "NaN", "approx"])?;
        op.operands(decoder, 1 + sources)?;
        let d = decoder.destination(op, 0, ty)?;
        let mut s = [0; 3];
        for (i, slot) in s.iter_mut().enumerate().take(sources) {
            *slot = decoder.source(op, 1 + i, ty)?;
        }
        let pair = ty.half().is_some();
        let (flush, saturate, relu) = (op.has("ftz"), op.has("sat"), op.has("relu"));
        Ok(Some(Self { function, format, pair, flush, saturate, relu, d, s }))
    }

    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        r.set_each(mask, self.d, |r, i| {
            let s = self.s.map(|slot| r.lane::<u32>(slot, i));
            let low = self.flushed(s.map(|x| x & 0xffff));
            if self.pair { self.flushed(s.map(|x| x >> 16)) << 16 | low } else { low }
        });
    }

    /// With `.ftz`, subnormal operands and results are zeros of their sign.
    fn flushed(&self, s: [u32; 3]) -> u32 {
        let Format { fraction, exponent, .. } = self.format;
        let flush = |x: u32| {
            if x >> fraction & ((1 << exponent) - 1) == 0 { x & self.format.sign() as u32 } else { x }
        };
        if self.flush { flush(self.one(s.map(flush))) } else { self.one(s) }
    }

    fn one(&self, s: [u32; 3]) -> u32 {
        let sign = self.format.sign() as u32;
        let [a, b, c] = s.map(|x| self.format.value(x.into()));
        let (value, rest) = match self.function {
            Function::Abs => return s[0] & !sign,
            Function::Neg => return s[0] ^ sign,
            Function::Add => two_sum(a, b),
            Function::Sub => two_sum(a, -b),
            Function::Mul => (a * b, 0.0),
            Function::Fma => two_sum(a * b, c),
            Function::Min(propagates) => (extreme(a, b, propagates, true), 0.0),
            Function::Max(propagates) => (extreme(a, b, propagates, false), 0.0),
            Function::Ex2 => (a.exp2(), 0.0),
            Function::Tanh => (a.tanh(), 0.0),
        };
        let bits = self.format.round_sum(value, rest, Rounding::Nearest) as u32;
        let is_nan = u64::from(bits & !sign) > self.format.infinity();
        if self.saturate {
            let one = self.format.round_f64(1.0, Rounding::Nearest) as u32;
            return if is_nan || bits & sign != 0 { 0 } else { bits.min(one) };
        }
        if self.relu && !is_nan && bits & sign != 0 { 0 } else { bits }
    }
}

/// The smaller or larger number, -0 below +0; a NaN loses unless it `propagates`.
fn extreme(a: f64, b: f64, propagates: bool, smaller: bool) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) | (_, true) if propagates => f64::NAN,
        (true, _) => b,
        (_, true) => a,
        _ if a.total_cmp(&b).is_lt() == smaller => a,
        _ => b,
    }
}
