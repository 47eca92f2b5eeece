//! Files read through memory maps: the one place that makes them.

use crate::error::{Error, Result};
use bytemuck::Pod;
use memmap2::{MmapMut, MmapOptions};
use std::{
    fs::File,
    marker::PhantomData,
    ops::{Deref, DerefMut, Range},
    path::{Path, PathBuf},
};

/// A file that is open for mapping.
#[derive(Debug)]
pub struct Mappable {
    path: PathBuf,
    file: File,
}

/// Bytes of a file as they are read from the page cache. The map is private: what is written to it stays in this
/// process, and only what is written takes memory of its own.
#[derive(Debug)]
pub struct MappedBytes(MmapMut);

impl Mappable {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// The file's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn whole(&self) -> Result<MappedBytes> {
        self.map(&mut MmapOptions::new())
    }

    /// The bytes `range` of the file, which must lie inside of it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn range(&self, range: Range<usize>) -> Result<MappedBytes> {
        self.map(MmapOptions::new().offset(range.start as u64).len(range.len()))
    }

    fn map(&self, options: &mut MmapOptions) -> Result<MappedBytes> {
        // With memory set aside for writes that never come, a file larger than the memory could not be mapped.
        options.no_reserve_swap();
        // SAFETY: the map is private; that no other process shortens the file while it is mapped is what every user
        // of a checkpoint relies on, and this crate replaces files by renaming, never in place.
        let map = unsafe { options.map_copy(&self.file) };
        map.map(MappedBytes).map_err(Error::io("map", &self.path))
    }
}

impl Deref for MappedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for MappedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
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

impl<T: Pod> DerefMut for MappedElements<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map)
    }
}
