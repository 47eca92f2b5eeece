//! A decoded instruction: operands are register slots, types and targets are resolved.

use crate::counters::Class;
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
use crate::registers::Slot;
use crate::types::{Space, Type};

#[derive(Debug)]
pub(crate) struct Instruction {
    /// The predicate that lanes must satisfy, and whether it is negated.
    pub(crate) guard: Option<(Slot, bool)>,
    pub(crate) op: Op,
    pub(crate) class: Class,
    pub(crate) line: u32,
    /// The registers that it names of those that a `wgmma` reads or writes; none where it is one itself.
    pub(crate) tensor_registers: Box<[Slot]>,
}

#[derive(Debug)]
pub(crate) enum Op {
    Integer(Integer),
    Float(Float),
    Packed(Packed),
    Bits(Bits),
    Compare(Compare),
    Convert(Convert),
    Move(Move),
    Mma(Mma),
    Wmma(Wmma),
    Fragment(FragmentAccess),
    Warpgroup(Warpgroup),
    Load(Access),
    Store(Access),
    Atomic(Atomic),
    CopyAsync(CopyAsync),
    AsyncCommit,
    /// Waits until at most so many committed groups are pending; None waits for every copy.
    AsyncWait(Option<u32>),
    MatrixLoad(MatrixLoad),
    Shuffle(Shuffle),
    Vote(Vote),
    /// The lanes with the same value, or, if `all`, all members where they agree.
    Match {
        d: Slot,
        agree: Option<Slot>,
        a: Register,
        members: Slot,
        all: bool,
    },
    ActiveMask(Slot),
    Reduce {
        function: AtomicFunction,
        ty: Type,
        d: Slot,
        a: Slot,
        members: Slot,
    },
    WarpSync(Slot),
    Barrier(Barrier),
    Branch(u32),
    /// Each lane to the target that its index selects.
    BranchIndex {
        index: Slot,
        targets: Vec<u32>,
    },
    Call(Call),
    /// From a device function, or the end of the thread.
    Return,
    Exit,
    Trap,
    /// Memory here is sequentially consistent: a fence matters to the search for races only.
    Fence(Strength),
    /// Between ordinary accesses to shared memory and those of a `wgmma`.
    ProxyFence,
    /// Hints.
    Nothing,
}

impl Op {
    /// Whether it needs all 32 lanes, over which its matrices are spread.
    pub(crate) fn is_matrix(&self) -> bool {
        matches!(
            self,
            Self::Mma(_) | Self::Wmma(_) | Self::Fragment(_) | Self::Warpgroup(_) | Self::MatrixLoad(_)
        )
    }

    /// Whether it acquires or releases.
    pub(crate) fn orders(&self) -> bool {
        match self {
            Self::Fence(strength)
            | Self::Load(Access { strength, .. })
            | Self::Store(Access { strength, .. })
            | Self::Atomic(Atomic { strength, .. }) => strength.acquires || strength.releases,
            _ => false,
        }
    }
}

/// A general register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register {
    pub(crate) slot: Slot,
    /// 16, 32 or 64; those of 64 bits have a file of their own.
    pub(crate) bits: u32,
}

/// `[base + offset]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) space: Space,
    pub(crate) base: Register,
    pub(crate) offset: u64,
}

/// What an access or a fence means to other threads.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Strength {
    /// No race with other strong accesses.
    pub(crate) strong: bool,
    pub(crate) acquires: bool,
    pub(crate) releases: bool,
    /// Only to the threads of the block (`.cta`).
    pub(crate) narrow: bool,
}

/// A load or a store of one to four elements.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) address: Address,
    pub(crate) ty: Type,
    pub(crate) registers: Vec<Register>,
    pub(crate) strength: Strength,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AtomicFunction {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Inc,
    Dec,
    Exchange,
    CompareAndSwap,
}

/// `d = *address; *address = f(d, b, c)` as one step.
#[derive(Debug)]
pub(crate) struct Atomic {
    pub(crate) function: AtomicFunction,
    pub(crate) address: Address,
    pub(crate) ty: Type,
    pub(crate) d: Option<Register>,
    pub(crate) b: Register,
    pub(crate) c: Option<Register>,
    pub(crate) strength: Strength,
}

#[derive(Debug)]
pub(crate) struct CopyAsync {
    pub(crate) to: Address,
    pub(crate) from: Address,
    pub(crate) bytes: usize,
    /// Bytes to read; the rest are zeros. None reads all.
    pub(crate) source_bytes: Option<Slot>,
}

/// `ldmatrix`: one 8 × 8 matrix of 16-bit elements per destination.
#[derive(Debug)]
pub(crate) struct MatrixLoad {
    pub(crate) address: Address,
    pub(crate) transpose: bool,
    pub(crate) d: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ShuffleMode {
    Up,
    Down,
    Butterfly,
    Index,
}

#[derive(Debug)]
pub(crate) struct Shuffle {
    pub(crate) mode: ShuffleMode,
    pub(crate) d: Slot,
    pub(crate) valid: Option<Slot>,
    pub(crate) a: Slot,
    pub(crate) b: Slot,
    pub(crate) c: Slot,
    pub(crate) members: Slot,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum VoteMode {
    All,
    Any,
    Uniform,
    Ballot,
}

#[derive(Debug)]
pub(crate) struct Vote {
    pub(crate) mode: VoteMode,
    /// A predicate, or the ballot's register.
    pub(crate) d: Slot,
    pub(crate) p: (Slot, bool),
    pub(crate) members: Slot,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum BarrierMode {
    /// Arrives and waits.
    Sync,
    /// Arrives only.
    Arrive,
    /// Waits; `d` becomes how many threads' predicate holds.
    Count { d: Slot, p: (Slot, bool) },
    /// Waits; `d` tells whether every thread's (else: any thread's) predicate holds.
    Vote { d: Slot, p: (Slot, bool), all: bool },
}

#[derive(Debug)]
pub(crate) struct Barrier {
    pub(crate) mode: BarrierMode,
    pub(crate) id: Slot,
    /// Threads that take part; None means all of the block.
    pub(crate) count: Option<Slot>,
    /// All lanes of a warp must arrive together.
    pub(crate) aligned: bool,
}

/// Bytes copied between the parameters of caller and callee, in local memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: u32,
    pub(crate) params: Vec<Passed>,
    pub(crate) results: Vec<Passed>,
}
