//! Races between blocks on global memory: two blocks touch a byte in the same launch, one of them writes, and no order
//! between them.
//!
//! Atomics and other strong accesses (`volatile`, `relaxed`, `acquire`, `release`) of more than a block's scope do not
//! race with each other. They also carry order, by this rule: a fence settles all that its block did before; a strong
//! write publishes at its address what its block has settled and what it knows; a fence after a strong access of that
//! address knows what was published there. What a block knows is ordered before what it does.
//! The rule is one of blocks, not threads, and fences read what is published late: no reported race is false, and some
//! are missed. They are missed too where more than two blocks read, or write, parts of a word.

use crate::memory::Memory;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Clocks of blocks by their numbers.
type Clocks = HashMap<u32, u32>;

/// What a block has done and knows.
#[derive(Default)]
pub(crate) struct Knowledge {
    /// Of the accesses that are not settled yet, less one.
    settled: u32,
    known: Clocks,
    /// Addresses of strong accesses since the last fence.
    touched: HashSet<u64>,
}

impl Knowledge {
    pub(crate) fn settle(&mut self) {
        self.settled += 1;
    }

    pub(crate) fn touch(&mut self, address: u64) {
        self.touched.insert(address);
    }
}

/// How memory is touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Manner {
    pub(crate) writes: bool,
    pub(crate) strong: bool,
}

#[derive(Clone, Copy, Default)]
struct Stamp {
    block: u32,
    /// From 1; 0 is no access.
    clock: u32,
    /// Which of the word's four bytes.
    bytes: u8,
    strong: bool,
}

/// The last two accesses of each kind to a word.
#[derive(Clone, Copy, Default)]
struct Word {
    writes: [Stamp; 2],
    reads: [Stamp; 2],
}

/// Bytes of global memory that one lock guards.
const PAGE: usize = 1024;
const SHARDS: u64 = 64;

/// A page's words, once it has been touched.
type Page = Mutex<Option<Box<[Word; PAGE / 4]>>>;

/// The accesses of a launch.
pub(crate) struct Watch {
    /// By number of the allocation.
    pages: Vec<Box<[Page]>>,
    /// What strong writes have published, by address, spread over locks.
    published: Vec<Mutex<HashMap<u64, Clocks>>>,
}

/// No code here panics with a lock held, and if it did, the launch would have failed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub(crate) fn new(memory: &Memory) -> Self {
        let pages = |bytes: usize| (0..bytes.div_ceil(PAGE)).map(|_| Page::default()).collect();
        Self {
            pages: memory.sizes().map(pages).collect(),
            published: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Records an access of at most 32 aligned bytes; returns the offset of a word in which another block's access is
    /// not ordered, and that block.
    pub(crate) fn access(
        &self,
        block: u32,
        knowledge: &Knowledge,
        [allocation, offset, bytes]: [usize; 3],
        manner: Manner,
    ) -> Option<(usize, u32)> {
        let mut page = lock(&self.pages[allocation][offset / PAGE]);
        let words = page.get_or_insert_with(|| Box::new([Word::default(); PAGE / 4]));
        let mut at = offset;
        while at < offset + bytes {
            let length = (4 - at % 4).min(offset + bytes - at);
            let mask = ((1 << length) - 1) << (at % 4);
            let own = Stamp { block, clock: knowledge.settled + 1, bytes: mask, strong: manner.strong };
            let Word { writes, reads } = &mut words[at % PAGE / 4];
            let conflicts = |other: &&Stamp| {
                other.clock != 0
                    && other.block != block
                    && other.bytes & mask != 0
                    && !(other.strong && manner.strong)
                    && knowledge.known.get(&other.block).is_none_or(|&known| other.clock > known)
            };
            let others = writes.iter().chain(if manner.writes { reads.iter() } else { [].iter() });
            if let Some(other) = others.into_iter().find(conflicts) {
                return Some((at, other.block));
            }
            let last = if manner.writes { writes } else { reads };
            // What a block did by other means, or to other bytes, stays known.
            if last[0].block != block || last[0].strong != own.strong || last[0].bytes & !mask != 0 {
                last[1] = last[0];
            }
            last[0] = own;
            at += length;
        }
        None
    }

    fn shard(&self, address: u64) -> MutexGuard<'_, HashMap<u64, Clocks>> {
        lock(&self.published[(address / 4 % SHARDS) as usize])
    }

    /// A strong write, about to happen.
    pub(crate) fn publish(&self, block: u32, knowledge: &Knowledge, address: u64) {
        if knowledge.settled == 0 && knowledge.known.is_empty() {
            return;
        }
        let mut shard = self.shard(address);
        let clocks = shard.entry(address).or_default();
        join(clocks, &knowledge.known);
        clocks.insert(block, knowledge.settled);
    }

    /// The acquiring half of a fence.
    pub(crate) fn learn(&self, knowledge: &mut Knowledge) {
        for address in knowledge.touched.drain() {
            if let Some(clocks) = self.shard(address).get(&address) {
                join(&mut knowledge.known, clocks);
            }
        }
    }
}

fn join(clocks: &mut Clocks, others: &Clocks) {
    for (&block, &clock) in others {
        let known = clocks.entry(block).or_default();
        *known = clock.max(*known);
    }
}
