//! Sums: of a bias and every row, of all rows, of two matrices.

use super::{
    Cpu,
    cut::{Rows, rows_of},
};
use crate::tensor::Matrix;

pub(super) fn bias_add(cpu: &Cpu, bias: &Matrix<Cpu, f32>, x: &mut Matrix<Cpu>) {
    let n = x.cols();
    cpu.in_pieces(
        Rows { data: x.buffer_mut(), width: n },
        rows_of(n),
        #[inline(always)]
        |_, x| {
            for row in x.data.chunks_exact_mut(n) {
                row.iter_mut().zip(bias.buffer()).for_each(|(x, bias)| *x += bias);
            }
        },
    );
}

pub(super) fn bias_grad_add(cpu: &Cpu, dy: &Matrix<Cpu>, dbias: &mut Matrix<Cpu, f32>) {
    let (t, n) = (dy.rows(), dy.cols());
    cpu.in_pieces(
        &mut dbias.buffer_mut()[..],
        rows_of(t),
        #[inline(always)]
        |first, dbias| {
            for row in dy.buffer().chunks_exact(n) {
                dbias.iter_mut().zip(&row[first..]).for_each(|(sum, dy)| *sum += dy);
            }
        },
    );
}

pub(super) fn add(cpu: &Cpu, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    cpu.in_pieces(
        &mut y.buffer_mut()[..],
        rows_of(1),
        #[inline(always)]
        |first, y| {
            y.iter_mut().zip(&x.buffer()[first..]).for_each(|(y, x)| *y += x);
        },
    );
}
