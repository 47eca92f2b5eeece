//! f32 and f64 arithmetic: add sub mul fma mad div rcp sqrt rsqrt ex2 lg2 sin cos tanh min max abs neg copysign.
//!
//! Results are rounded as the instruction says. The `.approx` functions are the exact result rounded to nearest,
//! which is within every error bound that the manual states.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::registers::{Registers, Slot};
use crate::rounding::{F32, F64, Rounding, two_sum};
use crate::types::Type;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Rcp,
    Sqrt,
    Rsqrt,
    Ex2,
    Lg2,
    Sin,
    Cos,
    Tanh,
    /// Whether one NaN makes a NaN.
    Min(bool),
    Max(bool),
    Abs,
    Neg,
    /// a's sign on b's magnitude.
    CopySign,
}

/// A floating-point instruction.
#[derive(Debug)]
pub(crate) struct Float {
    function: Function,
    double: bool,
    rounding: Rounding,
    flush: bool,
    saturate: bool,
    d: Slot,
    s: [Slot; 3],
}

impl Float {
    /// None when the opcode belongs to another family.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        let Some(ty @ (Type::F32 | Type::F64)) = op.ty(0) else { return Ok(None) };
        use Function::{
            Abs, Add, CopySign, Cos, Div, Ex2, Fma, Lg2, Max, Min, Mul, Neg, Rcp, Rsqrt, Sin, Sqrt, Sub, Tanh,
        };
        let propagates = op.has("NaN");
        let (function, sources) = match op.name() {
            "add" => (Add, 2),
            "sub" => (Sub, 2),
            "mul" => (Mul, 2),
            "fma" | "mad" => (Fma, 3),
            "div" => (Div, 2),
            "rcp" => (Rcp, 1),
            "sqrt" => (Sqrt, 1),
            "rsqrt" => (Rsqrt, 1),
            "ex2" => (Ex2, 1),
            "lg2" => (Lg2, 1),
            "sin" => (Sin, 1),
            "cos" => (Cos, 1),
            "tanh" => (Tanh, 1),
            "min" => (Min(propagates), 2),
            "max" => (Max(propagates), 2),
            "abs" => (Abs, 1),
            "neg" => (Neg, 1),
            "copysign" => (CopySign, 2),
            _ => return Ok(None),
        };
        op.allow(decoder, &["rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full", "NaN"])?;
        let rounding = op.rounding().unwrap_or(Rounding::Nearest);
        let double = ty == Type::F64;
        if double && rounding != Rounding::Nearest && !matches!(function, Add | Sub) {
            return decoder.fail("directed rounding of f64 is supported for add and sub only");
        }
        op.operands(decoder, 1 + sources)?;
        let d = decoder.destination(op, 0, ty)?;
        let mut s = [0; 3];
        for (i, slot) in s.iter_mut().enumerate().take(sources) {
            *slot = decoder.source(op, 1 + i, ty)?;
        }
        Ok(Some(Self { function, double, rounding, flush: op.has("ftz"), saturate: op.has("sat"), d, s }))
    }

    #[inline(always)]
    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        let Self { function, double, rounding, flush, saturate, d, s: s @ [a, b, _] } = *self;
        if double {
            return self.run64(r, mask);
        }
        if rounding == Rounding::Nearest && !flush && !saturate {
            match function {
                Function::Add => {
                    return r.map2(mask, d, [a, b], |a, b| canonical(float(a) + float(b)));
                }
                Function::Sub => {
                    return r.map2(mask, d, [a, b], |a, b| canonical(float(a) - float(b)));
                }
                Function::Mul => {
                    return r.map2(mask, d, [a, b], |a, b| canonical(float(a) * float(b)));
                }
                Function::Fma => {
                    return r.map3(mask, d, s, |a, b, c| canonical(float(a).mul_add(float(b), float(c))));
                }
                _ => {}
            }
        }
        self.run32(r, mask);
    }

    /// Any f32 instruction with any modifier, lane by lane.
    fn run32(&self, r: &mut Registers, mask: u32) {
        r.set_each(mask, self.d, |r, i| {
            let [a, b, c] = self.s.map(|slot| self.input(r.lane(slot, i)));
            let bits = self.one(float(a), float(b), float(c));
            let bits = if self.flush { flush(bits) } else { bits };
            if self.saturate { saturate(float(bits)).to_bits() } else { bits }
        });
    }

    fn input(&self, bits: u32) -> u32 {
        if self.flush { flush(bits) } else { bits }
    }

    fn one(&self, a: f32, b: f32, c: f32) -> u32 {
        let mode = self.rounding;
        let wide = |x: f64| F32.round_f64(x, Rounding::Nearest) as u32;
        let exact = |sum: f64, rest: f64| F32.round_sum(sum, rest, mode) as u32;
        let sum = |a: f64, b: f64| {
            let (sum, rest) = two_sum(a, b);
            // Opposite numbers cancel to +0, downwards to -0.
            if sum == 0.0 && a != 0.0 && mode == Rounding::Down {
                return (-0.0_f32).to_bits();
            }
            exact(sum, rest)
        };
        let (x, y) = (f64::from(a), f64::from(b));
        match self.function {
            Function::Add => sum(x, y),
            Function::Sub => sum(x, -y),
            Function::Mul => exact(x * y, 0.0),
            Function::Fma => sum(x * y, f64::from(c)),
            Function::Div => {
                // The sign of the rest tells on which side of the quotient the truth lies.
                let quotient = x / y;
                exact(quotient, side((-quotient).mul_add(y, x) * y.signum(), quotient))
            }
            Function::Rcp => {
                let quotient = 1.0 / x;
                exact(quotient, side((-quotient).mul_add(x, 1.0) * x.signum(), quotient))
            }
            Function::Sqrt => {
                let root = x.sqrt();
                exact(root, side((-root).mul_add(root, x), root))
            }
            Function::Rsqrt => wide(1.0 / x.sqrt()),
            Function::Ex2 => wide(x.exp2()),
            Function::Lg2 => wide(x.log2()),
            Function::Sin => wide(x.sin()),
            Function::Cos => wide(x.cos()),
            Function::Tanh => wide(x.tanh()),
            Function::Min(propagates) => canonical(extreme(a, b, propagates, true)),
            Function::Max(propagates) => canonical(extreme(a, b, propagates, false)),
            Function::Abs => a.abs().to_bits(),
            Function::Neg => (-a).to_bits(),
            Function::CopySign => b.copysign(a).to_bits(),
        }
    }

    fn run64(&self, r: &mut Registers, mask: u32) {
        let mode = self.rounding;
        r.set_each(mask, self.d, |r, i| {
            let [a, b, c] = self.s.map(|slot| f64::from_bits(r.lane(slot, i)));
            let value = match self.function {
                Function::Add | Function::Sub if mode != Rounding::Nearest => {
                    let b = if self.function == Function::Add { b } else { -b };
                    let (sum, rest) = two_sum(a, b);
                    let cancels = sum == 0.0 && a != 0.0 && mode == Rounding::Down;
                    return if cancels { (-0.0_f64).to_bits() } else { F64.round_sum(sum, rest, mode) };
                }
                Function::Add => a + b,
                Function::Sub => a - b,
                Function::Mul => a * b,
                Function::Fma => a.mul_add(b, c),
                Function::Div => a / b,
                Function::Rcp => 1.0 / a,
                Function::Sqrt => a.sqrt(),
                Function::Rsqrt => 1.0 / a.sqrt(),
                Function::Ex2 => a.exp2(),
                Function::Lg2 => a.log2(),
                Function::Sin => a.sin(),
                Function::Cos => a.cos(),
                Function::Tanh => a.tanh(),
                Function::Min(_) => minimum(a, b),
                Function::Max(_) => -minimum(-a, -b),
                Function::Abs => return a.abs().to_bits(),
                Function::Neg => return (-a).to_bits(),
                Function::CopySign => return b.copysign(a).to_bits(),
            };
            if value.is_nan() { F64.nan } else { value.to_bits() }
        });
    }
}

fn float(bits: u32) -> f32 {
    f32::from_bits(bits)
}

/// The bits of `x`; every NaN that arithmetic returns is 0x7fffffff.
#[inline(always)]
fn canonical(x: f32) -> u32 {
    if x.is_nan() { 0x7fff_ffff } else { x.to_bits() }
}

/// Subnormal numbers become zero of the same sign.
pub(crate) fn flush(bits: u32) -> u32 {
    if bits & 0x7f80_0000 == 0 { bits & 0x8000_0000 } else { bits }
}

/// Clamped to `[0, 1]`, NaN to +0.
pub(crate) fn saturate(x: f32) -> f32 {
    if x.is_nan() || x <= 0.0 { 0.0 } else { x.min(1.0) }
}

/// A rest with the sign of `rest` that is too small to matter but for its sign.
fn side(rest: f64, near: f64) -> f64 {
    if rest == 0.0 || !rest.is_finite() || !near.is_finite() { 0.0 } else { f64::MIN_POSITIVE.copysign(rest) }
}

/// The smaller or larger number, -0 below +0; a NaN loses unless it `propagates`.
fn extreme(a: f32, b: f32, propagates: bool, smaller: bool) -> f32 {
    let lose = if propagates { f32::NAN } else { a };
    if a.is_nan() {
        return if propagates { f32::NAN } else { b };
    }
    if b.is_nan() {
        return lose;
    }
    if (a.total_cmp(&b).is_lt()) == smaller { a } else { b }
}

/// The smaller number, -0 below +0; a NaN loses.
fn minimum(a: f64, b: f64) -> f64 {
    if a.is_nan() {
        b
    } else if b.is_nan() || a.total_cmp(&b).is_lt() {
        a
    } else {
        b
    }
}
