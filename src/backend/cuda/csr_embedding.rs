//! The sparse adapter of an embedding table: rows of s chosen by token ids, and the gradient.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    embedding::occurrence_grid,
    kernels::{CsrEmbeddingArgs, CsrEmbeddingGradArgs, ELEMENTWISE_THREADS},
};
use crate::{
    error::Result,
    num::to_u32,
    sparse::Csr,
    tensor::{Ids, Matrix},
};

const FORWARD: Kernel<CsrEmbeddingArgs> = Kernel::new("csr_embedding", "csr_embedding");
const GRAD: Kernel<CsrEmbeddingGradArgs> = Kernel::new("csr_embedding", "csr_embedding_grad");

pub(super) fn csr_embedding_add(
    cuda: &Cuda,
    s: &Csr<Cuda>,
    ids: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    // A warp a token.
    let grid = Grid::row(cuda.blocks_for(32 * y.rows(), ELEMENTWISE_THREADS), ELEMENTWISE_THREADS);
    let args = CsrEmbeddingArgs {
        tokens: y.rows() as u64,
        cols: y.cols() as u64,
        row_offsets: driver.input(s.pattern().row_offsets()),
        col_indices: driver.input(s.pattern().col_indices()),
        values: driver.input(s.values()),
        ids: driver.input(ids.buffer()),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: by the contract of the op there is an id a row of y, each with a row of s, whose columns are those of y.
    unsafe { driver.launch(&FORWARD, grid, args) }
}

pub(super) fn csr_embedding_grad_add(
    cuda: &Cuda,
    ids: &Ids<Cuda>,
    dy: &Matrix<Cuda>,
    ds: &mut Csr<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let pattern = ds.pattern().clone();
    let args = CsrEmbeddingGradArgs {
        tokens: to_u32("tokens", dy.rows())?,
        cols: to_u32("columns", dy.cols())?,
        row_offsets: driver.input(pattern.row_offsets()),
        col_indices: driver.input(pattern.col_indices()),
        ids: driver.input(ids.buffer()),
        dy: driver.input(dy.buffer()),
        values: driver.output(ds.values_mut()),
    };
    // SAFETY: by the contract of the op there is an id a row of dy, each with a row of ds, whose columns are those of dy.
    unsafe { driver.launch(&GRAD, occurrence_grid(args.tokens, 0), args) }
}
