//! Rows chosen by index, and the best column of each row.

use super::{Cpu, cut::rows_of, embedding::copy_rows, reduce};
use crate::{
    num,
    tensor::{Ids, Matrix},
};

pub(super) fn gather_rows(cpu: &Cpu, x: &Matrix<Cpu>, rows: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    copy_rows(cpu, x, rows, y);
}

pub(super) fn scatter_rows(x: &Matrix<Cpu>, rows: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    let k = x.cols();
    for (&row, x) in rows.buffer().iter().zip(x.buffer().chunks_exact(k.max(1))) {
        y.buffer_mut()[num::to_usize(row) * k..][..k].copy_from_slice(x);
    }
}

pub(super) fn argmax_rows(cpu: &Cpu, x: &Matrix<Cpu>, best: &mut [u32]) {
    let k = x.cols();
    cpu.in_pieces(
        best,
        rows_of(k),
        #[inline(always)]
        |first, best| {
            for (x, best) in x.buffer()[first * k..].chunks_exact(k).zip(best) {
                let max = reduce::max(x);
                // A row of nothing but NaN has no maximum: the index after the last.
                *best = num::low_u32(x.iter().position(|&x| x == max).unwrap_or(k) as u64);
            }
        },
    );
}
