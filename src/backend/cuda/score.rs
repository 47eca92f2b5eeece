//! What a mask is chosen by: sums of gradients, SNIP's product with the weights, random scores.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{SCORE_THREADS, ScoreAddArgs, ScoreRandomArgs, ScoreTimesArgs, ScoreTimesNf4Args},
    nf4,
};
use crate::{
    backend::ScoreTerm,
    error::Result,
    rng::Stream,
    tensor::{Matrix, Weight},
};

const ADD_SQUARE: Kernel<ScoreAddArgs> = Kernel::new("score", "score_add_square");
const ADD_SUM: Kernel<ScoreAddArgs> = Kernel::new("score", "score_add_sum");
const TIMES_F32: Kernel<ScoreTimesArgs> = Kernel::new("score", "score_times_f32");
const TIMES_NF4: Kernel<ScoreTimesNf4Args> = Kernel::new("score", "score_times_nf4");
const TIMES_BF16: Kernel<ScoreTimesArgs> = Kernel::new("score", "score_times_bf16");
const RANDOM: Kernel<ScoreRandomArgs> = Kernel::new("score", "score_random");

pub(super) fn score_add(
    cuda: &Cuda,
    g: &Matrix<Cuda, f32>,
    term: ScoreTerm,
    scores: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let kernel = match term {
        ScoreTerm::Square => ADD_SQUARE,
        ScoreTerm::Sum => ADD_SUM,
    };
    let driver = &cuda.driver;
    let args = ScoreAddArgs {
        len: scores.len() as u64,
        g: driver.input(g.buffer()),
        scores: driver.output(scores.buffer_mut()),
    };
    // SAFETY: both matrices hold `len` elements, by the contract of the op.
    unsafe { driver.launch(&kernel, grid(cuda, scores.len()), args) }
}

pub(super) fn score_times_weight(
    cuda: &Cuda,
    w: Weight<'_, Cuda>,
    scores: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let (driver, grid) = (&cuda.driver, grid(cuda, scores.len()));
    let (len, scores) = (scores.len() as u64, driver.output(scores.buffer_mut()));
    let (kernel, w) = match w {
        Weight::F32(w) => (TIMES_F32, driver.input(w.buffer())),
        Weight::Bf16(w) => (TIMES_BF16, driver.input(w.buffer())),
        Weight::Nf4(w) => {
            let args = ScoreTimesNf4Args { len, w: nf4::weight(cuda, w)?, scores };
            // SAFETY: as below.
            return unsafe { driver.launch(&TIMES_NF4, grid, args) };
        }
    };
    // SAFETY: both matrices hold `len` elements, by the contract of the op; w is of the kernel's type.
    unsafe { driver.launch(&kernel, grid, ScoreTimesArgs { len, w, scores }) }
}

pub(super) fn score_random(cuda: &Cuda, stream: Stream, scores: &mut Matrix<Cuda, f32>) -> Result<()> {
    let Stream { seed, stream } = stream;
    let driver = &cuda.driver;
    let args = ScoreRandomArgs {
        len: scores.len() as u64,
        seed,
        stream,
        scores: driver.output(scores.buffer_mut()),
    };
    // SAFETY: scores holds `len` elements.
    unsafe { driver.launch(&RANDOM, grid(cuda, scores.len().div_ceil(4)), args) }
}

/// For `steps` steps of single threads.
fn grid(cuda: &Cuda, steps: usize) -> Grid {
    Grid::row(cuda.blocks_for(steps, SCORE_THREADS), SCORE_THREADS)
}
