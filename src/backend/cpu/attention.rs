//! Causal attention, a tile of queries against all the keys it sees at a time: the scores of a tile
//! stand in scratch memory, those of all tokens never do.
//!
//! A query of the tile is a lane: what is said of scores holds for all queries at once, and neither the
//! softmax nor its gradient sums across a vector.

use super::{
    Cpu,
    exp::exp,
    reduce,
    small::small_product,
    strided::{View, ViewMut, gemm},
};
use crate::{
    backend::{Heads, Write},
    packing::{Packing, Sequence},
    tensor::Matrix,
};
use rayon::prelude::*;
use std::ops::Range;

/// Queries in a tile.
const TILE: usize = 32;
/// Keys in a block: with so many, all that belongs to a tile stays in the first-level cache.
const KEYS: usize = 128;
/// So few queries, as decoding has, are not worth a tile's lanes.
const FEW: usize = 4;
/// In bytes.
const CACHE_LINE: usize = 64;
/// Multiplications below which waking other threads does not pay.
const LEAST_WORK: usize = 1 << 18;

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

    /// The keys, a block at a time, counted from the first.
    fn key_blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let keys = self.keys.len();
        (0..keys).step_by(KEYS).map(move |start| start..keys.min(start + KEYS))
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

pub(super) fn attention(
    cpu: &Cpu,
    q: &Matrix<Cpu>,
    k: &Matrix<Cpu>,
    v: &Matrix<Cpu>,
    packing: &Packing<Cpu>,
    heads: Heads,
    y: &mut Matrix<Cpu>,
    lse: &mut Matrix<Cpu, f32>,
) {
    let (q, k, v) = (View::of(q), View::of(k), View::of(v));
    let group = heads.heads / heads.kv_heads;
    let mut tasks = Vec::new();
    let (mut y, mut lse) = (ViewMut::of(y), ViewMut::of(lse));
    for &sequence in packing.sequences() {
        let (y_own, y_after) = y.cut_rows(sequence.q_len as usize);
        let (lse_own, lse_after) = lse.cut_rows(sequence.q_len as usize);
        (y, lse) = (y_after, lse_after);
        for (tile, (y, lse)) in y_own.bands(TILE).zip(lse_own.bands(TILE)).enumerate() {
            let parts = y.columns(group * heads.head_dim).zip(lse.columns(group));
            tasks.extend(
                parts.enumerate().map(|(kv_head, (y, lse))| (sequence, tile * TILE, kv_head * group, y, lse)),
            );
        }
    }
    each(cpu, tasks, work(packing, heads), |scratch, (sequence, first, first_head, y, lse)| {
        for (head, (y, lse)) in y.columns(heads.head_dim).zip(lse.columns(1)).enumerate() {
            let place = Place::new(sequence, first, y.rows(), first_head + head, heads);
            let attend = if y.rows() <= FEW { attend_few } else { attend };
            attend(cpu, &place, q, k, v, scratch, y, lse);
        }
    });
}

/// A tile of one head: y `[rows, e]`, lse `[rows, 1]`.
fn attend(
    cpu: &Cpu,
    place: &Place,
    q: View<'_>,
    k: View<'_>,
    v: View<'_>,
    scratch: &mut Vec<f32>,
    mut y: ViewMut<'_>,
    mut lse: ViewMut<'_>,
) {
    let e = y.cols();
    let (q, k, v) = (place.of_queries(q), place.of_keys(k), place.of_keys(v));
    let [turned_q, turned_y, scores] = slabs(scratch, [e, e, KEYS]);
    turn(q, turned_q);
    turned_y.fill([0.0; TILE]);
    // Of the keys so far: their largest score, and the sum of exp(score − max).
    let (mut max, mut sums) = ([f32::NEG_INFINITY; TILE], [0.0; TILE]);
    for keys in place.key_blocks() {
        let (k, v) = (k.block(keys.clone(), 0..e), v.block(keys.clone(), 0..e));
        let scores = &mut scores[..keys.len()];
        small_product(cpu, scale(e), k, lanes(turned_q), Write::Overwrite, lanes_mut(scores));
        cpu.vectorize(
            #[inline(always)]
            || {
                place.hide(scores, keys.start, f32::NEG_INFINITY);
                // Locals, which stay in registers.
                let mut largest = max;
                for scores in &*scores {
                    for (max, &score) in largest.iter_mut().zip(scores) {
                        *max = max.max(score);
                    }
                }
                let mut shrink = [0.0; TILE];
                for i in 0..TILE {
                    shrink[i] = exp(max[i] - largest[i]);
                }
                for y in &mut *turned_y {
                    y.iter_mut().zip(&shrink).for_each(|(y, shrink)| *y *= shrink);
                }
                let mut total = [0.0; TILE];
                for scores in &mut *scores {
                    for ((score, max), total) in scores.iter_mut().zip(&largest).zip(&mut total) {
                        *score = exp(*score - max);
                        *total += *score;
                    }
                }
                for i in 0..TILE {
                    sums[i] = sums[i] * shrink[i] + total[i];
                }
                max = largest;
            },
        );
        small_product(cpu, 1.0, v.transposed(), lanes(scores), Write::Add, lanes_mut(turned_y));
    }
    for (i, (max, sum)) in max.iter().zip(&sums).enumerate().take(y.rows()) {
        y.row(i).iter_mut().zip(&*turned_y).for_each(|(y, turned)| *y = turned[i] / sum);
        lse.row(i)[0] = max + sum.ln();
    }
}

/// The same for a few queries: here a key is a lane.
fn attend_few(
    cpu: &Cpu,
    place: &Place,
    q: View<'_>,
    k: View<'_>,
    v: View<'_>,
    scratch: &mut Vec<f32>,
    mut y: ViewMut<'_>,
    mut lse: ViewMut<'_>,
) {
    let (rows, keys) = (place.queries.len(), place.keys.len());
    let scores = at_least(scratch, rows * keys);
    let products = ViewMut::new(scores, rows, keys);
    gemm(scale(y.cols()), place.of_queries(q), place.of_keys(k).transposed(), Write::Overwrite, products);
    let mut sums = [0.0; FEW];
    cpu.vectorize(
        #[inline(always)]
        || {
            for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
                let (seen, unseen) = row.split_at_mut(place.seen(i));
                let max = reduce::max(seen);
                sums[i] = reduce::map_sum(
                    seen,
                    #[inline(always)]
                    |score| exp(score - max),
                );
                unseen.fill(0.0);
                lse.row(i)[0] = max + sums[i].ln();
            }
        },
    );
    gemm(1.0, View::new(scores, rows, keys), place.of_keys(v), Write::Overwrite, y.reborrow());
    for (i, sum) in sums[..rows].iter().enumerate() {
        y.row(i).iter_mut().for_each(|y| *y /= sum);
    }
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
        let [(dq_own, dq_after), (dk_own, dk_after), (dv_own, dv_after)] =
            [dq, dk, dv].map(|d| d.cut_rows(sequence.q_len as usize));
        (dq, dk, dv) = (dq_after, dk_after, dv_after);
        let parts = dq_own.columns(group * e).zip(dk_own.columns(e)).zip(dv_own.columns(e));
        tasks.extend(parts.enumerate().map(|(kv_head, d)| (sequence, kv_head * group, d)));
    }
    // A task owns the keys of its sequence and head, so that their gradients are summed in one order.
    each(cpu, tasks, work(packing, heads), |scratch, (sequence, first_head, ((dq, mut dk), mut dv))| {
        dk.fill(0.0);
        dv.fill(0.0);
        for (tile, dq) in dq.bands(TILE).enumerate() {
            for (head, dq) in dq.columns(e).enumerate() {
                let place = Place::new(sequence, tile * TILE, dq.rows(), first_head + head, heads);
                let (dk, _) = dk.reborrow().cut_rows(place.keys.len());
                let (dv, _) = dv.reborrow().cut_rows(place.keys.len());
                attend_backward(cpu, &place, &saved, scratch, dq, dk, dv);
            }
        }
    });
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

/// A tile of one head: dq `[rows, e]`, overwritten; dk and dv `[keys, e]`, added to.
fn attend_backward(
    cpu: &Cpu,
    place: &Place,
    saved: &Saved<'_>,
    scratch: &mut Vec<f32>,
    mut dq: ViewMut<'_>,
    mut dk: ViewMut<'_>,
    mut dv: ViewMut<'_>,
) {
    let rows = place.queries.len();
    let (q, k, v) = (place.of_queries(saved.q), place.of_keys(saved.k), place.of_keys(saved.v));
    let (y, dy) = (place.of_queries(saved.y), place.of_queries(saved.dy));
    let (e, scale) = (q.cols(), scale(q.cols()));

    let [turned_q, turned_dy, turned_dq, p, ds] = slabs(scratch, [e, e, e, KEYS, KEYS]);
    turn(q, turned_q);
    turn(dy, turned_dy);
    turned_dq.fill([0.0; TILE]);
    // The lanes without a query have no weights: exp(−∞).
    let (mut lse, mut means) = ([f32::INFINITY; TILE], [0.0; TILE]);
    for i in 0..rows {
        lse[i] = saved.lse.row(place.queries.start + i)[place.head];
        means[i] = y.row(i).iter().zip(dy.row(i)).map(|(y, dy)| y * dy).sum();
    }
    for keys in place.key_blocks() {
        let (k, v) = (k.block(keys.clone(), 0..e), v.block(keys.clone(), 0..e));
        let (p, ds) = (&mut p[..keys.len()], &mut ds[..keys.len()]);
        small_product(cpu, scale, k, lanes(turned_q), Write::Overwrite, lanes_mut(p));
        small_product(cpu, 1.0, v, lanes(turned_dy), Write::Overwrite, lanes_mut(ds));
        cpu.vectorize(
            #[inline(always)]
            || {
                for (p, ds) in p.iter_mut().zip(&mut *ds) {
                    for (((p, ds), lse), mean) in p.iter_mut().zip(ds).zip(&lse).zip(&means) {
                        *p = exp(*p - lse);
                        *ds = *p * (*ds - mean) * scale;
                    }
                }
                place.hide(p, keys.start, 0.0);
                place.hide(ds, keys.start, 0.0);
            },
        );
        let of_rows = |slab| lanes(slab).block(0..keys.len(), 0..rows);
        let (_, dk) = dk.reborrow().cut_rows(keys.start);
        let (_, dv) = dv.reborrow().cut_rows(keys.start);
        let (dk, dv) = (dk.cut_rows(keys.len()).0, dv.cut_rows(keys.len()).0);
        small_product(cpu, 1.0, k.transposed(), lanes(ds), Write::Add, lanes_mut(turned_dq));
        small_product(cpu, 1.0, of_rows(ds), q, Write::Add, dk);
        small_product(cpu, 1.0, of_rows(p), dy, Write::Add, dv);
    }
    for i in 0..rows {
        dq.row(i).iter_mut().zip(&*turned_dq).for_each(|(dq, turned)| *dq = turned[i]);
    }
}

/// `turned[j][i] = x[i,j]`, and 0 in the lanes that x has no row for.
fn turn(x: View<'_>, turned: &mut [[f32; TILE]]) {
    turned.fill([0.0; TILE]);
    for i in 0..x.rows() {
        turned.iter_mut().zip(x.row(i)).for_each(|(turned, x)| turned[i] = *x);
    }
}

/// A slab as a matrix `[_, TILE]`.
fn lanes(slab: &[[f32; TILE]]) -> View<'_> {
    View::new(slab.as_flattened(), slab.len(), TILE)
}

fn lanes_mut(slab: &mut [[f32; TILE]]) -> ViewMut<'_> {
    let rows = slab.len();
    ViewMut::new(slab.as_flattened_mut(), rows, TILE)
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

/// Runs the tasks, with scratch memory that they share where they share a thread.
fn each<T: Send>(cpu: &Cpu, tasks: Vec<T>, work: usize, run: impl Fn(&mut Vec<f32>, T) + Sync) {
    if work <= LEAST_WORK {
        let mut scratch = Vec::new();
        tasks.into_iter().for_each(|task| run(&mut scratch, task));
    } else {
        cpu.install(|| tasks.into_par_iter().for_each_init(Vec::new, |scratch, task| run(scratch, task)));
    }
}

/// Slabs of these lengths, whatever they hold.
fn slabs<const N: usize>(scratch: &mut Vec<f32>, lengths: [usize; N]) -> [&mut [[f32; TILE]]; N] {
    let len = lengths.iter().sum::<usize>() * TILE;
    let scratch = at_least(scratch, len + TILE);
    // Vectors that lie across two cache lines take twice as long.
    let start = scratch.as_ptr().align_offset(CACHE_LINE).min(TILE);
    let mut rest = scratch[start..].as_chunks_mut().0;
    lengths.map(|length| rest.split_off_mut(..length).expect("as long as asked for"))
}

/// The first `len` elements of `scratch`, whatever they hold.
fn at_least(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    &mut scratch[..len]
}
