//! What ordinary instructions wrote to shared memory, and whether a `wgmma` sees it.
//!
//! A `wgmma` reads through another proxy: it sees a write only after the thread that wrote has executed a
//! `fence.proxy.async`. Every 4-byte word remembers the thread of its last write, how many such fences that thread had
//! executed then, and how many products had been asked for. That a barrier follows is for the search for races to see.

use crate::registers::lanes;

/// The last writes to a block's shared memory.
pub(crate) struct Proxy {
    /// Per word the thread above `COUNT_BITS` bits of its fences; 0: none. Empty where no `wgmma` reads.
    words: Vec<u32>,
    /// Per word the products asked for before.
    times: Vec<u32>,
    /// Per thread; from 1 on.
    fences: Vec<u32>,
    products: u32,
}

const COUNT_BITS: u32 = 22;

impl Proxy {
    pub(crate) fn new(bytes: usize, threads: usize) -> Self {
        let zeros = vec![0; bytes.div_ceil(4)];
        Self { words: zeros.clone(), times: zeros, fences: vec![1; threads], products: 0 }
    }

    fn stamp(&self, thread: usize) -> u32 {
        (thread as u32) << COUNT_BITS | self.fences[thread] & ((1 << COUNT_BITS) - 1)
    }

    #[inline(always)]
    pub(crate) fn write(&mut self, thread: usize, offset: usize, bytes: usize) {
        if !self.words.is_empty() {
            let stamp = self.stamp(thread);
            let words = offset / 4..(offset + bytes).div_ceil(4);
            self.words[words.clone()].fill(stamp);
            self.times[words].fill(self.products);
        }
    }

    pub(crate) fn fence(&mut self, warp: usize, active: u32) {
        for lane in lanes(active) {
            self.fences[32 * warp + lane] += 1;
        }
    }

    /// A product is asked for: its number, from 1 on.
    pub(crate) fn ask(&mut self) -> u32 {
        self.products += 1;
        self.products
    }

    /// A word that was written since a product was asked for, as an offset, and the thread that wrote.
    pub(crate) fn overwritten(&self, offset: usize, bytes: usize, product: u32) -> Option<(usize, usize)> {
        let words = offset / 4..(offset + bytes).div_ceil(4);
        if self.times[words.clone()].iter().fold(0, |last, &time| last.max(time)) < product {
            return None;
        }
        let at = words.into_iter().find(|&at| self.times[at] >= product)?;
        Some((4 * at, (self.words[at] >> COUNT_BITS) as usize))
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
