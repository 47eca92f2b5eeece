//! To 4-bit weights and back.

use super::{
    Cpu,
    cut::{Rows, rows_of},
    elements::Elements,
    tile::Tile,
};
use crate::{
    device::Float,
    error::Result,
    nf4::{Absmax, Nf4Matrix, code},
    sparse::Csr,
    tensor::{Matrix, Weight},
};

/// Below it, the reciprocal of a magnitude would not be finite.
const LEAST: f32 = 1e-38;

pub(super) fn nf4_quantize(cpu: &Cpu, w: &Matrix<Cpu, f32>, block: usize) -> Result<Nf4Matrix<Cpu>> {
    let mut packed = Elements::unwritten(&cpu.spare, w.len() / 2);
    let mut absmax = Elements::unwritten(&cpu.spare, w.len() / block);
    let out = (Rows { data: &mut packed, width: block / 2 }, &mut absmax[..]);
    cpu.in_pieces(
        out,
        rows_of(block),
        #[inline(always)]
        |first, (packed, absmax)| {
            let blocks = w.buffer()[first * block..].chunks_exact(block);
            for ((codes, absmax), w) in packed.data.chunks_exact_mut(block / 2).zip(absmax).zip(blocks) {
                *absmax = largest(w);
                let scale = 1.0 / absmax.max(LEAST);
                for (pair, w) in codes.iter_mut().zip(w.as_chunks::<2>().0) {
                    *pair = code(w[0] * scale) << 4 | code(w[1] * scale);
                }
            }
        },
    );
    Nf4Matrix::new(w.rows(), w.cols(), block, packed, Absmax::Single(absmax))
}

/// The largest |value|; of the bits it is the largest too, and there NaN is above infinity.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    f32::from_bits(values.iter().fold(0, |most, w| most.max(w.abs().to_bits())))
}

pub(super) fn nf4_dequantize<T: Float>(
    cpu: &Cpu,
    w: &Nf4Matrix<Cpu>,
    s: Option<&Csr<Cpu>>,
    y: &mut Matrix<Cpu, T>,
) {
    let k = w.cols();
    cpu.in_pieces(
        Rows { data: y.buffer_mut(), width: k },
        rows_of(k),
        #[inline(always)]
        |first, y| {
            let mut row = vec![0.0; k];
            for (i, y) in (first..).zip(y.data.chunks_exact_mut(k)) {
                Tile { rows: i..i + 1, cols: 0..k }.read(cpu.arch, Weight::Nf4(w), s, &mut row);
                y.iter_mut().zip(&row).for_each(|(y, &w)| *y = T::from_f32(w));
            }
        },
    );
}
