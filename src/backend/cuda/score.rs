//! What a gradient adds to the scores of a mask.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{SCORE_THREADS, ScoreAddArgs},
};
use crate::{backend::ScoreTerm, error::Result, tensor::Matrix};

const SQUARE: Kernel<ScoreAddArgs> = Kernel::new("score", "score_add_square");
const SUM: Kernel<ScoreAddArgs> = Kernel::new("score", "score_add_sum");

pub(super) fn score_add(
    cuda: &Cuda,
    g: &Matrix<Cuda, f32>,
    term: ScoreTerm,
    scores: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let kernel = match term {
        ScoreTerm::Square => SQUARE,
        ScoreTerm::Sum => SUM,
    };
    let driver = &cuda.driver;
    let args = ScoreAddArgs {
        len: scores.len() as u64,
        g: driver.input(g.buffer()),
        scores: driver.output(scores.buffer_mut()),
    };
    // SAFETY: both matrices hold `len` elements, by the contract of the op.
    unsafe {
        driver.launch(&kernel, Grid::row(cuda.blocks_for(scores.len(), SCORE_THREADS), SCORE_THREADS), args)
    }
}
