//! The loss of next-token prediction together with its gradient, and the best column of each row.

use super::{
    Cuda,
    driver::{Buffer, Grid, Kernel},
    kernels::{ArgmaxArgs, CrossEntropyArgs},
    rmsnorm::row_threads,
};
use crate::{
    error::Result,
    num::to_u32,
    tensor::{Ids, Matrix},
};

const CROSS_ENTROPY: Kernel<CrossEntropyArgs> = Kernel::new("cross_entropy", "cross_entropy");
const ARGMAX: Kernel<ArgmaxArgs> = Kernel::new("cross_entropy", "argmax_rows");

pub(super) fn cross_entropy(
    cuda: &Cuda,
    targets: &Ids<Cuda>,
    scale: f32,
    logits: &mut Matrix<Cuda>,
    first: usize,
    losses: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let (rows, cols) = (to_u32("rows", logits.rows())?, to_u32("columns", logits.cols())?);
    let args = CrossEntropyArgs {
        cols,
        scale,
        targets: driver.input(targets.buffer()),
        losses: driver.output(losses.buffer_mut()) + (first * size_of::<f32>()) as u64,
        logits: driver.output(logits.buffer_mut()),
    };
    // SAFETY: by the contract of the op there is a target below `cols` and, from `first` on, a loss for
    // every row of the logits.
    unsafe { driver.launch(&CROSS_ENTROPY, Grid::row(rows, row_threads(cols)), args) }
}

pub(super) fn argmax_rows(cuda: &Cuda, x: &Matrix<Cuda>, best: &mut Buffer<u32>) -> Result<()> {
    let driver = &cuda.driver;
    let (rows, cols) = (to_u32("rows", x.rows())?, to_u32("columns", x.cols())?);
    let args = ArgmaxArgs { cols: cols.into(), x: driver.input(x.buffer()), best: driver.output(best) };
    // SAFETY: `best` has an element for every row, by the contract of the op.
    unsafe { driver.launch(&ARGMAX, Grid::row(rows, row_threads(cols)), args) }
}
