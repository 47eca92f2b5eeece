//! Table look-up and its gradient.

use super::{
    Cpu,
    cut::{Rows, rows_of},
    tile::Tile,
};
use crate::{
    device::Float,
    nf4::Nf4Matrix,
    num::to_usize,
    tensor::{Ids, Matrix, Weight},
};

/// Pieces of the table in its gradient; each looks through all ids for its own.
const TABLE_PIECES: usize = 16;

pub(super) fn embedding(cpu: &Cpu, table: Weight<'_, Cpu>, ids: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    match table {
        Weight::F32(table) => copy_rows(cpu, table, ids, y),
        Weight::Bf16(table) => copy_rows(cpu, table, ids, y),
        Weight::Nf4(table) => dequantize_rows(cpu, table, ids, y),
    }
}

/// `y[i,·] = table[ids[i],·]`.
pub(super) fn copy_rows<T: Float>(cpu: &Cpu, table: &Matrix<Cpu, T>, ids: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    let k = table.cols();
    cpu.in_pieces(
        Rows { data: y.buffer_mut(), width: k },
        rows_of(k),
        #[inline(always)]
        |first, y| {
            for (y, &id) in y.data.chunks_exact_mut(k).zip(&ids.buffer()[first..]) {
                for (y, x) in y.iter_mut().zip(&table.buffer()[to_usize(id) * k..]) {
                    *y = x.to_f32();
                }
            }
        },
    );
}

fn dequantize_rows(cpu: &Cpu, table: &Nf4Matrix<Cpu>, ids: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    let k = table.cols();
    cpu.in_pieces(
        Rows { data: y.buffer_mut(), width: k },
        rows_of(k),
        #[inline(always)]
        |first, y| {
            for (y, &id) in y.data.chunks_exact_mut(k).zip(&ids.buffer()[first..]) {
                let row = to_usize(id);
                Tile { rows: row..row + 1, cols: 0..k }.read(cpu.arch, Weight::Nf4(table), None, y);
            }
        },
    );
}

pub(super) fn embedding_grad_add(cpu: &Cpu, ids: &Ids<Cpu>, dy: &Matrix<Cpu>, dtable: &mut Matrix<Cpu, f32>) {
    let (vocab, k) = (dtable.rows(), dtable.cols());
    let rows = vocab.div_ceil(TABLE_PIECES).max(rows_of(k));
    let out = Rows { data: dtable.buffer_mut(), width: k };
    cpu.in_pieces(
        out,
        rows,
        #[inline(always)]
        |first, dtable| {
            let own = first..first + dtable.data.len() / k;
            for (&id, dy) in ids.buffer().iter().zip(dy.buffer().chunks_exact(k)) {
                if own.contains(&to_usize(id)) {
                    let row = &mut dtable.data[(to_usize(id) - first) * k..][..k];
                    row.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
                }
            }
        },
    );
}
