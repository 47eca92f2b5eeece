//! The gated activation of a Llama's feed-forward block.

use super::{
    Cuda,
    driver::Kernel,
    kernels::{SwigluArgs, SwigluBackwardArgs},
};
use crate::{error::Result, tensor::Matrix};

const FORWARD: Kernel<SwigluArgs> = Kernel::new("swiglu", "swiglu");
const BACKWARD: Kernel<SwigluBackwardArgs> = Kernel::new("swiglu", "swiglu_backward");

pub(super) fn swiglu(
    cuda: &Cuda,
    gate: &Matrix<Cuda>,
    up: &Matrix<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = SwigluArgs {
        len: gate.len() as u64,
        gate: driver.input(gate.buffer()),
        up: driver.input(up.buffer()),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: all hold `len` elements, by the contract of the op.
    unsafe { driver.launch(&FORWARD, cuda.elementwise(gate.len()), args) }
}

pub(super) fn swiglu_backward(
    cuda: &Cuda,
    gate: &mut Matrix<Cuda>,
    up: &mut Matrix<Cuda>,
    dy: &mut Matrix<Cuda>,
) -> Result<()> {
    let (driver, len) = (&cuda.driver, gate.len());
    let args = SwigluBackwardArgs {
        len: len as u64,
        gate: driver.output(gate.buffer_mut()),
        up: driver.output(up.buffer_mut()),
        dy: driver.output(dy.buffer_mut()),
    };
    // SAFETY: all hold `len` elements, by the contract of the op.
    unsafe { driver.launch(&BACKWARD, cuda.elementwise(len), args) }
}
