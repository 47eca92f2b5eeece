//! Races on shared memory: two threads, one of them writing, and no barrier between.
//!
//! Each warp has a vector clock; barriers join the clocks of those that meet, `bar.warp.sync` advances a warp's own.
//! Every 4-byte word remembers its last write, and since then the last reads by two warps, each with the bytes touched.
//! Atomics and other strong accesses do not race with each other, and they carry order from warp to warp by the rule that
//! `watch` has for blocks.
//! So no reported race is false; one can be missed where a word is accessed in parts or more than two warps read it.
//! Two writes of the same value do not count as a race.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

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
/// The warp.
const WARP: u64 = 0x7ff << 21;

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

/// Words by their parts, so that neighbours are looked at together.
struct Words {
    writes: Vec<Stamp>,
    reads: [Vec<Stamp>; 2],
}

impl Words {
    fn new(count: usize) -> Self {
        let stamps = || vec![Stamp::default(); count];
        Self { writes: stamps(), reads: [stamps(), stamps()] }
    }

    #[inline(always)]
    fn get(&self, at: usize) -> Word {
        Word { write: self.writes[at], reads: [self.reads[0][at], self.reads[1][at]] }
    }

    #[inline(always)]
    fn set(&mut self, at: usize, word: Word) {
        self.writes[at] = word.write;
        [self.reads[0][at], self.reads[1][at]] = word.reads;
    }

    /// Records the first read of its kind.
    #[inline(always)]
    fn first_read(&mut self, at: usize, stamp: Stamp) {
        let last = self.reads[0][at];
        if last.clock() != 0 && last.thread() / 32 != stamp.thread() / 32 {
            self.reads[1][at] = last;
        }
        self.reads[0][at] = stamp;
    }

    /// Parts of `N` words from `first` on: the writes, the reads.
    #[inline(always)]
    fn parts<const N: usize>(&mut self, first: usize) -> [&mut [Stamp; N]; 3] {
        let [one, two] = &mut self.reads;
        [&mut self.writes, one, two]
            .map(|part| (&mut part[first..first + N]).try_into().expect("the slice is that long"))
    }

    /// Records a read of `N` words if that is all there is to do, as nothing is younger than `floor` but reads: whether
    /// it was.
    #[inline(always)]
    fn read<const N: usize>(&mut self, first: usize, stamp: Stamp, floor: u32) -> bool {
        let [writes, reads, others] = self.parts::<N>(first);
        let mut unlike = 0;
        let mut kept = 0;
        let mut newest = 0;
        for i in 0..N {
            unlike |= (reads[i].0 ^ stamp.0) & ALIKE;
            kept |= others[i].0 & KEPT;
            newest = newest.max(writes[i].clock());
        }
        if unlike == 0 {
            *reads = [stamp; N];
            return true;
        }
        if newest > floor || kept != 0 {
            return false;
        }
        for i in 0..N {
            let last = reads[i];
            let stays = last.clock() == 0 || (last.0 ^ stamp.0) & WARP == 0;
            others[i] = if stays { others[i] } else { last };
            reads[i] = stamp;
        }
        true
    }

    /// Records a write of `N` words if nothing is younger than `floor`: whether that was so.
    #[inline(always)]
    fn write<const N: usize>(&mut self, first: usize, stamp: Stamp, floor: u32) -> bool {
        let parts = self.parts::<N>(first);
        let mut newest = 0;
        for part in &parts {
            for stamp in part.iter() {
                newest = newest.max(stamp.clock());
            }
        }
        if newest > floor {
            return false;
        }
        let [writes, reads, others] = parts;
        *writes = [stamp; N];
        *reads = [Stamp::default(); N];
        *others = [Stamp::default(); N];
        true
    }
}

/// The last accesses to a block's shared memory.
pub(crate) struct Races {
    words: Words,
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
    fn words(self) -> (Range<usize>, u8) {
        let first = self.offset / 4;
        let mask = if self.bytes >= 4 { 15 } else { ((1 << self.bytes) - 1) << (self.offset % 4) };
        (first..first + self.bytes.div_ceil(4), mask)
    }
}

impl Races {
    pub(crate) fn new(bytes: usize, warps: usize) -> Self {
        let clocks = (0..warps * warps).map(|i| u32::from(i / warps == i % warps)).collect();
        Self {
            words: Words::new(bytes.div_ceil(4)),
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
        let stamp = self.stamp(touch.thread, bytes);
        let stamp = if strong { Stamp(stamp.0 | STRONG) } else { stamp };
        let (floor, settled) = (self.floors[warp], Stamp(stamp.0 | SETTLED));
        let quick = match words.len() {
            32 => self.words.read::<32>(words.start, settled, floor),
            8 => self.words.read::<8>(words.start, settled, floor),
            4 => self.words.read::<4>(words.start, settled, floor),
            2 => self.words.read::<2>(words.start, settled, floor),
            1 => self.words.read::<1>(words.start, settled, floor),
            _ => false,
        };
        if quick { None } else { self.read_words(words, stamp) }
    }

    /// The same word by word.
    #[cold]
    fn read_words(&mut self, words: Range<usize>, stamp: Stamp) -> Option<(usize, usize)> {
        let (floor, settled) = (self.floors[stamp.thread() / 32], Stamp(stamp.0 | SETTLED));
        for at in words {
            if !self.words.read::<1>(at, settled, floor)
                && let Some(other) = self.unsettled_read(at, stamp)
            {
                return Some((4 * at, other));
            }
        }
        None
    }

    /// A read that may not be ordered after the word's last write.
    fn unsettled_read(&mut self, at: usize, stamp: Stamp) -> Option<usize> {
        let word = self.words.get(at);
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
        self.words.first_read(at, if settled { Stamp(stamp.0 | SETTLED) } else { stamp });
        None
    }

    fn stamp(&self, thread: usize, bytes: u8) -> Stamp {
        Stamp::new(self.clock(thread / 32, thread / 32), thread, bytes)
    }

    /// Records a write if it is the first access since all others are in order: whether it was.
    #[inline(always)]
    pub(crate) fn write_first(&mut self, touch: Touch) -> bool {
        let (words, bytes) = touch.words();
        let (floor, stamp) = (self.floors[touch.thread / 32], self.stamp(touch.thread, bytes));
        match words.len() {
            4 => self.words.write::<4>(words.start, stamp, floor),
            2 => self.words.write::<2>(words.start, stamp, floor),
            1 => self.words.write::<1>(words.start, stamp, floor),
            _ => false,
        }
    }

    /// Records a write; returns the word, as an offset, and a thread whose access is not ordered before it. `same` says
    /// that the bytes already hold what is written.
    #[inline(always)]
    pub(crate) fn write(&mut self, touch: Touch, same: impl Fn() -> bool) -> Option<(usize, usize)> {
        if self.write_first(touch) {
            return None;
        }
        let (words, bytes) = touch.words();
        let (floor, stamp) = (self.floors[touch.thread / 32], self.stamp(touch.thread, bytes));
        for at in words {
            if self.words.write::<1>(at, stamp, floor) {
                continue;
            }
            let word = self.words.get(at);
            if (!same() || word.write.is_strong()) && self.conflicts(word.write, bytes, touch.thread) {
                return Some((4 * at, word.write.thread()));
            }
            let mut reads = word.reads.into_iter();
            if let Some(read) = reads.find(|&read| self.conflicts(read, bytes, touch.thread)) {
                return Some((4 * at, read.thread()));
            }
            // Reads of the bytes that stay are forgotten with those of the others; see the top of the file.
            self.words.set(at, Word { write: stamp, reads: Default::default() });
        }
        None
    }

    /// Records an atomic or another strong write; returns the word, as an offset, and a thread whose plain access is not
    /// ordered before it.
    pub(crate) fn strong_write(&mut self, touch: Touch) -> Option<(usize, usize)> {
        let (words, bytes) = touch.words();
        let warp = touch.thread / 32;
        let stamp = Stamp(self.stamp(touch.thread, bytes).0 | STRONG);
        for at in words {
            let word = self.words.get(at);
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
            let reads = [Stamp(plain.0 & !SETTLED), strong.unwrap_or_default()];
            self.words.set(at, Word { write: stamp, reads });
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
