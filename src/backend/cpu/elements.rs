//! What a buffer of the CPU holds.

use super::spare::{Lent, Spare};
use crate::map::MappedElements;
use bytemuck::Pod;
use std::{
    fmt,
    ops::{Deref, DerefMut},
    slice,
    sync::Arc,
};

/// The elements of a buffer: in memory of their own, or where the page cache holds a file's. Reading a mapped buffer
/// copies nothing; writing to one copies it first.
pub enum Elements<T> {
    /// In memory of their own.
    Owned(Vec<T>),
    /// Mapped from a file.
    Mapped(MappedElements<T>),
    /// In memory that goes to another buffer afterwards.
    Lent(Lent<T>),
}

impl<T: Pod> Elements<T> {
    /// Any elements, in lent memory, or in memory of their own where there is no more of that. A debug build makes them
    /// NaN, so that a test finds what reads one before it is written.
    pub(super) fn unwritten(spare: &Arc<Spare>, len: usize) -> Self {
        let Some(mut lent) = spare.lend(len) else { return Self::Owned(bytemuck::zeroed_vec(len)) };
        if cfg!(debug_assertions) {
            bytemuck::cast_slice_mut::<T, u8>(&mut lent).fill(0xff);
        }
        Self::Lent(lent)
    }
}

impl<T> From<Vec<T>> for Elements<T> {
    fn from(elements: Vec<T>) -> Self {
        Self::Owned(elements)
    }
}

/// Memory that work needs again and again, in sizes that differ.
pub(super) struct Room<T> {
    spare: Arc<Spare>,
    elements: Elements<T>,
}

impl<T: Pod> Room<T> {
    /// Of no size yet.
    pub(super) fn new(spare: &Arc<Spare>) -> Self {
        Self { spare: Arc::clone(spare), elements: Vec::new().into() }
    }

    /// The first `len` elements, whatever they hold: where these are more than ever before, not what they held.
    pub(super) fn first(&mut self, len: usize) -> &mut [T] {
        if self.elements.len() < len {
            // What there is goes back first, and may be a part of what comes.
            self.elements = Vec::new().into();
            self.elements = Elements::unwritten(&self.spare, len);
        }
        &mut self.elements[..len]
    }
}

/// All that it has room for.
impl<T: Pod> Deref for Room<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

/// A copy has memory of its own.
impl<T: Pod> Clone for Elements<T> {
    fn clone(&self) -> Self {
        Self::Owned(self.to_vec())
    }
}

impl<T: Pod> Deref for Elements<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(elements) => elements,
            Self::Mapped(elements) => elements,
            Self::Lent(elements) => elements,
        }
    }
}

/// What is mapped is copied first.
impl<T: Pod> DerefMut for Elements<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        if let Self::Mapped(elements) = self {
            *self = Self::Owned(elements.to_vec());
        }
        match self {
            Self::Owned(elements) => elements,
            Self::Mapped(_) => unreachable!("a copy took its place"),
            Self::Lent(elements) => elements,
        }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Pod + PartialEq> PartialEq<Vec<T>> for Elements<T> {
    fn eq(&self, other: &Vec<T>) -> bool {
        **self == **other
    }
}

impl<T: Pod + PartialEq> PartialEq for Elements<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T> FromIterator<T> for Elements<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self::Owned(Vec::from_iter(elements))
    }
}

impl<'a, T: Pod> IntoIterator for &'a Elements<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Pod> IntoIterator for &'a mut Elements<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Cpu, LEAST_LENT},
        *,
    };
    use crate::{device::Device, map::FileMap};

    #[test]
    fn what_is_written_to_a_mapped_buffer_stays_in_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, bytemuck::bytes_of(&[1.0_f32, 2.0])).unwrap();
        let map = FileMap::open(file.path()).unwrap();
        let mapped = || Elements::<f32>::Mapped(MappedElements::new(map.whole()).expect("aligned"));
        let (mut a, b) = (mapped(), mapped());
        a[1] = 7.0;
        assert_eq!((&*a, &*b, &*mapped()), (&[1.0, 7.0][..], &[1.0, 2.0][..], &[1.0, 2.0][..]));
        assert_eq!(std::fs::read(&file).unwrap(), bytemuck::bytes_of(&[1.0_f32, 2.0]));
    }

    #[test]
    fn what_a_thread_borrows_again_is_what_it_had() {
        let cpu = Cpu::new(Some(3)).unwrap();
        let borrow = |thread: usize| {
            let own = |i| (i == thread).then(|| Elements::<f32>::unwritten(cpu.scratch(), 1000));
            cpu.pool
                .broadcast(|context| own(context.index()))
                .into_iter()
                .flatten()
                .next()
                .expect("the thread's")
        };
        let places = |of: &[Elements<f32>]| of.iter().map(|of| of.as_ptr()).collect::<Vec<_>>();
        let first = [0, 1, 2].map(borrow);
        let mut before = places(&first);
        assert!(before[0] != before[1] && before[1] != before[2] && before[0] != before[2]);
        // Given back by another thread, and borrowed in another order.
        drop(first);
        let again = places(&[2, 0, 1].map(borrow));
        before.rotate_right(1);
        assert_eq!(again, before);
    }

    #[test]
    fn what_is_large_and_stays_is_lent() {
        let cpu = Cpu::new(Some(1)).unwrap();
        for (bytes, lends) in [(LEAST_LENT - 1, false), (LEAST_LENT, true)] {
            let host: Vec<_> = (0..bytes).map(|i| b"RoSA"[i % 4]).collect();
            let weight = cpu.upload_weight(host.clone()).unwrap();
            assert_eq!((matches!(weight, Elements::Lent(_)), &*weight), (lends, &host[..]));
            // Zeros take the place of what another buffer left.
            drop(weight);
            let zeros = cpu.zeros::<u8>(bytes).unwrap();
            assert_eq!((matches!(zeros, Elements::Lent(_)), &*zeros), (lends, &vec![0; bytes][..]));
            assert!(matches!(cpu.upload(host).unwrap(), Elements::Owned(_)), "what comes and goes is not");
        }
    }

    #[test]
    fn a_room_keeps_what_it_holds_until_more_is_asked_for() {
        let mut room = Room::new(&Arc::default());
        room.first(100).fill(1.0);
        assert_eq!(room.first(40), [1.0; 40]);
        assert_eq!((room.first(100)[99], room.len()), (1.0, 100));
        assert_eq!((room.first(5000).len(), room.len()), (5000, 5000));
    }
}
