//! A kernel with all it calls, linked: one array of instructions, registers and memory laid out.
//!
//! Functions cannot recurse, so every function's registers and local variables have a fixed place, as on a GPU.
//! Callees stand before their callers: the lanes inside of a call have the smaller program counters and run first.

use crate::counters::Class;
use crate::decode::{Decoder, Opcode};
use crate::error::Error;
use crate::instruction::{Call, Instruction, Op, Passed, Register};
use crate::module::{Function, Item, Module, Operand, Raw, Statement, Variable};
use crate::ops::wgmma::Warpgroup;
use crate::registers::Slot;
use crate::types::{Space, Type};
use std::collections::{HashMap, HashSet};

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Symbol {
    Register(Register),
    Predicate(Slot),
    /// A variable: its address within `space`.
    Address {
        value: u64,
        space: Space,
    },
}

/// A special register; its value is fixed for a warp.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Special {
    Thread(usize),
    Threads(usize),
    Block(usize),
    Blocks(usize),
    Lane,
    Warp,
    Warps,
    LanesEqual,
    LanesLess,
    LanesLessEqual,
    LanesGreater,
    LanesGreaterEqual,
    DynamicShared,
}

impl Special {
    fn parse(name: &str) -> Option<Self> {
        let (base, axis) = match name.rsplit_once('.') {
            Some((base, "x")) => (base, 0),
            Some((base, "y")) => (base, 1),
            Some((base, "z")) => (base, 2),
            _ => (name, 3),
        };
        Some(match base {
            "%tid" if axis < 3 => Self::Thread(axis),
            "%ntid" if axis < 3 => Self::Threads(axis),
            "%ctaid" if axis < 3 => Self::Block(axis),
            "%nctaid" if axis < 3 => Self::Blocks(axis),
            "%laneid" => Self::Lane,
            "%warpid" => Self::Warp,
            "%nwarpid" => Self::Warps,
            "%lanemask_eq" => Self::LanesEqual,
            "%lanemask_lt" => Self::LanesLess,
            "%lanemask_le" => Self::LanesLessEqual,
            "%lanemask_gt" => Self::LanesGreater,
            "%lanemask_ge" => Self::LanesGreaterEqual,
            "%dynamic_smem_size" => Self::DynamicShared,
            _ => return None,
        })
    }
}

/// The register files' sizes, and the registers that hold constants.
#[derive(Debug)]
pub(crate) struct Constants {
    /// Sizes; slot 0 of each file stands in for operands that an instruction does not have.
    pub(crate) word_count: u32,
    pub(crate) double_count: u32,
    pub(crate) predicate_count: u32,
    pub(crate) words: HashMap<u32, Slot>,
    pub(crate) doubles: HashMap<u64, Slot>,
    pub(crate) predicates: HashMap<bool, Slot>,
    pub(crate) specials: HashMap<Special, Slot>,
}

fn next(count: &mut u32) -> Slot {
    *count += 1;
    *count - 1
}

impl Constants {
    fn new() -> Self {
        Self {
            word_count: 1,
            double_count: 1,
            predicate_count: 1,
            words: HashMap::new(),
            doubles: HashMap::new(),
            predicates: HashMap::new(),
            specials: HashMap::new(),
        }
    }

    pub(crate) fn word(&mut self, bits: u32) -> Slot {
        *self.words.entry(bits).or_insert_with(|| next(&mut self.word_count))
    }

    pub(crate) fn double(&mut self, bits: u64) -> Slot {
        *self.doubles.entry(bits).or_insert_with(|| next(&mut self.double_count))
    }

    pub(crate) fn predicate(&mut self, value: bool) -> Slot {
        *self.predicates.entry(value).or_insert_with(|| next(&mut self.predicate_count))
    }

    /// The register of a special register's name, if it is one.
    pub(crate) fn special(&mut self, name: &str) -> Option<Symbol> {
        let special = Special::parse(name)?;
        let slot = *self.specials.entry(special).or_insert_with(|| next(&mut self.word_count));
        Some(Symbol::Register(Register { slot, bits: 32 }))
    }

    fn register(&mut self, ty: Type) -> Symbol {
        match ty.bits() {
            0 => Symbol::Predicate(next(&mut self.predicate_count)),
            64 => Symbol::Register(Register { slot: next(&mut self.double_count), bits: 64 }),
            bits => Symbol::Register(Register { slot: next(&mut self.word_count), bits: bits.max(16) }),
        }
    }
}

/// A kernel, ready to run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) code: Vec<Instruction>,
    pub(crate) entry: u32,
    pub(crate) constants: Constants,
    /// Per thread.
    pub(crate) local_bytes: usize,
    /// Per block, before the dynamic part, which starts there.
    pub(crate) static_shared: usize,
    pub(crate) param_bytes: usize,
    /// Offset and size of each parameter.
    pub(crate) params: Vec<(usize, usize)>,
    pub(crate) max_threads: Option<u32>,
    /// Whether an instruction orders the accesses of threads other than by a barrier.
    pub(crate) orders: bool,
    /// Whether it has a `wgmma`.
    pub(crate) multiplies: bool,
}

/// Bytes, and where the next variable goes.
#[derive(Default)]
struct Layout(usize);

impl Layout {
    fn place(&mut self, bytes: usize, align: usize) -> u64 {
        let at = self.0.next_multiple_of(align.max(1));
        self.0 = at + bytes;
        at as u64
    }
}

/// Offsets of a kernel's parameters, and their total size.
pub(crate) fn param_layout(params: &[Variable]) -> (Vec<u64>, usize) {
    let mut layout = Layout::default();
    let offsets = params.iter().map(|p| layout.place(p.bytes, p.align)).collect();
    (offsets, layout.0)
}

impl Program {
    /// Links a kernel; `globals` holds the addresses of the module's global and const variables.
    ///
    /// # Errors
    /// [`Error::Parse`] at what is unknown, recursive or unsupported.
    pub(crate) fn link(
        module: &Module,
        function: &Function,
        globals: &HashMap<String, u64>,
    ) -> Result<Self, Error> {
        let mut order = Vec::new();
        callees_first(module, function, &mut Vec::new(), &mut order)?;
        let mut linker = Linker::new(module, globals, &order)?;
        for function in &order {
            linker.function(function)?;
        }
        let multiplies = linker.mark_tensor_registers()?;
        let (offsets, param_bytes) = param_layout(&function.params);
        let params = offsets.iter().zip(&function.params).map(|(&at, p)| (at as usize, p.bytes)).collect();
        Ok(Self {
            name: function.name.clone(),
            entry: linker.entries[&function.name],
            orders: linker.code.iter().any(|instruction| instruction.op.orders()),
            multiplies,
            code: linker.code,
            constants: linker.constants,
            local_bytes: linker.local.0.next_multiple_of(16),
            static_shared: linker.static_shared,
            param_bytes,
            params,
            max_threads: function.max_threads,
        })
    }
}

/// The functions that `function` reaches, callees first, itself last.
fn callees_first<'a>(
    module: &'a Module,
    function: &'a Function,
    path: &mut Vec<&'a str>,
    order: &mut Vec<&'a Function>,
) -> Result<(), Error> {
    if order.iter().any(|f| f.name == function.name) {
        return Ok(());
    }
    if path.contains(&function.name.as_str()) {
        return Err(Error::parse(function.line, format!("{} is recursive", function.name)));
    }
    path.push(&function.name);
    for (raw, line) in instructions(function) {
        if raw.opcode.split('.').next() == Some("call") {
            let name = callee(raw, line)?;
            let Some(callee) = module.function(name) else {
                return Err(Error::parse(line, format!("calls {name}, which has no body")));
            };
            callees_first(module, callee, path, order)?;
        }
    }
    path.pop();
    order.push(function);
    Ok(())
}

fn instructions(function: &Function) -> impl Iterator<Item = (&Raw, u32)> {
    function.body.iter().flatten().filter_map(|item| match &item.statement {
        Statement::Instruction(raw) => Some((raw, item.line)),
        _ => None,
    })
}

fn callee(raw: &Raw, line: u32) -> Result<&str, Error> {
    let name = raw.operands.iter().find_map(|operand| match operand {
        Operand::Name(name) => Some(name.as_str()),
        _ => None,
    });
    match name {
        Some(name) if !name.starts_with('%') => Ok(name),
        _ => Err(Error::parse(line, "indirect calls are not supported")),
    }
}

/// Every variable and register that an operand names.
fn names<'a>(operand: &'a Operand, out: &mut HashSet<&'a str>) {
    match operand {
        Operand::Name(name) | Operand::Offset(name, _) | Operand::Address { base: Some(name), .. } => {
            out.insert(name);
        }
        Operand::Pair(first, second) => out.extend([first.as_str(), second]),
        Operand::Vector(elements) => elements.iter().for_each(|element| names(element, out)),
        _ => {}
    }
}

/// A `{ … }`: its names, its labels, and the branches whose label has not been seen, each with its place in the list
/// of a `brx.idx`.
#[derive(Default)]
struct Scope {
    symbols: HashMap<String, Symbol>,
    labels: HashMap<String, u32>,
    branches: Vec<(usize, usize, String)>,
}

/// Where a function's parameters and results lie in local memory, with their sizes.
struct Signature {
    params: Vec<(u64, usize)>,
    results: Vec<(u64, usize)>,
}

struct Linker<'a> {
    module: &'a Module,
    constants: Constants,
    code: Vec<Instruction>,
    /// Of each instruction, the registers that it names.
    registers: Vec<Vec<Slot>>,
    entries: HashMap<String, u32>,
    signatures: HashMap<String, Signature>,
    /// The module's variables, then one scope per open brace.
    scopes: Vec<Scope>,
    local: Layout,
    shared: Layout,
    static_shared: usize,
    /// The `.branchtargets` of the function being linked.
    targets: HashMap<&'a str, &'a [String]>,
}

impl<'a> Linker<'a> {
    fn new(
        module: &'a Module,
        globals: &HashMap<String, u64>,
        functions: &[&'a Function],
    ) -> Result<Self, Error> {
        let mut used = HashSet::new();
        for (raw, _) in functions.iter().flat_map(|f| instructions(f)) {
            raw.operands.iter().for_each(|operand| names(operand, &mut used));
        }
        let mut shared = Layout::default();
        let mut scope = Scope::default();
        for variable in module.variables.iter().filter(|v| v.space == Space::Shared && !v.dynamic) {
            if used.contains(variable.name.as_str()) {
                let value = shared.place(variable.bytes, variable.align);
                scope.symbols.insert(variable.name.clone(), Symbol::Address { value, space: Space::Shared });
            }
        }
        for variable in functions.iter().flat_map(|f| f.body.iter().flatten()) {
            if let Statement::Variable(variable) = &variable.statement
                && variable.space == Space::Shared
            {
                let value = shared.place(variable.bytes, variable.align);
                scope.symbols.insert(variable.name.clone(), Symbol::Address { value, space: Space::Shared });
            }
        }
        let dynamic = || module.variables.iter().filter(|v| v.dynamic && used.contains(v.name.as_str()));
        let align = dynamic().map(|v| v.align).max().unwrap_or(1).max(16);
        let static_shared = shared.0.next_multiple_of(align);
        for variable in dynamic() {
            if variable.space != Space::Shared {
                return Err(Error::parse(variable.line, format!("{} has no size", variable.name)));
            }
            let symbol = Symbol::Address { value: static_shared as u64, space: Space::Shared };
            scope.symbols.insert(variable.name.clone(), symbol);
        }
        for (name, &value) in globals {
            scope.symbols.insert(name.clone(), Symbol::Address { value, space: Space::Global });
        }
        Ok(Self {
            module,
            constants: Constants::new(),
            code: Vec::new(),
            registers: Vec::new(),
            entries: HashMap::new(),
            signatures: HashMap::new(),
            scopes: vec![scope],
            local: Layout::default(),
            shared,
            static_shared,
            targets: HashMap::new(),
        })
    }

    fn declare(&mut self, name: &str, symbol: Symbol) {
        let scope = self.scopes.last_mut().expect("the module's scope is never closed");
        scope.symbols.insert(name.to_owned(), symbol);
    }

    fn place_local(&mut self, variable: &Variable) -> (u64, usize) {
        let value = self.local.place(variable.bytes, variable.align);
        self.declare(&variable.name, Symbol::Address { value, space: Space::Local });
        (value, variable.bytes)
    }

    fn function(&mut self, function: &'a Function) -> Result<(), Error> {
        if let Some(directive) = &function.unsupported {
            return Err(Error::parse(function.line, format!("unsupported directive {directive}")));
        }
        let body = function.body.as_deref().unwrap_or_default();
        self.targets = body
            .windows(2)
            .filter_map(|pair| match [&pair[0].statement, &pair[1].statement] {
                [Statement::Label(label), Statement::Targets(targets)] => {
                    Some((label.as_str(), targets.as_slice()))
                }
                _ => None,
            })
            .collect();
        self.entries.insert(function.name.clone(), self.code.len() as u32);
        self.scopes.push(Scope::default());
        if function.is_kernel {
            for (param, value) in function.params.iter().zip(param_layout(&function.params).0) {
                self.declare(&param.name, Symbol::Address { value, space: Space::Param });
            }
        } else {
            let params = function.params.iter().map(|p| self.place_local(p)).collect();
            let results = function.results.iter().map(|p| self.place_local(p)).collect();
            self.signatures.insert(function.name.clone(), Signature { params, results });
        }
        for item in body {
            self.item(item)?;
        }
        self.push(None, Op::Return, Class::Control, function.line, Vec::new());
        self.close(function.line)?;
        Ok(())
    }

    fn push(&mut self, guard: Option<(Slot, bool)>, op: Op, class: Class, line: u32, registers: Vec<Slot>) {
        self.code.push(Instruction { guard, op, class, line, tensor_registers: Box::default() });
        self.registers.push(registers);
    }

    /// Tells the instructions that name a register of a `wgmma`; whether there is one.
    ///
    /// # Errors
    /// There is one, and the module's target has none.
    fn mark_tensor_registers(&mut self) -> Result<bool, Error> {
        let target = &self.module.target;
        let products = self.code.iter().filter_map(|instruction| match &instruction.op {
            Op::Warpgroup(Warpgroup::Multiply(multiply)) => Some((instruction.line, multiply)),
            _ => None,
        });
        if let Some((line, _)) = products.clone().next().filter(|_| target != "sm_90a") {
            return Err(Error::parse(line, format!("wgmma is for the target sm_90a, not {target}")));
        }
        let marked: HashSet<_> = products.flat_map(|(_, multiply)| multiply.registers()).collect();
        for (instruction, registers) in self.code.iter_mut().zip(&self.registers) {
            if !matches!(instruction.op, Op::Warpgroup(_)) {
                let named = registers.iter().copied().filter(|slot| marked.contains(slot));
                instruction.tensor_registers = named.collect();
            }
        }
        Ok(!marked.is_empty())
    }

    /// Closes a scope: branches to labels outside of it are the enclosing scope's.
    fn close(&mut self, line: u32) -> Result<(), Error> {
        let scope = self.scopes.pop().expect("the parser balances braces");
        let mut unresolved = Vec::new();
        for (at, place, label) in scope.branches {
            match (scope.labels.get(&label), &mut self.code[at].op) {
                (Some(&target), Op::BranchIndex { targets, .. }) => targets[place] = target,
                (Some(&target), op) => *op = Op::Branch(target),
                (None, _) => unresolved.push((at, place, label)),
            }
        }
        if self.scopes.len() > 1 {
            self.scopes[1..].last_mut().expect("two scopes are open").branches.extend(unresolved);
            return Ok(());
        }
        match unresolved.first() {
            Some((at, _, label)) => Err(Error::parse(self.code[*at].line, format!("unknown label {label}"))),
            None if self.shared.0 > u32::MAX as usize => Err(Error::parse(line, "too much shared memory")),
            None => Ok(()),
        }
    }

    fn item(&mut self, item: &Item) -> Result<(), Error> {
        match &item.statement {
            Statement::Open => self.scopes.push(Scope::default()),
            Statement::Close => self.close(item.line)?,
            Statement::Registers { ty, name, count: None } => {
                let symbol = self.constants.register(*ty);
                self.declare(name, symbol);
            }
            Statement::Registers { ty, name, count: Some(count) } => {
                for i in 0..*count {
                    let symbol = self.constants.register(*ty);
                    self.declare(&format!("{name}{i}"), symbol);
                }
            }
            Statement::Variable(variable) => match variable.space {
                Space::Shared => {} // placed before any function
                Space::Local | Space::Param => {
                    self.place_local(variable);
                }
                space => {
                    return Err(Error::parse(item.line, format!("a {space} variable inside of a function")));
                }
            },
            Statement::Label(label) => {
                let at = self.code.len() as u32;
                let scope = self.scopes.last_mut().expect("a function's scope is open");
                scope.labels.insert(label.clone(), at);
            }
            Statement::Targets(_) => {} // collected before
            Statement::Unsupported(message) => return Err(Error::parse(item.line, message)),
            Statement::Instruction(raw) => self.instruction(raw, item.line)?,
        }
        Ok(())
    }

    fn lookup(&self, name: &str) -> Option<Symbol> {
        self.scopes.iter().rev().find_map(|scope| scope.symbols.get(name)).copied()
    }

    fn instruction(&mut self, raw: &Raw, line: u32) -> Result<(), Error> {
        let guard = match &raw.guard {
            None => None,
            Some((name, negated)) => match self.lookup(name) {
                Some(Symbol::Predicate(slot)) => Some((slot, *negated)),
                _ => return Err(Error::parse(line, format!("{name} is not a predicate"))),
            },
        };
        let opcode = Opcode::new(&raw.opcode, &raw.operands);
        let (op, class) = match opcode.name() {
            "bra" => {
                let [Operand::Name(label)] = raw.operands.as_slice() else {
                    return Err(Error::parse(line, "bra needs a label"));
                };
                let at = self.code.len();
                let scope = self.scopes.last_mut().expect("a function's scope is open");
                scope.branches.push((at, 0, label.clone()));
                (Op::Branch(u32::MAX), Class::Control)
            }
            "brx" => {
                let [index, Operand::Name(list)] = raw.operands.as_slice() else {
                    return Err(Error::parse(line, "brx.idx needs an index and a list of targets"));
                };
                let Some(labels) = self.targets.get(list.as_str()) else {
                    return Err(Error::parse(line, format!("unknown list of targets {list}")));
                };
                let at = self.code.len();
                let scope = self.scopes.last_mut().expect("a function's scope is open");
                scope.branches.extend(labels.iter().cloned().enumerate().map(|(i, label)| (at, i, label)));
                let targets = vec![u32::MAX; labels.len()];
                let index = self.decoder(line, |decoder| decoder.source_operand(index, Type::U32))?;
                (Op::BranchIndex { index, targets }, Class::Control)
            }
            "call" => (Op::Call(self.call(raw, line)?), Class::Control),
            "ret" => (Op::Return, Class::Control),
            "exit" => (Op::Exit, Class::Control),
            _ => self.decoder(line, |decoder| decoder.decode(&opcode))?,
        };
        let mut named = HashSet::new();
        raw.operands.iter().for_each(|operand| names(operand, &mut named));
        let word = |name: &&str| match self.lookup(name)? {
            Symbol::Register(Register { slot, bits }) if bits < 64 => Some(slot),
            _ => None,
        };
        let registers = named.iter().filter_map(word).collect();
        self.push(guard, op, class, line, registers);
        Ok(())
    }

    /// What `decode` makes of names as they are known here.
    fn decoder<T>(&mut self, line: u32, decode: impl FnOnce(&mut Decoder) -> T) -> T {
        let scopes = &self.scopes;
        let lookup = |name: &str| scopes.iter().rev().find_map(|scope| scope.symbols.get(name)).copied();
        decode(&mut Decoder { line, lookup: &lookup, constants: &mut self.constants })
    }

    fn call(&self, raw: &Raw, line: u32) -> Result<Call, Error> {
        let name = callee(raw, line)?;
        let at = raw.operands.iter().position(|operand| matches!(operand, Operand::Name(_)));
        let group = |index: Option<usize>| match index.and_then(|index| raw.operands.get(index)) {
            Some(Operand::Group(names)) => names.as_slice(),
            _ => &[],
        };
        let results = group(at.and_then(|at| at.checked_sub(1)));
        let params = group(at.map(|at| at + 1));
        let signature = self
            .signatures
            .get(name)
            .or_else(|| self.module.function(name).and(None))
            .ok_or_else(|| Error::parse(line, format!("{name} is a kernel and cannot be called")))?;
        let local = |name: &String| match self.lookup(name) {
            Some(Symbol::Address { value, space: Space::Local }) => Ok(value),
            _ => Err(Error::parse(line, format!("{name} is no .param variable of a call"))),
        };
        if results.len() != signature.results.len() || params.len() != signature.params.len() {
            return Err(Error::parse(line, format!("{name} takes other parameters")));
        }
        let pass =
            |(name, &(to, bytes)): (&String, &(u64, usize))| Ok(Passed { from: local(name)?, to, bytes });
        let receive =
            |(name, &(from, bytes)): (&String, &(u64, usize))| Ok(Passed { from, to: local(name)?, bytes });
        Ok(Call {
            target: self.entries[name],
            params: params.iter().zip(&signature.params).map(pass).collect::<Result<_, Error>>()?,
            results: results.iter().zip(&signature.results).map(receive).collect::<Result<_, Error>>()?,
        })
    }
}
