//! Bytes with a memory of what happened to them, and the device's allocations.

use crate::error::{Error, FaultKind};
use crate::types::Space;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// What a byte is; kept beside every byte.
const NEVER: u8 = 0;
const WRITTEN: u8 = 1;
const PENDING: u8 = 2;

/// Bytes that several host threads may access at once, as 1, 2, 4 or 8 aligned bytes.
struct Cells(Box<[AtomicU64]>);

impl Cells {
    fn new(bytes: usize, fill: u8) -> Self {
        let word = u64::from_le_bytes([fill; 8]);
        Self((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(word)).collect())
    }

    #[inline(always)]
    fn at(&self, offset: usize, bytes: usize) -> *mut u8 {
        // A mask and no division: sizes are powers of two.
        assert!(offset + bytes <= 8 * self.0.len() && offset & (bytes - 1) == 0);
        self.0.as_ptr().cast::<u8>().cast_mut().wrapping_add(offset)
    }

    /// `bytes` bytes from `offset`, little-endian.
    #[inline(always)]
    fn load(&self, offset: usize, bytes: usize) -> u64 {
        let at = self.at(offset, bytes);
        // SAFETY: `at` has checked that the bytes lie inside of the box and are aligned; the box consists of atomics,
        // so that every access to it is atomic.
        unsafe {
            match bytes {
                1 => AtomicU8::from_ptr(at).load(Relaxed).into(),
                2 => AtomicU16::from_ptr(at.cast()).load(Relaxed).into(),
                4 => AtomicU32::from_ptr(at.cast()).load(Relaxed).into(),
                _ => AtomicU64::from_ptr(at.cast()).load(Relaxed),
            }
        }
    }

    #[inline(always)]
    fn store(&self, offset: usize, bytes: usize, value: u64) {
        let at = self.at(offset, bytes);
        // SAFETY: as in `load`.
        unsafe {
            match bytes {
                1 => AtomicU8::from_ptr(at).store(value as u8, Relaxed),
                2 => AtomicU16::from_ptr(at.cast()).store(value as u16, Relaxed),
                4 => AtomicU32::from_ptr(at.cast()).store(value as u32, Relaxed),
                _ => AtomicU64::from_ptr(at.cast()).store(value, Relaxed),
            }
        }
    }

    /// Replaces the bytes by `f` of them in one step; returns the old ones.
    fn update(&self, offset: usize, bytes: usize, f: impl Fn(u64) -> u64) -> u64 {
        let at = self.at(offset, bytes);
        // SAFETY: as in `load`.
        unsafe {
            match bytes {
                1 => AtomicU8::from_ptr(at)
                    .fetch_update(Relaxed, Relaxed, |x| Some(f(x.into()) as u8))
                    .map_or_else(u64::from, u64::from),
                2 => AtomicU16::from_ptr(at.cast())
                    .fetch_update(Relaxed, Relaxed, |x| Some(f(x.into()) as u16))
                    .map_or_else(u64::from, u64::from),
                4 => AtomicU32::from_ptr(at.cast())
                    .fetch_update(Relaxed, Relaxed, |x| Some(f(x.into()) as u32))
                    .map_or_else(u64::from, u64::from),
                _ => AtomicU64::from_ptr(at.cast())
                    .fetch_update(Relaxed, Relaxed, |x| Some(f(x)))
                    .unwrap_or_else(|old| old),
            }
        }
    }
}

/// Splits bytes from `offset` into aligned words of `largest` bytes and single bytes: the start of each, counted from
/// `offset`, and its size.
fn pieces(offset: usize, bytes: usize, largest: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        if start >= bytes {
            return None;
        }
        let whole = (offset + start).is_multiple_of(largest) && bytes - start >= largest;
        at += if whole { largest } else { 1 };
        Some((start, at - start))
    })
}

/// A piece of memory; offsets are from its start.
pub(crate) struct Region {
    data: Cells,
    state: Cells,
    bytes: usize,
}

impl Region {
    /// Starts as 0xFF, never written.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { data: Cells::new(bytes, 0xff), state: Cells::new(bytes, NEVER), bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the aligned access of 1, 2, 4 or 8 bytes reads what was written; else the state of a byte that was not.
    #[inline(always)]
    pub(crate) fn check_read(&self, offset: usize, bytes: usize) -> Result<(), Unreadable> {
        let state = self.state.load(offset, bytes);
        if state == 0x0101_0101_0101_0101 >> (64 - 8 * bytes) {
            return Ok(());
        }
        let pending = state.to_le_bytes()[..bytes].contains(&PENDING);
        Err(if pending { Unreadable::Pending } else { Unreadable::Never })
    }

    #[inline(always)]
    pub(crate) fn load(&self, offset: usize, bytes: usize) -> u64 {
        self.data.load(offset, bytes)
    }

    #[inline(always)]
    pub(crate) fn store(&self, offset: usize, bytes: usize, value: u64) {
        self.data.store(offset, bytes, value);
        self.state.store(offset, bytes, 0x0101_0101_0101_0101);
    }

    /// Whether `bytes` bytes are an aligned access within the region.
    #[inline(always)]
    fn holds(&self, address: u64, bytes: u64) -> bool {
        address & (bytes - 1) == 0 && address < self.bytes as u64 && bytes <= self.bytes as u64 - address
    }

    /// `N` words of eight bytes, if that is an aligned access within the region that reads what was written.
    #[inline(always)]
    pub(crate) fn doubles<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        if !self.holds(address, 8 * N as u64) {
            return None;
        }
        let first = address as usize / 8;
        let (data, state) = (&self.data.0[first..first + N], &self.state.0[first..first + N]);
        let mut words = [0; N];
        let mut unlike = 0;
        for i in 0..N {
            words[i] = data[i].load(Relaxed);
            unlike |= state[i].load(Relaxed) ^ u64::from_le_bytes([WRITTEN; 8]);
        }
        (unlike == 0).then_some(words)
    }

    /// The same for four bytes.
    #[inline(always)]
    pub(crate) fn word(&self, address: u64) -> Option<u32> {
        if !self.holds(address, 4) {
            return None;
        }
        let (at, shift) = (address as usize / 8, 8 * (address % 8));
        let state = (self.state.0[at].load(Relaxed) >> shift) as u32;
        (state == u32::from_le_bytes([WRITTEN; 4])).then_some((self.data.0[at].load(Relaxed) >> shift) as u32)
    }

    /// Whether `bytes` bytes, 4 or a multiple of 8, can be written at once: an aligned access within the region to which
    /// no copy is on its way.
    #[inline(always)]
    pub(crate) fn takes(&self, address: u64, bytes: usize) -> bool {
        if !self.holds(address, bytes as u64) {
            return false;
        }
        let (first, pending) = (address as usize / 8, u64::from_le_bytes([PENDING; 8]));
        if bytes == 4 {
            return (self.state.0[first].load(Relaxed) & pending) >> (8 * (address % 8)) & 0xffff_ffff == 0;
        }
        self.state.0[first..first + bytes / 8].iter().fold(0, |any, state| any | state.load(Relaxed))
            & pending
            == 0
    }

    pub(crate) fn update(&self, offset: usize, bytes: usize, f: impl Fn(u64) -> u64) -> u64 {
        self.data.update(offset, bytes, f)
    }

    /// Poisons the words until a copy arrives.
    pub(crate) fn set_pending(&self, offset: usize, bytes: usize) {
        let step = bytes.min(8);
        for i in (offset..offset + bytes).step_by(step) {
            self.data.store(i, step, u64::MAX);
            self.state.store(i, step, u64::from_le_bytes([PENDING; 8]));
        }
    }

    /// Whether a copy to one of the bytes is pending.
    pub(crate) fn is_pending(&self, offset: usize, bytes: usize) -> bool {
        self.state.load(offset, bytes).to_le_bytes()[..bytes].contains(&PENDING)
    }

    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        for (i, n) in pieces(offset, bytes.len(), 8) {
            let mut word = [0; 8];
            word[..n].copy_from_slice(&bytes[i..i + n]);
            self.data.store(offset + i, n, u64::from_le_bytes(word));
            self.state.store(offset + i, n, u64::from_le_bytes([WRITTEN; 8]));
        }
    }

    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) {
        for (i, n) in pieces(offset, out.len(), 8) {
            let word = self.data.load(offset + i, n).to_le_bytes();
            out[i..i + n].copy_from_slice(&word[..n]);
        }
    }

    /// Copies bytes that may be poisoned, with their state.
    pub(crate) fn copy(&self, from: usize, to: usize, bytes: usize) {
        self.copy_from(self, from, to, bytes);
    }

    /// The same from another region, which may be this one; not for ranges that overlap.
    pub(crate) fn copy_from(&self, source: &Self, from: usize, to: usize, bytes: usize) {
        let largest = if from % 8 == to % 8 { 8 } else { 1 };
        for (i, n) in pieces(to, bytes, largest) {
            self.data.store(to + i, n, source.data.load(from + i, n));
            self.state.store(to + i, n, source.state.load(from + i, n));
        }
    }
}

/// Why bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Never,
    Pending,
}

impl Unreadable {
    pub(crate) fn fault(self, space: Space, address: u64, bytes: usize) -> FaultKind {
        match self {
            Self::Never => FaultKind::NeverWritten { space, address, bytes },
            Self::Pending => FaultKind::AsyncPending { address, bytes },
        }
    }
}

/// Device memory at an address.
pub(crate) struct Allocation {
    pub(crate) base: u64,
    pub(crate) region: Region,
    pub(crate) read_only: bool,
}

impl Allocation {
    fn holds(&self, address: u64, bytes: usize) -> bool {
        let offset = address.wrapping_sub(self.base);
        offset < self.region.len() as u64 && bytes as u64 <= self.region.len() as u64 - offset
    }
}

/// The sectors of each allocation that a launch has touched.
pub(crate) struct Touched(Vec<OnceLock<Box<[AtomicU8]>>>);

impl Touched {
    pub(crate) fn new(memory: &Memory) -> Self {
        Self(memory.allocations.iter().map(|_| OnceLock::new()).collect())
    }

    /// Marks the sector of `address` in `allocation`, which is number `index`; tells whether this is the first such
    /// access to it.
    pub(crate) fn is_first(&self, index: usize, allocation: &Allocation, address: u64, writes: bool) -> bool {
        // Per sector: 1 when it was read, 2 when it was written.
        let none = || (0..allocation.region.len().div_ceil(32)).map(|_| AtomicU8::new(0)).collect();
        let sector = &self.0[index].get_or_init(none)[((address - allocation.base) / 32) as usize];
        let bit = 1 + u8::from(writes);
        sector.load(Relaxed) & bit == 0 && sector.fetch_or(bit, Relaxed) & bit == 0
    }
}

/// The allocations of a device, sorted by address. A clone holds the same ones.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    allocations: Vec<Arc<Allocation>>,
    next: u64,
}

/// Where device memory begins.
const FIRST_ADDRESS: u64 = 0x7000_0000_0000;
/// Alignment of an allocation, and the least gap behind one.
const ALIGNMENT: u64 = 256;

impl Memory {
    pub(crate) fn allocate(&mut self, bytes: usize, read_only: bool) -> u64 {
        let base = self.next.max(FIRST_ADDRESS);
        self.next = (base + bytes as u64 + ALIGNMENT).next_multiple_of(ALIGNMENT);
        self.allocations.push(Arc::new(Allocation { base, region: Region::new(bytes), read_only }));
        base
    }

    pub(crate) fn free(&mut self, base: u64) -> Result<(), Error> {
        let at = self.allocations.binary_search_by_key(&base, |a| a.base);
        let at = at.map_err(|_| Error::Host { address: base, bytes: 0 })?;
        self.allocations.remove(at);
        Ok(())
    }

    /// The allocation that holds all the bytes, and its number, a hint for the next call.
    #[inline(always)]
    pub(crate) fn find(&self, address: u64, bytes: usize, hint: &mut usize) -> Option<&Allocation> {
        if let Some(allocation) = self.allocations.get(*hint)
            && allocation.holds(address, bytes)
        {
            return Some(allocation);
        }
        let at = self.allocations.partition_point(|a| a.base <= address).checked_sub(1)?;
        *hint = at;
        Some(&*self.allocations[at]).filter(|a| a.holds(address, bytes))
    }

    /// The same for the host.
    pub(crate) fn host(&self, address: u64, bytes: usize) -> Result<(&Region, usize), Error> {
        let allocation = self.find(address, bytes, &mut 0).ok_or(Error::Host { address, bytes })?;
        Ok((&allocation.region, (address - allocation.base) as usize))
    }

    /// Bytes of each allocation.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.allocations.iter().map(|allocation| allocation.region.len())
    }
}
