//! Opcodes to [`Op`]s: resolves operands to registers, immediates to constant registers.

use crate::counters::Class;
use crate::error::Error;
use crate::instruction::{
    Access, Address, Atomic, AtomicFunction, Barrier, BarrierMode, CopyAsync, MatrixLoad, Op, Register,
    Shuffle, ShuffleMode, Strength, Vote, VoteMode,
};
use crate::module::Operand;
use crate::ops::bits::Bits;
use crate::ops::compare::Compare;
use crate::ops::convert::Convert;
use crate::ops::float::Float;
use crate::ops::integer::Integer;
use crate::ops::matrix::Mma;
use crate::ops::moves::Move;
use crate::ops::packed::Packed;
use crate::ops::wgmma::Warpgroup;
use crate::ops::wmma::{FragmentAccess, Wmma};
use crate::program::{Constants, Symbol};
use crate::registers::Slot;
use crate::rounding::Rounding;
use crate::types::{Space, Type};

/// An opcode split at its dots, with its operands.
pub(crate) struct Opcode<'a> {
    text: &'a str,
    parts: Vec<&'a str>,
    operands: &'a [Operand],
}

impl<'a> Opcode<'a> {
    pub(crate) fn new(text: &'a str, operands: &'a [Operand]) -> Self {
        Self { text, parts: text.split('.').collect(), operands }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn name(&self) -> &'a str {
        self.parts[0]
    }

    /// The modifiers.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &'a str> {
        self.parts[1..].iter().copied()
    }

    /// The part at `index`, the name being 0; empty where there is none.
    pub(crate) fn part(&self, index: usize) -> &'a str {
        self.parts.get(index).copied().unwrap_or("")
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.parts().any(|p| p == part)
    }

    pub(crate) fn types(&self) -> Vec<Type> {
        self.parts().filter_map(Type::parse).collect()
    }

    /// The type at `index` among the types.
    pub(crate) fn ty(&self, index: usize) -> Option<Type> {
        self.parts().filter_map(Type::parse).nth(index)
    }

    pub(crate) fn rounding(&self) -> Option<Rounding> {
        self.parts().find_map(Rounding::parse)
    }

    pub(crate) fn integral(&self) -> Option<Rounding> {
        self.parts().find_map(Rounding::parse_integral)
    }

    pub(crate) fn operand_count(&self) -> usize {
        self.operands.len()
    }

    pub(crate) fn operand(&self, index: usize) -> &'a Operand {
        &self.operands[index]
    }

    /// # Errors
    /// A modifier that is neither a type nor in `known`.
    pub(crate) fn allow(&self, decoder: &Decoder, known: &[&str]) -> Result<(), Error> {
        match self.parts().find(|part| Type::parse(part).is_none() && !known.contains(part)) {
            Some(part) => decoder.fail(format!("unknown modifier .{part} of {}", self.text)),
            None => Ok(()),
        }
    }

    /// # Errors
    /// Another number of operands.
    pub(crate) fn operands(&self, decoder: &Decoder, count: usize) -> Result<(), Error> {
        if self.operands.len() == count {
            return Ok(());
        }
        decoder.fail(format!("{} takes {count} operands, found {}", self.text, self.operands.len()))
    }
}

/// Modifiers of loads and stores: spaces, strength and scope, hints to caches, vectors.
const ACCESS_MODIFIERS: [&str; 38] = [
    "global",
    "const",
    "shared",
    "shared::cta",
    "local",
    "param",
    "param::entry",
    "param::func",
    "weak",
    "relaxed",
    "acquire",
    "release",
    "volatile",
    "cta",
    "cluster",
    "gpu",
    "sys",
    "nc",
    "ca",
    "cg",
    "cs",
    "lu",
    "cv",
    "wb",
    "wt",
    "v2",
    "v4",
    "unified",
    "L1::evict_normal",
    "L1::evict_unchanged",
    "L1::evict_first",
    "L1::evict_last",
    "L1::no_allocate",
    "L2::64B",
    "L2::128B",
    "L2::256B",
    "L2::evict_first",
    "L2::evict_last",
];
/// Further modifiers of atomics.
const ATOMIC_MODIFIERS: [&str; 12] =
    ["acq_rel", "noftz", "add", "min", "max", "and", "or", "xor", "inc", "dec", "exch", "cas"];

fn strength(op: &Opcode) -> Strength {
    Strength {
        strong: ["volatile", "relaxed", "acquire", "release"].iter().any(|part| op.has(part)),
        acquires: op.has("acquire") || op.has("acq_rel"),
        releases: op.has("release") || op.has("acq_rel"),
        narrow: op.has("cta"),
    }
}

/// What an instruction's operands mean at one place of a function.
pub(crate) struct Decoder<'a> {
    pub(crate) line: u32,
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<Symbol>,
    pub(crate) constants: &'a mut Constants,
}

impl Decoder<'_> {
    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::parse(self.line, message))
    }

    fn symbol(&mut self, name: &str) -> Result<Symbol, Error> {
        if let Some(symbol) = (self.lookup)(name).or_else(|| self.constants.special(name)) {
            return Ok(symbol);
        }
        self.fail(format!("unknown name {name}"))
    }

    fn register(&mut self, operand: &Operand) -> Result<Register, Error> {
        let Operand::Name(name) = operand else {
            return self.fail("expected a register");
        };
        match self.symbol(name)? {
            Symbol::Register(register) => Ok(register),
            Symbol::Predicate(_) => self.fail(format!("{name} is a predicate")),
            Symbol::Address { .. } => self.fail(format!("{name} is a variable, not a register")),
        }
    }

    fn predicate(&mut self, name: &str) -> Result<Slot, Error> {
        match self.symbol(name)? {
            Symbol::Predicate(slot) => Ok(slot),
            _ => self.fail(format!("{name} is not a predicate")),
        }
    }

    fn fits(&self, register: Register, ty: Type) -> Result<Slot, Error> {
        if (register.bits == 64) == (ty.bytes() == 8) {
            return Ok(register.slot);
        }
        self.fail(format!("a register of {} bits where the type has {}", register.bits, ty.bits()))
    }

    /// The register that an instruction writes a `ty` to.
    pub(crate) fn destination(&mut self, op: &Opcode, index: usize, ty: Type) -> Result<Slot, Error> {
        self.sink_or_destination(op.operand(index), ty)?
            .map_or_else(|| self.fail("a sink is not possible here"), Ok)
    }

    /// None for `_`.
    pub(crate) fn sink_or_destination(&mut self, operand: &Operand, ty: Type) -> Result<Option<Slot>, Error> {
        match operand {
            Operand::Name(name) if name == "_" => Ok(None),
            Operand::Name(name) if ty == Type::Pred => self.predicate(name).map(Some),
            _ => {
                let register = self.register(operand)?;
                self.fits(register, ty).map(Some)
            }
        }
    }

    /// A destination that may be wider than `ty`, with its width in bits.
    pub(crate) fn any_destination(
        &mut self,
        op: &Opcode,
        index: usize,
        ty: Type,
    ) -> Result<(Slot, u32), Error> {
        let register = self.register(op.operand(index))?;
        if register.bits < ty.bits() && ty.bits() > 16 {
            return self.fail(format!("a register of {} bits is too narrow", register.bits));
        }
        Ok((register.slot, register.bits))
    }

    /// A source that may be wider than `ty`, and whether it has 64 bits.
    pub(crate) fn any_source(&mut self, op: &Opcode, index: usize, ty: Type) -> Result<(Slot, bool), Error> {
        let register = self.wide_source(op.operand(index), ty)?;
        Ok((register.slot, register.bits == 64))
    }

    fn wide_source(&mut self, operand: &Operand, ty: Type) -> Result<Register, Error> {
        if let Operand::Name(name) = operand
            && let Symbol::Register(register) = self.symbol(name)?
        {
            return Ok(register);
        }
        let slot = self.source_operand(operand, ty)?;
        Ok(Register { slot, bits: if ty.bytes() == 8 { 64 } else { 32 } })
    }

    pub(crate) fn source(&mut self, op: &Opcode, index: usize, ty: Type) -> Result<Slot, Error> {
        self.source_operand(op.operand(index), ty)
    }

    /// A register or a constant holding the operand as a `ty`.
    pub(crate) fn source_operand(&mut self, operand: &Operand, ty: Type) -> Result<Slot, Error> {
        let bits = match *operand {
            Operand::Name(ref name) => match self.symbol(name)? {
                Symbol::Predicate(slot) if ty == Type::Pred => return Ok(slot),
                Symbol::Register(register) => return self.fits(register, ty),
                Symbol::Predicate(_) => return self.fail(format!("{name} is a predicate")),
                Symbol::Address { value, .. } => value,
            },
            Operand::Offset(ref name, offset) => match self.symbol(name)? {
                Symbol::Address { value, .. } => value.wrapping_add(offset as u64),
                _ => return self.fail(format!("{name} is no variable")),
            },
            Operand::Int(value) if ty == Type::Pred => {
                return Ok(self.constants.predicate(value != 0));
            }
            Operand::Int(value) if ty == Type::F32 || ty == Type::F64 => {
                let value = value as i64 as f64;
                if ty == Type::F32 { u64::from((value as f32).to_bits()) } else { value.to_bits() }
            }
            Operand::Int(value) => value,
            Operand::F32(bits) if ty.bytes() == 4 => bits.into(),
            Operand::F64(bits) if ty.bytes() == 8 => bits,
            Operand::F64(bits) if ty == Type::F32 => (f64::from_bits(bits) as f32).to_bits().into(),
            _ => return self.fail("expected a register or a number"),
        };
        Ok(match ty.bytes() {
            8 => self.constants.double(bits),
            1 | 2 => self.constants.word(bits as u32 & (u32::MAX >> (32 - ty.bits()))),
            _ => self.constants.word(bits as u32),
        })
    }

    /// The number at `index`, which must be in the text.
    pub(crate) fn immediate(&self, op: &Opcode, index: usize) -> Result<u64, Error> {
        match op.operands.get(index) {
            Some(&Operand::Int(value)) => Ok(value),
            _ => self.fail(format!("{} needs a number as operand {}", op.text, index + 1)),
        }
    }

    /// A predicate, possibly negated.
    pub(crate) fn condition(&mut self, op: &Opcode, index: usize) -> Result<(Slot, bool), Error> {
        match op.operand(index) {
            Operand::Not(name) => Ok((self.predicate(name)?, true)),
            operand => Ok((self.source_operand(operand, Type::Pred)?, false)),
        }
    }

    /// `p` or `p|q`
    pub(crate) fn predicates(&mut self, op: &Opcode, index: usize) -> Result<(Slot, Option<Slot>), Error> {
        match op.operand(index) {
            Operand::Pair(p, q) => Ok((self.predicate(p)?, Some(self.predicate(q)?))),
            Operand::Name(p) => Ok((self.predicate(p)?, None)),
            _ => self.fail("expected a predicate"),
        }
    }

    fn elements<'b>(&self, operand: &'b Operand, count: usize) -> Result<&'b [Operand], Error> {
        match operand {
            Operand::Vector(elements) if elements.len() == count => Ok(elements),
            Operand::Vector(elements) => {
                self.fail(format!("a vector of {} where {count} are needed", elements.len()))
            }
            single if count == 1 => Ok(std::slice::from_ref(single)),
            _ => self.fail(format!("expected a vector of {count}")),
        }
    }

    pub(crate) fn vector_source(
        &mut self,
        op: &Opcode,
        index: usize,
        ty: Type,
        count: usize,
    ) -> Result<Vec<Slot>, Error> {
        let elements = self.elements(op.operand(index), count)?;
        elements.iter().map(|element| self.source_operand(element, ty)).collect()
    }

    pub(crate) fn vector_destination(
        &mut self,
        op: &Opcode,
        index: usize,
        ty: Type,
        count: usize,
    ) -> Result<Vec<Slot>, Error> {
        let elements = self.elements(op.operand(index), count)?;
        elements
            .iter()
            .map(|element| {
                let register = self.register(element)?;
                self.fits(register, ty)
            })
            .collect()
    }

    pub(crate) fn address(&mut self, op: &Opcode, index: usize, space: Space) -> Result<Address, Error> {
        let Operand::Address { base, offset } = op.operand(index) else {
            return self.fail("expected an address in brackets");
        };
        let offset = *offset as u64;
        let constant = |constants: &mut Constants, value, space| Address {
            space,
            base: Register { slot: constants.double(value), bits: 64 },
            offset: 0,
        };
        match base {
            None => Ok(constant(self.constants, offset, space)),
            Some(name) => match self.symbol(name)? {
                Symbol::Register(base) => Ok(Address { space, base, offset }),
                // A parameter of a call lives in local memory.
                Symbol::Address { value, space: own } => {
                    let space = if space == Space::Param { own } else { space };
                    Ok(constant(self.constants, value.wrapping_add(offset), space))
                }
                Symbol::Predicate(_) => self.fail(format!("{name} is no address")),
            },
        }
    }

    /// Decodes one instruction; control flow is the caller's.
    pub(crate) fn decode(&mut self, op: &Opcode) -> Result<(Op, Class), Error> {
        if let Some(x) = Move::decode(self, op)? {
            return Ok((Op::Move(x), Class::Move));
        }
        if let Some(x) = self.memory(op)? {
            return Ok(x);
        }
        if let Some(x) = self.warp(op)? {
            return Ok(x);
        }
        if let Some(x) = Convert::decode(self, op)? {
            return Ok((Op::Convert(x), Class::Convert));
        }
        if let Some(x) = Mma::decode(self, op)? {
            return Ok((Op::Mma(x), Class::Tensor));
        }
        if let Some(x) = Wmma::decode(self, op)? {
            return Ok((Op::Wmma(x), Class::Tensor));
        }
        if let Some(x) = Warpgroup::decode(self, op)? {
            return Ok((Op::Warpgroup(x), Class::Tensor));
        }
        if let Some(x) = Compare::decode(self, op)? {
            return Ok((Op::Compare(x), Class::Move));
        }
        if let Some(x) = Bits::decode(self, op)? {
            return Ok((Op::Bits(x), Class::Integer));
        }
        if let Some(x) = Float::decode(self, op)? {
            return Ok((Op::Float(x), Class::Float));
        }
        if let Some(x) = Packed::decode(self, op)? {
            return Ok((Op::Packed(x), Class::Float));
        }
        if let Some(x) = Integer::decode(self, op)? {
            return Ok((Op::Integer(x), Class::Integer));
        }
        self.fail(format!("unknown instruction {}", op.text))
    }

    /// Loads, stores, atomics, asynchronous copies.
    fn memory(&mut self, op: &Opcode) -> Result<Option<(Op, Class)>, Error> {
        let space = op.parts().find_map(Space::parse).unwrap_or(Space::Generic);
        let class = match space {
            Space::Generic | Space::Global | Space::Const => Class::Global,
            Space::Shared => Class::Shared,
            Space::Local | Space::Param => Class::Local,
        };
        if let Some(x) = FragmentAccess::decode(self, op, space)? {
            return Ok(Some((Op::Fragment(x), class)));
        }
        Ok(Some(match op.name() {
            "ld" | "ldu" => (Op::Load(self.access(op, space, 1, 0)?), class),
            "st" => (Op::Store(self.access(op, space, 0, 1)?), class),
            "atom" | "red" => (Op::Atomic(self.atomic(op, space)?), Class::Atomic),
            "cp" => (self.copy_async(op)?, Class::Async),
            "ldmatrix" => {
                op.operands(self, 2)?;
                op.allow(
                    self,
                    &["sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta"],
                )?;
                let count = match op.part(4) {
                    "x1" => 1,
                    "x2" => 2,
                    "x4" => 4,
                    _ => return self.fail(format!("unsupported shape of {}", op.text)),
                };
                if op.part(3) != "m8n8" || op.types() != [Type::B16] {
                    return self.fail(format!("unsupported shape or type of {}", op.text));
                }
                let d = self.vector_destination(op, 0, Type::B32, count)?;
                let address = self.address(op, 1, space)?;
                let transpose = op.has("trans");
                (Op::MatrixLoad(MatrixLoad { address, transpose, d }), Class::Shared)
            }
            "fence" if ["fence.proxy.async", "fence.proxy.async.shared::cta"].contains(&op.text) => {
                (Op::ProxyFence, Class::Barrier)
            }
            // A fence between other ways of access to the same memory orders no threads.
            "fence" if op.has("proxy") => (Op::Nothing, Class::Barrier),
            "fence" | "membar" => {
                let both = Strength { acquires: true, releases: true, ..strength(op) };
                (Op::Fence(both), Class::Barrier)
            }
            "prefetch" | "prefetchu" | "nanosleep" | "griddepcontrol" => (Op::Nothing, Class::Barrier),
            _ => return Ok(None),
        }))
    }

    fn access(&mut self, op: &Opcode, space: Space, address: usize, data: usize) -> Result<Access, Error> {
        op.operands(self, 2)?;
        op.allow(self, &ACCESS_MODIFIERS)?;
        let Some(ty) = op.ty(0).filter(|&ty| ty != Type::Pred) else {
            return self.fail(format!("{} has no type", op.text));
        };
        let count = if op.has("v4") {
            4
        } else if op.has("v2") {
            2
        } else {
            1
        };
        let elements = self.elements(op.operand(data), count)?;
        let registers = elements
            .iter()
            .map(|e| if data == 0 { self.register(e) } else { self.wide_source(e, ty) })
            .collect::<Result<Vec<_>, _>>()?;
        if registers.iter().any(|register| register.bits < ty.bits()) {
            return self.fail(format!("{} has a register narrower than its type", op.text));
        }
        Ok(Access { address: self.address(op, address, space)?, ty, registers, strength: strength(op) })
    }

    fn atomic(&mut self, op: &Opcode, space: Space) -> Result<Atomic, Error> {
        op.allow(self, &[ACCESS_MODIFIERS.as_slice(), &ATOMIC_MODIFIERS].concat())?;
        use AtomicFunction::{Add, And, CompareAndSwap, Dec, Exchange, Inc, Max, Min, Or, Xor};
        let Some(ty) = op.ty(0) else { return self.fail(format!("{} has no type", op.text)) };
        if ty.bytes() < 2 {
            return self.fail(format!("{} has an unsupported type", op.text));
        }
        let function = op.parts().find_map(|part| {
            Some(match part {
                "add" => Add,
                "min" => Min,
                "max" => Max,
                "and" => And,
                "or" => Or,
                "xor" => Xor,
                "inc" => Inc,
                "dec" => Dec,
                "exch" => Exchange,
                "cas" => CompareAndSwap,
                _ => return None,
            })
        });
        let Some(function) = function else { return self.fail(format!("unknown function of {}", op.text)) };
        let is_float = ty.is_float() || ty.half().is_some();
        if is_float && !matches!(function, Add | Exchange | CompareAndSwap) {
            return self.fail(format!("{} has an unsupported type", op.text));
        }
        let returns = op.name() == "atom";
        let swaps = function == CompareAndSwap;
        let at = usize::from(returns);
        op.operands(self, at + 2 + usize::from(swaps))?;
        let d = match op.operand(0) {
            Operand::Name(name) if returns && name == "_" => None,
            operand if returns => Some(self.register(operand)?),
            _ => None,
        };
        let address = self.address(op, at, space)?;
        let b = self.wide_source(op.operand(at + 1), ty)?;
        let c = if swaps { Some(self.wide_source(op.operand(at + 2), ty)?) } else { None };
        let strength = strength(op);
        // An atomic is strong to all whom its scope names.
        let strength = Strength { strong: true, ..strength };
        Ok(Atomic { function, address, ty, d, b, c, strength })
    }

    fn copy_async(&mut self, op: &Opcode) -> Result<Op, Error> {
        if !op.has("async") || op.has("bulk") || op.has("mbarrier") {
            return self.fail(format!("unknown instruction {}", op.text));
        }
        if op.has("commit_group") {
            return Ok(Op::AsyncCommit);
        }
        if op.has("wait_all") {
            return Ok(Op::AsyncWait(None));
        }
        if op.has("wait_group") {
            return Ok(Op::AsyncWait(Some(self.immediate(op, 0)? as u32)));
        }
        if !(3..=4).contains(&op.operands.len()) {
            return self.fail(format!("{} has a wrong number of operands", op.text));
        }
        let to = self.address(op, 0, Space::Shared)?;
        let from = self.address(op, 1, Space::Global)?;
        let bytes = self.immediate(op, 2)? as usize;
        if ![4, 8, 16].contains(&bytes) {
            return self.fail(format!("cp.async copies 4, 8 or 16 bytes, not {bytes}"));
        }
        let source_bytes = if op.operands.len() > 3 { Some(self.source(op, 3, Type::U32)?) } else { None };
        Ok(Op::CopyAsync(CopyAsync { to, from, bytes, source_bytes }))
    }

    /// What lanes of a warp or warps of a block do together.
    fn warp(&mut self, op: &Opcode) -> Result<Option<(Op, Class)>, Error> {
        let u = Type::B32;
        let op = match op.name() {
            "shfl" => {
                op.operands(self, 5)?;
                let mode = match op.part(2) {
                    "up" => ShuffleMode::Up,
                    "down" => ShuffleMode::Down,
                    "bfly" => ShuffleMode::Butterfly,
                    "idx" => ShuffleMode::Index,
                    _ => return self.fail(format!("unknown instruction {}", op.text)),
                };
                let (d, valid) = match op.operand(0) {
                    Operand::Pair(d, p) => {
                        (self.register(&Operand::Name(d.clone()))?, Some(self.predicate(p)?))
                    }
                    operand => (self.register(operand)?, None),
                };
                let [a, b, c, members] = [
                    self.source(op, 1, u)?,
                    self.source(op, 2, u)?,
                    self.source(op, 3, u)?,
                    self.source(op, 4, u)?,
                ];
                Op::Shuffle(Shuffle { mode, d: self.fits(d, u)?, valid, a, b, c, members })
            }
            "vote" => {
                op.operands(self, 3)?;
                let (mode, ty) = match op.part(2) {
                    "all" => (VoteMode::All, Type::Pred),
                    "any" => (VoteMode::Any, Type::Pred),
                    "uni" => (VoteMode::Uniform, Type::Pred),
                    "ballot" => (VoteMode::Ballot, u),
                    _ => return self.fail(format!("unknown instruction {}", op.text)),
                };
                let d = self.destination(op, 0, ty)?;
                Op::Vote(Vote { mode, d, p: self.condition(op, 1)?, members: self.source(op, 2, u)? })
            }
            "match" => {
                op.operands(self, 3)?;
                let (d, agree) = match op.operand(0) {
                    Operand::Pair(d, p) => {
                        (self.register(&Operand::Name(d.clone()))?, Some(self.predicate(p)?))
                    }
                    operand => (self.register(operand)?, None),
                };
                let ty = op.ty(0).unwrap_or(u);
                let a = self.wide_source(op.operand(1), ty)?;
                let members = self.source(op, 2, u)?;
                Op::Match { d: self.fits(d, u)?, agree, a, members, all: op.has("all") }
            }
            "activemask" => {
                op.operands(self, 1)?;
                Op::ActiveMask(self.destination(op, 0, u)?)
            }
            "redux" => {
                op.operands(self, 3)?;
                let function = match op.part(2) {
                    "add" => AtomicFunction::Add,
                    "min" => AtomicFunction::Min,
                    "max" => AtomicFunction::Max,
                    "and" => AtomicFunction::And,
                    "or" => AtomicFunction::Or,
                    "xor" => AtomicFunction::Xor,
                    _ => return self.fail(format!("unknown instruction {}", op.text)),
                };
                let ty = op.ty(0).unwrap_or(u);
                if ty.bytes() != 4 || ty.is_float() {
                    return self.fail(format!("{} has an unsupported type", op.text));
                }
                let d = self.destination(op, 0, ty)?;
                Op::Reduce { function, ty, d, a: self.source(op, 1, ty)?, members: self.source(op, 2, u)? }
            }
            "bar" | "barrier" if op.has("warp") => {
                op.operands(self, 1)?;
                Op::WarpSync(self.source(op, 0, u)?)
            }
            "bar" | "barrier" => return self.barrier(op).map(|op| Some((op, Class::Barrier))),
            "trap" | "brkpt" => return Ok(Some((Op::Trap, Class::Control))),
            _ => return Ok(None),
        };
        Ok(Some((op, Class::Warp)))
    }

    fn barrier(&mut self, op: &Opcode) -> Result<Op, Error> {
        let aligned = op.name() == "bar" || op.has("aligned");
        if op.operands.is_empty() {
            return self.fail(format!("{} has no operands", op.text));
        }
        let (first, mode) = if op.has("red") {
            let last = op.operands.len() - 1;
            let p = self.condition(op, last)?;
            let mode = match op.parts().find(|part| ["popc", "and", "or"].contains(part)) {
                Some("popc") => BarrierMode::Count { d: self.destination(op, 0, Type::U32)?, p },
                Some(name) => {
                    BarrierMode::Vote { d: self.destination(op, 0, Type::Pred)?, p, all: name == "and" }
                }
                None => return self.fail(format!("unknown instruction {}", op.text)),
            };
            (1, mode)
        } else if op.has("arrive") {
            (0, BarrierMode::Arrive)
        } else if op.has("sync") {
            (0, BarrierMode::Sync)
        } else {
            return self.fail(format!("unknown instruction {}", op.text));
        };
        let counted = op.operands.len().saturating_sub(first + usize::from(op.has("red")));
        if !(1..=2).contains(&counted) {
            return self.fail(format!("{} has a wrong number of operands", op.text));
        }
        let id = self.source(op, first, Type::U32)?;
        let count = if counted == 2 { Some(self.source(op, first + 1, Type::U32)?) } else { None };
        if matches!(mode, BarrierMode::Arrive) && count.is_none() {
            return self.fail("bar.arrive needs a thread count");
        }
        Ok(Op::Barrier(Barrier { mode, id, count, aligned }))
    }
}
