//! A PTX module as it is written: functions, variables, statements, names not yet resolved.

use crate::error::Error;
use crate::types::{Space, Type};

/// A parsed PTX module.
#[derive(Debug, Default)]
pub struct Module {
    /// What was read, for messages.
    pub(crate) text: String,
    /// The GPU that it is for, with what is only that one's: `sm_90a`.
    pub(crate) target: String,
    pub(crate) functions: Vec<Function>,
    pub(crate) variables: Vec<Variable>,
}

impl Module {
    /// Reads PTX text as nvcc emits it.
    ///
    /// # Errors
    /// [`Error::Parse`] with the line of the first thing that is not understood.
    pub fn parse(text: &str) -> Result<Self, Error> {
        crate::parser::parse(text)
    }

    /// The names of the kernels, in the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().filter(|f| f.is_kernel).map(|f| f.name.as_str())
    }

    /// What stands on a line, from 1.
    pub(crate) fn line(&self, number: u32) -> &str {
        self.text.lines().nth((number as usize).saturating_sub(1)).unwrap_or("").trim()
    }

    /// The function with a body, if there is one; declarations come second.
    pub(crate) fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name && f.body.is_some())
    }
}

/// A kernel (`.entry`) or a device function (`.func`).
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) is_kernel: bool,
    pub(crate) results: Vec<Variable>,
    pub(crate) params: Vec<Variable>,
    /// The most threads a block may have (`.maxntid`), if the kernel says so.
    pub(crate) max_threads: Option<u32>,
    /// A directive that is not understood.
    pub(crate) unsupported: Option<String>,
    /// None for a declaration.
    pub(crate) body: Option<Vec<Item>>,
    pub(crate) line: u32,
}

/// A named piece of memory.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) space: Space,
    pub(crate) align: usize,
    pub(crate) bytes: usize,
    /// `.extern .shared name[]`: the block's dynamic shared memory.
    pub(crate) dynamic: bool,
    pub(crate) init: Vec<Initial>,
    pub(crate) line: u32,
}

/// One element of an initializer.
#[derive(Clone, Debug)]
pub(crate) enum Initial {
    /// The element's bytes.
    Bytes(Vec<u8>),
    /// The address of another variable plus an offset.
    Address { name: String, offset: i64 },
}

/// A statement of a function body, with its line.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) line: u32,
    pub(crate) statement: Statement,
}

#[derive(Debug)]
pub(crate) enum Statement {
    Open,
    Close,
    /// `.reg`: registers `name`, or `name0` … when `count` is given.
    Registers {
        ty: Type,
        name: String,
        count: Option<u32>,
    },
    Variable(Variable),
    Label(String),
    /// `.branchtargets`, after its label.
    Targets(Vec<String>),
    /// A directive that is not understood, and why.
    Unsupported(String),
    Instruction(Raw),
}

/// An instruction, not yet decoded.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The predicate and whether it is negated.
    pub(crate) guard: Option<(String, bool)>,
    pub(crate) opcode: String,
    pub(crate) operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(crate) enum Operand {
    /// A register, a special register, a label or a variable.
    Name(String),
    /// A variable's address plus an offset outside of brackets.
    Offset(String, i64),
    /// `!p`
    Not(String),
    /// `p|q`
    Pair(String, String),
    Int(u64),
    F32(u32),
    F64(u64),
    /// `{a, b}`
    Vector(Vec<Operand>),
    /// `[base + offset]`
    Address {
        base: Option<String>,
        offset: i64,
    },
    /// `[a, {b, c}]`: a place in a texture or a tensor.
    Place,
    /// `(a, b)`: what a call passes or receives.
    Group(Vec<String>),
}
