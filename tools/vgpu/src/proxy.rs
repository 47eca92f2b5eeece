//! What ordinary instructions wrote to shared memory, and whether a `wgmma` sees it.
//!
//! A `wgmma` reads through another proxy: it sees a write only after the thread that wrote has executed a
//! `fence.proxy.async`. Every 4-byte word remembers the thread of its last write and how many such fences that thread had
//! executed then. That a barrier follows is for the search for races to see.

use crate::registers::lanes;

/// The last writes to a block's shared memory.
pub(crate) struct Proxy {
    /// Per word the thread above `COUNT_BITS` bits of its fences; 0: none. Empty where no `wgmma` reads.
    words: Vec<u32>,
    /// Per thread; from 1 on.
    fences: Vec<u32>,
}

const COUNT_BITS: u32 = 22;

impl Proxy {
    pub(crate) fn new(bytes: usize, threads: usize) -> Self {
        Self { words: vec![0; bytes.div_ceil(4)], fences: vec![1; threads] }
    }

    fn stamp(&self, thread: usize) -> u32 {
        (thread as u32) << COUNT_BITS | self.fences[thread] & ((1 << COUNT_BITS) - 1)
    }

    #[inline(always)]
    pub(crate) fn write(&mut self, thread: usize, offset: usize, bytes: usize) {
        if !self.words.is_empty() {
            let stamp = self.stamp(thread);
            self.words[offset / 4..(offset + bytes).div_ceil(4)].fill(stamp);
        }
    }

    pub(crate) fn fence(&mut self, warp: usize, active: u32) {
        for lane in lanes(active) {
            self.fences[32 * warp + lane] += 1;
        }
    }

    /// The first word, as an offset, whose writer has not handed it over, and that thread.
    pub(crate) fn unseen(&self, offset: usize, bytes: usize) -> Option<(usize, usize)> {
        let words = offset / 4..(offset + bytes).div_ceil(4);
        words.into_iter().find_map(|at| {
            let thread = (self.words[at] >> COUNT_BITS) as usize;
            (self.words[at] == self.stamp(thread)).then_some((4 * at, thread))
        })
    }
}
