//! Activations turned so that the tokens of one feature are contiguous: the form in which one
//! sparse entry is a handful of full-width vector operations.

use super::Cpu;
use rayon::prelude::*;
use std::array::from_mut;

/// Features of one parallel piece of a transposition.
const PIECE: usize = 512;

/// Features, and tokens, that are turned together in registers.
const BLOCK: usize = 16;

/// Overwrites `lanes[j][t]` with `x[t,j]`, x `[tokens, lanes.len()]`, and with 0 for the tokens
/// that are missing to `T`, a multiple of 8.
///
/// A block of features is left alone when `offsets` (a compressed-row form over the features) has
/// no entry in it: nothing will read it.
pub(super) fn transpose<const T: usize>(cpu: &Cpu, x: &[f32], offsets: &[u32], lanes: &mut [[f32; T]]) {
    let features = lanes.len();
    lanes.par_chunks_mut(PIECE).enumerate().for_each(|(piece, lanes)| {
        cpu.vectorize(
            #[inline(always)]
            || {
                let (blocks, rest) = lanes.as_chunks_mut::<BLOCK>();
                let mut first = piece * PIECE;
                for block in blocks {
                    if offsets[first] < offsets[first + BLOCK] {
                        turn(x, features, first, block);
                    }
                    first += BLOCK;
                }
                for lane in rest {
                    turn(x, features, first, from_mut(lane));
                    first += 1;
                }
            },
        );
    });
}

/// The features `first..first + N`.
#[inline(always)]
fn turn<const N: usize, const T: usize>(x: &[f32], features: usize, first: usize, lanes: &mut [[f32; T]; N]) {
    for start in (0..T).step_by(BLOCK) {
        let mut tile = [[0.0; N]; BLOCK];
        for (tile, x) in tile.iter_mut().zip(x.chunks_exact(features).skip(start)) {
            *tile = *x[first..].first_chunk().expect("N features from the first on");
        }
        for (j, lane) in lanes.iter_mut().enumerate() {
            for (lane, tile) in lane[start..start + BLOCK].iter_mut().zip(&tile) {
                *lane = tile[j];
            }
        }
    }
}
