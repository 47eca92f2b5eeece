//! `wgmma`: products that a warp has asked for, and what they have done once it has waited for them.
//!
//! What a product reads must be there when it is asked for. It is computed at the wait that covers it, and its reads of
//! shared memory count for races at both times: so an operand that comes too late is found, and one that is overwritten
//! too early.

use crate::access::bounded;
use crate::block::Block;
use crate::error::{Fault, FaultKind};
use crate::instruction::Op;
use crate::ops::wgmma::{Descriptor, Left, Multiply, Order, Warpgroup, part};
use crate::race::Touch;
use crate::registers::{Lanes, Slot};
use crate::types::Space;
use crate::warp::Warp;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;

/// The products of a warp.
#[derive(Default)]
pub(crate) struct Products {
    /// In the order in which they were asked for.
    pending: Vec<Product>,
    /// Groups committed.
    committed: u32,
    /// Whether a `wgmma.fence` came before, and the registers touched since the last.
    fenced: bool,
    touched: HashSet<Slot>,
}

/// A product that has been asked for.
struct Product {
    /// The program counter of its instruction.
    pc: u32,
    group: u32,
    a: Operand,
    b: Rc<Tile>,
    adds: bool,
}

enum Operand {
    Registers(Vec<Lanes<u32>>),
    Shared(Rc<Tile>),
}

/// Where an operand lies in shared memory.
pub(crate) struct Tile {
    order: Order,
    /// Its rows of 16 bytes.
    pieces: Vec<u64>,
    /// The same bytes in order, as pieces of 16, 32 and 128.
    spans: Vec<(usize, usize)>,
}

/// What the warpgroups of a block do together.
#[derive(Default)]
pub(crate) struct Warpgroups {
    tiles: HashMap<(Descriptor, Order, Range<usize>), Rc<Tile>>,
    /// Per warpgroup: how many products each warp has asked for, and those that not all have reached.
    asked: Vec<([u64; 4], VecDeque<Asked>)>,
}

/// A product as all four warps must ask for it: its program counter, A's descriptor, B's, whether D is added.
type Asked = (u32, u64, u64, bool);

impl Tile {
    fn new(
        descriptor: Descriptor,
        order: Order,
        strips: Range<usize>,
        bytes: usize,
    ) -> Result<Self, FaultKind> {
        let pieces = descriptor
            .pieces(order, strips)
            .map_err(|what| FaultKind::Descriptor { bits: descriptor.0, what })?;
        for &piece in &pieces {
            bounded(Space::Shared, bytes, piece, 16)?;
        }
        let mut sorted = pieces.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut spans = Vec::new();
        let mut at = 0;
        while at < sorted.len() {
            let whole = |count: usize| {
                sorted.get(at + count - 1).is_some_and(|&last| last == sorted[at] + 16 * (count as u64 - 1))
            };
            let count = if whole(8) {
                8
            } else if whole(2) {
                2
            } else {
                1
            };
            spans.push((sorted[at] as usize, 16 * count));
            at += count;
        }
        Ok(Self { order, pieces, spans })
    }

    /// The operand's bytes.
    ///
    /// # Errors
    /// The first bytes to which a copy is on its way.
    fn rows(&self, block: &Block) -> Result<Vec<[u64; 2]>, FaultKind> {
        let row = |&at: &u64| match block.shared.doubles(at) {
            Some(row) => Ok(row),
            None => readable(block, at as usize, 16).map(|()| unreachable!("16 bytes were not readable")),
        };
        self.pieces.iter().map(row).collect()
    }
}

/// # Errors
/// The first eight bytes that nobody wrote, or to which a copy is on its way.
fn readable(block: &Block, offset: usize, bytes: usize) -> Result<(), FaultKind> {
    (offset..offset + bytes).step_by(8).try_for_each(|at| {
        let check = block.shared.check_read(at, 8);
        check.map_err(|why| why.fault(Space::Shared, at as u64, 8))
    })
}

impl Warpgroups {
    fn tile(
        &mut self,
        descriptor: u64,
        order: Order,
        strips: Range<usize>,
        bytes: usize,
    ) -> Result<Rc<Tile>, FaultKind> {
        let key = (Descriptor(descriptor), order, strips);
        if let Some(tile) = self.tiles.get(&key) {
            return Ok(Rc::clone(tile));
        }
        let tile = Rc::new(Tile::new(key.0, order, key.2.clone(), bytes)?);
        self.tiles.insert(key, Rc::clone(&tile));
        Ok(tile)
    }

    /// A warp asks for its next product: whether the others of its warpgroup did, or may still do, the same.
    fn ask(&mut self, warp: usize, product: Asked) -> bool {
        if self.asked.len() <= warp / 4 {
            self.asked.resize_with(warp / 4 + 1, Default::default);
        }
        let (counts, left) = &mut self.asked[warp / 4];
        let done = counts.into_iter().map(|count| *count).min().unwrap_or(0);
        let at = (counts[warp % 4] - done) as usize;
        counts[warp % 4] += 1;
        match left.get(at) {
            Some(other) if *other != product => return false,
            Some(_) => {}
            None => left.push_back(product),
        }
        if counts.iter().all(|&count| count > done) {
            left.pop_front();
        }
        true
    }

    /// The program counter of a product that not all warps of a warpgroup asked for, and the first of these warps.
    pub(crate) fn unfinished(&self) -> Option<(u32, usize)> {
        self.asked.iter().enumerate().find_map(|(i, (_, left))| Some((left.front()?.0, 4 * i)))
    }
}

impl Warp {
    pub(crate) fn warpgroup(&mut self, block: &mut Block, op: &Warpgroup) -> Result<(), Box<Fault>> {
        match op {
            Warpgroup::Fence => {
                self.products.fenced = true;
                self.products.touched.clear();
            }
            Warpgroup::Multiply(multiply) => {
                let product = self.ask(block, multiply).map_err(|kind| self.fault(block, 0, kind))?;
                self.products.pending.push(product);
            }
            Warpgroup::Commit => self.products.committed += 1,
            Warpgroup::Wait(pending) => self.wait_for_products(block, *pending)?,
        }
        Ok(())
    }

    fn ask(&self, block: &mut Block, x: &Multiply) -> Result<Product, FaultKind> {
        let Products { pending, committed, fenced, touched } = &self.products;
        if !fenced || !touched.is_empty() && x.registers().any(|slot| touched.contains(&slot)) {
            return Err(FaultKind::ProductUnfenced);
        }
        for product in pending {
            // In one D several products add up, one after the other.
            let (line, other) = self.multiply(block, product.pc);
            let free = if other.d == x.d { &[] } else { x.d.as_slice() };
            let a = if let Left::Registers(a) = &x.a { a.as_slice() } else { &[] };
            if free.iter().chain(a).any(|slot| other.d.contains(slot)) {
                return Err(FaultKind::ProductPending { line, exits: false });
            }
        }
        let one = |slot| self.uniform(self.registers.get::<u64>(slot));
        let b = one(x.b)?;
        let holds = self.condition(x.adds);
        let adds = self.uniform(&std::array::from_fn(|lane| u64::from(holds >> lane & 1)))? == 1;
        let first = 2 * (self.index % 4);
        let bytes = block.shared.len();
        let (a_bits, a) = match &x.a {
            Left::Registers(slots) => {
                (0, Operand::Registers(slots.iter().map(|&slot| *self.registers.get(slot)).collect()))
            }
            Left::Shared(slot, order) => {
                let bits = one(*slot)?;
                (bits, Operand::Shared(block.warpgroups.tile(bits, *order, first..first + 2, bytes)?))
            }
        };
        let b_tile = block.warpgroups.tile(b, x.b_order, 0..x.n / 8, bytes)?;
        let whole = 4 * (self.index / 4 + 1) <= block.launch.threads().div_ceil(32);
        if !whole || !block.warpgroups.ask(self.index, (self.current, a_bits, b, adds)) {
            return Err(FaultKind::WarpgroupApart);
        }
        // Eight pieces, which no layout puts into the same banks, are a pass. The four warps read B together.
        let pieces = |tile: &Tile| tile.pieces.len() as u64;
        let own = if let Operand::Shared(tile) = &a { pieces(tile) } else { 0 };
        let common = if first == 0 { pieces(&b_tile) } else { 0 };
        block.counters.shared_wavefronts += (own + common) / 8;
        block.counters.tensor_operations += x.operations();
        let product = Product { pc: self.current, group: *committed, a, b: b_tile, adds };
        for tile in product.tiles() {
            for &(offset, bytes) in &tile.spans {
                readable(block, offset, bytes)?;
                if let Some((at, writer)) = block.proxy.unseen(offset, bytes) {
                    let writer = block.launch.thread(writer);
                    return Err(FaultKind::ProxyUnfenced { address: at as u64, writer });
                }
            }
            self.watch_tile(block, tile, 0)?;
        }
        Ok(product)
    }

    /// # Errors
    /// The lanes differ.
    fn uniform(&self, values: &Lanes<u64>) -> Result<u64, FaultKind> {
        if values.iter().all(|&value| value == values[0]) {
            Ok(values[0])
        } else {
            Err(FaultKind::Disagreement { what: "wgmma" })
        }
    }

    /// The `wgmma` at a program counter, and its line.
    fn multiply<'p>(&self, block: &Block<'p>, pc: u32) -> (u32, &'p Multiply) {
        let instruction = &block.launch.program.code[pc as usize];
        match &instruction.op {
            Op::Warpgroup(Warpgroup::Multiply(multiply)) => (instruction.line, multiply),
            _ => unreachable!("products come from nothing else"),
        }
    }

    /// Looks for races of a read by the whole warp, for which one lane stands: another one at the wait than before, as no
    /// lane races with itself.
    fn watch_tile(&self, block: &mut Block, tile: &Tile, lane: usize) -> Result<(), FaultKind> {
        for &(offset, bytes) in &tile.spans {
            let touch = Touch { thread: 32 * self.index + lane, offset, bytes };
            if let Some((at, other)) = block.races.read(touch, false) {
                let other = block.launch.thread(other);
                return Err(FaultKind::SharedRace { address: at as u64, other, writes: false });
            }
        }
        Ok(())
    }

    /// Computes the products of all but the last `pending` groups.
    fn wait_for_products(&mut self, block: &mut Block, pending: u32) -> Result<(), Box<Fault>> {
        let before = self.products.committed.saturating_sub(pending);
        let done = self.products.pending.partition_point(|product| product.group < before);
        let products: Vec<_> = self.products.pending.drain(..done).collect();
        for product in &products {
            let (line, multiply) = self.multiply(block, product.pc);
            self.compute(block, multiply, product).map_err(|kind| {
                let mut fault = self.fault(block, 0, kind);
                fault.line = line;
                fault
            })?;
        }
        if done > 0 {
            // What every lane writes now comes after the reads of the warp.
            block.warp_sync(self.index);
        }
        Ok(())
    }

    fn compute(&mut self, block: &mut Block, x: &Multiply, product: &Product) -> Result<(), FaultKind> {
        for tile in product.tiles() {
            self.watch_tile(block, tile, 31)?;
        }
        let r = &mut self.registers;
        let mut a = match &product.a {
            Operand::Registers(words) => x.fragment(words),
            Operand::Shared(tile) => x.strips(r, &tile.rows(block)?, tile.order),
        };
        let mut b = x.strips(r, &product.b.rows(block)?, product.b.order);
        part(&mut b);
        x.run(r, &mut a, &b, product.adds);
        Ok(())
    }

    /// An instruction touches registers of products.
    pub(crate) fn touch_products(
        &mut self,
        block: &Block,
        registers: &[Slot],
        active: u32,
    ) -> Result<(), Box<Fault>> {
        for product in &self.products.pending {
            let (line, multiply) = self.multiply(block, product.pc);
            if multiply.registers().any(|slot| registers.contains(&slot)) {
                let kind = FaultKind::ProductPending { line, exits: false };
                return Err(self.fault(block, active.trailing_zeros() as usize, kind));
            }
        }
        self.products.touched.extend(registers);
        Ok(())
    }

    /// Lanes exit.
    pub(crate) fn leave_products(&self, block: &Block, mask: u32) -> Result<(), Box<Fault>> {
        let Some(product) = self.products.pending.first() else { return Ok(()) };
        let (line, _) = self.multiply(block, product.pc);
        let kind = FaultKind::ProductPending { line, exits: true };
        Err(self.fault(block, mask.trailing_zeros() as usize, kind))
    }
}

impl Product {
    fn tiles(&self) -> impl Iterator<Item = &Rc<Tile>> {
        let a = if let Operand::Shared(tile) = &self.a { Some(tile) } else { None };
        a.into_iter().chain([&self.b])
    }
}
