//! A tile of queries by products in f32.

use super::{
    super::{
        Cpu,
        elements::Room,
        exp::exp,
        reduce,
        small::small_product,
        strided::{View, ViewMut, gemm},
    },
    FEW, Place, Saved, Softmax, TILE, means, scale, turn_back, weigh,
};
use crate::backend::Write;

/// Keys in a block: with so many, all that belongs to a tile stays in the first-level cache.
const KEYS: usize = 128;

/// A tile of one head: y `[rows, e]`, lse `[rows, 1]`.
pub(super) fn attend(
    cpu: &Cpu,
    place: &Place,
    [q, k, v]: [View<'_>; 3],
    scratch: &mut Room<f32>,
    y: ViewMut<'_>,
    lse: ViewMut<'_>,
) {
    let e = y.cols();
    let (q, k, v) = (place.of_queries(q), place.of_keys(k), place.of_keys(v));
    let [turned_q, turned_y, scores] = slabs(scratch, [e, e, KEYS]);
    turn(q, turned_q);
    turned_y.fill([0.0; TILE]);
    let mut softmax = Softmax::new();
    for keys in place.key_blocks(0..place.keys.len(), KEYS) {
        let (k, v) = (k.block(keys.clone(), 0..e), v.block(keys.clone(), 0..e));
        let scores = &mut scores[..keys.len()];
        small_product(cpu, 1.0, k, lanes(turned_q), Write::Overwrite, lanes_mut(scores));
        softmax.add(cpu, place, keys.start, scale(e), scores, turned_y);
        small_product(cpu, 1.0, v.transposed(), lanes(scores), Write::Add, lanes_mut(turned_y));
    }
    softmax.finish(cpu, turned_y, y, lse);
}

/// The same for a few queries: here a key is a lane.
pub(super) fn attend_few(
    cpu: &Cpu,
    place: &Place,
    [q, k, v]: [View<'_>; 3],
    scratch: &mut Room<f32>,
    mut y: ViewMut<'_>,
    mut lse: ViewMut<'_>,
) {
    let (rows, keys) = (place.queries.len(), place.keys.len());
    let scores = scratch.first(rows * keys);
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

/// A tile of one head: dq `[rows, e]`, overwritten; dk and dv `[keys, e]`, added to.
pub(super) fn attend_backward(
    cpu: &Cpu,
    place: &Place,
    saved: &Saved<'_>,
    scratch: &mut Room<f32>,
    dq: ViewMut<'_>,
    mut dk: ViewMut<'_>,
    mut dv: ViewMut<'_>,
) {
    let rows = place.queries.len();
    let (q, k, v) = (place.of_queries(saved.q), place.of_keys(saved.k), place.of_keys(saved.v));
    let dy = place.of_queries(saved.dy);
    let e = q.cols();

    let [turned_q, turned_dy, turned_dq, p, ds] = slabs(scratch, [e, e, e, KEYS, KEYS]);
    turn(q, turned_q);
    turn(dy, turned_dy);
    turned_dq.fill([0.0; TILE]);
    let (lse, means) = (saved.lse_of(place), means(cpu, place, saved));
    for keys in place.key_blocks(0..place.keys.len(), KEYS) {
        let (k, v) = (k.block(keys.clone(), 0..e), v.block(keys.clone(), 0..e));
        let (p, ds) = (&mut p[..keys.len()], &mut ds[..keys.len()]);
        small_product(cpu, 1.0, k, lanes(turned_q), Write::Overwrite, lanes_mut(p));
        small_product(cpu, 1.0, v, lanes(turned_dy), Write::Overwrite, lanes_mut(ds));
        weigh(cpu, place, keys.start, scale(e), (&lse, &means), p, ds);
        let of_rows = |slab| lanes(slab).block(0..keys.len(), 0..rows);
        let (_, dk) = dk.reborrow().cut_rows(keys.start);
        let (_, dv) = dv.reborrow().cut_rows(keys.start);
        let (dk, dv) = (dk.cut_rows(keys.len()).0, dv.cut_rows(keys.len()).0);
        small_product(cpu, 1.0, k.transposed(), lanes(ds), Write::Add, lanes_mut(turned_dq));
        small_product(cpu, 1.0, of_rows(ds), q, Write::Add, dk);
        small_product(cpu, 1.0, of_rows(p), dy, Write::Add, dv);
    }
    turn_back(cpu, turned_dq, Write::Overwrite, dq);
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

/// Slabs of these lengths, whatever they hold.
fn slabs<const N: usize>(scratch: &mut Room<f32>, lengths: [usize; N]) -> [&mut [[f32; TILE]]; N] {
    let mut rest = scratch.first(lengths.iter().sum::<usize>() * TILE).as_chunks_mut().0;
    lengths.map(|length| rest.split_off_mut(..length).expect("as long as asked for"))
}
