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
    let driver = &cuda.driver;
    let blocks =
        |x: &Buffer<f32>| x.len().div_ceil(to_usize(NORM_BLOCK_ELEMENTS)).clamp(1, to_usize(NORM_BLOCKS));
    let Some(most) = xs.iter().map(|x| blocks(x)).max() else { return Ok(()) };
    // A partial for each block of the array that has most; zeros, where others have fewer.
    let mut partials = if most > 1 { Some(driver.zeros::<f64>(most * xs.len())?) } else { None };
    let place =
        partials.as_mut().map_or_else(|| driver.output(sums.buffer_mut()), |sums| driver.output(sums));
    for (slot, x) in xs.iter().enumerate() {
        let at = place + (slot * most * size_of::<f64>()) as u64;
        let args = SumSquaresArgs { len: x.len() as u64, x: driver.input(x), sums: at };
        let grid = Grid::row(to_u32("blocks", blocks(x))?, norm_threads(x.len().div_ceil(4)));
        // SAFETY: x has `len` elements; from `at` on there is room for each block.
        unsafe { driver.launch(&SQUARES, grid, args)? };
    }
    let Some(partials) = partials else { return Ok(()) };
    let args = SumPartialsArgs {
        len: most as u64,
        partials: driver.input(&partials),
        sums: driver.output(sums.buffer_mut()),
    };
    // SAFETY: there are `len` partials for each array, and as many sums as arrays by the contract of the op.
    unsafe { driver.launch(&PARTIALS, Grid::row(to_u32("arrays", xs.len())?, norm_threads(most)), args) }
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
