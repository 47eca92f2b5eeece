//! Root-mean-square normalisation of rows, and its two gradients.

use super::{
    Cuda,
    bias::{Chunks, add_column_totals},
    driver::{Buffer, Grid, Kernel},
    kernels::{
        ROW_KEPT_COLUMNS, ROW_THREADS, RmsnormArgs, RmsnormBackwardArgs, RmsnormGainArgs,
        RmsnormReciprocalArgs,
    },
};
use crate::{error::Result, num::to_u32, tensor::Matrix};

const FORWARD: Kernel<RmsnormArgs> = Kernel::new("rmsnorm", "rmsnorm");
const BACKWARD: Kernel<RmsnormBackwardArgs> = Kernel::new("rmsnorm", "rmsnorm_backward");
const RECIPROCALS: Kernel<RmsnormReciprocalArgs> = Kernel::new("rmsnorm", "rmsnorm_reciprocals");
const GAIN: Kernel<RmsnormGainArgs> = Kernel::new("rmsnorm", "rmsnorm_gain_partials");

/// Threads of a block that has a row of `cols` columns: enough that each keeps its columns in registers, in whole warps.
pub(super) fn row_threads(cols: u32) -> u32 {
    cols.div_ceil(ROW_KEPT_COLUMNS).min(ROW_THREADS).next_multiple_of(32).max(32)
}

/// A block a row, and each a few rows where there are more than fill the device.
fn row_grid(cuda: &Cuda, rows: usize, cols: u32) -> Grid {
    Grid::row(cuda.blocks_for(rows, 1), row_threads(cols))
}

pub(super) fn rmsnorm(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    gain: &Matrix<Cuda, f32>,
    eps: f32,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = RmsnormArgs {
        rows: x.rows() as u64,
        cols: to_u32("columns", x.cols())?,
        eps,
        x: driver.input(x.buffer()),
        gain: driver.input(gain.buffer()),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: x and y are [rows, cols] and the gain has `cols` elements, by the contract of the op.
    unsafe { driver.launch(&FORWARD, row_grid(cuda, x.rows(), args.cols), args) }
}

pub(super) fn rmsnorm_backward_add(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    gain: &Matrix<Cuda, f32>,
    eps: f32,
    dy: &Matrix<Cuda>,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = RmsnormBackwardArgs {
        rows: x.rows() as u64,
        cols: to_u32("columns", x.cols())?,
        eps,
        x: driver.input(x.buffer()),
        gain: driver.input(gain.buffer()),
        dy: driver.input(dy.buffer()),
        dx: driver.output(dx.buffer_mut()),
    };
    // SAFETY: x, dy and dx are [rows, cols] and the gain has `cols` elements, by the contract of the op.
    unsafe { driver.launch(&BACKWARD, row_grid(cuda, x.rows(), args.cols), args) }
}

pub(super) fn rmsnorm_gain_grad_add(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    eps: f32,
    dy: &Matrix<Cuda>,
    dgain: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let (rows, cols) = (to_u32("rows", x.rows())?, to_u32("columns", x.cols())?);
    let mut reciprocals: Buffer<f32> = driver.uninit(x.rows())?;
    let args = RmsnormReciprocalArgs {
        rows: rows.into(),
        cols,
        eps,
        x: driver.input(x.buffer()),
        reciprocals: driver.output(&mut reciprocals),
    };
    // SAFETY: x is [rows, cols], and there is a reciprocal for each row.
    unsafe { driver.launch(&RECIPROCALS, row_grid(cuda, x.rows(), cols), args)? };
    let chunks = Chunks::of(rows);
    let mut partials = chunks.partials(cuda, x.cols())?;
    let args = RmsnormGainArgs {
        rows,
        cols,
        chunk_rows: chunks.rows.into(),
        x: driver.input(x.buffer()),
        dy: driver.input(dy.buffer()),
        reciprocals: driver.input(&reciprocals),
        partials: driver.output(&mut partials),
    };
    // SAFETY: x and dy are [rows, cols] by the contract of the op, and there is a row of partial sums for each chunk.
    unsafe { driver.launch(&GAIN, chunks.grid(cols), args)? };
    add_column_totals(cuda, chunks, &partials, dgain)
}
