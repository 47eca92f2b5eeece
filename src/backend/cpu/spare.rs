//! Memory of buffers that are done with, for buffers to come: it is neither cleared nor asked of the system again, and it
//! begins with a cache line, so that no vector lies across two.

use super::slab::Line;
use bytemuck::Pod;
use std::{
    collections::VecDeque,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Memory that waits for its next use, what was used last at the end.
#[derive(Default)]
pub(super) struct Spare(Mutex<VecDeque<Vec<Line>>>);

impl Spare {
    /// `len` elements of any value. Where no memory of about that size waits, the system is first given back as much as it
    /// is asked for, so that what waits adds nothing to the most that was in use.
    pub(super) fn lend<T: Pod>(self: &Arc<Self>, len: usize) -> Lent<T> {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        let mut waiting = self.waiting();
        let fits = |memory: &Vec<Line>| memory.len() >= lines && memory.len() - lines <= memory.len() / 8;
        let best = (0..waiting.len()).rev().filter(|&i| fits(&waiting[i])).min_by_key(|&i| waiting[i].len());
        let memory = best.and_then(|i| waiting.remove(i)).unwrap_or_else(|| {
            let mut given_back = 0;
            while given_back < lines {
                let Some(memory) = waiting.pop_front() else { break };
                given_back += memory.len();
            }
            bytemuck::zeroed_vec(lines)
        });
        Lent { memory, len, home: Arc::clone(self), element: PhantomData }
    }

    /// Gives all that waits back to the system.
    pub(super) fn clear(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Vec<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The elements of a buffer whose memory waits for another one afterwards.
pub struct Lent<T> {
    memory: Vec<Line>,
    len: usize,
    home: Arc<Spare>,
    element: PhantomData<T>,
}

impl<T: Pod> Deref for Lent<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.memory)[..self.len]
    }
}

impl<T: Pod> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.memory)[..self.len]
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        self.home.waiting().push_back(std::mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_about_the_size_is_lent_again_and_what_waits_makes_room() {
        let spare = Arc::new(Spare::default());
        let waiting = || spare.waiting().iter().map(Vec::len).collect::<Vec<_>>();
        let mut first = spare.lend::<f32>(16_000);
        first.fill(7.0);
        drop((first, spare.lend::<f32>(800)));
        assert_eq!(waiting(), [1000, 50]);
        let again = spare.lend::<f32>(14_401);
        assert_eq!((again.len(), again[14_400], waiting()), (14_401, 7.0, vec![50]));
        drop(again);
        drop(spare.lend::<u8>(64 * 30));
        assert_eq!(waiting(), [1000, 30], "50 made room for 30");
        // Too large by more than an eighth: the oldest memory goes, until there is as much as is asked for.
        drop(spare.lend::<f32>(16 * 800));
        assert_eq!(waiting(), [30, 800]);
        spare.clear();
        assert!(waiting().is_empty());
    }
}
