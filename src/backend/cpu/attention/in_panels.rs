//! Tiles of queries by products of packed panels, of numbers that are rounded to bf16 or as accurate as in f32.
//!
//! | product | its left operand | its right operand |
//! | --- | --- | --- |
//! | scores, `K·Qᵀ` | k, packed once for all tiles and heads | q, once a tile |
//! | `Yᵀ += Vᵀ·P` | v turned, once | the weights, of a tile and a block of keys |
//! | `V·dYᵀ` | v, once | dy, once a tile |
//! | `dQᵀ += Kᵀ·dS` | k turned, once | dS, of a tile and a block of keys |
//! | `dK += dS·Q`, `dV += P·dY` | dS and P, of a tile and a block of keys | q and dy, once a tile |
//!
//! All that is packed for each block of keys is a row of queries as it stands or two such rows interleaved.

use super::{
    super::{
        Cpu,
        elements::Room,
        matmul::Turned,
        packed::{InPanels, PanelProducts, Panels, Square},
        strided::{View, ViewMut},
    },
    Place, Run, Saved, Softmax, TILE, means, scale, turn_back, weigh,
};
use crate::backend::Write;
use bytemuck::Zeroable;
use std::ops::Range;

/// Keys whose panels are packed at a time: they stay in a second-level cache of 2 MiB while all tiles pass.
const PACKED: usize = 512;
/// Keys in a block forward: its sums are shrunk once for each.
const KEYS: usize = 128;
/// Keys in a block backward: with so many, all that belongs to a tile stays in the first-level cache.
const KEYS_BACKWARD: usize = 64;

/// Memory that the tasks of a thread share.
pub(super) struct Scratch {
    k: Panels,
    v: Panels,
    turned: Panels,
    q: Panels,
    turned_q: Panels,
    dy: Panels,
    turned_dy: Panels,
    p: Panels,
    p_left: Panels,
    ds: Panels,
    ds_left: Panels,
    scores: Room<Square>,
    d_scores: Room<Square>,
    turned_y: Room<Square>,
    turned_dq: Room<Square>,
    dk: Room<Square>,
    dv: Room<Square>,
}

impl Scratch {
    pub(super) fn new(cpu: &Cpu) -> Self {
        let (panels, squares) = (|| Panels::new(cpu), || Room::new(cpu.scratch()));
        Self {
            k: panels(),
            v: panels(),
            turned: panels(),
            q: panels(),
            turned_q: panels(),
            dy: panels(),
            turned_dy: panels(),
            p: panels(),
            p_left: panels(),
            ds: panels(),
            ds_left: panels(),
            scores: squares(),
            d_scores: squares(),
            turned_y: squares(),
            turned_dq: squares(),
            dk: squares(),
            dv: squares(),
        }
    }
}

/// The squares that hold `rows` rows.
fn squares(rows: usize) -> usize {
    rows.div_ceil(TILE)
}

/// A run of queries of the heads that share a key head: y `[rows, heads · e]`, lse `[rows, heads]`.
pub(super) fn attend(
    cpu: &Cpu,
    panels: InPanels,
    run: &Run,
    [q, k, v]: [View<'_>; 3],
    scratch: &mut Scratch,
    y: ViewMut<'_>,
    lse: ViewMut<'_>,
) {
    let e = run.heads.head_dim;
    let products = panels.start();
    let mut tiles: Vec<_> = run
        .tiles(y, e)
        .zip(run.tiles(lse, 1))
        .map(|((place, y), (_, lse))| (place, y, lse, Softmax::new()))
        .collect();
    let Some(all) = tiles.last().map(|(place, ..)| (place.of_keys(k), place.of_keys(v))) else { return };
    let of_tile = squares(e);
    let sums = scratch.turned_y.first(tiles.len() * of_tile);
    for packed in blocks(0..all.0.rows(), PACKED) {
        let (k, v) = (all.0.block(packed.clone(), 0..e), all.1.block(packed.clone(), 0..e));
        products.pack_left(k, &mut scratch.k);
        products.pack_left(v.transposed(), &mut scratch.turned);
        for ((place, y, lse, softmax), sums) in tiles.iter_mut().zip(sums.chunks_exact_mut(of_tile)) {
            if place.keys.len() <= packed.start {
                continue;
            }
            products.pack_right(place.of_queries(q), Turned::Yes, &mut scratch.turned_q);
            for keys in place.key_blocks(packed.clone(), KEYS) {
                let steps = steps(&keys, packed.start);
                let scores = scratch.scores.first(steps.len());
                for (step, scores) in steps.clone().zip(&mut *scores) {
                    products.multiply(
                        scratch.k.whole(step),
                        scratch.turned_q.whole(0),
                        Write::Overwrite,
                        scores,
                    );
                }
                let (write, so_far) = match keys.start {
                    0 => (Write::Overwrite, &mut [][..]),
                    _ => (Write::Add, Square::rows_mut(sums)),
                };
                softmax.add(cpu, place, keys.start, scale(e), Square::rows_mut(scores), so_far);
                products.pack_squares(scores, None, Some(&mut scratch.p));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let v = scratch.turned.panel(i, steps.clone());
                    products.multiply(v, scratch.p.whole(0), write, sums);
                }
            }
            if place.keys.len() <= packed.end {
                softmax.finish(cpu, Square::rows(sums), y.reborrow(), lse.reborrow());
            }
        }
    }
}

/// All queries of the heads that share a key head: dq `[rows, heads · e]`; dk and dv `[rows, e]`.
pub(super) fn attend_backward(
    cpu: &Cpu,
    panels: InPanels,
    run: &Run,
    saved: &Saved<'_>,
    scratch: &mut Scratch,
    dq: ViewMut<'_>,
    mut dk: ViewMut<'_>,
    mut dv: ViewMut<'_>,
) {
    let e = run.heads.head_dim;
    let products = panels.start();
    let mut tiles: Vec<_> = run.tiles(dq, e).collect();
    let Some(all) = tiles.last().map(|(place, _)| (place.of_keys(saved.k), place.of_keys(saved.v))) else {
        return;
    };
    for packed in blocks(0..all.0.rows(), PACKED) {
        let (k, v) = (all.0.block(packed.clone(), 0..e), all.1.block(packed.clone(), 0..e));
        products.pack_left(k, &mut scratch.k);
        products.pack_left(v, &mut scratch.v);
        products.pack_left(k.transposed(), &mut scratch.turned);
        let count = squares(packed.len()) * squares(e);
        for sums in [&mut scratch.dk, &mut scratch.dv] {
            sums.first(count).fill(Square::zeroed());
        }
        for (place, dq) in &mut tiles {
            if place.keys.len() > packed.start {
                let write = if packed.start == 0 { Write::Overwrite } else { Write::Add };
                tile_backward(cpu, &products, place, saved, &packed, scratch, write, dq.reborrow());
            }
        }
        for (d, sums) in [(dk.reborrow(), &mut scratch.dk), (dv.reborrow(), &mut scratch.dv)] {
            let sums = sums.first(count);
            for (d, sums) in d.block(packed.clone(), 0..e).bands(TILE).zip(sums.chunks_exact(squares(e))) {
                d.columns(TILE).zip(sums).for_each(|(d, sums)| put(sums, d));
            }
        }
    }
}

/// Writes the part of a square that `to` has room for.
fn put(square: &Square, mut to: ViewMut<'_>) {
    let square = Square::rows(std::slice::from_ref(square));
    for (i, row) in square.iter().enumerate().take(to.rows()) {
        let to = to.row(i);
        to.copy_from_slice(&row[..to.len()]);
    }
}

/// What a tile of one head adds to the gradients of the packed keys, and what these add to its own.
fn tile_backward(
    cpu: &Cpu,
    products: &PanelProducts,
    place: &Place,
    saved: &Saved<'_>,
    packed: &Range<usize>,
    scratch: &mut Scratch,
    write: Write,
    dq: ViewMut<'_>,
) {
    let (q, dy) = (place.of_queries(saved.q), place.of_queries(saved.dy));
    let (e, across) = (q.cols(), squares(q.cols()));
    products.pack_right(q, Turned::Yes, &mut scratch.turned_q);
    products.pack_right(dy, Turned::Yes, &mut scratch.turned_dy);
    products.pack_right(q, Turned::No, &mut scratch.q);
    products.pack_right(dy, Turned::No, &mut scratch.dy);
    let (lse, means) = (saved.lse_of(place), means(cpu, place, saved));
    let turned_dq = scratch.turned_dq.first(across);
    let count = squares(packed.len()) * across;
    let (dk, dv) = (scratch.dk.first(count), scratch.dv.first(count));
    for keys in place.key_blocks(packed.clone(), KEYS_BACKWARD) {
        let steps = steps(&keys, packed.start);
        let p = scratch.scores.first(steps.len());
        let ds = scratch.d_scores.first(steps.len());
        for (step, p) in steps.clone().zip(&mut *p) {
            products.multiply(scratch.k.whole(step), scratch.turned_q.whole(0), Write::Overwrite, p);
        }
        for (step, ds) in steps.clone().zip(&mut *ds) {
            products.multiply(scratch.v.whole(step), scratch.turned_dy.whole(0), Write::Overwrite, ds);
        }
        let (p_rows, ds_rows) = (Square::rows_mut(p), Square::rows_mut(ds));
        weigh(cpu, place, keys.start, scale(e), (&lse, &means), p_rows, ds_rows);
        products.pack_squares(p, Some(&mut scratch.p_left), None);
        products.pack_squares(ds, Some(&mut scratch.ds_left), Some(&mut scratch.ds));
        let so_far = if keys.start == packed.start { Write::Overwrite } else { Write::Add };
        for (i, turned_dq) in turned_dq.iter_mut().enumerate() {
            let k = scratch.turned.panel(i, steps.clone());
            products.multiply(k, scratch.ds.whole(0), so_far, turned_dq);
        }
        for (left, right, sums) in
            [(&scratch.ds_left, &scratch.q, &mut *dk), (&scratch.p_left, &scratch.dy, &mut *dv)]
        {
            let sums = &mut sums[steps.start * across..steps.end * across];
            for (step, sums) in sums.chunks_exact_mut(across).enumerate() {
                for (i, sums) in sums.iter_mut().enumerate() {
                    products.multiply(left.whole(step), right.whole(i), Write::Add, sums);
                }
            }
        }
    }
    turn_back(cpu, Square::rows(turned_dq), write, dq);
}

/// The squares of `keys` among those packed from `start` on.
fn steps(keys: &Range<usize>, start: usize) -> Range<usize> {
    (keys.start - start) / TILE..(keys.end - start).div_ceil(TILE)
}

/// A range in blocks of `len`.
fn blocks(range: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(len).map(move |start| start..range.end.min(start + len))
}
