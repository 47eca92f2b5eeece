//! Comparison and selection: setp set selp slct testp.

use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::ops::float::flush;
use crate::registers::{Registers, Slot};
use crate::rounding::{BF16, F16};
use crate::types::Type;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// Neither is a NaN.
    Number,
    /// One is a NaN.
    Nan,
}

/// A relation, and whether it holds when an operand is a NaN.
#[derive(Clone, Copy, Debug)]
struct Comparison {
    relation: Relation,
    unordered: bool,
}

impl Comparison {
    fn parse(name: &str) -> Option<Self> {
        use Relation::{Equal, Greater, GreaterEqual, Less, LessEqual, Nan, NotEqual, Number};
        let (relation, unordered) = match name {
            "eq" => (Equal, false),
            "ne" => (NotEqual, false),
            "lt" | "lo" => (Less, false),
            "le" | "ls" => (LessEqual, false),
            "gt" | "hi" => (Greater, false),
            "ge" | "hs" => (GreaterEqual, false),
            "equ" => (Equal, true),
            "neu" => (NotEqual, true),
            "ltu" => (Less, true),
            "leu" => (LessEqual, true),
            "gtu" => (Greater, true),
            "geu" => (GreaterEqual, true),
            "num" => (Number, false),
            "nan" => (Nan, true),
            _ => return None,
        };
        Some(Self { relation, unordered })
    }

    #[inline(always)]
    fn test<T: Copy + Ord>(self, r: &Registers, slots: [Slot; 2], key: impl Fn(u64) -> T, wide: bool) -> u32 {
        macro_rules! test {
            ($f:expr) => {
                if wide {
                    r.test(slots, |a: u64, b: u64| $f(&key(a), &key(b)))
                } else {
                    r.test(slots, |a: u32, b: u32| $f(&key(u64::from(a)), &key(u64::from(b))))
                }
            };
        }
        match self.relation {
            Relation::Equal => test!(T::eq),
            Relation::NotEqual => test!(T::ne),
            Relation::Less => test!(T::lt),
            Relation::LessEqual => test!(T::le),
            Relation::Greater => test!(T::gt),
            Relation::GreaterEqual => test!(T::ge),
            Relation::Number | Relation::Nan => 0,
        }
    }

    fn holds(self, a: f64, b: f64) -> bool {
        if a.is_nan() || b.is_nan() {
            return self.unordered;
        }
        match self.relation {
            Relation::Equal => a == b,
            Relation::NotEqual => a != b,
            Relation::Less => a < b,
            Relation::LessEqual => a <= b,
            Relation::Greater => a > b,
            Relation::GreaterEqual => a >= b,
            Relation::Number => true,
            Relation::Nan => false,
        }
    }

    /// The lanes in which the comparison holds.
    fn run(self, r: &Registers, ty: Type, slots: [Slot; 2], flushes: bool) -> u32 {
        match ty {
            Type::F32 => r.test(slots, |a: u32, b: u32| {
                let value = |x| f64::from(f32::from_bits(if flushes { flush(x) } else { x }));
                self.holds(value(a), value(b))
            }),
            Type::F64 => r.test(slots, |a: u64, b: u64| self.holds(f64::from_bits(a), f64::from_bits(b))),
            Type::F16 => r.test(slots, |a: u32, b: u32| self.holds(F16.value(a.into()), F16.value(b.into()))),
            Type::BF16 => {
                r.test(slots, |a: u32, b: u32| self.holds(BF16.value(a.into()), BF16.value(b.into())))
            }
            Type::S16 => self.test(r, slots, |x| x as i16, false),
            Type::S32 => self.test(r, slots, |x| x as i32, false),
            Type::S64 => self.test(r, slots, |x| x as i64, true),
            Type::B64 | Type::U64 => self.test(r, slots, |x| x, true),
            _ => self.test(r, slots, |x| x as u32, false),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Combine {
    And,
    Or,
    Xor,
}

/// A class of numbers that `testp` asks for.
#[derive(Clone, Copy, Debug)]
enum NumberClass {
    Finite,
    Infinite,
    Number,
    NotNumber,
    Normal,
    Subnormal,
}

impl NumberClass {
    fn holds(self, x: f64, normal: bool) -> bool {
        match self {
            Self::Finite => x.is_finite(),
            Self::Infinite => x.is_infinite(),
            Self::Number => !x.is_nan(),
            Self::NotNumber => x.is_nan(),
            Self::Normal => normal,
            Self::Subnormal => x.is_finite() && !normal && x != 0.0,
        }
    }
}

#[derive(Debug)]
enum Kind {
    /// The predicates that hold where the comparison does and where it does not.
    SetPredicate {
        d: Slot,
        opposite: Option<Slot>,
    },
    /// All ones, or 1.0 where the result is a float.
    Set {
        d: Slot,
        ones: u32,
    },
    /// `d = p ? a : b`
    Select {
        d: Slot,
        a: Slot,
        b: Slot,
        p: Slot,
        wide: bool,
    },
    /// `d = c >= 0 ? a : b`
    SelectSign {
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        float: bool,
        wide: bool,
    },
    Test {
        d: Slot,
        a: Slot,
        class: NumberClass,
    },
}

/// A comparison or a selection.
#[derive(Debug)]
pub(crate) struct Compare {
    kind: Kind,
    comparison: Comparison,
    combine: Option<(Combine, Slot, bool)>,
    flush: bool,
    ty: Type,
    s: [Slot; 2],
}

impl Compare {
    /// None when the opcode belongs to another family.
    pub(crate) fn decode(decoder: &mut Decoder, op: &Opcode) -> Result<Option<Self>, Error> {
        let types = op.types();
        let Some(&first) = types.first() else { return Ok(None) };
        let plain = Comparison { relation: Relation::Equal, unordered: false };
        let simple =
            |kind| Self { kind, comparison: plain, combine: None, flush: false, ty: first, s: [0; 2] };
        if first == Type::Pred && matches!(op.name(), "selp" | "slct" | "testp" | "setp" | "set") {
            return decoder.fail(format!("{} has no such type", op.text()));
        }
        match op.name() {
            "selp" => {
                op.operands(decoder, 4)?;
                op.allow(decoder, &[])?;
                let d = decoder.destination(op, 0, first)?;
                let [a, b] = [decoder.source(op, 1, first)?, decoder.source(op, 2, first)?];
                let p = decoder.source(op, 3, Type::Pred)?;
                Ok(Some(simple(Kind::Select { d, a, b, p, wide: first.bytes() == 8 })))
            }
            "slct" => {
                op.operands(decoder, 4)?;
                op.allow(decoder, &["ftz"])?;
                let sign = *types.get(1).unwrap_or(&Type::S32);
                let d = decoder.destination(op, 0, first)?;
                let [a, b] = [decoder.source(op, 1, first)?, decoder.source(op, 2, first)?];
                let c = decoder.source(op, 3, sign)?;
                let float = sign == Type::F32;
                Ok(Some(simple(Kind::SelectSign { d, a, b, c, float, wide: first.bytes() == 8 })))
            }
            "testp" => {
                op.operands(decoder, 2)?;
                let class = match op.part(1) {
                    "finite" => NumberClass::Finite,
                    "infinite" => NumberClass::Infinite,
                    "number" => NumberClass::Number,
                    "notanumber" => NumberClass::NotNumber,
                    "normal" => NumberClass::Normal,
                    "subnormal" => NumberClass::Subnormal,
                    other => return decoder.fail(format!("unknown class {other}")),
                };
                if !matches!(first, Type::F32 | Type::F64) {
                    return decoder.fail("testp is of f32 or f64");
                }
                let d = decoder.destination(op, 0, Type::Pred)?;
                let a = decoder.source(op, 1, first)?;
                Ok(Some(simple(Kind::Test { d, a, class })))
            }
            "setp" | "set" => Self::decode_set(decoder, op, &types).map(Some),
            _ => Ok(None),
        }
    }

    fn decode_set(decoder: &mut Decoder, op: &Opcode, types: &[Type]) -> Result<Self, Error> {
        let Some(comparison) = Comparison::parse(op.part(1)) else {
            return decoder.fail(format!("unknown comparison {}", op.part(1)));
        };
        let combine = match op.part(2) {
            "and" => Some(Combine::And),
            "or" => Some(Combine::Or),
            "xor" => Some(Combine::Xor),
            _ => None,
        };
        op.operands(decoder, if combine.is_some() { 4 } else { 3 })?;
        let ty = types[types.len() - 1];
        if ty.half().is_some() || ty == Type::Pred || op.name() == "set" && types[0].bytes() != 4 {
            return decoder.fail(format!("{} has an unsupported type", op.text()));
        }
        let kind = if op.name() == "setp" {
            let (d, opposite) = decoder.predicates(op, 0)?;
            Kind::SetPredicate { d, opposite }
        } else {
            let ones = if types[0] == Type::F32 { 1.0_f32.to_bits() } else { u32::MAX };
            Kind::Set { d: decoder.destination(op, 0, types[0])?, ones }
        };
        let s = [decoder.source(op, 1, ty)?, decoder.source(op, 2, ty)?];
        let combine = match combine {
            Some(combine) => {
                let (p, negated) = decoder.condition(op, 3)?;
                Some((combine, p, negated))
            }
            None => None,
        };
        Ok(Self { kind, comparison, combine, flush: op.has("ftz"), ty, s })
    }

    fn combined(&self, r: &Registers, value: u32) -> u32 {
        let Some((combine, p, negated)) = self.combine else { return value };
        let p = if negated { !r.predicate(p) } else { r.predicate(p) };
        match combine {
            Combine::And => value & p,
            Combine::Or => value | p,
            Combine::Xor => value ^ p,
        }
    }

    pub(crate) fn run(&self, r: &mut Registers, mask: u32) {
        match self.kind {
            Kind::SetPredicate { d, opposite } => {
                let holds = self.comparison.run(r, self.ty, self.s, self.flush);
                let (value, inverse) = (self.combined(r, holds), self.combined(r, !holds));
                r.set_predicate(mask, d, value);
                if let Some(opposite) = opposite {
                    r.set_predicate(mask, opposite, inverse);
                }
            }
            Kind::Set { d, ones } => {
                let holds = self.comparison.run(r, self.ty, self.s, self.flush);
                let value = self.combined(r, holds);
                r.set_each(mask, d, |_, i| if value >> i & 1 == 1 { ones } else { 0 });
            }
            Kind::Select { d, a, b, p, wide } => {
                let chosen = r.predicate(p);
                if wide {
                    select::<u64>(r, mask, d, [a, b], chosen);
                } else {
                    select::<u32>(r, mask, d, [a, b], chosen);
                }
            }
            Kind::SelectSign { d, a, b, c, float, wide } => {
                let chosen = r.test(
                    [c, c],
                    |c: u32, _| {
                        if float { f32::from_bits(c) >= 0.0 } else { (c as i32) >= 0 }
                    },
                );
                if wide {
                    select::<u64>(r, mask, d, [a, b], chosen);
                } else {
                    select::<u32>(r, mask, d, [a, b], chosen);
                }
            }
            Kind::Test { d, a, class } => {
                let value = if self.ty == Type::F64 {
                    r.test([a, a], |x: u64, _| {
                        let x = f64::from_bits(x);
                        class.holds(x, x.is_normal())
                    })
                } else {
                    r.test([a, a], |x: u32, _| {
                        let x = f32::from_bits(x);
                        class.holds(x.into(), x.is_normal())
                    })
                };
                r.set_predicate(mask, d, value);
            }
        }
    }
}

fn select<T: crate::registers::Word>(r: &mut Registers, mask: u32, d: Slot, [a, b]: [Slot; 2], chosen: u32) {
    let (a, b) = (*r.get::<T>(a), *r.get::<T>(b));
    r.set(mask & chosen, d, &a);
    r.set(mask & !chosen, d, &b);
}
