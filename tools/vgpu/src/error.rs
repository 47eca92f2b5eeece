//! What can go wrong before and while a kernel runs.

use crate::types::Space;
use std::fmt;

/// Everything this crate reports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The PTX is malformed.
    Parse {
        /// Line of the PTX text, from 1.
        line: u32,
        /// What was found there.
        message: String,
    },
    /// A kernel, or a function that it reaches, uses what is not supported or names what is not there. The module's
    /// other kernels run.
    Kernel {
        /// The kernel's name.
        kernel: String,
        /// Line of the PTX text, from 1.
        line: u32,
        /// What stands on that line.
        instruction: String,
        /// What is wrong with it.
        message: String,
    },
    /// The module has no such kernel.
    UnknownKernel(String),
    /// The launch cannot start: a shape, a size or the parameters do not fit the kernel.
    Launch(String),
    /// A host access outside of an allocation.
    Host {
        /// The first address asked for.
        address: u64,
        /// How many bytes from there.
        bytes: usize,
    },
    /// A kernel did what it must not.
    Fault(Box<Fault>),
}

impl Error {
    pub(crate) fn parse(line: u32, message: impl Into<String>) -> Self {
        Self::Parse { line, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse { line, message } => write!(f, "PTX line {line}: {message}"),
            Self::Kernel { kernel, line, instruction, message } => {
                write!(f, "{kernel}, PTX line {line}: {message}, in `{instruction}`")
            }
            Self::UnknownKernel(name) => write!(f, "the module has no kernel {name}"),
            Self::Launch(message) => f.write_str(message),
            Self::Host { address, bytes } => {
                write!(f, "host access to {bytes} bytes at {address:#x}, which no allocation holds")
            }
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// Where a kernel went wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kernel's name.
    pub kernel: String,
    /// Line of the PTX text, from 1.
    pub line: u32,
    /// `%ctaid` of the block.
    pub block: [u32; 3],
    /// `%tid` of the thread.
    pub thread: [u32; 3],
    /// What happened.
    pub kind: FaultKind,
}

/// What a kernel did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// No allocation holds all bytes of the access.
    OutOfBounds {
        /// The space accessed.
        space: Space,
        /// The first address.
        address: u64,
        /// Bytes accessed.
        bytes: usize,
    },
    /// The address is not a multiple of the access size.
    Misaligned {
        /// The space accessed.
        space: Space,
        /// The address.
        address: u64,
        /// Bytes accessed.
        bytes: usize,
    },
    /// The bytes were never written.
    NeverWritten {
        /// The space read.
        space: Space,
        /// The first address.
        address: u64,
        /// Bytes read.
        bytes: usize,
    },
    /// The bytes are the destination of a `cp.async` that nobody has waited for.
    AsyncPending {
        /// The shared address.
        address: u64,
        /// Bytes accessed.
        bytes: usize,
    },
    /// Two threads of a block touch a shared word, one of them writing, with no barrier between.
    SharedRace {
        /// The shared address.
        address: u64,
        /// `%tid` of the thread that came first.
        other: [u32; 3],
        /// Whether this access is a write.
        writes: bool,
    },
    /// Two blocks touch a global byte, one of them writing.
    GlobalRace {
        /// The global address.
        address: u64,
        /// Number of the block that came first, x fastest.
        other: u64,
        /// Whether this access is a write.
        writes: bool,
    },
    /// A thread waits for others that will never come.
    Deadlock {
        /// The waiting instruction.
        what: &'static str,
        /// `%tid` of a thread that is missing.
        missing: [u32; 3],
    },
    /// A store to memory that a kernel may only read.
    ReadOnly {
        /// The space written.
        space: Space,
        /// The address.
        address: u64,
    },
    /// A shuffle reads a lane that does not take part, or a thread is not in its own member mask.
    LaneMissing {
        /// The lane.
        lane: u32,
        /// The member mask.
        members: u32,
    },
    /// Lanes give one warp instruction different member masks or barriers.
    Disagreement {
        /// The instruction.
        what: &'static str,
    },
    /// `brx.idx` selects a target that its list does not have.
    NoTarget {
        /// The index.
        index: u32,
        /// How many targets there are.
        targets: usize,
    },
    /// A matrix descriptor of a `wgmma` that no matrix can have, or that vgpu does not know.
    Descriptor {
        /// Its bits.
        bits: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A register of a `wgmma` that nobody has waited for is touched, or its thread exits.
    ProductPending {
        /// Line of the `wgmma` in the PTX text, from 1.
        line: u32,
        /// Whether the thread exits.
        exits: bool,
    },
    /// A register of a `wgmma` was touched by another instruction with no `wgmma.fence` between.
    ProductUnfenced,
    /// A `wgmma` reads what a thread wrote and did not hand over by a `fence.proxy.async`.
    ProxyUnfenced {
        /// The shared address.
        address: u64,
        /// `%tid` of the thread that wrote.
        writer: [u32; 3],
    },
    /// The four warps of a warpgroup do not all execute the same `wgmma`, or the block ends before there are four.
    WarpgroupApart,
    /// `trap` was executed.
    Trap,
    /// The launch ran longer than its limit of warp instructions per block.
    TooLong {
        /// The limit.
        limit: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, line, block, thread, kind } = self;
        write!(f, "{kernel}, PTX line {line}, block {}, thread {}: {kind}", Triple(*block), Triple(*thread))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfBounds { space, address, bytes } => {
                write!(f, "{bytes} bytes at {space} address {address:#x} lie in no allocation")
            }
            Self::Misaligned { space, address, bytes } => {
                write!(f, "{space} address {address:#x} is no multiple of {bytes} bytes")
            }
            Self::NeverWritten { space, address, bytes } => {
                write!(f, "reads {bytes} bytes at {space} address {address:#x} that were never written")
            }
            Self::AsyncPending { address, bytes } => {
                write!(
                    f,
                    "{bytes} bytes at shared address {address:#x} belong to a cp.async nobody waited for"
                )
            }
            Self::SharedRace { address, other, writes } => {
                let verb = if writes { "writes" } else { "reads" };
                write!(
                    f,
                    "{verb} shared address {address:#x}, raced by thread {}: no barrier between",
                    Triple(other)
                )
            }
            Self::GlobalRace { address, other, writes } => {
                let verb = if writes { "writes" } else { "reads" };
                write!(f, "{verb} global address {address:#x}, raced by block number {other}")
            }
            Self::Deadlock { what, missing } => {
                write!(f, "{what} waits for thread {}, which never comes", Triple(missing))
            }
            Self::ReadOnly { space, address } => {
                write!(f, "writes {space} address {address:#x}, which is read-only")
            }
            Self::LaneMissing { lane, members } => {
                write!(f, "lane {lane} does not take part (member mask {members:#010x})")
            }
            Self::Disagreement { what } => write!(f, "the lanes of {what} disagree on its operand"),
            Self::NoTarget { index, targets } => {
                write!(f, "brx.idx selects target {index} of a list of {targets}")
            }
            Self::Descriptor { bits, what } => write!(f, "the matrix descriptor {bits:#018x} {what}"),
            Self::ProductPending { line, exits: false } => {
                write!(f, "touches a register of the wgmma on PTX line {line}, which nobody waited for")
            }
            Self::ProductPending { line, exits: true } => {
                write!(f, "exits with the wgmma on PTX line {line}, which nobody waited for")
            }
            Self::ProductUnfenced => {
                f.write_str("a register of the wgmma was touched with no wgmma.fence between")
            }
            Self::ProxyUnfenced { address, writer } => {
                write!(
                    f,
                    "wgmma reads shared address {address:#x}, which thread {} wrote with no fence.proxy.async since",
                    Triple(writer)
                )
            }
            Self::WarpgroupApart => {
                f.write_str("the four warps of the warpgroup do not execute the same wgmma")
            }
            Self::Trap => f.write_str("trap"),
            Self::TooLong { limit } => {
                write!(f, "the block ran more than {limit} warp instructions")
            }
        }
    }
}

/// `(x, y, z)`.
struct Triple([u32; 3]);

impl fmt::Display for Triple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.0;
        write!(f, "({x}, {y}, {z})")
    }
}
