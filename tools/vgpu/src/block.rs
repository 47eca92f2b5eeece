//! A block: its warps, its shared memory, its barriers; and the launch that all blocks share.

use crate::access::split;
use crate::counters::Counters;
use crate::device::Options;
use crate::error::{Fault, FaultKind};
use crate::instruction::{BarrierMode, Strength};
use crate::memory::{Memory, Region, Touched};
use crate::program::Program;
use crate::proxy::Proxy;
use crate::race::Races;
use crate::registers::{FULL, Lanes, Registers, lanes};
use crate::types::Space;
use crate::warp::{Progress, Warp};
use crate::warpgroup::Warpgroups;
use crate::watch::{Knowledge, Manner, Watch};

/// What all blocks of a launch share.
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Program,
    pub(crate) memory: &'a Memory,
    pub(crate) grid: [u32; 3],
    /// Threads of a block.
    pub(crate) shape: [u32; 3],
    pub(crate) dynamic_shared: usize,
    pub(crate) params: Region,
    pub(crate) options: &'a Options,
    pub(crate) watch: Option<Watch>,
    pub(crate) touched: Touched,
}

impl Launch<'_> {
    pub(crate) fn threads(&self) -> usize {
        self.shape.iter().map(|&n| n as usize).product()
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.grid.iter().map(|&n| u64::from(n)).product()
    }

    /// `%tid` of a thread of a block.
    pub(crate) fn thread(&self, index: usize) -> [u32; 3] {
        let [x, y, _] = self.shape.map(|n| n as usize);
        [index % x, index / x % y, index / x / y].map(|i| i as u32)
    }

    /// `%ctaid` of a block.
    fn block(&self, number: u64) -> [u32; 3] {
        let [x, y, _] = self.grid.map(u64::from);
        [number % x, number / x % y, number / x / y].map(|i| i as u32)
    }
}

/// A barrier that some threads have reached.
#[derive(Default)]
struct Meeting {
    threads: u32,
    /// Warps and their lanes.
    arrived: Vec<(usize, u32)>,
    waiting: Vec<(usize, u32, BarrierMode)>,
    /// Threads whose predicate holds.
    holds: u32,
}

/// Lanes that a barrier lets go, and what it tells them.
struct Release {
    warp: usize,
    mask: u32,
    mode: BarrierMode,
    holds: u32,
    threads: u32,
}

/// The part of a block that its warps share.
pub(crate) struct Block<'a> {
    pub(crate) launch: &'a Launch<'a>,
    pub(crate) number: u64,
    pub(crate) index: [u32; 3],
    pub(crate) shared: Region,
    pub(crate) races: Races,
    pub(crate) proxy: Proxy,
    pub(crate) warpgroups: Warpgroups,
    pub(crate) counters: Counters,
    /// Where the last global access fell.
    pub(crate) hint: usize,
    knowledge: Knowledge,
    meetings: [Meeting; 16],
    releases: Vec<Release>,
}

impl<'a> Block<'a> {
    fn new(launch: &'a Launch, number: u64) -> Self {
        let bytes = launch.program.static_shared + launch.dynamic_shared;
        Self {
            launch,
            number,
            index: launch.block(number),
            shared: Region::new(bytes),
            races: Races::new(bytes, launch.threads().div_ceil(32)),
            proxy: Proxy::new(if launch.program.multiplies { bytes } else { 0 }, launch.threads()),
            warpgroups: Warpgroups::default(),
            counters: Counters::default(),
            hint: 0,
            knowledge: Knowledge::default(),
            meetings: Default::default(),
            releases: Vec::new(),
        }
    }

    /// Looks for races between blocks, where that was asked for. The last allocation found is the one accessed, from
    /// `offset`.
    #[inline(always)]
    pub(crate) fn watch(
        &self,
        address: u64,
        offset: usize,
        bytes: usize,
        manner: Manner,
    ) -> Result<(), FaultKind> {
        let Some(watch) = &self.launch.watch else { return Ok(()) };
        match watch.access(self.number as u32, &self.knowledge, [self.hint, offset, bytes], manner) {
            None => Ok(()),
            Some((at, other)) => {
                let address = address - offset as u64 + at as u64;
                Err(FaultKind::GlobalRace { address, other: other.into(), writes: manner.writes })
            }
        }
    }

    /// A strong write of a warp at a generic address, about to happen.
    pub(crate) fn publish(&mut self, warp: usize, address: u64, strength: Strength) {
        if !self.launch.program.orders {
            return;
        }
        if strength.releases {
            self.release(warp, strength);
        }
        self.races.publish(warp, address);
        if let Some(watch) = self.launch.watch.as_ref().filter(|_| !strength.narrow) {
            watch.publish(self.number as u32, &self.knowledge, address);
        }
    }

    /// A strong read of a warp at a generic address, just done.
    pub(crate) fn observe(&mut self, warp: usize, address: u64, strength: Strength) {
        if !self.launch.program.orders {
            return;
        }
        self.races.touch(warp, address);
        if self.launch.watch.is_some() && !strength.narrow {
            self.knowledge.touch(address);
        }
        if strength.acquires {
            self.acquire(warp, strength);
        }
    }

    pub(crate) fn fence(&mut self, warp: usize, strength: Strength) {
        self.release(warp, strength);
        self.acquire(warp, strength);
    }

    fn release(&mut self, warp: usize, strength: Strength) {
        self.races.settle(warp);
        if !strength.narrow {
            self.knowledge.settle();
        }
    }

    fn acquire(&mut self, warp: usize, strength: Strength) {
        self.races.learn(warp);
        if let Some(watch) = self.launch.watch.as_ref().filter(|_| !strength.narrow) {
            watch.learn(&mut self.knowledge);
        }
    }

    pub(crate) fn warp_sync(&mut self, warp: usize) {
        self.races.warp_sync(warp);
    }

    /// Lanes of a warp reach barrier `id`; `count` threads take part, or all of the block.
    pub(crate) fn arrive(
        &mut self,
        id: usize,
        warp: usize,
        mask: u32,
        count: Option<u32>,
        holds: u32,
        mode: BarrierMode,
    ) {
        let threads = self.launch.threads();
        let meeting = &mut self.meetings[id];
        // An explicit count is in whole warps, of which the block's last may have fewer threads.
        let absent = 32 - (threads - 32 * warp).min(32) as u32;
        meeting.threads += mask.count_ones() + if count.is_some() { absent } else { 0 };
        meeting.holds += holds.count_ones();
        meeting.arrived.push((warp, mask));
        if !matches!(mode, BarrierMode::Arrive) {
            meeting.waiting.push((warp, mask, mode));
        }
        if meeting.threads < count.unwrap_or(threads as u32) {
            return;
        }
        let Meeting { threads, arrived, waiting, holds } = std::mem::take(meeting);
        let mut warps: Vec<_> = arrived.iter().map(|&(warp, _)| warp).collect();
        warps.dedup();
        let waiters: Vec<_> = waiting.iter().map(|&(warp, ..)| warp).collect();
        self.races.barrier(&warps, &waiters);
        let release = |(warp, mask, mode)| Release { warp, mask, mode, holds, threads };
        self.releases.extend(waiting.into_iter().map(release));
    }

    /// A thread that a barrier still waits for.
    pub(crate) fn missing_thread(&self) -> usize {
        let meeting = self.meetings.iter().find(|meeting| !meeting.waiting.is_empty());
        let here = |thread: usize| {
            meeting.is_some_and(|meeting| {
                meeting
                    .arrived
                    .iter()
                    .any(|&(warp, mask)| warp == thread / 32 && mask >> (thread % 32) & 1 == 1)
            })
        };
        (0..self.launch.threads()).find(|&thread| !here(thread)).unwrap_or(0)
    }

    /// Counts the distinct sectors of an access of at most 32 aligned bytes per lane.
    pub(crate) fn count_sectors(&mut self, addresses: &Lanes<u64>, active: u32, writes: bool) {
        let mut sectors = [0; 32];
        let mut length = 0;
        for lane in lanes(active) {
            let sector = addresses[lane] / 32;
            if length == 0 || sectors[length - 1] != sector {
                sectors[length] = sector;
                length += 1;
            }
        }
        let sectors = &mut sectors[..length];
        if !sectors.is_sorted() {
            sectors.sort_unstable();
        }
        let mut last = u64::MAX;
        for &sector in sectors.iter() {
            if sector == last {
                continue;
            }
            last = sector;
            self.count_sector(sector, writes);
        }
    }

    fn count_sector(&mut self, sector: u64, writes: bool) {
        *(if writes { &mut self.counters.sectors_written } else { &mut self.counters.sectors_read }) += 1;
        if let Some(allocation) = self.launch.memory.find(sector * 32, 1, &mut self.hint)
            && self.launch.touched.is_first(self.hint, allocation, sector * 32, writes)
        {
            self.counters.sectors_ideal += 1;
        }
    }
}

impl Block<'_> {
    /// Counts the access of a whole matrix, of which nobody says how the lanes share it: each sector once, and as many
    /// passes over shared memory as the fullest bank has words.
    pub(crate) fn count_matrix(&mut self, space: Space, addresses: impl Iterator<Item = u64>, writes: bool) {
        let mut addresses: Vec<_> = addresses.map(|address| split(space, address)).collect();
        let words = |addresses: &mut Vec<(Space, u64)>, bytes: u64| {
            addresses.iter_mut().for_each(|(_, address)| *address /= bytes);
            addresses.sort_unstable_by_key(|&(_, address)| address);
            addresses.dedup();
        };
        if addresses[0].0 == Space::Shared {
            words(&mut addresses, 4);
            let mut banks = [0_u64; 32];
            addresses.iter().for_each(|(_, word)| banks[(word % 32) as usize] += 1);
            let passes = banks.into_iter().max().unwrap_or(0);
            self.counters.shared_wavefronts += passes;
            self.counters.bank_conflicts += passes - (addresses.len() as u64).div_ceil(32);
        } else {
            words(&mut addresses, 32);
            addresses.iter().for_each(|(_, sector)| self.count_sector(*sector, writes));
        }
    }
}

/// Runs a block to its end; `spare` hands registers on from block to block.
pub(crate) fn run(launch: &Launch, number: u64, spare: &mut Vec<Registers>) -> Result<Counters, Box<Fault>> {
    let mut block = Block::new(launch, number);
    let count = launch.threads().div_ceil(32);
    let mut registers = || spare.pop().unwrap_or_else(Registers::new);
    let warp = |index| Warp::new(launch, index, block.index, registers());
    let mut warps: Vec<_> = (0..count).map(warp).collect();
    let mut order: Vec<_> = (0..count).collect();
    let mut random = launch.options.seed.map(|seed| Random::new(seed ^ number));
    let mut left = launch.options.instruction_limit;
    let mut runnable: Vec<_> = vec![true; count];
    loop {
        if let Some(random) = &mut random {
            random.shuffle(&mut order);
        }
        let mut moved = false;
        for &w in &order {
            if !runnable[w] {
                continue;
            }
            moved = true;
            // A short turn now and then lets warps overtake each other between barriers.
            let turn = random.as_mut().map_or(u64::MAX, |random| 1 + random.next() % 64).min(left);
            let mut budget = turn;
            let progress = warps[w].run(&mut block, &mut budget)?;
            left -= turn - budget;
            if left == 0 {
                let limit = launch.options.instruction_limit;
                return Err(warps[w].fault(&block, 0, FaultKind::TooLong { limit }));
            }
            runnable[w] = progress == Progress::Budget;
            for release in std::mem::take(&mut block.releases) {
                runnable[release.warp] = true;
                let warp = &mut warps[release.warp];
                warp.at_barrier &= !release.mask;
                match release.mode {
                    BarrierMode::Sync | BarrierMode::Arrive => {}
                    BarrierMode::Count { d, .. } => {
                        warp.registers.set(release.mask, d, &[release.holds; 32]);
                    }
                    BarrierMode::Vote { d, all, .. } => {
                        let holds = if all { release.holds == release.threads } else { release.holds > 0 };
                        warp.registers.set_predicate(release.mask, d, if holds { FULL } else { 0 });
                    }
                }
            }
        }
        if !moved {
            break;
        }
    }
    if let Some(warp) = warps.iter().find(|warp| warp.alive != 0) {
        return Err(warp.stuck(&block));
    }
    if let Some((pc, warp)) = block.warpgroups.unfinished() {
        warps[warp].current = pc;
        return Err(warps[warp].fault(&block, 0, FaultKind::WarpgroupApart));
    }
    spare.extend(warps.into_iter().map(|warp| warp.registers));
    Ok(block.counters)
}

/// A small generator (splitmix64): the orders it draws are a function of the seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}
