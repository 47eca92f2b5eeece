//! Table look-up and its gradient.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{EmbeddingArgs, EmbeddingGradArgs, EmbeddingNf4Args, OCCURRENCE_THREADS},
    nf4,
};
use crate::{
    error::Result,
    num::to_u32,
    tensor::{Ids, Matrix, Weight},
};

const BF16: Kernel<EmbeddingArgs> = Kernel::new("embedding", "embedding_bf16");
const F32: Kernel<EmbeddingArgs> = Kernel::new("embedding", "embedding_f32");
const NF4: Kernel<EmbeddingNf4Args> = Kernel::new("embedding", "embedding_nf4");
const GRAD: Kernel<EmbeddingGradArgs> = Kernel::new("embedding", "embedding_grad");

/// A block a token, with a thread for 8 ids to look at and 8 columns to add, in whole warps.
pub(super) fn occurrence_grid(tokens: u32, cols: u32) -> Grid {
    let threads = tokens.max(cols).div_ceil(8).min(OCCURRENCE_THREADS).next_multiple_of(32);
    Grid::row(tokens, threads)
}

pub(super) fn embedding(
    cuda: &Cuda,
    table: Weight<'_, Cuda>,
    ids: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let (driver, grid) = (&cuda.driver, cuda.elementwise(y.len()));
    let (tokens, cols) = (y.rows() as u64, y.cols() as u64);
    let (ids, out) = (driver.input(ids.buffer()), driver.output(y.buffer_mut()));
    let (kernel, table) = match table {
        Weight::F32(table) => (F32, driver.input(table.buffer())),
        Weight::Bf16(table) => (BF16, driver.input(table.buffer())),
        Weight::Nf4(table) => {
            let args = EmbeddingNf4Args { tokens, cols, table: nf4::weight(cuda, table)?, ids, y: out };
            // SAFETY: as below.
            return unsafe { driver.launch(&NF4, grid, args) };
        }
    };
    // SAFETY: by the contract of the op there is an id a row of y, each with a row of the table, as wide as y.
    unsafe { driver.launch(&kernel, grid, EmbeddingArgs { tokens, cols, table, ids, y: out }) }
}

pub(super) fn embedding_grad_add(
    cuda: &Cuda,
    ids: &Ids<Cuda>,
    dy: &Matrix<Cuda>,
    dtable: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = EmbeddingGradArgs {
        tokens: to_u32("tokens", dy.rows())?,
        cols: to_u32("columns", dy.cols())?,
        ids: driver.input(ids.buffer()),
        dy: driver.input(dy.buffer()),
        dtable: driver.output(dtable.buffer_mut()),
    };
    // SAFETY: by the contract of the op there is an id a row of dy, each with a row of the table, as wide as dy.
    unsafe { driver.launch(&GRAD, occurrence_grid(args.tokens, args.cols), args) }
}
