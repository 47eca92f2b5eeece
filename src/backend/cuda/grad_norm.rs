//! The norm of all gradients together, and the factor that clips it.

use super::{
    Cuda,
    driver::{Buffer, Grid, Kernel},
    kernels::{
        ClipFactorArgs, NORM_BLOCK_ELEMENTS, NORM_BLOCKS, NORM_THREADS, SumPartialsArgs, SumSquaresArgs,
    },
};
use crate::{
    error::Result,
    num::{to_u32, to_usize},
    tensor::Matrix,
};

const SQUARES: Kernel<SumSquaresArgs> = Kernel::new("grad_norm", "sum_squares");
const PARTIALS: Kernel<SumPartialsArgs> = Kernel::new("grad_norm", "sum_partials");
const CLIP: Kernel<ClipFactorArgs> = Kernel::new("grad_norm", "clip_factor");

/// Threads for `len` numbers, in whole warps.
fn norm_threads(len: usize) -> u32 {
    u32::try_from(len).map_or(NORM_THREADS, |len| len.clamp(1, NORM_THREADS).next_multiple_of(32))
}

pub(super) fn sum_squares(cuda: &Cuda, xs: &[&Buffer<f32>], sums: &mut Matrix<Cuda, f64>) -> Result<()> {
    xs.iter().enumerate().try_for_each(|(slot, x)| one(cuda, x, slot, sums))
}

fn one(cuda: &Cuda, x: &Buffer<f32>, slot: usize, sums: &mut Matrix<Cuda, f64>) -> Result<()> {
    let driver = &cuda.driver;
    let len = x.len();
    let blocks = len.div_ceil(to_usize(NORM_BLOCK_ELEMENTS)).clamp(1, to_usize(NORM_BLOCKS));
    let place = driver.output(sums.buffer_mut()) + (slot * size_of::<f64>()) as u64;
    let mut partials: Buffer<f64> = driver.uninit(blocks)?;
    // One block writes the sum at once.
    let out = if blocks == 1 { place } else { driver.output(&mut partials) };
    let args = SumSquaresArgs { len: len as u64, x: driver.input(x), sums: out };
    let threads = norm_threads(len.div_ceil(4));
    // SAFETY: x has `len` elements, the sums a slot of that number by the contract of the op, or room for each block.
    unsafe { driver.launch(&SQUARES, Grid::row(to_u32("blocks", blocks)?, threads), args)? };
    if blocks == 1 {
        return Ok(());
    }
    let args = SumPartialsArgs { len: blocks as u64, partials: driver.input(&partials), sum: place };
    // SAFETY: there are `len` partial sums, and the slot as above.
    unsafe { driver.launch(&PARTIALS, Grid::row(1, norm_threads(blocks)), args) }
}

pub(super) fn clip_factor(
    cuda: &Cuda,
    sums: &Matrix<Cuda, f64>,
    max_norm: f32,
    clip: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = ClipFactorArgs {
        slots: to_u32("slots", sums.len())?,
        max_norm,
        sums: driver.input(sums.buffer()),
        clip: driver.output(clip.buffer_mut()),
    };
    // SAFETY: there are as many sums as slots, and clip has two elements by the contract of the op.
    unsafe { driver.launch(&CLIP, Grid::row(1, norm_threads(sums.len())), args) }
}
