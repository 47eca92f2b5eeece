//! What a kernel did, in the units that a GPU's time is made of.

use std::fmt;
use std::ops::AddAssign;

/// Kinds of instructions that are counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Class {
    /// Integer arithmetic and bits.
    Integer,
    /// Floating-point arithmetic, any width.
    Float,
    /// Conversions.
    Convert,
    /// Moves, comparisons, selections.
    Move,
    /// Loads and stores of global and const memory, generic ones included.
    Global,
    /// Loads and stores of shared memory, `ldmatrix` included.
    Shared,
    /// Loads and stores of local memory and parameters.
    Local,
    /// Atomics.
    Atomic,
    /// `cp.async` and its commits and waits.
    Async,
    /// Tensor-core instructions.
    Tensor,
    /// Shuffles, votes, matches, reductions within a warp.
    Warp,
    /// Barriers and fences.
    Barrier,
    /// Branches, calls, returns.
    Control,
}

impl Class {
    /// Every class, in the order of [`Counters::warp_instructions`].
    pub const ALL: [Self; 13] = [
        Self::Integer,
        Self::Float,
        Self::Convert,
        Self::Move,
        Self::Global,
        Self::Shared,
        Self::Local,
        Self::Atomic,
        Self::Async,
        Self::Tensor,
        Self::Warp,
        Self::Barrier,
        Self::Control,
    ];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Convert => "convert",
            Self::Move => "move",
            Self::Global => "global",
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Atomic => "atomic",
            Self::Async => "async",
            Self::Tensor => "tensor",
            Self::Warp => "warp",
            Self::Barrier => "barrier",
            Self::Control => "control",
        }
    }
}

/// Counts of one launch; they do not depend on the number of host threads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Instructions issued per warp, by [`Class`].
    pub warp_instructions: [u64; 13],
    /// The same per thread that took part.
    pub thread_instructions: [u64; 13],
    /// Floating-point operations on tensor cores; a multiply-add is two.
    pub tensor_operations: u64,
    /// 32-byte sectors of global memory that warps' loads asked for (before any cache).
    pub sectors_read: u64,
    /// … and stores and atomics.
    pub sectors_written: u64,
    /// Distinct sectors read plus distinct sectors written: the least traffic with memory.
    pub sectors_ideal: u64,
    /// Passes over the banks of shared memory, those of a `cp.async` that stores there and of the operands of a `wgmma`
    /// included.
    pub shared_wavefronts: u64,
    /// Passes beyond those that the access's width needs.
    pub bank_conflicts: u64,
    /// Waits at barriers, per warp.
    pub barriers: u64,
}

impl Counters {
    pub(crate) fn issue(&mut self, class: Class, lanes: u32) {
        self.warp_instructions[class as usize] += 1;
        self.thread_instructions[class as usize] += u64::from(lanes.count_ones());
    }

    /// Warp instructions of every class.
    #[must_use]
    pub fn warps(&self) -> u64 {
        self.warp_instructions.iter().sum()
    }

    /// Thread instructions of every class.
    #[must_use]
    pub fn threads(&self) -> u64 {
        self.thread_instructions.iter().sum()
    }

    /// Sectors asked for by loads, stores and atomics.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.sectors_read + self.sectors_written
    }
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        for (a, b) in self.warp_instructions.iter_mut().zip(other.warp_instructions) {
            *a += b;
        }
        for (a, b) in self.thread_instructions.iter_mut().zip(other.thread_instructions) {
            *a += b;
        }
        self.tensor_operations += other.tensor_operations;
        self.sectors_read += other.sectors_read;
        self.sectors_written += other.sectors_written;
        self.sectors_ideal += other.sectors_ideal;
        self.shared_wavefronts += other.shared_wavefronts;
        self.bank_conflicts += other.bank_conflicts;
        self.barriers += other.barriers;
    }
}

impl fmt::Display for Counters {
    /// One line per number that is not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "warp instructions   {:>14}", self.warps())?;
        for class in Class::ALL {
            let count = self.warp_instructions[class as usize];
            if count != 0 {
                writeln!(f, "  {:<18}{count:>14}", class.name())?;
            }
        }
        let rest = [
            ("thread instructions", self.threads()),
            ("tensor operations", self.tensor_operations),
            ("sectors read", self.sectors_read),
            ("sectors written", self.sectors_written),
            ("sectors ideal", self.sectors_ideal),
            ("shared wavefronts", self.shared_wavefronts),
            ("bank conflicts", self.bank_conflicts),
            ("barriers", self.barriers),
        ];
        for (name, count) in rest.iter().filter(|(_, count)| *count != 0) {
            writeln!(f, "{name:<20}{count:>14}")?;
        }
        Ok(())
    }
}
