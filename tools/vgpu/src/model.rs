//! From counts to a time: what the busiest part of a GPU needs for its work, all others hidden behind it.
//!
//! This is for kernels that keep a GPU busy, and no simulation: it knows nothing of latencies, of caches between the L2
//! and a warp, of how work is spread over multiprocessors.

use crate::counters::Counters;
use crate::profile::Profile;

/// Bytes of a sector.
const SECTOR: f64 = 32.0;

/// The part of a GPU that a launch keeps busy longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Memory: each sector that is read or written moves once.
    Dram,
    /// The L2 cache: each sector moves as often as warps ask for it.
    L2,
    /// The schedulers: warp instructions.
    Issue,
    /// The tensor cores: operations.
    Tensor,
    /// Shared memory: passes over its banks.
    Shared,
}

impl Bound {
    /// Every part, in the order of [`Terms`].
    pub const ALL: [Self; 5] = [Self::Dram, Self::L2, Self::Issue, Self::Tensor, Self::Shared];

    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dram => "dram",
            Self::L2 => "l2",
            Self::Issue => "instr",
            Self::Tensor => "tensor",
            Self::Shared => "shared",
        }
    }
}

/// Seconds that each part is busy, in the order of [`Bound::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms(pub [f64; 5]);

impl Terms {
    /// Of one launch on a GPU.
    #[must_use]
    pub fn new(profile: &Profile, counters: &Counters) -> Self {
        Self([
            counters.sectors_ideal as f64 * SECTOR / profile.dram_rate,
            counters.sectors() as f64 * SECTOR / profile.l2_rate,
            counters.warps() as f64 / profile.issue_rate(),
            counters.tensor_operations as f64 / profile.tensor_rate,
            counters.shared_wavefronts as f64 / profile.shared_rate(),
        ])
    }

    /// The largest term and its part, the first of equal ones.
    #[must_use]
    pub fn largest(&self) -> (f64, Bound) {
        let mut largest = (self.0[0], Bound::ALL[0]);
        for (&seconds, bound) in self.0.iter().zip(Bound::ALL) {
            if seconds > largest.0 {
                largest = (seconds, bound);
            }
        }
        largest
    }
}
