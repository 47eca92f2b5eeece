//! Memory for buffers that come and go with every step: it is neither cleared nor asked of the system again, it lies on
//! pages of 2 MiB where the system has them, and a buffer begins with a cache line, so that no vector lies across two.
//!
//! A step passes over hundreds of megabytes, and rows of activations lie on pages of their own: with pages of 4 KiB, finding
//! them took an eighth of a training step. Weights that the host made lie here for their pages too.
//!
//! What an op borrows until it ends comes from a [`Spare`] of the thread that borrows it. From one for all, two threads get
//! each other's memory of a moment ago, and fetch every line of it from the other core: of 2 × 256 tokens and 9 heads of 64,
//! attention's backward pass takes 0.88 ms so on two cores of a Sapphire Rapids, 0.67 ms from one each.

use super::slab::Line;
use bytemuck::Pod;
use memmap2::MmapMut;
use std::{
    collections::BTreeMap,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const LINE: usize = size_of::<Line>();
/// Bytes that the system is asked for at a time, or a multiple of a page for larger buffers.
const CHUNK: usize = 32 << 20;
/// A large page.
const PAGE: usize = 2 << 20;

/// Memory that buffers are lent from.
#[derive(Default)]
pub(super) struct Spare(Mutex<Vec<Chunk>>);

/// Some memory and the lines of it that are free, as ranges of first line and length, none next to another.
struct Chunk {
    memory: MmapMut,
    free: BTreeMap<usize, usize>,
}

impl Chunk {
    fn new(lines: usize) -> Option<Self> {
        let bytes = (lines * LINE).max(CHUNK).next_multiple_of(PAGE);
        let memory = MmapMut::map_anon(bytes).ok()?;
        // A system that does not do so has smaller pages, and no other memory.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Some(Self { memory, free: BTreeMap::from([(0, bytes / LINE)]) })
    }

    /// Whether it was made for one buffer. It serves large buffers alone: a small one that lasts would keep the next of them out.
    fn is_large(&self) -> bool {
        self.memory.len() > CHUNK
    }

    fn is_free(&self) -> bool {
        self.free.first_key_value().is_some_and(|(_, &lines)| lines * LINE == self.memory.len())
    }

    /// Takes `lines` from the front of the free range that begins at `first`.
    fn take(&mut self, first: usize, lines: usize) -> NonNull<Line> {
        let found = self.free.remove(&first).expect("a free range");
        if found > lines {
            self.free.insert(first + lines, found - lines);
        }
        let bytes = &mut self.memory[first * LINE..(first + lines) * LINE];
        NonNull::from(bytes).cast()
    }

    /// The first line of what begins at `start`, if it lies here.
    fn position(&self, start: NonNull<Line>) -> Option<usize> {
        let offset = start.as_ptr().addr().checked_sub(self.memory.as_ptr().addr())?;
        (offset < self.memory.len()).then_some(offset / LINE)
    }

    fn give_back(&mut self, mut first: usize, mut lines: usize) {
        if let Some(after) = self.free.remove(&(first + lines)) {
            lines += after;
        }
        if let Some((&before, &length)) = self.free.range(..first).next_back()
            && before + length == first
        {
            (first, lines) = (before, length + lines);
        }
        self.free.insert(first, lines);
    }
}

impl Spare {
    /// `len` elements of any value, from the free range that they fit best; nothing where the system has no more memory.
    pub(super) fn lend<T: Pod>(self: &Arc<Self>, len: usize) -> Option<Lent<T>> {
        let lines = (len * size_of::<T>()).div_ceil(LINE).max(1);
        let large = lines * LINE > CHUNK;
        let mut chunks = self.chunks();
        let alike = chunks.iter().enumerate().filter(|(_, chunk)| chunk.is_large() == large);
        let ranges = alike.flat_map(|(i, chunk)| {
            chunk
                .free
                .iter()
                .filter(|&(_, &found)| found >= lines)
                .map(move |(&first, &found)| (found, i, first))
        });
        let (chunk, first) = match ranges.min() {
            Some((_, chunk, first)) => (chunk, first),
            None => {
                // Rather than more memory, what a large buffer has left.
                chunks.retain(|chunk| !(chunk.is_large() && chunk.is_free()));
                chunks.push(Chunk::new(lines)?);
                (chunks.len() - 1, 0)
            }
        };
        let start = chunks[chunk].take(first, lines);
        Some(Lent { start, lines, len, home: Arc::clone(self), elements: PhantomData })
    }

    /// Gives the system what no buffer uses.
    pub(super) fn trim(&self) {
        self.chunks().retain(|chunk| !chunk.is_free());
    }

    fn chunks(&self) -> MutexGuard<'_, Vec<Chunk>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The elements of a buffer whose memory is another's afterwards.
///
/// Invariant: the lines from `start` on are taken from a chunk of `home` and belong to this value alone; they hold `len`
/// elements.
pub struct Lent<T> {
    start: NonNull<Line>,
    lines: usize,
    len: usize,
    home: Arc<Spare>,
    elements: PhantomData<T>,
}

// SAFETY: a Lent owns plain data, as a Vec does.
unsafe impl<T: Pod + Send> Send for Lent<T> {}
// SAFETY: the same.
unsafe impl<T: Pod + Sync> Sync for Lent<T> {}

impl<T: Pod> Deref for Lent<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the invariant; any bits are a T, the system's memory begins as zeros, and a line is aligned for each T.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.len) }
    }
}

impl<T: Pod> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the same.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len) }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        let mut chunks = self.home.chunks();
        let own = chunks.iter_mut().find_map(|chunk| chunk.position(self.start).map(|first| (chunk, first)));
        if let Some((chunk, first)) = own {
            chunk.give_back(first, self.lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(spare: &Spare) -> Vec<Vec<(usize, usize)>> {
        spare.chunks().iter().map(|chunk| chunk.free.iter().map(|(&a, &b)| (a, b)).collect()).collect()
    }

    #[test]
    fn a_large_buffer_leaves_its_chunk_to_such_or_to_the_system() {
        let (spare, all) = (Arc::new(Spare::default()), CHUNK / LINE);
        let lend = |lines: usize| spare.lend::<f32>(16 * lines).expect("memory");
        let (small, large) = (lend(2), lend(all + 7));
        drop(large);
        let (in_small, in_large) = (vec![(2, all - 2)], vec![(0, all + PAGE / LINE)]);
        assert_eq!(free(&spare), [in_small.clone(), in_large.clone()]);
        drop(lend(all + 9));
        assert_eq!(free(&spare), [in_small, in_large], "one serves the next");
        let other = lend(all - 1);
        assert_eq!(
            free(&spare),
            [[(2, all - 2)], [(all - 1, 1)]],
            "no small one enters it, and more memory takes its place"
        );
        drop((small, other));
    }

    #[test]
    fn buffers_share_chunks_and_what_is_free_grows_together() {
        let (spare, all) = (Arc::new(Spare::default()), CHUNK / LINE);
        let lend = |lines: usize| spare.lend::<f32>(16 * lines - 3).expect("memory");
        let (mut a, b, c) = (lend(10), lend(5), lend(20));
        a.fill(7.0);
        assert_eq!((a.len(), a.as_ptr().addr() % LINE), (157, 0));
        assert_eq!(free(&spare), [[(35, all - 35)]]);
        drop(b);
        assert_eq!(free(&spare), [[(10, 5), (35, all - 35)]]);
        let d = lend(4);
        assert_eq!(free(&spare), [[(14, 1), (35, all - 35)]], "the smallest range that is large enough");
        drop(d);
        drop(c);
        assert_eq!(free(&spare), [[(10, all - 10)]]);
        assert!(a.iter().all(|&a| a == 7.0));
        let large = lend(all + 1);
        assert_eq!((free(&spare).len(), large.len()), (2, 16 * all + 13));
        drop(a);
        spare.trim();
        assert_eq!(free(&spare), [[(all + 1, PAGE / LINE - 1)]], "only what is in use");
        drop(large);
        spare.trim();
        assert!(free(&spare).is_empty());
    }
}
