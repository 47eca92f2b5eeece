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
    let offset = first_row * x.cols();
    let x = x.buffer();
    cpu.in_pieces(
        &mut y.buffer_mut()[..],
        rows_of(1),
        #[inline(always)]
        |first, y| match write {
            Write::Overwrite => drop_out(stream, offset + first, p, &x[first..], y, |y, kept| *y = kept),
            Write::Add => drop_out(stream, offset + first, p, &x[first..], y, |y, kept| *y += kept),
        },
    );
}

/// Calls `put(y[i], x[i]∘D[index + i]/(1 − p))` for every element of y.
#[inline(always)]
fn drop_out(
    stream: Stream,
    mut index: usize,
    p: f32,
    mut x: &[f32],
    mut y: &mut [f32],
    put: impl Fn(&mut f32, f32),
) {
    let scale = 1.0 / (1.0 - p);
    while !y.is_empty() {
        let uniforms = &stream.uniforms((index / Stream::BLOCK) as u64)[index % Stream::BLOCK..];
        let len = uniforms.len().min(y.len());
        let (y_block, x_block);
        (y_block, y) = y.split_at_mut(len);
        (x_block, x) = x.split_at(len);
        for ((y, x), &uniform) in y_block.iter_mut().zip(x_block).zip(uniforms) {
            put(y, if uniform < p { 0.0 } else { x * scale });
        }
        index += len;
    }
}
