//! A bias added to every row, and sums over all rows.

use super::{
    Cuda,
    driver::{Buffer, Grid, Kernel},
    kernels::{BIAS_ROWS, BiasAddArgs, BiasGradArgs, COLUMN_THREADS, ColumnTotalsArgs},
};
use crate::{
    error::Result,
    num::{to_u32, to_usize},
    tensor::Matrix,
};

const ADD: Kernel<BiasAddArgs> = Kernel::new("bias", "bias_add");
const PARTIALS: Kernel<BiasGradArgs> = Kernel::new("bias", "bias_partials");
const TOTALS: Kernel<ColumnTotalsArgs> = Kernel::new("bias", "column_totals");

/// The fewest rows that a block sums, and the most chunks.
const CHUNK_ROWS: u32 = 32;
const CHUNKS: u32 = 64;
/// The most blocks in y.
const MOST_Y: u32 = 65_535;

/// How the rows of a matrix are cut for sums over all of them.
#[derive(Clone, Copy)]
pub(super) struct Chunks {
    /// Rows of a chunk; the last may have fewer.
    pub(super) rows: u32,
    count: u32,
}

impl Chunks {
    /// The cut follows from the number of rows alone.
    pub(super) fn of(rows: u32) -> Self {
        let chunk = rows.div_ceil(CHUNKS).max(CHUNK_ROWS);
        Self { rows: chunk, count: rows.div_ceil(chunk) }
    }

    /// Room for a sum a chunk and column.
    pub(super) fn partials(self, cuda: &Cuda, cols: usize) -> Result<Buffer<f32>> {
        cuda.driver.uninit(to_usize(self.count) * cols)
    }

    /// A tile of columns in x, a chunk in y.
    pub(super) fn grid(self, cols: u32) -> Grid {
        Grid { blocks: [cols.div_ceil(COLUMN_THREADS), self.count, 1], threads: COLUMN_THREADS, shared: 0 }
    }
}

/// `sums[j] += Σ_c partials[c,j]`.
pub(super) fn add_column_totals(
    cuda: &Cuda,
    chunks: Chunks,
    partials: &Buffer<f32>,
    sums: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let blocks = to_u32("columns", sums.len())?.div_ceil(COLUMN_THREADS);
    let args = ColumnTotalsArgs {
        chunks: chunks.count.into(),
        cols: sums.len() as u64,
        partials: driver.input(partials),
        sums: driver.output(sums.buffer_mut()),
    };
    // SAFETY: there are `cols` sums, and as many partial ones a chunk.
    unsafe { driver.launch(&TOTALS, Grid::row(blocks, COLUMN_THREADS), args) }
}

pub(super) fn bias_add(cuda: &Cuda, bias: &Matrix<Cuda, f32>, x: &mut Matrix<Cuda>) -> Result<()> {
    let driver = &cuda.driver;
    let tiles = to_u32("columns", x.cols())?.div_ceil(COLUMN_THREADS);
    let chunks = to_u32("rows", x.rows())?.div_ceil(BIAS_ROWS).min(MOST_Y);
    let grid = Grid { blocks: [tiles, chunks, 1], threads: COLUMN_THREADS, shared: 0 };
    let args = BiasAddArgs {
        rows: x.rows() as u64,
        cols: x.cols() as u64,
        bias: driver.input(bias.buffer()),
        x: driver.output(x.buffer_mut()),
    };
    // SAFETY: x is [rows, cols] and the bias has `cols` elements, by the contract of the op.
    unsafe { driver.launch(&ADD, grid, args) }
}

pub(super) fn bias_grad_add(cuda: &Cuda, dy: &Matrix<Cuda>, dbias: &mut Matrix<Cuda, f32>) -> Result<()> {
    let driver = &cuda.driver;
    let (rows, cols) = (to_u32("rows", dy.rows())?, to_u32("columns", dy.cols())?);
    let chunks = Chunks::of(rows);
    let mut partials = chunks.partials(cuda, dy.cols())?;
    let args = BiasGradArgs {
        rows,
        cols,
        chunk_rows: chunks.rows.into(),
        dy: driver.input(dy.buffer()),
        partials: driver.output(&mut partials),
    };
    // SAFETY: dy is [rows, cols] by the contract of the op, and there is a row of partial sums for each chunk.
    unsafe { driver.launch(&PARTIALS, chunks.grid(cols), args)? };
    add_column_totals(cuda, chunks, &partials, dbias)
}
