//! What the lanes of a warp do together: shuffles, votes, matches, reductions, matrices, barriers.

use crate::block::Block;
use crate::error::{Fault, FaultKind};
use crate::instruction::{AtomicFunction, Barrier, BarrierMode, Op, Shuffle, ShuffleMode, Vote, VoteMode};
use crate::registers::{FULL, Lanes, lanes};
use crate::types::Type;
use crate::warp::{Step, Warp};

impl Warp {
    /// Executes an instruction that waits for its member lanes.
    pub(crate) fn together(
        &mut self,
        block: &mut Block,
        op: &Op,
        group: u32,
        active: u32,
    ) -> Result<Step, Box<Fault>> {
        let members = match *op {
            Op::ActiveMask(d) => {
                self.registers.set(active, d, &[active; 32]);
                return Ok(Step::Next);
            }
            Op::Shuffle(Shuffle { members, .. })
            | Op::Vote(Vote { members, .. })
            | Op::Match { members, .. }
            | Op::Reduce { members, .. }
            | Op::WarpSync(members) => Ok(members),
            // Every lane that has not exited.
            Op::Barrier(Barrier { aligned: false, .. }) => Err(active),
            _ => Err(self.alive),
        };
        // The common case needs no program counters.
        let all = |members: &Lanes<u32>| members.iter().fold(FULL, |all, &mask| all & mask) == FULL;
        let all = members.map_or_else(|mask| mask == FULL, |slot| all(self.registers.get(slot)));
        let whole = active == group && group == self.alive && all;
        let mask = if whole {
            group
        } else {
            let members = members.map_or_else(|mask| [mask; 32], |slot| *self.registers.get(slot));
            match self.meet(block, &members, group, active)? {
                Some(mask) => mask,
                None => return Ok(Step::Scatter),
            }
        };
        // A matrix is spread over all 32 lanes.
        if op.is_matrix() && mask != FULL {
            let kind = FaultKind::LaneMissing { lane: (!mask).trailing_zeros(), members: FULL };
            return Err(self.fault(block, mask.trailing_zeros() as usize, kind));
        }
        match op {
            Op::Shuffle(shuffle) => self.shuffle(block, shuffle, mask)?,
            Op::Vote(vote) => self.vote(vote, mask),
            Op::Match { d, agree, a, all, .. } => {
                let values: [u64; 32] = if a.bits == 64 {
                    *self.registers.get(a.slot)
                } else {
                    self.registers.get::<u32>(a.slot).map(u64::from)
                };
                let equal = |lane: usize| {
                    lanes(mask).filter(|&i| values[i] == values[lane]).fold(0, |bits, i| bits | 1 << i)
                };
                let agrees = equal(mask.trailing_zeros() as usize) == mask;
                for lane in lanes(mask) {
                    let value = match (all, agrees) {
                        (false, _) => equal(lane),
                        (true, true) => mask,
                        (true, false) => 0,
                    };
                    self.registers.set_lane(*d, lane, value);
                }
                if let Some(p) = *agree {
                    self.registers.set_predicate(mask, p, if agrees { FULL } else { 0 });
                }
            }
            Op::Reduce { function, ty, d, a, .. } => {
                let values = *self.registers.get::<u32>(*a);
                let sum = lanes(mask).map(|lane| values[lane]).reduce(|x, y| reduce(*function, *ty, x, y));
                self.registers.set(mask, *d, &[sum.unwrap_or(0); 32]);
            }
            Op::WarpSync(_) => block.warp_sync(self.index),
            Op::MatrixLoad(load) => self.matrix_load(block, load, mask)?,
            Op::Mma(mma) => {
                block.counters.tensor_operations += mma.operations();
                mma.run(&mut self.registers);
            }
            Op::Wmma(wmma) => {
                block.counters.tensor_operations += wmma.operations();
                wmma.run(&mut self.registers);
            }
            Op::Fragment(access) => self.fragment(block, access, mask)?,
            Op::Warpgroup(op) => self.warpgroup(block, op)?,
            Op::Barrier(barrier) => {
                self.barrier(block, barrier, mask)?;
                self.set_next(mask);
                return Ok(Step::Scatter);
            }
            _ => unreachable!("the instruction needs no other lanes"),
        }
        Ok(if whole { Step::Next } else { Step::Scatter })
    }

    fn shuffle(&mut self, block: &Block, s: &Shuffle, mask: u32) -> Result<(), Box<Fault>> {
        let r = &self.registers;
        let [a, b, c] = [s.a, s.b, s.c].map(|slot| *r.get::<u32>(slot));
        let mut out = [0; 32];
        let mut valid = 0;
        for lane in lanes(mask) {
            let (own, b, clamp, segment) = (lane as u32, b[lane] & 31, c[lane] & 31, c[lane] >> 8 & 31);
            let last = (own & segment) | (clamp & !segment);
            let first = own & segment;
            let (from, ok) = match s.mode {
                ShuffleMode::Up => (own.wrapping_sub(b), own as i32 - b as i32 >= last as i32),
                ShuffleMode::Down => (own + b, own + b <= last),
                ShuffleMode::Butterfly => (own ^ b, own ^ b <= last),
                ShuffleMode::Index => (first | (b & !segment), first | (b & !segment) <= last),
            };
            let from = if ok { from } else { own };
            if mask >> from & 1 == 0 {
                let kind = FaultKind::LaneMissing { lane: from, members: mask };
                return Err(self.fault(block, lane, kind));
            }
            valid |= u32::from(ok) << lane;
            out[lane] = a[from as usize];
        }
        self.registers.set(mask, s.d, &out);
        if let Some(p) = s.valid {
            self.registers.set_predicate(mask, p, valid);
        }
        Ok(())
    }

    fn vote(&mut self, v: &Vote, mask: u32) {
        let holds = self.condition(v.p) & mask;
        let all = |x| if x { FULL } else { 0 };
        let r = &mut self.registers;
        match v.mode {
            VoteMode::All => r.set_predicate(mask, v.d, all(holds == mask)),
            VoteMode::Any => r.set_predicate(mask, v.d, all(holds != 0)),
            VoteMode::Uniform => r.set_predicate(mask, v.d, all(holds == 0 || holds == mask)),
            VoteMode::Ballot => r.set(mask, v.d, &[holds; 32]),
        }
    }

    /// The lanes in which a possibly negated predicate holds.
    pub(crate) fn condition(&self, (p, negated): (u32, bool)) -> u32 {
        let p = self.registers.predicate(p);
        if negated { !p } else { p }
    }

    fn barrier(&mut self, block: &mut Block, barrier: &Barrier, mask: u32) -> Result<(), Box<Fault>> {
        let first = mask.trailing_zeros() as usize;
        let same = |values: &[u32; 32]| lanes(mask).all(|lane| values[lane] == values[first]);
        let ids = self.registers.get::<u32>(barrier.id);
        let counts = barrier.count.map(|slot| self.registers.get::<u32>(slot));
        if !same(ids) || counts.is_some_and(|counts| !same(counts)) || ids[first] > 15 {
            return Err(self.fault(block, first, FaultKind::Disagreement { what: "a barrier" }));
        }
        let (id, count) = (ids[first] as usize, counts.map(|counts| counts[first]));
        let holds = match barrier.mode {
            BarrierMode::Sync | BarrierMode::Arrive => 0,
            BarrierMode::Count { p, .. } | BarrierMode::Vote { p, .. } => self.condition(p) & mask,
        };
        block.counters.barriers += 1;
        if !matches!(barrier.mode, BarrierMode::Arrive) {
            self.at_barrier |= mask;
        }
        block.arrive(id, self.index, mask, count, holds, barrier.mode);
        Ok(())
    }
}

fn reduce(function: AtomicFunction, ty: Type, a: u32, b: u32) -> u32 {
    crate::atomic::combine(function, ty, a.into(), b.into(), 0) as u32
}
