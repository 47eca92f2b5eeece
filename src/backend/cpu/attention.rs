//! Causal attention, a tile of queries against all the keys it sees at a time: the scores of a tile
//! stand in scratch memory, those of all tokens never do.

use super::{
    Cpu,
    exp::exp,
    reduce,
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
const TILE: usize = 64;
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
    let (rows, keys) = (place.queries.len(), place.keys.len());
    let scores = at_least(scratch, rows * keys);
    let products = ViewMut::new(scores, rows, keys);
    gemm(scale(y.cols()), place.of_queries(q), place.of_keys(k).transposed(), Write::Overwrite, products);

    // Softmax without its division, which costs less on the rows of y.
    let mut sums = [0.0; TILE];
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
    dq: ViewMut<'_>,
    dk: ViewMut<'_>,
    dv: ViewMut<'_>,
) {
    let (rows, keys) = (place.queries.len(), place.keys.len());
    let (q, k, v) = (place.of_queries(saved.q), place.of_keys(saved.k), place.of_keys(saved.v));
    let (y, dy) = (place.of_queries(saved.y), place.of_queries(saved.dy));
    let scale = scale(q.cols());

    let (p, ds) = at_least(scratch, 2 * rows * keys).split_at_mut(rows * keys);
    gemm(scale, q, k.transposed(), Write::Overwrite, ViewMut::new(p, rows, keys));
    gemm(1.0, dy, v.transposed(), Write::Overwrite, ViewMut::new(ds, rows, keys));
    cpu.vectorize(
        #[inline(always)]
        || {
            for (i, (p, ds)) in p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys)).enumerate() {
                let lse = saved.lse.row(place.queries.start + i)[place.head];
                let mean = reduce::dot(y.row(i), dy.row(i));
                let seen = place.seen(i);
                for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
                    *p = exp(*p - lse);
                    *ds = *p * (*ds - mean) * scale;
                }
                p[seen..].fill(0.0);
                ds[seen..].fill(0.0);
            }
        },
    );
    let (p, ds) = (View::new(p, rows, keys), View::new(ds, rows, keys));
    gemm(1.0, ds, k, Write::Overwrite, dq);
    gemm(1.0, ds.transposed(), q, Write::Add, dk);
    gemm(1.0, p.transposed(), dy, Write::Add, dv);
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

/// The first `len` elements of `scratch`, whatever they hold.
fn at_least(scratch: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    &mut scratch[..len]
}
