//! Races on shared memory: two threads, one of them writing, and no barrier between.
//!
//! Each warp has a vector clock; barriers join the clocks of those that meet, `bar.warp.sync` advances a warp's own.
//! Every 4-byte word remembers its last write, and since then the last reads by two warps, each with the bytes touched.
//! Atomics and other strong accesses do not race with each other, and they carry order from warp to warp by the rule that
//! `watch` has for blocks.
//! So no reported race is false; one can be missed where a word is accessed in parts or more than two warps read it.
//! Two writes of the same value do not count as a race.

use std::collections::{HashMap, HashSet};

/// One access, in one word so that it is compared at once: the clock, the thread, whether a read is settled for its
/// whole warp, and which of the word's four bytes were touched. Clock 0 is none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Stamp(u64);

const SETTLED: u64 = 1 << 8;
/// Of a strong access.
const STRONG: u64 = 1 << 9;
/// Of a strong write that stands among the reads.
const KEPT: u64 = 1 << 10;
/// All but the lane.
const ALIKE: u64 = !(31 << 16);

impl Stamp {
    fn new(clock: u32, thread: usize, bytes: u8) -> Self {
        Self(u64::from(clock) << 32 | (thread as u64) << 16 | u64::from(bytes))
    }

    fn clock(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn thread(self) -> usize {
        usize::from((self.0 >> 16) as u16)
    }

    fn bytes(self) -> u8 {
        self.0 as u8
    }

    fn is_kept(self) -> bool {
        self.0 & KEPT != 0
    }

    fn is_strong(self) -> bool {
        self.0 & STRONG != 0
    }
}

#[derive(Clone, Copy, Default)]
struct Word {
    write: Stamp,
    /// Reads since then. After a strong write the first may be the plain access before it, and the second a strong
    /// write by another warp.
    reads: [Stamp; 2],
}

impl Word {
    /// Records the first read of its kind.
    #[inline(always)]
    fn first_read(&mut self, stamp: Stamp) {
        let last = self.reads[0];
        if last.clock() != 0 && last.thread() / 32 != stamp.thread() / 32 {
            self.reads[1] = last;
        }
        self.reads[0] = stamp;
    }
}

/// The last accesses to a block's shared memory.
pub(crate) struct Races {
    words: Vec<Word>,
    warps: usize,
    /// The clock of warp v that warp w has seen, at `w · warps + v`.
    clocks: Vec<u32>,
    /// Clocks up to which every access by anyone is ordered before what the warp does now.
    floors: Vec<u32>,
    /// What each warp has settled by a fence, as it knew it; empty before its first.
    settled: Vec<Vec<u32>>,
    /// Addresses of each warp's strong accesses since its last fence.
    touched: Vec<HashSet<u64>>,
    /// What strong writes have published, by address.
    published: HashMap<u64, Vec<u32>>,
}

/// An access by a thread of the block.
#[derive(Clone, Copy)]
pub(crate) struct Touch {
    pub(crate) thread: usize,
    pub(crate) offset: usize,
    /// 1, 2, or a multiple of 4; aligned.
    pub(crate) bytes: usize,
}

impl Touch {
    /// The words, and which of their bytes.
    #[inline(always)]
    fn words(self) -> (std::ops::Range<usize>, u8) {
        let first = self.offset / 4;
        let mask = if self.bytes >= 4 { 15 } else { ((1 << self.bytes) - 1) << (self.offset % 4) };
        (first..first + self.bytes.div_ceil(4), mask)
    }
}

impl Races {
    pub(crate) fn new(bytes: usize, warps: usize) -> Self {
        let clocks = (0..warps * warps).map(|i| u32::from(i / warps == i % warps)).collect();
        Self {
            words: vec![Word::default(); bytes.div_ceil(4)],
            warps,
            clocks,
            floors: vec![0; warps],
            settled: vec![Vec::new(); warps],
            touched: vec![HashSet::new(); warps],
            published: HashMap::new(),
        }
    }

    fn clock(&self, of: usize, seen_by: usize) -> u32 {
        self.clocks[seen_by * self.warps + of]
    }

    /// Whether what `stamp` tells of happened before what `thread` does now.
    fn ordered(&self, stamp: Stamp, thread: usize) -> bool {
        let (other, warp) = (stamp.thread(), thread / 32);
        let seen = self.clock(other / 32, warp);
        other == thread || if other / 32 == warp { stamp.clock() < seen } else { stamp.clock() <= seen }
    }

    fn conflicts(&self, stamp: Stamp, bytes: u8, thread: usize) -> bool {
        stamp.clock() != 0 && stamp.bytes() & bytes != 0 && !self.ordered(stamp, thread)
    }

    /// Records a read; returns the word, as an offset, and a thread whose write is not ordered before it.
    #[inline(always)]
    pub(crate) fn read(&mut self, touch: Touch, strong: bool) -> Option<(usize, usize)> {
        let (words, bytes) = touch.words();
        let warp = touch.thread / 32;
        let own = self.clock(warp, warp);
        let stamp = Stamp::new(own, touch.thread, bytes);
        let stamp = if strong { Stamp(stamp.0 | STRONG) } else { stamp };
        for at in words {
            let last = &mut self.words[at].reads[0];
            if last.0 & ALIKE == (stamp.0 | SETTLED) & ALIKE {
                *last = Stamp(stamp.0 | SETTLED);
                continue;
            }
            let word = &mut self.words[at];
            if word.write.clock() <= self.floors[warp] && !word.reads[1].is_kept() {
                word.first_read(Stamp(stamp.0 | SETTLED));
            } else if let Some(other) = self.unsettled_read(at, stamp) {
                return Some((4 * at, other));
            }
        }
        None
    }

    /// A read that may not be ordered after the word's last write.
    fn unsettled_read(&mut self, at: usize, stamp: Stamp) -> Option<usize> {
        let word = self.words[at];
        let conflicts = |write: Stamp| {
            !(stamp.is_strong() && write.is_strong()) && self.conflicts(write, stamp.bytes(), stamp.thread())
        };
        let kept = Some(word.reads[1]).filter(|read| read.is_kept());
        if let Some(write) = [Some(word.write), kept].into_iter().flatten().find(|&write| conflicts(write)) {
            return Some(write.thread());
        }
        let warp = stamp.thread() / 32;
        // A write by the same warp since it last met is in order for the lane that wrote only.
        let settled = word.write.thread() / 32 != warp || word.write.clock() != stamp.clock();
        self.words[at].first_read(if settled { Stamp(stamp.0 | SETTLED) } else { stamp });
        None
    }

    /// Records a write; returns the word, as an offset, and a thread whose access is not ordered before it. `same` says
    /// that the bytes already hold what is written.
    #[inline(always)]
    pub(crate) fn write(&mut self, touch: Touch, same: impl Fn() -> bool) -> Option<(usize, usize)> {
        let (words, bytes) = touch.words();
        let own = self.clock(touch.thread / 32, touch.thread / 32);
        let stamp = Stamp::new(own, touch.thread, bytes);
        for at in words {
            let word = self.words[at];
            let newest = word.write.clock().max(word.reads[0].clock()).max(word.reads[1].clock());
            if newest <= self.floors[touch.thread / 32] {
                self.words[at] = Word { write: stamp, reads: Default::default() };
                continue;
            }
            if (!same() || word.write.is_strong()) && self.conflicts(word.write, bytes, touch.thread) {
                return Some((4 * at, word.write.thread()));
            }
            let mut reads = word.reads.into_iter();
            if let Some(read) = reads.find(|&read| self.conflicts(read, bytes, touch.thread)) {
                return Some((4 * at, read.thread()));
            }
            // Reads of the bytes that stay are forgotten with those of the others; see the top of the file.
            self.words[at] = Word { write: stamp, reads: Default::default() };
        }
        None
    }

    /// Records an atomic or another strong write; returns the word, as an offset, and a thread whose plain access is not
    /// ordered before it.
    pub(crate) fn strong_write(&mut self, touch: Touch) -> Option<(usize, usize)> {
        let (words, bytes) = touch.words();
        let warp = touch.thread / 32;
        let stamp = Stamp(Stamp::new(self.clock(warp, warp), touch.thread, bytes).0 | STRONG);
        for at in words {
            let word = self.words[at];
            let weak =
                [word.write, word.reads[0], word.reads[1]].into_iter().filter(|other| !other.is_strong());
            if let Some(other) = weak.into_iter().find(|&other| self.conflicts(other, bytes, touch.thread)) {
                return Some((4 * at, other.thread()));
            }
            // What others have not seen stays known: the last plain access, as an unsettled read, and another warp's
            // strong write, as this warp may go on with a plain access.
            // A read since then is ordered after the write, or it would have been reported.
            let read = word.reads[0].clock() != 0 || word.write.is_strong();
            let plain = if read { word.reads[0] } else { word.write };
            let written = Stamp(word.write.0 | KEPT);
            let strong = [written, word.reads[1]].into_iter().find(|other| {
                other.is_strong() && other.is_kept() && other.clock() != 0 && other.thread() / 32 != warp
            });
            self.words[at] =
                Word { write: stamp, reads: [Stamp(plain.0 & !SETTLED), strong.unwrap_or_default()] };
        }
        None
    }

    /// The releasing half of a fence.
    pub(crate) fn settle(&mut self, warp: usize) {
        self.settled[warp] = self.clocks[warp * self.warps..][..self.warps].to_vec();
    }

    /// A strong write, about to happen.
    pub(crate) fn publish(&mut self, warp: usize, address: u64) {
        if !self.settled[warp].is_empty() {
            let clocks = self.published.entry(address).or_insert_with(|| vec![0; self.warps]);
            clocks
                .iter_mut()
                .zip(&self.settled[warp])
                .for_each(|(clock, &settled)| *clock = settled.max(*clock));
        }
    }

    /// A strong read, just done.
    pub(crate) fn touch(&mut self, warp: usize, address: u64) {
        self.touched[warp].insert(address);
    }

    /// The acquiring half of a fence.
    pub(crate) fn learn(&mut self, warp: usize) {
        for address in std::mem::take(&mut self.touched[warp]) {
            let Some(published) = self.published.get(&address) else { continue };
            let clocks = &mut self.clocks[warp * self.warps..][..self.warps];
            for (of, (clock, &known)) in clocks.iter_mut().zip(published).enumerate() {
                // From a lane of the warp itself: its lanes have met, as far as races can tell.
                *clock = if of == warp && known == *clock { *clock + 1 } else { known.max(*clock) };
            }
        }
        self.set_floor(warp);
    }

    /// The lanes of a warp have met.
    pub(crate) fn warp_sync(&mut self, warp: usize) {
        self.clocks[warp * self.warps + warp] += 1;
        self.set_floor(warp);
    }

    /// The warp's own accesses at its present clock are ordered for the lane alone that made them.
    fn set_floor(&mut self, warp: usize) {
        let seen = |of: usize| self.clock(of, warp) - u32::from(of == warp);
        self.floors[warp] = (0..self.warps).map(seen).min().unwrap_or(0);
    }

    /// Warps have met; those in `waiting` go on knowing what all of `arrived` did before.
    pub(crate) fn barrier(&mut self, arrived: &[usize], waiting: &[usize]) {
        let joined: Vec<_> = (0..self.warps)
            .map(|of| arrived.iter().map(|&warp| self.clock(of, warp)).max().unwrap_or(0))
            .collect();
        for &warp in waiting {
            self.clocks[warp * self.warps..][..self.warps].copy_from_slice(&joined);
        }
        for &warp in arrived {
            self.warp_sync(warp);
        }
    }
}
