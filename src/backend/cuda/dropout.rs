//! Dropout whose mask is drawn anew wherever it is needed.

use super::{Cuda, driver::Kernel, kernels::DropoutArgs};
use crate::{backend::Write, error::Result, rng::Stream, tensor::Matrix};

const OVERWRITE: Kernel<DropoutArgs> = Kernel::new("dropout", "dropout_overwrite");
const ADD: Kernel<DropoutArgs> = Kernel::new("dropout", "dropout_add");

pub(super) fn dropout(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    p: f32,
    stream: Stream,
    first_row: usize,
    write: Write,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let kernel = match write {
        Write::Overwrite => OVERWRITE,
        Write::Add => ADD,
    };
    let driver = &cuda.driver;
    let args = DropoutArgs {
        len: x.len() as u64,
        offset: first_row as u64 * x.cols() as u64,
        seed: stream.seed,
        stream: stream.stream,
        p,
        scale: 1.0 / (1.0 - p),
        x: driver.input(x.buffer()),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: both hold `len` elements, by the contract of the op.
    unsafe { driver.launch(&kernel, cuda.elementwise(x.len()), args) }
}
