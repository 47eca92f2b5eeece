//! Files read through memory maps: the one place that makes them.

use crate::error::{Error, Result};
use bytemuck::Pod;
use memmap2::{Mmap, MmapOptions};
use std::{
    fs::File,
    io,
    marker::PhantomData,
    ops::{Deref, Range},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A multiple of the pages that systems have, large ones aside.
#[cfg(target_os = "linux")]
const PAGE: usize = 1 << 16;

/// A file, mapped.
#[derive(Debug)]
pub struct FileMap {
    path: PathBuf,
    map: Arc<Mmap>,
}

/// Bytes of a file as they are read from the page cache.
#[derive(Debug)]
pub struct MappedBytes {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl FileMap {
    /// Maps the file `path`, on large pages where the system keeps files on such.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        if path.is_dir() {
            return Err(Error::io("read", path)(io::ErrorKind::IsADirectory.into()));
        }
        // SAFETY: that no other process shortens or overwrites the file while it is mapped is what every user of a
        // checkpoint relies on, and this crate replaces files by renaming, never in place.
        let map = unsafe { MmapOptions::new().map(&file) }.map_err(Error::io("map", path))?;
        // A system that does not do so has smaller pages, and the same bytes.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { path: path.to_owned(), map: Arc::new(map) })
    }

    /// The file's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file.
    #[must_use]
    pub fn whole(&self) -> MappedBytes {
        self.range(0..self.map.len())
    }

    /// The bytes `range` of the file, which must lie inside of it.
    #[must_use]
    pub fn range(&self, range: Range<usize>) -> MappedBytes {
        assert!(range.start <= range.end && range.end <= self.map.len(), "a range lies inside its file");
        MappedBytes { map: Arc::clone(&self.map), range }
    }
}

impl Deref for MappedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

/// The system may have the memory back: what lies in the map and is still needed, it reads from the page cache again. So a
/// tensor that was read to be converted does not count among the memory of this process as long as others are mapped.
#[cfg(target_os = "linux")]
impl Drop for MappedBytes {
    fn drop(&mut self) {
        let whole_pages = self.range.start.next_multiple_of(PAGE)..self.range.end / PAGE * PAGE;
        if !whole_pages.is_empty() {
            // SAFETY: nothing is ever written to the map, so the same bytes are there when it is read again.
            let _ = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    whole_pages.start,
                    whole_pages.len(),
                )
            };
        }
    }
}

/// Elements of a file where the page cache holds them.
///
/// Invariant: the map casts to whole, aligned elements.
#[derive(Debug)]
pub struct MappedElements<T> {
    map: MappedBytes,
    of: PhantomData<T>,
}

impl<T: Pod> MappedElements<T> {
    /// The elements of `map`; `None` unless they are whole and aligned.
    #[must_use]
    pub fn new(map: MappedBytes) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(&map).is_ok().then_some(Self { map, of: PhantomData })
    }
}

impl<T: Pod> Deref for MappedElements<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn ranges_hold_their_bytes_while_others_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers");
        let numbers: Vec<u32> = (0..1 << 20).collect();
        fs::write(&path, bytemuck::cast_slice(&numbers)).unwrap();
        let file = FileMap::open(&path).unwrap();
        let elements = |range: Range<usize>| {
            MappedElements::<u32>::new(file.range(4 * range.start..4 * range.end)).expect("aligned")
        };
        let (a, b) = (elements(5..700_001), elements(700_001..1 << 20));
        assert_eq!(*a, numbers[5..700_001]);
        assert_eq!(*b, numbers[700_001..]);
        drop((a, file.whole()));
        assert_eq!(*b, numbers[700_001..]);
        assert_eq!(*elements(5..700_001), numbers[5..700_001]);
        assert!(MappedElements::<u32>::new(file.range(2..10)).is_none(), "not aligned");
        drop(file);
        assert_eq!(*b, numbers[700_001..], "what is mapped outlives the file's handle");
    }

    /// What an emulated system says of its maps is not true of it.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn bytes_that_are_dropped_take_no_memory() {
        const HALF: usize = 4 << 20;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, vec![1_u8; 2 * HALF]).unwrap();
        let map = FileMap::open(file.path()).unwrap();
        let resident = || {
            let maps = fs::read_to_string("/proc/self/smaps").unwrap();
            let (_, of_file) = maps.split_once(file.path().to_str().unwrap()).expect("the map");
            let (_, resident) = of_file.split_once("Rss:").expect("what is resident");
            1024 * resident.split_whitespace().next().unwrap().parse::<usize>().unwrap()
        };
        let (a, b) = (map.range(0..HALF), map.range(HALF..2 * HALF));
        assert!(a.iter().chain(&*b).all(|&byte| byte == 1));
        assert!(resident() > HALF, "{} bytes", resident());
        drop(a);
        assert!(resident() <= HALF, "{} bytes", resident());
        drop(b);
        assert_eq!(resident(), 0);
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(FileMap::open(empty.path()).unwrap().whole().is_empty());
    }
}
