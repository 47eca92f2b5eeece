//! Loads, stores, asynchronous copies and `ldmatrix`: every access is checked, counted, and watched for races.

use crate::block::Block;
use crate::counters::Counters;
use crate::error::{Fault, FaultKind};
use crate::instruction::{Access, Address, CopyAsync, MatrixLoad};
use crate::memory::{Allocation, Memory, Region, Unreadable};
use crate::race::Touch;
use crate::registers::{Lanes, each, lanes};
use crate::types::Space;
use crate::warp::{PendingCopy, Warp};
use crate::watch::Manner;

/// The space and the address within it.
pub(crate) fn split(space: Space, address: u64) -> (Space, u64) {
    if space == Space::Generic {
        let space = Space::of(address);
        (space, address - space.base())
    } else {
        (space, address)
    }
}

/// # Errors
/// A misaligned address.
pub(crate) fn aligned(space: Space, address: u64, bytes: usize) -> Result<(), FaultKind> {
    // A size is a power of two: a mask, as a division takes longer than all the rest.
    if address & (bytes as u64 - 1) == 0 {
        Ok(())
    } else {
        Err(FaultKind::Misaligned { space, address, bytes })
    }
}

/// The offset of an access within `length` bytes.
pub(crate) fn bounded(space: Space, length: usize, address: u64, bytes: usize) -> Result<usize, FaultKind> {
    if address <= length as u64 && bytes as u64 <= length as u64 - address {
        Ok(address as usize)
    } else {
        Err(FaultKind::OutOfBounds { space, address, bytes })
    }
}

/// The allocation and the offset of a global access.
pub(crate) fn global<'m>(
    memory: &'m Memory,
    hint: &mut usize,
    address: u64,
    bytes: usize,
) -> Result<(&'m Allocation, usize), FaultKind> {
    let space = Space::Global;
    let allocation =
        memory.find(address, bytes, hint).ok_or(FaultKind::OutOfBounds { space, address, bytes })?;
    Ok((allocation, (address - allocation.base) as usize))
}

impl Access {
    /// How other blocks see it.
    #[inline(always)]
    fn manner(&self, writes: bool) -> Manner {
        Manner { writes, strong: self.strength.strong && !self.strength.narrow }
    }

    /// Whether it moves one, two or four words between 32-bit registers and shared memory, as most do.
    #[inline(always)]
    fn is_words_in_shared(&self) -> bool {
        self.address.space == Space::Shared
            && !self.strength.strong
            && self.ty.bytes() == 4
            && matches!(self.registers.len(), 1 | 2 | 4)
            && self.registers.iter().all(|register| register.bits == 32)
    }
}

/// Elements of a load or a store in one lane.
type Values = [u64; 4];

/// Reads consecutive elements of `BYTES` bytes.
///
/// # Errors
/// The first element that cannot be read.
#[inline(always)]
fn elements<const BYTES: usize>(
    region: &Region,
    offset: usize,
    values: &mut [u64],
) -> Result<(), (usize, Unreadable)> {
    // By eight bytes where there are as many and all can be read.
    let per = 8 / BYTES;
    if values.len().is_multiple_of(per)
        && (0..values.len() / per).all(|i| region.check_read(offset + 8 * i, 8).is_ok())
    {
        for (i, values) in values.chunks_exact_mut(per).enumerate() {
            let word = region.load(offset + 8 * i, 8);
            for (k, value) in values.iter_mut().enumerate() {
                *value = word >> (8 * BYTES * k) & (u64::MAX >> (64 - 8 * BYTES));
            }
        }
        return Ok(());
    }
    for (i, value) in values.iter_mut().enumerate() {
        region.check_read(offset + i * BYTES, BYTES).map_err(|why| (i, why))?;
        *value = region.load(offset + i * BYTES, BYTES);
    }
    Ok(())
}

impl Warp {
    pub(crate) fn addresses(&self, address: &Address) -> Lanes<u64> {
        let Address { base, offset, .. } = *address;
        if base.bits == 64 {
            let base = self.registers.get::<u64>(base.slot);
            each(|i| base[i].wrapping_add(offset))
        } else {
            let base = self.registers.get::<u32>(base.slot);
            each(|i| base[i].wrapping_add(offset as u32).into())
        }
    }

    pub(crate) fn load(&mut self, block: &mut Block, a: &Access, active: u32) -> Result<(), Box<Fault>> {
        let addresses = self.addresses(&a.address);
        if a.is_words_in_shared() {
            match a.registers.len() {
                4 => self.load_words::<4>(block, a, &addresses, active)?,
                2 => self.load_words::<2>(block, a, &addresses, active)?,
                _ => self.load_words::<1>(block, a, &addresses, active)?,
            }
            count(block, a, &addresses, active, false);
            return Ok(());
        }
        let mut values = [[0_u64; 32]; 4];
        for lane in lanes(active) {
            let loaded = self
                .load_lane(block, a, lane, addresses[lane])
                .map_err(|kind| self.fault(block, lane, kind))?;
            for (row, value) in values.iter_mut().zip(loaded) {
                row[lane] = value;
            }
        }
        count(block, a, &addresses, active, false);
        let (signed, unused) = (a.ty.is_signed(), 64 - a.ty.bits());
        for (register, row) in a.registers.iter().zip(&values) {
            let extended =
                |i: usize| if signed { (((row[i] << unused) as i64) >> unused) as u64 } else { row[i] };
            match register.bits {
                64 => self.registers.set(active, register.slot, &each(extended)),
                32 => self.registers.set(active, register.slot, &each(|i| extended(i) as u32)),
                _ => self.registers.set(active, register.slot, &each(|i| extended(i) as u32 & 0xffff)),
            }
        }
        Ok(())
    }

    /// Loads `N` words a lane, 1, 2 or 4, from shared memory into 32-bit registers.
    fn load_words<const N: usize>(
        &mut self,
        block: &mut Block,
        a: &Access,
        addresses: &Lanes<u64>,
        active: u32,
    ) -> Result<(), Box<Fault>> {
        let mut values = [[0; 32]; N];
        for lane in lanes(active) {
            let address = addresses[lane];
            let found = match N {
                1 => block.shared.word(address).map(|word| [word.into(), 0]),
                2 => block.shared.doubles(address).map(|[pair]| [pair, 0]),
                _ => block.shared.doubles(address),
            };
            let loaded = match found {
                Some(found) => self.watch_reads(block, lane, address as usize, 4 * N, false).map(|()| found),
                None => (self.load_lane(block, a, lane, address))
                    .map(|values| [values[0] | values[1] << 32, values[2] | values[3] << 32]),
            };
            let pairs = loaded.map_err(|kind| self.fault(block, lane, kind))?;
            for (i, row) in values.iter_mut().enumerate() {
                row[lane] = (pairs[i / 2] >> (32 * (i % 2))) as u32;
            }
        }
        for (register, row) in a.registers.iter().zip(&values) {
            self.registers.set(active, register.slot, row);
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn load_lane(
        &self,
        block: &mut Block,
        a: &Access,
        lane: usize,
        address: u64,
    ) -> Result<Values, FaultKind> {
        let (bytes, n) = (a.ty.bytes(), a.registers.len());
        let width = bytes * n;
        let (space, address) = split(a.address.space, address);
        aligned(space, address, width)?;
        let mut values = [0; 4];
        let mut read = |region: &Region, offset: usize| {
            let values = &mut values[..n];
            match bytes {
                1 => elements::<1>(region, offset, values),
                2 => elements::<2>(region, offset, values),
                4 => elements::<4>(region, offset, values),
                _ => elements::<8>(region, offset, values),
            }
            .map_err(|(i, why)| why.fault(space, address + (i * bytes) as u64, bytes))
        };
        match space {
            Space::Shared => {
                let offset = bounded(space, block.shared.len(), address, width)?;
                read(&block.shared, offset)?;
                self.watch_reads(block, lane, offset, width, a.strength.strong)?;
            }
            Space::Local => {
                let piece = self.local.len() / 32;
                read(&self.local, lane * piece + bounded(space, piece, address, width)?)?;
            }
            Space::Param => {
                let params = &block.launch.params;
                read(params, bounded(space, params.len(), address, width)?)?;
            }
            Space::Global | Space::Const | Space::Generic => {
                let (allocation, offset) = global(block.launch.memory, &mut block.hint, address, width)?;
                read(&allocation.region, offset)?;
                block.watch(address, offset, width, a.manner(false))?;
            }
        }
        if a.strength.strong {
            block.observe(self.index, space.base() + address, a.strength);
        }
        Ok(values)
    }

    /// Looks for races of a shared read.
    #[inline(always)]
    fn watch_reads(
        &self,
        block: &mut Block,
        lane: usize,
        offset: usize,
        bytes: usize,
        strong: bool,
    ) -> Result<(), FaultKind> {
        let thread = 32 * self.index + lane;
        if let Some((at, other)) = block.races.read(Touch { thread, offset, bytes }, strong) {
            let other = block.launch.thread(other);
            return Err(FaultKind::SharedRace { address: at as u64, other, writes: false });
        }
        Ok(())
    }

    /// Writes to shared memory, looking for races.
    fn write_shared(
        &self,
        block: &mut Block,
        lane: usize,
        offset: usize,
        bytes: usize,
        value: u64,
        strong: bool,
    ) -> Result<(), FaultKind> {
        let thread = 32 * self.index + lane;
        let shared = &block.shared;
        let same = || {
            shared.check_read(offset, bytes).is_ok()
                && shared.load(offset, bytes) == value & (u64::MAX >> (64 - 8 * bytes))
        };
        let touch = Touch { thread, offset, bytes };
        let race = if strong { block.races.strong_write(touch) } else { block.races.write(touch, same) };
        if let Some((at, other)) = race {
            let other = block.launch.thread(other);
            return Err(FaultKind::SharedRace { address: at as u64, other, writes: true });
        }
        block.proxy.write(thread, offset, bytes);
        shared.store(offset, bytes, value);
        Ok(())
    }

    pub(crate) fn store(&mut self, block: &mut Block, a: &Access, active: u32) -> Result<(), Box<Fault>> {
        let addresses = self.addresses(&a.address);
        if a.is_words_in_shared() {
            match a.registers.len() {
                4 => self.store_words::<4>(block, a, &addresses, active)?,
                2 => self.store_words::<2>(block, a, &addresses, active)?,
                _ => self.store_words::<1>(block, a, &addresses, active)?,
            }
            count(block, a, &addresses, active, true);
            return Ok(());
        }
        for lane in lanes(active) {
            let mut values = [0; 4];
            for (value, register) in values.iter_mut().zip(&a.registers) {
                *value = self.value(*register, lane);
            }
            self.store_lane(block, a, lane, addresses[lane], values)
                .map_err(|kind| self.fault(block, lane, kind))?;
        }
        count(block, a, &addresses, active, true);
        Ok(())
    }

    /// Stores `N` words a lane from 32-bit registers to shared memory.
    fn store_words<const N: usize>(
        &mut self,
        block: &mut Block,
        a: &Access,
        addresses: &Lanes<u64>,
        active: u32,
    ) -> Result<(), Box<Fault>> {
        for lane in lanes(active) {
            let address = addresses[lane];
            let mut words = [0; N];
            for (word, register) in words.iter_mut().zip(&a.registers) {
                *word = self.registers.lane::<u32>(register.slot, lane);
            }
            let touch = Touch { thread: 32 * self.index + lane, offset: address as usize, bytes: 4 * N };
            if block.shared.takes(address, 4 * N) && block.races.write_first(touch) {
                block.proxy.write(touch.thread, touch.offset, touch.bytes);
                if N == 1 {
                    block.shared.store(address as usize, 4, words[0].into());
                }
                for (i, pair) in words.chunks_exact(2).enumerate() {
                    let pair = u64::from(pair[1]) << 32 | u64::from(pair[0]);
                    block.shared.store(address as usize + 8 * i, 8, pair);
                }
            } else {
                let mut values = [0; 4];
                values.iter_mut().zip(words).for_each(|(value, word)| *value = word.into());
                self.store_lane(block, a, lane, address, values)
                    .map_err(|kind| self.fault(block, lane, kind))?;
            }
        }
        Ok(())
    }

    /// A register of either file in one lane.
    pub(crate) fn value(&self, register: crate::instruction::Register, lane: usize) -> u64 {
        if register.bits == 64 {
            self.registers.lane(register.slot, lane)
        } else {
            self.registers.lane::<u32>(register.slot, lane).into()
        }
    }

    #[inline(always)]
    pub(crate) fn store_lane(
        &self,
        block: &mut Block,
        a: &Access,
        lane: usize,
        address: u64,
        values: Values,
    ) -> Result<(), FaultKind> {
        let (bytes, n) = (a.ty.bytes(), a.registers.len());
        let width = bytes * n;
        let (space, address) = split(a.address.space, address);
        aligned(space, address, width)?;
        if a.strength.strong {
            block.publish(self.index, space.base() + address, a.strength);
        }
        // By eight bytes where there are as many.
        let step = width.min(8);
        let words: [u64; 4] = if step == bytes {
            values
        } else {
            let mut words = [0; 4];
            for (i, &value) in values.iter().enumerate().take(n) {
                let cut = value & (u64::MAX >> (64 - 8 * bytes));
                words[i * bytes / 8] |= cut << (8 * (i * bytes % 8));
            }
            words
        };
        let write = |region: &Region, offset: usize| {
            for (i, &word) in words.iter().enumerate().take(width / step) {
                region.store(offset + i * step, step, word);
            }
        };
        match space {
            Space::Shared => {
                let offset = bounded(space, block.shared.len(), address, width)?;
                for (i, &word) in words.iter().enumerate().take(width / step) {
                    let at = offset + i * step;
                    if block.shared.is_pending(at, step) {
                        return Err(FaultKind::AsyncPending { address: at as u64, bytes: step });
                    }
                    self.write_shared(block, lane, at, step, word, a.strength.strong)?;
                }
            }
            Space::Local => {
                let piece = self.local.len() / 32;
                write(&self.local, lane * piece + bounded(space, piece, address, width)?);
            }
            Space::Param | Space::Const => return Err(FaultKind::ReadOnly { space, address }),
            Space::Global | Space::Generic => {
                let (allocation, offset) = global(block.launch.memory, &mut block.hint, address, width)?;
                if allocation.read_only {
                    return Err(FaultKind::ReadOnly { space, address });
                }
                block.watch(address, offset, width, a.manner(true))?;
                write(&allocation.region, offset);
            }
        }
        Ok(())
    }

    pub(crate) fn matrix_load(
        &mut self,
        block: &mut Block,
        load: &MatrixLoad,
        mask: u32,
    ) -> Result<(), Box<Fault>> {
        let addresses = self.addresses(&load.address);
        for (matrix, &d) in load.d.iter().enumerate() {
            let mut rows = [[0; 2]; 8];
            let mut starts = [0; 8];
            for (row, out) in rows.iter_mut().enumerate() {
                let lane = 8 * matrix + row;
                let (space, address) = split(load.address.space, addresses[lane]);
                let result = self.matrix_row(block, lane, space, address);
                *out = result.map_err(|kind| self.fault(block, lane, kind))?;
                starts[row] = address / 4;
            }
            let wavefronts = u64::from(passes(&starts, 4));
            block.counters.shared_wavefronts += wavefronts;
            block.counters.bank_conflicts += wavefronts - 1;
            let mut words = [0; 32];
            if load.transpose {
                // A lane's word holds a column of two rows, a row's word two columns.
                for pair in 0..4 {
                    for i in 0..4 {
                        let [upper, lower] =
                            [0, 1].map(|row| (rows[2 * pair + row][i / 2] >> (32 * (i % 2))) as u32);
                        words[8 * i + pair] = upper & 0xffff | lower << 16;
                        words[8 * i + 4 + pair] = upper >> 16 | lower & 0xffff_0000;
                    }
                }
            } else {
                for (words, row) in words.chunks_exact_mut(4).zip(rows) {
                    for (i, word) in words.iter_mut().enumerate() {
                        *word = (row[i / 2] >> (32 * (i % 2))) as u32;
                    }
                }
            }
            self.registers.set(mask, d, &words);
        }
        Ok(())
    }

    /// 16 bytes that a lane points to.
    #[inline(always)]
    fn matrix_row(
        &self,
        block: &mut Block,
        lane: usize,
        space: Space,
        address: u64,
    ) -> Result<[u64; 2], FaultKind> {
        if let Some(row) = block.shared.doubles(address) {
            self.watch_reads(block, lane, address as usize, 16, false)?;
            return Ok(row);
        }
        aligned(space, address, 16)?;
        let offset = bounded(space, block.shared.len(), address, 16)?;
        let unreadable = [0, 8].map(|half| (offset + half, block.shared.check_read(offset + half, 8)));
        let first = unreadable.into_iter().find_map(|(at, check)| Some((at, check.err()?)));
        let (at, why) = first.expect("it is aligned, in bounds and not all written");
        Err(why.fault(space, at as u64, 8))
    }

    pub(crate) fn copy_async(
        &mut self,
        block: &mut Block,
        copy: &CopyAsync,
        active: u32,
    ) -> Result<(), Box<Fault>> {
        let (to, from) = (self.addresses(&copy.to), self.addresses(&copy.from));
        let line = block.launch.program.code[self.current as usize].line;
        let mut reading = 0;
        for lane in lanes(active) {
            let wanted = copy
                .source_bytes
                .map_or(copy.bytes, |slot| (self.registers.lane::<u32>(slot, lane) as usize).min(copy.bytes));
            reading |= u32::from(wanted > 0) << lane;
            let (offset, data) = start_copy(block, to[lane], from[lane], copy.bytes, wanted)
                .map_err(|kind| self.fault(block, lane, kind))?;
            let group = self.committed[lane];
            self.copies.push(PendingCopy { lane, group, offset, bytes: copy.bytes, data, line });
        }
        block.count_sectors(&from, reading, false);
        count_banks(&mut block.counters, &to, active, copy.bytes);
        Ok(())
    }

    /// Lets the copies of all but the last `pending` committed groups arrive; None: of all, committed or not.
    pub(crate) fn async_wait(
        &mut self,
        block: &mut Block,
        pending: Option<u32>,
        active: u32,
    ) -> Result<(), Box<Fault>> {
        let mut copies = std::mem::take(&mut self.copies);
        let mut result = Ok(());
        copies.retain(|copy| {
            let before = pending.map_or(u32::MAX, |n| self.committed[copy.lane].saturating_sub(n));
            let arrives = active >> copy.lane & 1 == 1 && copy.group < before;
            if arrives && result.is_ok() {
                result = self.arrive(block, copy).map_err(|kind| {
                    let mut fault = self.fault(block, copy.lane, kind);
                    fault.line = copy.line;
                    fault
                });
            }
            !arrives
        });
        self.copies = copies;
        result
    }
}

impl Warp {
    /// Writes what a copy has brought.
    #[inline(always)]
    fn arrive(&self, block: &mut Block, copy: &PendingCopy) -> Result<(), FaultKind> {
        let PendingCopy { lane, offset, bytes, .. } = *copy;
        let thread = 32 * self.index + lane;
        if let Some((at, other)) = block.races.write(Touch { thread, offset, bytes }, || false) {
            let other = block.launch.thread(other);
            return Err(FaultKind::SharedRace { address: at as u64, other, writes: true });
        }
        block.proxy.write(thread, offset, bytes);
        for (i, &word) in copy.data.iter().enumerate().take(bytes.div_ceil(8)) {
            block.shared.store(offset + 8 * i, bytes.min(8), word);
        }
        Ok(())
    }
}

/// Checks a copy, poisons its destination, and reads its source.
#[inline(always)]
fn start_copy(
    block: &mut Block,
    to: u64,
    from: u64,
    bytes: usize,
    wanted: usize,
) -> Result<(usize, [u64; 2]), FaultKind> {
    let (space, to) = split(Space::Shared, to);
    aligned(space, to, bytes)?;
    let offset = bounded(space, block.shared.len(), to, bytes)?;
    aligned(Space::Global, from, bytes)?;
    let mut data = [0; 2];
    if wanted > 0 {
        let (allocation, start) = global(block.launch.memory, &mut block.hint, from, wanted)?;
        let whole = if wanted == 16 { allocation.region.doubles(start as u64) } else { None };
        if let Some(whole) = whole {
            data = whole;
        } else {
            // Part of a copy need not be whole words.
            let step = if wanted == bytes { bytes.min(8) } else { 1 };
            for at in (0..wanted).step_by(step) {
                let check = allocation.region.check_read(start + at, step);
                check.map_err(|why| why.fault(Space::Global, from + at as u64, step))?;
                data[at / 8] |= allocation.region.load(start + at, step) << (8 * (at % 8));
            }
        }
        block.watch(from, start, wanted, Manner { writes: false, strong: false })?;
    }
    block.shared.set_pending(offset, bytes);
    Ok((offset, data))
}

/// Counts an access's sectors or wavefronts.
fn count(block: &mut Block, a: &Access, addresses: &Lanes<u64>, active: u32, writes: bool) {
    let width = a.ty.bytes() * a.registers.len();
    match a.address.space {
        Space::Shared => count_banks(&mut block.counters, addresses, active, width),
        Space::Global | Space::Const => block.count_sectors(addresses, active, writes),
        Space::Generic => {
            let within = |space| {
                lanes(active).filter(|&i| Space::of(addresses[i]) == space).fold(0, |mask, i| mask | 1 << i)
            };
            let (global, shared) = (within(Space::Global), within(Space::Shared));
            if global != 0 {
                block.count_sectors(addresses, global, writes);
            }
            if shared != 0 {
                count_banks(&mut block.counters, addresses, shared, width);
            }
        }
        Space::Local | Space::Param => {}
    }
}

/// Counts the passes of a shared access: 32 lanes at a time for 4 bytes, 16 for 8, 8 for 16.
fn count_banks(counters: &mut Counters, addresses: &Lanes<u64>, active: u32, width: usize) {
    let words = width.div_ceil(4);
    let phase = 32 / words;
    for start in (0..32).step_by(phase) {
        let mut list = [0; 32];
        let mut length = 0;
        for lane in lanes(active & (u32::MAX >> (32 - phase)) << start) {
            list[length] = addresses[lane] / 4;
            length += 1;
        }
        if length > 0 {
            let passes = u64::from(passes(&list[..length], words));
            counters.shared_wavefronts += passes;
            counters.bank_conflicts += passes - 1;
        }
    }
}

/// Counts the passes of a shared atomic: lanes that name one word take their turns.
pub(crate) fn count_turns(counters: &mut Counters, addresses: &Lanes<u64>, active: u32, width: usize) {
    let mut banks = [0_u64; 32];
    for lane in lanes(active) {
        banks[(addresses[lane] / 4 % 32) as usize] += width.div_ceil(4) as u64;
    }
    let turns = banks.into_iter().max().unwrap_or(0);
    counters.shared_wavefronts += turns;
    counters.bank_conflicts += turns - width.div_ceil(4) as u64;
}

/// The most distinct words that fall into one of 32 banks, of accesses of `width` words from `starts`.
fn passes(starts: &[u64], width: usize) -> u32 {
    let first = starts[0];
    let broadcast = starts.iter().all(|&word| word == first);
    let consecutive = starts.iter().enumerate().all(|(i, &word)| word == first + (i * width) as u64);
    if broadcast || consecutive {
        return 1;
    }
    // Aligned accesses do not wrap around the banks.
    let bank = |word: u64| (u32::MAX >> (32 - width)) << (word % 32);
    let mut used = 0;
    let disjoint = starts.iter().all(|&word| {
        let free = used & bank(word) == 0;
        used |= bank(word);
        free
    });
    if disjoint {
        return 1;
    }
    let mut list = [0; 32];
    list[..starts.len()].copy_from_slice(starts);
    let list = &mut list[..starts.len()];
    list.sort_unstable();
    let mut banks = [0_u32; 32];
    let mut last = u64::MAX;
    for &start in list.iter() {
        if start != last {
            last = start;
            for i in 0..width as u64 {
                banks[((start + i) % 32) as usize] += 1;
            }
        }
    }
    banks.into_iter().max().unwrap_or(0)
}
