//! Rows chosen by index, and the sum of two matrices.

use super::{
    Cuda,
    driver::Kernel,
    kernels::{AddArgs, RowsArgs},
};
use crate::{
    error::Result,
    tensor::{Ids, Matrix},
};

const GATHER: Kernel<RowsArgs> = Kernel::new("rows", "gather_rows");
const SCATTER: Kernel<RowsArgs> = Kernel::new("rows", "scatter_rows");
const ADD: Kernel<AddArgs> = Kernel::new("rows", "add");

pub(super) fn gather_rows(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    rows: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    copy_rows(cuda, &GATHER, x, rows, y)
}

pub(super) fn scatter_rows(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    rows: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    copy_rows(cuda, &SCATTER, x, rows, y)
}

fn copy_rows(
    cuda: &Cuda,
    kernel: &Kernel<RowsArgs>,
    x: &Matrix<Cuda>,
    rows: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = RowsArgs {
        count: rows.len() as u64,
        cols: x.cols() as u64,
        x: driver.input(x.buffer()),
        rows: driver.input(rows.buffer()),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: by the contract of the op x and y are `cols` wide, one has `count` rows, the other each that is named.
    unsafe { driver.launch(kernel, cuda.elementwise(rows.len() * x.cols()), args) }
}

pub(super) fn add(cuda: &Cuda, x: &Matrix<Cuda>, y: &mut Matrix<Cuda>) -> Result<()> {
    let driver = &cuda.driver;
    let args = AddArgs { len: x.len() as u64, x: driver.input(x.buffer()), y: driver.output(y.buffer_mut()) };
    // SAFETY: both hold `len` elements, by the contract of the op.
    unsafe { driver.launch(&ADD, cuda.elementwise(x.len()), args) }
}
