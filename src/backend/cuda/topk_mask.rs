//! The mask: the k entries of largest |score|, exactly.

use super::{
    Cuda,
    driver::{Buffer, Grid, Kernel},
    kernels::{
        TOPK_BINS_1, TOPK_BINS_2, TOPK_BINS_3, TOPK_SCAN_THREADS, TOPK_SHIFT_1, TOPK_SHIFT_2, TOPK_SHIFT_3,
        TOPK_THREADS, TOPK_TILE, TopkChooseArgs, TopkFillArgs, TopkHistogramArgs, TopkOffsetsArgs,
        TopkPassArgs,
    },
};
use crate::{
    backend::Selected,
    error::Result,
    num::{to_u32, to_usize},
    tensor::Matrix,
};

const HISTOGRAM: Kernel<TopkHistogramArgs> = Kernel::new("topk_mask", "topk_histogram");
const CHOOSE: Kernel<TopkChooseArgs> = Kernel::new("topk_mask", "topk_choose");
const CANDIDATES: Kernel<TopkPassArgs> = Kernel::new("topk_mask", "topk_candidates");
const REFINE: Kernel<TopkPassArgs> = Kernel::new("topk_mask", "topk_refine");
const COUNT: Kernel<TopkPassArgs> = Kernel::new("topk_mask", "topk_count");
const OFFSETS: Kernel<TopkOffsetsArgs> = Kernel::new("topk_mask", "topk_offsets");
const FILL: Kernel<TopkFillArgs> = Kernel::new("topk_mask", "topk_fill");

/// What the kernels learn of one matrix's tiles, before the size of its pattern is known.
struct Tiles {
    count: usize,
    candidates: Buffer<u32>,
    ties: Buffer<u32>,
    offsets: Buffer<u32>,
    nnz: Buffer<u32>,
}

impl Tiles {
    fn new(cuda: &Cuda, scores: &Matrix<Cuda, f32>) -> Result<Self> {
        let (driver, count) = (&cuda.driver, scores.len().div_ceil(to_usize(TOPK_TILE)));
        Ok(Self {
            count,
            candidates: driver.uninit(count * to_usize(TOPK_TILE / 32))?,
            ties: driver.uninit(count)?,
            offsets: driver.uninit(count)?,
            nnz: driver.uninit(1)?,
        })
    }

    /// A warp a tile.
    fn grid(&self, cuda: &Cuda) -> Grid {
        grid(cuda, 32 * self.count)
    }
}

pub(super) fn topk_mask(cuda: &Cuda, scores: &[&Matrix<Cuda, f32>], k: usize) -> Result<Vec<Selected<Cuda>>> {
    if k == 0 {
        let nothing = |scores: &&Matrix<Cuda, f32>| {
            let row_offsets = cuda.driver.zeros(scores.rows() + 1)?;
            Ok(Selected { row_offsets, col_indices: cuda.driver.uninit(0)? })
        };
        return scores.iter().map(nothing).collect();
    }
    let mut tiles = scores.iter().map(|scores| Tiles::new(cuda, scores)).collect::<Result<Vec<_>>>()?;
    // The threshold's digits as far as they are known, and how many of the scores that share them are kept.
    let mut state = cuda.driver.upload(&[0, to_u32("k of topk_mask", k)?])?;
    find_threshold(cuda, scores, &mut tiles, &mut state)?;
    for (scores, tiles) in scores.iter().zip(&mut tiles) {
        find_offsets(cuda, scores, tiles, &mut state)?;
    }
    scores.iter().zip(&tiles).map(|(scores, tiles)| fill(cuda, scores, tiles, &state)).collect()
}

/// The k-th largest magnitude and the number of its equals that are kept, in `state`; and each matrix's candidates.
fn find_threshold(
    cuda: &Cuda,
    scores: &[&Matrix<Cuda, f32>],
    tiles: &mut [Tiles],
    state: &mut Buffer<u32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let mut histogram = histogram(cuda, TOPK_BINS_1)?;
    for scores in scores {
        let args = TopkHistogramArgs {
            len: scores.len() as u64,
            scores: driver.input(scores.buffer()),
            histogram: driver.output(&mut histogram),
        };
        // SAFETY: the struct describes these buffers.
        unsafe { driver.launch(&HISTOGRAM, grid(cuda, scores.len().div_ceil(4)), args) }?;
    }
    choose(cuda, TOPK_SHIFT_1, TOPK_BINS_1, &histogram, state)?;
    for (kernel, shift, bins) in
        [(CANDIDATES, TOPK_SHIFT_2, TOPK_BINS_2), (REFINE, TOPK_SHIFT_3, TOPK_BINS_3)]
    {
        let mut histogram = self::histogram(cuda, bins)?;
        for (scores, tiles) in scores.iter().zip(&mut *tiles) {
            let args = pass(cuda, scores, tiles, state, driver.output(&mut histogram));
            // SAFETY: the struct describes these buffers; topk_refine follows topk_candidates.
            unsafe { driver.launch(&kernel, tiles.grid(cuda), args) }?;
        }
        choose(cuda, shift, bins, &histogram, state)?;
    }
    Ok(())
}

/// Where the kept scores of each tile go; the matrix takes its ties from those that `state` has left.
fn find_offsets(
    cuda: &Cuda,
    scores: &Matrix<Cuda, f32>,
    tiles: &mut Tiles,
    state: &mut Buffer<u32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let counts = driver.output(&mut tiles.ties);
    let count = pass(cuda, scores, tiles, state, counts);
    let offsets = TopkOffsetsArgs {
        tiles: tiles.count as u64,
        counts,
        state: driver.output(state),
        offsets: driver.output(&mut tiles.offsets),
        nnz: driver.output(&mut tiles.nnz),
    };
    // SAFETY: the structs describe these buffers, and the threshold and the candidates are known.
    unsafe {
        driver.launch(&COUNT, tiles.grid(cuda), count)?;
        driver.launch(&OFFSETS, Grid::row(1, TOPK_SCAN_THREADS), offsets)
    }
}

/// The pattern of one matrix; waits for its size.
fn fill(
    cuda: &Cuda,
    scores: &Matrix<Cuda, f32>,
    tiles: &Tiles,
    state: &Buffer<u32>,
) -> Result<Selected<Cuda>> {
    let driver = &cuda.driver;
    let nnz = driver.download(&tiles.nnz)?[0];
    // Zeros, which is what they are where there are no columns, and nothing is launched.
    let mut row_offsets = driver.zeros(scores.rows() + 1)?;
    let mut col_indices = driver.uninit(to_usize(nnz))?;
    let args = TopkFillArgs {
        len: scores.len() as u64,
        rows: to_u32("rows of a mask", scores.rows())?,
        cols: to_u32("columns of a mask", scores.cols())?,
        scores: driver.input(scores.buffer()),
        state: driver.input(state),
        candidates: driver.input(&tiles.candidates),
        ties: driver.input(&tiles.ties),
        offsets: driver.input(&tiles.offsets),
        row_offsets: driver.output(&mut row_offsets),
        col_indices: driver.output(&mut col_indices),
    };
    // SAFETY: the struct describes these buffers; nnz is what the tiles keep together.
    unsafe { driver.launch(&FILL, tiles.grid(cuda), args) }?;
    Ok(Selected { row_offsets, col_indices })
}

/// Chooses the digit at `shift` of the threshold from how often each of its `bins` values occurs.
fn choose(
    cuda: &Cuda,
    shift: u32,
    bins: u32,
    histogram: &Buffer<u32>,
    state: &mut Buffer<u32>,
) -> Result<()> {
    let driver = &cuda.driver;
    let args =
        TopkChooseArgs { shift, bins, histogram: driver.input(histogram), state: driver.output(state) };
    // SAFETY: the struct describes these buffers.
    unsafe { driver.launch(&CHOOSE, Grid::row(1, TOPK_SCAN_THREADS), args) }
}

/// What the kernels that walk the tiles take.
fn pass(
    cuda: &Cuda,
    scores: &Matrix<Cuda, f32>,
    tiles: &mut Tiles,
    state: &Buffer<u32>,
    result: u64,
) -> TopkPassArgs {
    let driver = &cuda.driver;
    TopkPassArgs {
        len: scores.len() as u64,
        scores: driver.input(scores.buffer()),
        state: driver.input(state),
        candidates: driver.output(&mut tiles.candidates),
        result,
    }
}

/// `bins` counts of 64 bits, all zero.
fn histogram(cuda: &Cuda, bins: u32) -> Result<Buffer<u32>> {
    cuda.driver.zeros(2 * to_usize(bins))
}

/// For `threads` threads of work, at most as many blocks as run at once: each adds a histogram of its own in the end.
fn grid(cuda: &Cuda, threads: usize) -> Grid {
    let resident = 4 * cuda.properties().multiprocessors;
    Grid::row(cuda.blocks_for(threads, TOPK_THREADS).min(resident), TOPK_THREADS)
}
