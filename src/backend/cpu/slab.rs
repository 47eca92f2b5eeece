//! Activations turned so that the tokens of one feature are contiguous: the form in which one
//! sparse entry is a handful of full-width vector operations.

use rayon::prelude::*;

/// Features of one parallel piece of a transposition.
const PIECE: usize = 512;

/// Features transposed together: their elements of one token share a cache line.
const BLOCK: usize = 16;

/// Overwrites `lanes[j][t]` with `x[t,j]`, x `[tokens, lanes.len()]`, and with 0 for the tokens
/// that are missing to `T`.
///
/// A block of features is left alone when `offsets` (a compressed-row form over the features) has
/// no entry in it: nothing will read it.
pub(super) fn transpose<const T: usize>(x: &[f32], offsets: &[u32], lanes: &mut [[f32; T]]) {
    let features = lanes.len();
    lanes.par_chunks_mut(PIECE).enumerate().for_each(|(piece, lanes)| {
        for (block, lanes) in lanes.chunks_mut(BLOCK).enumerate() {
            let first = piece * PIECE + block * BLOCK;
            if offsets[first] == offsets[first + lanes.len()] {
                continue;
            }
            lanes.as_flattened_mut().fill(0.0);
            for (t, x) in x.chunks_exact(features).enumerate() {
                for (lane, &x) in lanes.iter_mut().zip(&x[first..]) {
                    lane[t] = x;
                }
            }
        }
    });
}
