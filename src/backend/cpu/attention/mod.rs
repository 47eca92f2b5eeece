//! Causal attention, a tile of queries against all the keys it sees at a time: the scores of a tile
//! stand in scratch memory, those of all tokens never do.
//!
//! A query of the tile is a lane: what is said of scores holds for all queries at once, and neither the
//! softmax nor its gradient sums across a vector.

mod in_f32;
#[cfg(target_arch = "x86_64")]
mod in_panels;

use super::{
    Cpu,
    elements::Room,
    exp::exp,
    reduce,
    strided::{View, ViewMut},
    turn::{SIDE, turn},
};
use crate::{
    backend::{Heads, Rounding, Write},
    packing::{Packing, Sequence},
    tensor::Matrix,
};
use rayon::prelude::*;
use std::ops::Range;

/// Queries in a tile.
const TILE: usize = 32;
/// So few queries, as decoding has, are not worth a tile's lanes.
const FEW: usize = 4;
/// Multiplications below which waking other threads does not pay.
const LEAST_WORK: usize = 1 << 18;
/// Queries of a task by products of panels, which packs the keys that they see.
#[cfg(target_arch = "x86_64")]
const RUN: usize = 256;
/// With fewer queries or fewer columns of a head, sums by products of panels, which are of whole steps of 32 terms, would
/// take longer and round more often than there are terms.
#[cfg(target_arch = "x86_64")]
const LEAST_IN_PANELS: usize = 32;

/// What a sequence and a head address: ranges of rows and columns.
struct Place {
    queries: Range<usize>,
    /// The keys that the last of the queries sees.
    keys: Range<usize>,
    q_cols: Range<usize>,
    kv_cols: Range<usize>,
    head: usize,
}

impl Place {
    /// Of the tile of queries that starts at `first` within `sequence`, for query head `head`.
    fn new(sequence: Sequence, first: usize, rows: usize, head: usize, heads: Heads) -> Self {
        let [q_start, q_len, k_start, k_len] =
            [sequence.q_start, sequence.q_len, sequence.k_start, sequence.k_len].map(crate::num::to_usize);
        let e = heads.head_dim;
        let kv_head = head / (heads.heads / heads.kv_heads);
        Self {
            queries: q_start + first..q_start + first + rows,
            keys: k_start..k_start + (k_len - q_len) + first + rows,
            q_cols: head * e..(head + 1) * e,
            kv_cols: kv_head * e..(kv_head + 1) * e,
            head,
        }
    }

    /// How many keys query `i` of the tile sees.
    fn seen(&self, i: usize) -> usize {
        self.keys.len() - self.queries.len() + i + 1
    }

    /// Those of `keys`, counted from the first, that a query of the tile sees, `len` at a time.
    fn key_blocks(&self, keys: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let end = keys.end.min(self.keys.len());
        (keys.start..end).step_by(len).map(move |start| start..end.min(start + len))
    }

    /// Of the scores of the keys from `start` on, gives those that a query does not see this value.
    #[inline(always)]
    fn hide(&self, scores: &mut [[f32; TILE]], start: usize, value: f32) {
        let all_see = self.seen(0).saturating_sub(start).min(scores.len());
        for (j, scores) in (start + all_see..).zip(&mut scores[all_see..]) {
            for (i, score) in scores.iter_mut().enumerate() {
                *score = if j < self.seen(i) { *score } else { value };
            }
        }
    }

    fn of_queries<'a>(&self, q: View<'a>) -> View<'a> {
        q.block(self.queries.clone(), self.q_cols.clone())
    }

    fn of_keys<'a>(&self, k: View<'a>) -> View<'a> {
        k.block(self.keys.clone(), self.kv_cols.clone())
    }
}

/// Consecutive queries of a sequence, and the query heads that share a key head.
struct Run {
    sequence: Sequence,
    first: usize,
    first_head: usize,
    heads: Heads,
}

impl Run {
    /// Tiles of one head each, with their share of `x`, in which a head has `cols` columns.
    fn tiles<'a>(&self, x: ViewMut<'a>, cols: usize) -> impl Iterator<Item = (Place, ViewMut<'a>)> {
        x.bands(TILE).enumerate().flat_map(move |(tile, x)| {
            x.columns(cols).enumerate().map(move |(head, x)| {
                let (first, head) = (self.first + tile * TILE, self.first_head + head);
                (Place::new(self.sequence, first, x.rows(), head, self.heads), x)
            })
        })
    }
}

pub(super) fn attention(
    cpu: &Cpu,
    q: &Matrix<Cpu>,
    k: &Matrix<Cpu>,
    v: &Matrix<Cpu>,
    packing: &Packing<Cpu>,
    heads: Heads,
    rounding: Rounding,
    y: &mut Matrix<Cpu>,
    lse: &mut Matrix<Cpu, f32>,
) {
    let inputs = [View::of(q), View::of(k), View::of(v)];
    let group = heads.heads / heads.kv_heads;
    let mut tasks = Vec::new();
    let (mut y, mut lse) = (ViewMut::of(y), ViewMut::of(lse));
    for &sequence in packing.sequences() {
        let way = Way::of(cpu, sequence, heads, rounding);
        let (y_own, y_after) = y.cut_rows(sequence.q_len as usize);
        let (lse_own, lse_after) = lse.cut_rows(sequence.q_len as usize);
        (y, lse) = (y_after, lse_after);
        let rows = way.queries();
        for (i, (y, lse)) in y_own.bands(rows).zip(lse_own.bands(rows)).enumerate() {
            let parts = y.columns(group * heads.head_dim).zip(lse.columns(group));
            tasks.extend(parts.enumerate().map(|(kv_head, (y, lse))| {
                (way, Run { sequence, first: i * rows, first_head: kv_head * group, heads }, y, lse)
            }));
        }
    }
    each(cpu, tasks, work(packing, heads), |scratch, (way, run, y, lse)| match way {
        Way::InF32 => {
            for ((place, y), (_, lse)) in run.tiles(y, heads.head_dim).zip(run.tiles(lse, 1)) {
                let attend = if y.rows() <= FEW { in_f32::attend_few } else { in_f32::attend };
                attend(cpu, &place, inputs, &mut scratch.numbers, y, lse);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Way::InPanels(panels) => in_panels::attend(cpu, panels, &run, inputs, &mut scratch.packed, y, lse),
    });
}

pub(super) fn attention_backward(
    cpu: &Cpu,
    q: &Matrix<Cpu>,
    k: &Matrix<Cpu>,
    v: &Matrix<Cpu>,
    y: &Matrix<Cpu>,
    lse: &Matrix<Cpu, f32>,
    dy: &Matrix<Cpu>,
    packing: &Packing<Cpu>,
    heads: Heads,
    rounding: Rounding,
    dq: &mut Matrix<Cpu>,
    dk: &mut Matrix<Cpu>,
    dv: &mut Matrix<Cpu>,
) {
    let saved = Saved {
        q: View::of(q),
        k: View::of(k),
        v: View::of(v),
        y: View::of(y),
        lse: View::of(lse),
        dy: View::of(dy),
    };
    let e = heads.head_dim;
    let group = heads.heads / heads.kv_heads;
    let mut tasks = Vec::new();
    let (mut dq, mut dk, mut dv) = (ViewMut::of(dq), ViewMut::of(dk), ViewMut::of(dv));
    for &sequence in packing.sequences() {
        let way = Way::of(cpu, sequence, heads, rounding);
        let [(dq_own, dq_after), (dk_own, dk_after), (dv_own, dv_after)] =
            [dq, dk, dv].map(|d| d.cut_rows(sequence.q_len as usize));
        (dq, dk, dv) = (dq_after, dk_after, dv_after);
        let parts = dq_own.columns(group * e).zip(dk_own.columns(e)).zip(dv_own.columns(e));
        tasks.extend(
            parts
                .enumerate()
                .map(|(kv_head, d)| (way, Run { sequence, first: 0, first_head: kv_head * group, heads }, d)),
        );
    }
    // A task owns the keys of its sequence and head, so that their gradients are summed in one order.
    each(cpu, tasks, work(packing, heads), |scratch, (way, run, ((dq, mut dk), mut dv))| match way {
        Way::InF32 => {
            dk.fill(0.0);
            dv.fill(0.0);
            for (place, dq) in run.tiles(dq, e) {
                let (dk, _) = dk.reborrow().cut_rows(place.keys.len());
                let (dv, _) = dv.reborrow().cut_rows(place.keys.len());
                in_f32::attend_backward(cpu, &place, &saved, &mut scratch.numbers, dq, dk, dv);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Way::InPanels(panels) => {
            in_panels::attend_backward(cpu, panels, &run, &saved, &mut scratch.packed, dq, dk, dv);
        }
    });
}

/// How the products of a sequence are formed.
#[derive(Clone, Copy)]
enum Way {
    InF32,
    /// In packed panels, of numbers that are rounded, or as accurate as in f32.
    #[cfg(target_arch = "x86_64")]
    InPanels(super::packed::InPanels),
}

impl Way {
    fn of(cpu: &Cpu, sequence: Sequence, heads: Heads, rounding: Rounding) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(panels) = cpu.packed.and_then(|unit| unit.in_panels(rounding))
            && heads.head_dim.min(sequence.q_len as usize) >= LEAST_IN_PANELS
        {
            return Self::InPanels(panels);
        }
        let _ = (cpu, sequence, heads, rounding);
        Self::InF32
    }

    /// Queries of a task.
    fn queries(self) -> usize {
        match self {
            Self::InF32 => TILE,
            #[cfg(target_arch = "x86_64")]
            Self::InPanels(_) => RUN,
        }
    }
}

/// What backward reads.
struct Saved<'a> {
    q: View<'a>,
    k: View<'a>,
    v: View<'a>,
    y: View<'a>,
    lse: View<'a>,
    dy: View<'a>,
}

impl Saved<'_> {
    /// Of the queries of a tile; the lanes without one have no weights: exp(−∞).
    fn lse_of(&self, place: &Place) -> [f32; TILE] {
        let mut lse = [f32::INFINITY; TILE];
        for (lse, query) in lse.iter_mut().zip(place.queries.clone()) {
            *lse = self.lse.row(query)[place.head];
        }
        lse
    }
}

/// `y·dy` of the queries of a tile: the mean of `dy·v` under the weights.
fn means(cpu: &Cpu, place: &Place, saved: &Saved<'_>) -> [f32; TILE] {
    let (y, dy) = (place.of_queries(saved.y), place.of_queries(saved.dy));
    let mut means = [0.0; TILE];
    cpu.vectorize(
        #[inline(always)]
        || {
            for (i, mean) in means.iter_mut().enumerate().take(y.rows()) {
                *mean = reduce::dot(y.row(i), dy.row(i));
            }
        },
    );
    means
}

/// The softmax of a tile, over the keys so far.
struct Softmax {
    /// The largest score of each query.
    max: [f32; TILE],
    /// Of exp(score − max).
    sums: [f32; TILE],
}

impl Softmax {
    fn new() -> Self {
        Self { max: [f32::NEG_INFINITY; TILE], sums: [0.0; TILE] }
    }

    /// Goes on to the keys from `start` on: of their products with the queries makes weights; shrinks what was summed
    /// under those of the keys before, if any were.
    fn add(
        &mut self,
        cpu: &Cpu,
        place: &Place,
        start: usize,
        scale: f32,
        products: &mut [[f32; TILE]],
        turned_y: &mut [[f32; TILE]],
    ) {
        cpu.vectorize(
            #[inline(always)]
            || {
                place.hide(products, start, f32::NEG_INFINITY);
                // Locals, which stay in registers.
                let mut largest = [f32::NEG_INFINITY; TILE];
                for products in &*products {
                    for (largest, &product) in largest.iter_mut().zip(products) {
                        *largest = largest.max(product);
                    }
                }
                let mut shrink = [0.0; TILE];
                for i in 0..TILE {
                    largest[i] = self.max[i].max(largest[i] * scale);
                    shrink[i] = exp(self.max[i] - largest[i]);
                }
                // A number of lanes that the compiler knows would have it gather a lane of many rows.
                let lanes = place.queries.len();
                for y in &mut *turned_y {
                    y[..lanes].iter_mut().zip(&shrink).for_each(|(y, shrink)| *y *= shrink);
                }
                let mut total = [0.0; TILE];
                for products in &mut *products {
                    for ((weight, max), total) in products.iter_mut().zip(&largest).zip(&mut total) {
                        *weight = exp(weight.mul_add(scale, -max));
                        *total += *weight;
                    }
                }
                for i in 0..TILE {
                    self.sums[i] = self.sums[i] * shrink[i] + total[i];
                }
                self.max = largest;
            },
        );
    }

    /// y and lse of the tile, of which `turned_y` is the sum of values under the weights.
    fn finish(&self, cpu: &Cpu, turned_y: &[[f32; TILE]], mut y: ViewMut<'_>, mut lse: ViewMut<'_>) {
        turn_back(cpu, turned_y, Write::Overwrite, y.reborrow());
        cpu.vectorize(
            #[inline(always)]
            || {
                for (i, sum) in self.sums.iter().enumerate().take(y.rows()) {
                    y.row(i).iter_mut().for_each(|y| *y /= sum);
                }
            },
        );
        for (i, (max, sum)) in self.max.iter().zip(&self.sums).enumerate().take(y.rows()) {
            lse.row(i)[0] = max + sum.ln();
        }
    }
}

/// For the keys from `start` on: of `p`, their products with the queries, makes weights; of `ds`, the products of their
/// values with dy, the gradient of the products with the queries.
fn weigh(
    cpu: &Cpu,
    place: &Place,
    start: usize,
    scale: f32,
    (lse, means): (&[f32; TILE], &[f32; TILE]),
    p: &mut [[f32; TILE]],
    ds: &mut [[f32; TILE]],
) {
    cpu.vectorize(
        #[inline(always)]
        || {
            for (p, ds) in p.iter_mut().zip(&mut *ds) {
                for (((p, ds), lse), mean) in p.iter_mut().zip(ds).zip(lse).zip(means) {
                    *p = exp(p.mul_add(scale, -lse));
                    *ds = *p * (*ds - mean) * scale;
                }
            }
            place.hide(p, start, 0.0);
            place.hide(ds, start, 0.0);
        },
    );
}

/// `x[i, j] ← [x[i, j] +] turned[j][i]`, for the rows and columns of x.
fn turn_back(cpu: &Cpu, turned: &[[f32; TILE]], write: Write, mut x: ViewMut<'_>) {
    let turned = View::new(turned.as_flattened(), turned.len(), TILE);
    cpu.vectorize(
        #[inline(always)]
        || {
            let mut x = x.reborrow();
            let (rows, cols) = (x.rows(), x.cols());
            for col in (0..cols).step_by(SIDE) {
                for row in (0..rows).step_by(SIDE) {
                    let from = turned.block(col..cols.min(col + SIDE), row..row + SIDE);
                    let to = x.reborrow().block(row..rows.min(row + SIDE), col..cols.min(col + SIDE));
                    turn(cpu.arch, from, write, to);
                }
            }
        },
    );
}

/// `1/√e`.
fn scale(head_dim: usize) -> f32 {
    1.0 / (head_dim as f32).sqrt()
}

/// The multiplications of one of the products, at most.
fn work(packing: &Packing<Cpu>, heads: Heads) -> usize {
    let pairs = |s: &Sequence| s.q_len as usize * s.k_len as usize;
    packing.sequences().iter().map(pairs).sum::<usize>() * heads.heads * heads.head_dim
}

/// Memory that tasks share where they share a thread.
struct Scratch {
    numbers: Room<f32>,
    #[cfg(target_arch = "x86_64")]
    packed: in_panels::Scratch,
}

impl Scratch {
    fn new(cpu: &Cpu) -> Self {
        Self {
            numbers: Room::new(cpu.scratch()),
            #[cfg(target_arch = "x86_64")]
            packed: in_panels::Scratch::new(cpu),
        }
    }
}

/// Runs the tasks.
fn each<T: Send>(cpu: &Cpu, tasks: Vec<T>, work: usize, run: impl Fn(&mut Scratch, T) + Sync) {
    if work <= LEAST_WORK {
        let mut scratch = Scratch::new(cpu);
        tasks.into_iter().for_each(|task| run(&mut scratch, task));
    } else {
        cpu.pooled(|| {
            tasks.into_par_iter().for_each_init(|| Scratch::new(cpu), |scratch, task| run(scratch, task));
        });
    }
}
