//! Dropout whose mask is drawn anew wherever it is needed.

use super::{Cpu, cut::rows_of};
use crate::{backend::Write, rng::Stream, tensor::Matrix};

pub(super) fn dropout(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    p: f32,
    stream: Stream,
    first_row: usize,
    write: Write,
    y: &mut Matrix<Cpu>,
) {
    let scale = 1.0 / (1.0 - p);
    let offset = first_row * x.cols();
    let x = x.buffer();
    cpu.in_pieces(
        &mut y.buffer_mut()[..],
        rows_of(1),
        #[inline(always)]
        |first, y| {
            let uniforms = stream.uniforms((offset + first) as u64);
            for ((y, x), uniform) in y.iter_mut().zip(&x[first..]).zip(uniforms) {
                let kept = if uniform < p { 0.0 } else { x * scale };
                match write {
                    Write::Overwrite => *y = kept,
                    Write::Add => *y += kept,
                }
            }
        },
    );
}
