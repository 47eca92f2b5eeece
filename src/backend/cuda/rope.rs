//! Rotary position embedding.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{ELEMENTWISE_THREADS, ROPE_HEADS, RopeArgs},
};
use crate::{
    backend::Turn,
    error::Result,
    num::{to_u32, to_usize},
    tensor::{Ids, Matrix},
};

const ROPE: Kernel<RopeArgs> = Kernel::new("rope", "rope");

pub(super) fn rope(
    cuda: &Cuda,
    cos: &Matrix<Cuda, f32>,
    sin: &Matrix<Cuda, f32>,
    positions: &Ids<Cuda>,
    turn: Turn,
    x: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args = RopeArgs {
        tokens: to_u32("tokens", x.rows())?,
        heads: to_u32("heads", x.cols() / (2 * cos.cols()))?,
        half: to_u32("pairs of a head", cos.cols())?,
        sign: match turn {
            Turn::Forward => 1.0,
            Turn::Backward => -1.0,
        },
        cos: driver.input(cos.buffer()),
        sin: driver.input(sin.buffer()),
        positions: driver.input(positions.buffer()),
        x: driver.output(x.buffer_mut()),
    };
    // A thread turns 8 pairs where a head has whole vectors of them.
    let items = x.len().div_ceil(16 * to_usize(ROPE_HEADS.min(args.heads)).max(1));
    let grid = Grid::row(cuda.blocks_for(items, ELEMENTWISE_THREADS), ELEMENTWISE_THREADS);
    // SAFETY: by the contract of the op x is [tokens, heads·2·half], and the tables, [positions, half], have a row for
    // every position.
    unsafe { driver.launch(&ROPE, grid, args) }
}
