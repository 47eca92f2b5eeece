//! Rotary position embedding.

use super::{
    Cpu,
    cut::{Rows, rows_of},
};
use crate::{
    backend::Turn,
    num::to_usize,
    tensor::{Ids, Matrix},
};

pub(super) fn rope(
    cpu: &Cpu,
    cos: &Matrix<Cpu, f32>,
    sin: &Matrix<Cpu, f32>,
    positions: &Ids<Cpu>,
    turn: Turn,
    x: &mut Matrix<Cpu>,
) {
    let (width, half) = (x.cols(), cos.cols());
    let (cos, sin) = (cos.buffer(), sin.buffer());
    let sign = match turn {
        Turn::Forward => 1.0,
        Turn::Backward => -1.0,
    };
    cpu.in_pieces(
        Rows { data: x.buffer_mut(), width },
        rows_of(width),
        #[inline(always)]
        |first, x| {
            for (row, &position) in x.data.chunks_exact_mut(width).zip(&positions.buffer()[first..]) {
                let angle = to_usize(position) * half;
                let (cos, sin) = (&cos[angle..][..half], &sin[angle..][..half]);
                for head in row.chunks_exact_mut(2 * half) {
                    let (low, high) = head.split_at_mut(half);
                    for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                        let s = sign * s;
                        (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                    }
                }
            }
        },
    );
}
