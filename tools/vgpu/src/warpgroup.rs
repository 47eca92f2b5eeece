//! `wgmma`: products that a warp has asked for, and what they have done once it has waited for them.
//!
//! What a product reads must be there when it is asked for. It is computed at the wait that covers it; until then nobody
//! may write there, and its reads count for races at both times. So an operand is found that comes too late under some
//! order of the warps, and one that is overwritten too early.

use crate::access::bounded;
use crate::block::Block;
use crate::error::{Fault, FaultKind};
use crate::instruction::Op;
use crate::ops::wgmma::{Descriptor, Left, Multiply, Order, Warpgroup, part};
use crate::race::Touch;
use crate::registers::{Lanes, Slot};
use crate::types::Space;
use crate::warp::Warp;
use std::collections::hash_map::Entry;
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
    /// Among all products of the block.
    number: u32,
    a: Operand,
    b: Place,
    adds: bool,
}

enum Operand {
    Registers(Vec<Lanes<u32>>),
    Shared(Place),
}

/// Where an operand lies in shared memory.
struct Place {
    tile: Rc<Tile>,
    /// What its addresses count from.
    base: usize,
}

/// The shape of an operand in shared memory.
struct Tile {
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
    fn new(order: Order, pieces: Vec<u64>) -> Self {
        let mut sorted = pieces.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut spans = Vec::new();
        let mut at = 0;
        while at < sorted.len() {
            let whole = |count: usize| {
                sorted.get(at + count - 1).is_some_and(|&last| last == sorted[at] + 16 * (count as u64 - 1))
            };
            let count = [8, 2].into_iter().find(|&count| whole(count)).unwrap_or(1);
            spans.push((sorted[at] as usize, 16 * count));
            at += count;
        }
        Self { order, pieces, spans }
    }
}

impl Place {
    /// # Errors
    /// The first bytes beyond the `bytes` of shared memory.
    fn new(tile: Rc<Tile>, base: u64, bytes: usize) -> Result<Self, FaultKind> {
        let (last, length) = *tile.spans.last().expect("an operand has bytes");
        if base as usize + last + length > bytes {
            for piece in &tile.pieces {
                bounded(Space::Shared, bytes, base + piece, 16)?;
            }
        }
        Ok(Self { tile, base: base as usize })
    }

    /// The operand's bytes in order: offsets and lengths.
    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        self.tile.spans.iter().map(|&(offset, bytes)| (self.base + offset, bytes))
    }

    /// The operand's bytes.
    ///
    /// # Errors
    /// The first bytes to which a copy is on its way.
    fn rows(&self, block: &Block) -> Result<Vec<[u64; 2]>, FaultKind> {
        let mut rows = Vec::with_capacity(self.tile.pieces.len());
        for piece in &self.tile.pieces {
            let at = self.base as u64 + piece;
            let Some(row) = block.shared.doubles(at) else {
                readable(block, at as usize, 16)?;
                unreachable!("16 bytes in bounds and aligned are readable or not");
            };
            rows.push(row);
        }
        Ok(rows)
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
    fn place(
        &mut self,
        bits: u64,
        order: Order,
        strips: Range<usize>,
        bytes: usize,
    ) -> Result<Place, FaultKind> {
        let (shape, base) = Descriptor(bits).split();
        let tile = match self.tiles.entry((shape, order, strips)) {
            Entry::Occupied(entry) => Rc::clone(entry.get()),
            Entry::Vacant(entry) => {
                let pieces = shape.pieces(order, entry.key().2.clone());
                let pieces = pieces.map_err(|what| FaultKind::Descriptor { bits, what })?;
                Rc::clone(entry.insert(Rc::new(Tile::new(order, pieces))))
            }
        };
        Place::new(tile, base, bytes)
    }

    /// A warp asks for its next product: whether the others of its warpgroup did, or may still do, the same.
    fn ask(&mut self, warp: usize, product: Asked) -> bool {
        if self.asked.len() <= warp / 4 {
            self.asked.resize_with(warp / 4 + 1, Default::default);
        }
        let (counts, left) = &mut self.asked[warp / 4];
        let done = counts.iter().copied().min().unwrap_or(0);
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
                (bits, Operand::Shared(block.warpgroups.place(bits, *order, first..first + 2, bytes)?))
            }
        };
        let b_place = block.warpgroups.place(b, x.b_order, 0..x.n / 8, bytes)?;
        let whole = 4 * (self.index / 4 + 1) <= block.launch.threads().div_ceil(32);
        if !whole || !block.warpgroups.ask(self.index, (self.current, a_bits, b, adds)) {
            return Err(FaultKind::WarpgroupApart);
        }
        // Eight pieces, which no layout puts into the same banks, are a pass. The four warps read B together.
        let pieces = |place: &Place| place.tile.pieces.len() as u64;
        let own = if let Operand::Shared(place) = &a { pieces(place) } else { 0 };
        let common = if first == 0 { pieces(&b_place) } else { 0 };
        block.counters.shared_wavefronts += (own + common) / 8;
        block.counters.tensor_operations += x.operations();
        let number = block.proxy.ask();
        let product = Product { pc: self.current, group: *committed, number, a, b: b_place, adds };
        for place in product.places() {
            for (offset, bytes) in place.spans() {
                readable(block, offset, bytes)?;
                if let Some((at, writer)) = block.proxy.unseen(offset, bytes) {
                    let writer = block.launch.thread(writer);
                    return Err(FaultKind::ProxyUnfenced { address: at as u64, writer });
                }
            }
            self.watch_operand(block, place)?;
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

    /// Looks for races of a read by the whole warp, for which its first lane stands.
    fn watch_operand(&self, block: &mut Block, place: &Place) -> Result<(), FaultKind> {
        for (offset, bytes) in place.spans() {
            let touch = Touch { thread: 32 * self.index, offset, bytes };
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
        for place in product.places() {
            for (offset, bytes) in place.spans() {
                if let Some((at, writer)) = block.proxy.overwritten(offset, bytes, product.number) {
                    let writer = block.launch.thread(writer);
                    return Err(FaultKind::OperandOverwritten { address: at as u64, writer });
                }
            }
            self.watch_operand(block, place)?;
        }
        let r = &mut self.registers;
        let mut a = match &product.a {
            Operand::Registers(words) => x.fragment(words),
            Operand::Shared(place) => x.strips(r, &place.rows(block)?, place.tile.order),
        };
        let mut b = x.strips(r, &product.b.rows(block)?, product.b.tile.order);
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
    fn places(&self) -> impl Iterator<Item = &Place> {
        let a = if let Operand::Shared(place) = &self.a { Some(place) } else { None };
        a.into_iter().chain([&self.b])
    }
}
