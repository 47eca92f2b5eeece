//! A warp: which of its lanes run next, control flow, and the dispatch of instructions.
//!
//! Every lane has its own program counter. The lanes with the smallest one run together until they reach the next
//! larger one, where they merge: diverged lanes meet again without any analysis of the control flow.

use crate::block::{Block, Launch};
use crate::error::{Fault, FaultKind};
use crate::instruction::{Call, Op};
use crate::memory::Region;
use crate::program::Special;
use crate::registers::{FULL, Registers, lanes};
use crate::warpgroup::Products;

/// A return address, and the call whose results are to be copied.
#[derive(Clone, Copy)]
struct Frame {
    call: u32,
}

/// A copy to shared memory that has been asked for.
pub(crate) struct PendingCopy {
    pub(crate) lane: usize,
    pub(crate) group: u32,
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
    /// Little-endian.
    pub(crate) data: [u64; 2],
    /// Line of the `cp.async`.
    pub(crate) line: u32,
}

/// Why a warp stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// Every lane has exited.
    Finished,
    /// It may go on at once.
    Budget,
    /// Every lane waits, at a barrier of the block or for lanes that wait there.
    Waiting,
}

pub(crate) struct Warp {
    pub(crate) index: usize,
    pub(crate) registers: Registers,
    pc: [u32; 32],
    /// Lanes that exist.
    pub(crate) lanes: u32,
    /// Lanes that have not exited.
    pub(crate) alive: u32,
    /// Lanes at a `.sync` instruction whose members have not all come.
    blocked: u32,
    /// Lanes at a barrier of the block.
    pub(crate) at_barrier: u32,
    stacks: [Vec<Frame>; 32],
    /// One piece per lane.
    pub(crate) local: Region,
    /// In the order in which they were asked for.
    pub(crate) copies: Vec<PendingCopy>,
    /// Groups of copies committed by each lane.
    pub(crate) committed: [u32; 32],
    pub(crate) products: Products,
    /// The program counter of the instruction being executed.
    pub(crate) current: u32,
}

/// What an instruction did to its lanes.
pub(crate) enum Step {
    /// They go on with the next instruction.
    Next,
    /// They all jump.
    Jump(u32),
    /// The program counters are already set, or the lanes wait where they are.
    Scatter,
}

type Checked<T> = Result<T, Box<Fault>>;

impl Warp {
    /// With the memory of a warp's registers that are of no more use.
    pub(crate) fn new(launch: &Launch, index: usize, block: [u32; 3], mut registers: Registers) -> Self {
        let program = launch.program;
        let constants = &program.constants;
        let threads = launch.threads();
        let count = (threads - 32 * index).min(32);
        let lanes = u32::MAX >> (32 - count);
        registers.reset(
            constants.word_count as usize,
            constants.double_count as usize,
            constants.predicate_count as usize,
        );
        for (&bits, &slot) in &constants.words {
            registers.set(FULL, slot, &[bits; 32]);
        }
        for (&bits, &slot) in &constants.doubles {
            registers.set(FULL, slot, &[bits; 32]);
        }
        for (&value, &slot) in &constants.predicates {
            registers.set_predicate(FULL, slot, if value { FULL } else { 0 });
        }
        for (&special, &slot) in &constants.specials {
            let values = std::array::from_fn(|lane| {
                let bit = 1_u32 << lane;
                match special {
                    Special::Thread(axis) => launch.thread(32 * index + lane)[axis],
                    Special::Threads(axis) => launch.shape[axis],
                    Special::Block(axis) => block[axis],
                    Special::Blocks(axis) => launch.grid[axis],
                    Special::Lane => lane as u32,
                    Special::Warp => index as u32,
                    Special::Warps => threads.div_ceil(32) as u32,
                    Special::LanesEqual => bit,
                    Special::LanesLess => bit - 1,
                    Special::LanesLessEqual => bit | (bit - 1),
                    Special::LanesGreater => !(bit | (bit - 1)),
                    Special::LanesGreaterEqual => !(bit - 1),
                    Special::DynamicShared => launch.dynamic_shared as u32,
                }
            });
            registers.set(FULL, slot, &values);
        }
        Self {
            index,
            registers,
            pc: [program.entry; 32],
            lanes,
            alive: lanes,
            blocked: 0,
            at_barrier: 0,
            stacks: Default::default(),
            local: Region::new(32 * program.local_bytes),
            copies: Vec::new(),
            committed: [0; 32],
            products: Products::default(),
            current: program.entry,
        }
    }

    /// The fault of a lane at the current instruction.
    pub(crate) fn fault(&self, block: &Block, lane: usize, kind: FaultKind) -> Box<Fault> {
        let launch = block.launch;
        Box::new(Fault {
            kernel: launch.program.name.clone(),
            line: launch.program.code[self.current as usize].line,
            block: block.index,
            thread: launch.thread(32 * self.index + lane),
            kind,
        })
    }

    /// The lanes that can run, those of the smallest program counter, and the next larger one of any lane.
    fn select(&self) -> Option<(u32, u32, u32)> {
        let ready = self.alive & !self.at_barrier & !self.blocked;
        let pc = lanes(ready).map(|lane| self.pc[lane]).min()?;
        let here = self.alive & !self.at_barrier;
        let group = lanes(here).filter(|&lane| self.pc[lane] == pc).fold(0, |mask, lane| mask | 1 << lane);
        let limit = lanes(here & !group)
            .map(|lane| self.pc[lane])
            .filter(|&other| other > pc)
            .min()
            .unwrap_or(u32::MAX);
        Some((pc, group, limit))
    }

    fn set_pc(&mut self, mask: u32, pc: u32) {
        for lane in lanes(mask) {
            self.pc[lane] = pc;
        }
    }

    /// Runs until every lane waits or has exited, or for `budget` instructions.
    pub(crate) fn run(&mut self, block: &mut Block, budget: &mut u64) -> Checked<Progress> {
        let program = block.launch.program;
        loop {
            let Some((mut pc, group, limit)) = self.select() else {
                return Ok(if self.alive == 0 { Progress::Finished } else { Progress::Waiting });
            };
            self.blocked &= !group;
            loop {
                if *budget == 0 {
                    self.set_pc(group, pc);
                    return Ok(Progress::Budget);
                }
                *budget -= 1;
                self.current = pc;
                let instruction = &program.code[pc as usize];
                let active = match instruction.guard {
                    None => group,
                    Some((p, negated)) => {
                        let p = self.registers.predicate(p);
                        group & if negated { !p } else { p }
                    }
                };
                block.counters.issue(instruction.class, active);
                if !instruction.tensor_registers.is_empty() && active != 0 {
                    self.touch_products(block, &instruction.tensor_registers, active)?;
                }
                match self.step(block, &instruction.op, group, active)? {
                    Step::Next => pc += 1,
                    // A jump backwards may pass lanes that wait.
                    Step::Jump(target) if target > pc || limit == u32::MAX && group == self.alive => {
                        pc = target
                    }
                    Step::Jump(target) => {
                        self.set_pc(group, target);
                        break;
                    }
                    Step::Scatter => break,
                }
                if pc >= limit {
                    self.set_pc(group, pc);
                    break;
                }
            }
        }
    }

    #[inline(always)]
    fn step(&mut self, block: &mut Block, op: &Op, group: u32, active: u32) -> Checked<Step> {
        if active == 0 {
            return Ok(Step::Next);
        }
        let r = &mut self.registers;
        match op {
            Op::Integer(x) => x.run(r, active),
            Op::Float(x) => x.run(r, active),
            Op::Packed(x) => x.run(r, active),
            Op::Bits(x) => x.run(r, active),
            Op::Compare(x) => x.run(r, active),
            Op::Convert(x) => x.run(r, active),
            Op::Move(x) => x.run(r, active),
            Op::Load(x) => self.load(block, x, active)?,
            Op::Store(x) => self.store(block, x, active)?,
            Op::Atomic(x) => self.atomic(block, x, active)?,
            Op::CopyAsync(x) => self.copy_async(block, x, active)?,
            Op::AsyncCommit => lanes(active).for_each(|lane| self.committed[lane] += 1),
            Op::AsyncWait(pending) => self.async_wait(block, *pending, active)?,
            Op::Branch(target) => {
                if active == group {
                    return Ok(Step::Jump(*target));
                }
                self.set_pc(active, *target);
                self.set_pc(group & !active, self.current + 1);
                return Ok(Step::Scatter);
            }
            Op::BranchIndex { index, targets } => {
                let indices = *self.registers.get::<u32>(*index);
                for lane in lanes(active) {
                    let Some(&target) = targets.get(indices[lane] as usize) else {
                        let kind = FaultKind::NoTarget { index: indices[lane], targets: targets.len() };
                        return Err(self.fault(block, lane, kind));
                    };
                    self.pc[lane] = target;
                }
                self.set_pc(group & !active, self.current + 1);
                return Ok(Step::Scatter);
            }
            Op::Call(call) => {
                self.enter(call, active);
                self.set_pc(active, call.target);
                self.set_pc(group & !active, self.current + 1);
                return Ok(Step::Scatter);
            }
            Op::Return => {
                self.set_pc(group & !active, self.current + 1);
                for lane in lanes(active) {
                    self.leave(block, lane)?;
                }
                return Ok(Step::Scatter);
            }
            Op::Exit => {
                self.set_pc(group & !active, self.current + 1);
                self.exit(block, active)?;
                return Ok(Step::Scatter);
            }
            Op::Trap => return Err(self.fault(block, active.trailing_zeros() as usize, FaultKind::Trap)),
            Op::Fence(strength) => block.fence(self.index, *strength),
            Op::ProxyFence => block.proxy.fence(self.index, active),
            Op::Nothing => {}
            _ => return self.together(block, op, group, active),
        }
        Ok(Step::Next)
    }

    fn exit(&mut self, block: &Block, mask: u32) -> Checked<()> {
        self.leave_products(block, mask)?;
        self.alive &= !mask;
        // Those who wait for the lanes that left may find themselves complete.
        self.blocked = 0;
        Ok(())
    }

    fn local_bytes(&self) -> usize {
        self.local.len() / 32
    }

    fn enter(&mut self, call: &Call, mask: u32) {
        let piece = self.local_bytes();
        for lane in lanes(mask) {
            for p in &call.params {
                let at = lane * piece;
                self.local.copy(at + p.from as usize, at + p.to as usize, p.bytes);
            }
            self.stacks[lane].push(Frame { call: self.current });
        }
    }

    fn leave(&mut self, block: &Block, lane: usize) -> Checked<()> {
        let Some(frame) = self.stacks[lane].pop() else {
            return self.exit(block, 1 << lane);
        };
        if let Op::Call(call) = &block.launch.program.code[frame.call as usize].op {
            let at = lane * self.local_bytes();
            for p in &call.results {
                self.local.copy(at + p.from as usize, at + p.to as usize, p.bytes);
            }
        }
        self.pc[lane] = frame.call + 1;
        Ok(())
    }

    /// The lanes of `mask` go on with the next instruction.
    pub(crate) fn set_next(&mut self, mask: u32) {
        self.set_pc(mask, self.current + 1);
    }

    /// The lanes of `active` that execute a `.sync` instruction now, all with the same member mask; None when no mask
    /// has all its members here. The rest of `group` goes on, the rest of `active` stays.
    pub(crate) fn meet(
        &mut self,
        block: &Block,
        members: &[u32; 32],
        group: u32,
        active: u32,
    ) -> Checked<Option<u32>> {
        self.set_next(group & !active);
        self.set_pc(active, self.current);
        let mut left = active;
        while left != 0 {
            let mask = members[left.trailing_zeros() as usize];
            let alike = |&lane: &usize| members[lane] == mask;
            let meeting = lanes(left).filter(alike).fold(0, |all, lane| all | 1 << lane);
            if let Some(lane) = lanes(meeting & !mask).next() {
                let kind = FaultKind::LaneMissing { lane: lane as u32, members: mask };
                return Err(self.fault(block, lane, kind));
            }
            if let Some(lane) = lanes(mask & active & !meeting).next() {
                return Err(self.fault(block, lane, FaultKind::Disagreement { what: "a member mask" }));
            }
            if mask & self.alive & !meeting == 0 {
                self.set_next(meeting);
                return Ok(Some(meeting));
            }
            self.blocked |= meeting;
            left &= !meeting;
        }
        Ok(None)
    }

    /// The instruction and thread that a waiting warp is stuck at.
    pub(crate) fn stuck(&self, block: &Block) -> Box<Fault> {
        let waiting = if self.blocked != 0 { self.blocked } else { self.at_barrier };
        let lane = waiting.trailing_zeros().min(31) as usize;
        let pc = self.pc[lane] - u32::from(self.blocked == 0);
        let missing = if self.blocked != 0 {
            let absent = lanes(self.lanes).find(|&other| self.pc[other] != self.pc[lane]);
            32 * self.index + absent.unwrap_or(lane)
        } else {
            block.missing_thread()
        };
        let program = block.launch.program;
        let what = match program.code[pc as usize].op {
            Op::Barrier(_) => "a barrier",
            Op::WarpSync(_) => "bar.warp.sync",
            Op::Shuffle(_) => "a shuffle",
            Op::MatrixLoad(_) => "ldmatrix",
            Op::Mma(_) => "mma",
            Op::Wmma(_) | Op::Fragment(_) => "wmma",
            Op::Warpgroup(_) => "wgmma",
            _ => "a .sync instruction",
        };
        Box::new(Fault {
            kernel: program.name.clone(),
            line: program.code[pc as usize].line,
            block: block.index,
            thread: block.launch.thread(32 * self.index + lane),
            kind: FaultKind::Deadlock { what, missing: block.launch.thread(missing) },
        })
    }
}
