//! Dense products: which tile computes an output, whether its blocks share the depth, and what joins it.

use super::{
    Cuda, Properties,
    driver::{Grid, Kernel},
    kernels::{
        MATMUL_90A_MIDDLE_COLS, MATMUL_90A_MIDDLE_STAGES, MATMUL_90A_ROWS, MATMUL_90A_STEP,
        MATMUL_90A_THREADS, MATMUL_90A_WIDE_COLS, MATMUL_90A_WIDE_STAGES, MATMUL_ADD, MATMUL_ADD_SQUARE,
        MATMUL_MIDDLE_COLS, MATMUL_MIDDLE_F32_THREADS, MATMUL_MIDDLE_ROWS, MATMUL_MIDDLE_STAGES,
        MATMUL_MIDDLE_THREADS, MATMUL_NARROW_COLS, MATMUL_NARROW_ROWS, MATMUL_NARROW_STAGES,
        MATMUL_NARROW_THREADS, MATMUL_OVERWRITE, MATMUL_SMALL_COLS, MATMUL_SMALL_ROWS, MATMUL_SMALL_STAGES,
        MATMUL_SMALL_THREADS, MATMUL_STEP, MATMUL_SUM_THREADS, MATMUL_WIDE_COLS, MATMUL_WIDE_ROWS,
        MATMUL_WIDE_STAGES, MATMUL_WIDE_THREADS, MatmulArgs,
    },
    spmm,
};
use crate::{
    backend::{LinearTerms, LowRankTerm, ScoreTerm, Write, work},
    device::Device,
    error::Result,
    num::{to_u32, to_usize},
    profile::OpClass,
    tensor::{Matrix, Weight},
};
use half::bf16;
use std::ops::Range;

const NT_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_wide");
const NT_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_middle");
const NT_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_small");
const NT_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_unaligned");
const NT_F32_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_f32_middle");
const NT_F32_NARROW: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_f32_narrow");
const NT_F32_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_f32_small");
const NT_F32_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_f32_unaligned");
const NN_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_wide");
const NN_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_middle");
const NN_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_small");
const NN_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_unaligned");
const NN_F32_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32_middle");
const NN_F32_NARROW: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32_narrow");
const NN_F32_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32_small");
const NN_F32_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32_unaligned");
const NN_F32_LEFT_ALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32_left_aligned");
const TN_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_wide");
const TN_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_middle");
const TN_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_small");
const TN_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_unaligned");
const TN_LEFT_ALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_left_aligned");
const TN_RIGHT_ALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_right_aligned");
const NT_90A_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul_90a", "matmul_nt_90a_wide");
const NT_90A_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul_90a", "matmul_nt_90a_middle");
const NN_90A_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul_90a", "matmul_nn_90a_wide");
const NN_90A_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul_90a", "matmul_nn_90a_middle");
const TN_90A_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul_90a", "matmul_tn_90a_wide");
const TN_90A_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul_90a", "matmul_tn_90a_middle");
const SUM_BF16: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_sum_bf16");
const SUM_F32: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_sum_f32");

/// The kernels of an orientation for one type of the right operand.
struct Kernels {
    /// For aligned operands, by the tile of each, the largest first.
    larger: &'static [(Tile, Kernel<MatmulArgs>)],
    /// In their place on compute capability 9.0, if any.
    larger_90a: &'static [(Tile, Kernel<MatmulArgs>)],
    small: (Tile, Kernel<MatmulArgs>),
    /// With the small tile.
    unaligned: Kernel<MatmulArgs>,
    /// The same where one operand is aligned, if there is such a kernel: products with factors of any rank have them.
    left_aligned: Option<Kernel<MatmulArgs>>,
    right_aligned: Option<Kernel<MatmulArgs>>,
    /// What the numbers of the output's type are added up by, when the product is split.
    sum: Kernel<MatmulArgs>,
    /// bf16 numbers that stand for an element of the right operand.
    parts: u32,
}

const NT: Kernels = Kernels {
    larger: &[(WIDE, NT_WIDE), (MIDDLE, NT_MIDDLE)],
    larger_90a: &[(WIDE_90A, NT_90A_WIDE), (MIDDLE_90A, NT_90A_MIDDLE)],
    small: (SMALL, NT_SMALL),
    unaligned: NT_UNALIGNED,
    left_aligned: None,
    right_aligned: None,
    sum: SUM_BF16,
    parts: 1,
};
const NT_OF_F32: Kernels = Kernels {
    larger: &[(MIDDLE_F32, NT_F32_MIDDLE), (NARROW_F32, NT_F32_NARROW)],
    larger_90a: &[],
    small: (SMALL, NT_F32_SMALL),
    unaligned: NT_F32_UNALIGNED,
    left_aligned: None,
    right_aligned: None,
    sum: SUM_BF16,
    parts: 2,
};
const NN: Kernels = Kernels {
    larger: &[(WIDE, NN_WIDE), (MIDDLE, NN_MIDDLE)],
    larger_90a: &[(WIDE_90A, NN_90A_WIDE), (MIDDLE_90A, NN_90A_MIDDLE)],
    small: (SMALL, NN_SMALL),
    unaligned: NN_UNALIGNED,
    left_aligned: None,
    right_aligned: None,
    sum: SUM_BF16,
    parts: 1,
};
const NN_OF_F32: Kernels = Kernels {
    larger: &[(MIDDLE_F32, NN_F32_MIDDLE), (NARROW_F32, NN_F32_NARROW)],
    larger_90a: &[],
    small: (SMALL, NN_F32_SMALL),
    unaligned: NN_F32_UNALIGNED,
    left_aligned: Some(NN_F32_LEFT_ALIGNED),
    right_aligned: None,
    sum: SUM_BF16,
    parts: 2,
};
const TN: Kernels = Kernels {
    larger: &[(WIDE, TN_WIDE), (MIDDLE, TN_MIDDLE)],
    larger_90a: &[(WIDE_90A, TN_90A_WIDE), (MIDDLE_90A, TN_90A_MIDDLE)],
    small: (SMALL, TN_SMALL),
    unaligned: TN_UNALIGNED,
    left_aligned: Some(TN_LEFT_ALIGNED),
    right_aligned: Some(TN_RIGHT_ALIGNED),
    sum: SUM_F32,
    parts: 1,
};

impl Kernels {
    /// What multiplies operands of which at most one is aligned.
    fn unaligned(&self, [left, right]: [bool; 2]) -> &Kernel<MatmulArgs> {
        let of_one =
            self.left_aligned.as_ref().filter(|_| left).or(self.right_aligned.as_ref().filter(|_| right));
        of_one.unwrap_or(&self.unaligned)
    }
}

/// Elements of bf16 in 16 bytes: rows of a multiple of them all begin aligned.
const ALIGNED: usize = 8;
/// Blocks that a small product is split for: two a multiprocessor of most GPUs.
const SPLIT_BLOCKS: usize = 256;
/// The same of one that is a tile wide or high: its blocks wait for memory. On an H200, 4096 × 4096, 4096 tokens and rank
/// 14, x·Aᵀ, dy·B and the gradients of A and B take 26, 26 and 48 µs; for 256 blocks 32, 34 and 59; for 1024 28, 30 and 54.
const THIN_SPLIT_BLOCKS: usize = 512;
/// The fewest steps of a part of the depth: with more, filling the pipeline and adding the parts hardly show.
const SPLIT_STEPS: usize = 8;

/// Times this close are equal: the rates that they come from are no better known. The larger tile asks L2 for less.
const NEAR: f64 = 1.05;

/// A tile of the output.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    rows: u32,
    cols: u32,
    threads: u32,
    /// Of the depth.
    step: u32,
    /// Steps in shared memory.
    stages: u32,
}

const WIDE: Tile = Tile {
    rows: MATMUL_WIDE_ROWS,
    cols: MATMUL_WIDE_COLS,
    threads: MATMUL_WIDE_THREADS,
    step: MATMUL_STEP,
    stages: MATMUL_WIDE_STAGES,
};
const MIDDLE: Tile = Tile {
    rows: MATMUL_MIDDLE_ROWS,
    cols: MATMUL_MIDDLE_COLS,
    threads: MATMUL_MIDDLE_THREADS,
    step: MATMUL_STEP,
    stages: MATMUL_MIDDLE_STAGES,
};
const SMALL: Tile = Tile {
    rows: MATMUL_SMALL_ROWS,
    cols: MATMUL_SMALL_COLS,
    threads: MATMUL_SMALL_THREADS,
    step: MATMUL_STEP,
    stages: MATMUL_SMALL_STAGES,
};
/// With f32 weights, whose sums take more registers.
const MIDDLE_F32: Tile = Tile { threads: MATMUL_MIDDLE_F32_THREADS, ..MIDDLE };
const NARROW_F32: Tile = Tile {
    rows: MATMUL_NARROW_ROWS,
    cols: MATMUL_NARROW_COLS,
    threads: MATMUL_NARROW_THREADS,
    step: MATMUL_STEP,
    stages: MATMUL_NARROW_STAGES,
};
/// On Hopper's own instructions.
const WIDE_90A: Tile = Tile {
    rows: MATMUL_90A_ROWS,
    cols: MATMUL_90A_WIDE_COLS,
    threads: MATMUL_90A_THREADS,
    step: MATMUL_90A_STEP,
    stages: MATMUL_90A_WIDE_STAGES,
};
const MIDDLE_90A: Tile = Tile { cols: MATMUL_90A_MIDDLE_COLS, stages: MATMUL_90A_MIDDLE_STAGES, ..WIDE_90A };

impl Tile {
    /// Those that cover an output.
    fn count(&self, shape: Shape) -> usize {
        shape.rows.div_ceil(to_usize(self.rows)) * shape.cols.div_ceil(to_usize(self.cols))
    }

    /// Bytes of the operands for each of the depth, when an element of the right one takes `parts` bf16 numbers.
    fn bytes(&self, parts: u32) -> u32 {
        (self.rows + parts * self.cols) * 2
    }

    /// Bytes of shared memory.
    fn shared(&self, parts: u32) -> u32 {
        self.stages * self.step * self.bytes(parts)
    }

    /// Cycles of a device for an output, for each of the depth: the longer of what the tensor cores of the busiest
    /// multiprocessor take, however many of its tiles it holds at once, and what L2 takes to bring all tiles their
    /// operands. Small tiles also read shared memory more often, but where that shows, L2 takes longer.
    fn cycles(&self, shape: Shape, parts: u32, device: &Properties) -> f64 {
        let tiles = self.count(shape);
        let of_busiest = tiles.div_ceil(to_usize(device.multiprocessors.max(1)));
        let operations = f64::from(2 * parts * self.rows * self.cols);
        let tensor = of_busiest as f64 * operations / device.tensor_a_cycle();
        tensor.max(tiles as f64 * f64::from(self.bytes(parts)) / device.l2_a_cycle())
    }
}

/// An output `[rows, cols]` whose elements sum over `depth`.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    cols: usize,
    depth: usize,
}

impl Shape {
    /// The depth of a part, a multiple of a step: enough parts to occupy a GPU where the small tiles do not. It depends
    /// on the shape alone, because the rounding does.
    fn split_depth(self) -> usize {
        let step = to_usize(MATMUL_STEP);
        let steps = self.depth.div_ceil(step);
        let thin = self.rows <= to_usize(SMALL.rows) || self.cols <= to_usize(SMALL.cols);
        let blocks = if thin { THIN_SPLIT_BLOCKS } else { SPLIT_BLOCKS };
        let parts = (blocks / SMALL.count(self).max(1)).min(steps / SPLIT_STEPS).max(1);
        steps.div_ceil(parts).max(1) * step
    }

    fn splits(self) -> usize {
        self.depth.div_ceil(self.split_depth()).max(1)
    }

    /// The tile that takes a device the fewest cycles, and its kernel: the largest of those that [`NEAR`] calls equal. All
    /// sum in the same order.
    fn tile<'a>(self, device: &Properties, kernels: &'a Kernels) -> (Tile, &'a Kernel<MatmulArgs>) {
        let own = device.is_hopper() && !kernels.larger_90a.is_empty();
        let larger = if own { kernels.larger_90a } else { kernels.larger };
        let larger = larger.iter().filter(|_| self.splits() == 1);
        let tiles = larger.chain([&kernels.small]);
        let cycles = |tile: &Tile| tile.cycles(self, kernels.parts, device);
        let least = tiles.clone().map(|(tile, _)| cycles(tile)).fold(f64::INFINITY, f64::min);
        let (tile, kernel) =
            tiles.clone().find(|(tile, _)| cycles(tile) <= NEAR * least).unwrap_or(&kernels.small);
        (*tile, kernel)
    }
}

/// How a product leaves its output.
#[derive(Clone, Copy)]
enum Finish {
    /// `out ← [out +] scale · product`.
    Write(f32, Write),
    /// `out += product²`, elementwise.
    AddSquare,
}

/// What joins a product before it is written; see [`LinearTerms`]. S does not: its kernel adds to the output in place.
#[derive(Clone, Copy)]
struct Joined<'a> {
    bias: Option<&'a Matrix<Cuda, f32>>,
    low_rank: Option<LowRankTerm<'a, Cuda>>,
}

const NOTHING: Joined<'_> = Joined { bias: None, low_rank: None };

/// The operands of a product, and where it goes.
struct Product<'a> {
    shape: Shape,
    /// Whether all rows of the left and of the right operand begin at multiples of 16 bytes.
    aligned: [bool; 2],
    left: u64,
    right: u64,
    joined: Joined<'a>,
    finish: Finish,
    out: u64,
}

impl Product<'_> {
    /// # Safety
    /// The addresses are those of matrices that live until the call returns, of the shape and the types of `kernels`;
    /// what joins has the shapes that [`LinearTerms`] states.
    unsafe fn launch(self, cuda: &Cuda, kernels: &Kernels) -> Result<()> {
        let Self { shape, aligned, left, right, joined, finish, out } = self;
        let driver = &cuda.driver;
        let splits = shape.splits();
        let (tile, kernel) = match aligned {
            [true, true] => shape.tile(cuda.properties(), kernels),
            aligned => (kernels.small.0, kernels.unaligned(aligned)),
        };
        let mut partials = match splits {
            1 => None,
            _ => Some(driver.uninit::<f32>(splits * shape.rows * shape.cols)?),
        };
        let (scale, write) = match finish {
            Finish::Write(scale, Write::Overwrite) => (scale, MATMUL_OVERWRITE),
            Finish::Write(scale, Write::Add) => (scale, MATMUL_ADD),
            Finish::AddSquare => (1.0, MATMUL_ADD_SQUARE),
        };
        let low_rank = joined.low_rank;
        let args = MatmulArgs {
            rows: to_u32("rows of a product", shape.rows)?,
            cols: to_u32("columns of a product", shape.cols)?,
            depth: to_u32("depth of a product", shape.depth)?,
            split_depth: to_u32("depth of a product", shape.split_depth())?,
            write,
            rank: to_u32("rank of what joins a product", low_rank.map_or(0, |l| l.u.cols()))?,
            scale,
            low_rank_scale: low_rank.map_or(0.0, |l| l.scale),
            left,
            right,
            bias: joined.bias.map_or(0, |bias| driver.input(bias.buffer())),
            u: low_rank.map_or(0, |l| driver.input(l.u.buffer())),
            factor: low_rank.map_or(0, |l| driver.input(l.factor.buffer())),
            partials: partials.as_mut().map_or(0, |partials| driver.output(partials)),
            out,
        };
        let blocks = [to_u32("tiles", tile.count(shape))?, to_u32("parts", splits)?, 1];
        let grid = Grid { blocks, threads: tile.threads, shared: tile.shared(kernels.parts) };
        // SAFETY: the caller's promise; partials holds what each part of the depth leaves.
        unsafe { driver.launch(kernel, grid, args)? };
        if partials.is_some() {
            let blocks = cuda.blocks_for(shape.rows * shape.cols, MATMUL_SUM_THREADS);
            // SAFETY: the same.
            unsafe { driver.launch(&kernels.sum, Grid::row(blocks, MATMUL_SUM_THREADS), args)? };
        }
        Ok(())
    }
}

/// The kernels for the type of a weight, and its address.
fn weight(
    cuda: &Cuda,
    w: &Weight<'_, Cuda>,
    f32: &'static Kernels,
    bf16: &'static Kernels,
) -> (u64, &'static Kernels) {
    match w {
        Weight::F32(w) => (cuda.driver.input(w.buffer()), f32),
        Weight::Bf16(w) => (cuda.driver.input(w.buffer()), bf16),
        Weight::Nf4(_) => unreachable!("4-bit weights have products of their own, in nf4_matmul"),
    }
}

pub(super) fn matmul_nt(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    scale: f32,
    write: Write,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    nt(cuda, x, w, NOTHING, Finish::Write(scale, write), y)
}

pub(super) fn matmul_nn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    nn(cuda, dy, w, NOTHING, Finish::Write(scale, write), dx)
}

pub(super) fn matmul_tn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    x: &Matrix<Cuda>,
    tokens: Range<usize>,
    scale: f32,
    write: Write,
    dw: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    tn(cuda, dy, x, tokens, Finish::Write(scale, write), dw)
}

pub(super) fn score_product_add(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    x: &Matrix<Cuda>,
    tokens: Range<usize>,
    term: ScoreTerm,
    scores: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let finish = match term {
        ScoreTerm::Square => Finish::AddSquare,
        ScoreTerm::Sum => Finish::Write(1.0, Write::Add),
    };
    tn(cuda, dy, x, tokens, finish, scores)
}

/// The product, the bias and the low-rank term in one pass; then S.
pub(super) fn linear(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    terms: LinearTerms<'_, Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let joined = Joined { bias: terms.bias, low_rank: terms.low_rank };
    nt(cuda, x, w, joined, Finish::Write(1.0, Write::Overwrite), y)?;
    let Some(s) = terms.sparse else { return Ok(()) };
    cuda.profiled(OpClass::Spmm, work::spmm(s, x, y), || spmm::spmm_add(cuda, s, x, y))
}

/// The product and the low-rank term in one pass; then S.
pub(super) fn linear_t(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    terms: LinearTerms<'_, Cuda>,
    write: Write,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    let joined = Joined { bias: None, low_rank: terms.low_rank };
    nn(cuda, dy, w, joined, Finish::Write(1.0, write), dx)?;
    let Some(s) = terms.sparse else { return Ok(()) };
    cuda.profiled(OpClass::Spmm, work::spmm(s, dy, dx), || spmm::spmm_t_add(cuda, s, dy, dx))
}

fn nt(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    joined: Joined<'_>,
    finish: Finish,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let (right, kernels) = weight(cuda, &w, &NT_OF_F32, &NT);
    let product = Product {
        shape: Shape { rows: x.rows(), cols: w.rows(), depth: x.cols() },
        aligned: [x.cols().is_multiple_of(ALIGNED); 2],
        left: cuda.driver.input(x.buffer()),
        right,
        joined,
        finish,
        out: cuda.driver.output(y.buffer_mut()),
    };
    // SAFETY: x [rows, depth], w [cols, depth], y [rows, cols], u [rows, rank], factor [cols, rank], by the contract of
    // the op.
    unsafe { product.launch(cuda, kernels) }
}

fn nn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    joined: Joined<'_>,
    finish: Finish,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    let (right, kernels) = weight(cuda, &w, &NN_OF_F32, &NN);
    let product = Product {
        shape: Shape { rows: dy.rows(), cols: w.cols(), depth: dy.cols() },
        aligned: [dy.cols(), w.cols()].map(|cols| cols.is_multiple_of(ALIGNED)),
        left: cuda.driver.input(dy.buffer()),
        right,
        joined,
        finish,
        out: cuda.driver.output(dx.buffer_mut()),
    };
    // SAFETY: dy [rows, depth], w [depth, cols], dx [rows, cols], u [rows, rank], factor [rank, cols], by the contract
    // of the op.
    unsafe { product.launch(cuda, kernels) }
}

fn tn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    x: &Matrix<Cuda>,
    tokens: Range<usize>,
    finish: Finish,
    dw: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    // The tokens are rows of both operands: a range of them begins further on.
    let from = |matrix: &Matrix<Cuda>| {
        cuda.driver.input(matrix.buffer()) + (tokens.start * matrix.cols() * size_of::<bf16>()) as u64
    };
    let product = Product {
        shape: Shape { rows: dy.cols(), cols: x.cols(), depth: tokens.len() },
        aligned: [dy.cols(), x.cols()].map(|cols| cols.is_multiple_of(ALIGNED)),
        left: from(dy),
        right: from(x),
        joined: NOTHING,
        finish,
        out: cuda.driver.output(dw.buffer_mut()),
    };
    // SAFETY: dy [depth, rows], x [depth, cols] from the first token on, dw [rows, cols], by the contract of the op.
    unsafe { product.launch(cuda, &TN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: usize, cols: usize, depth: usize) -> Shape {
        Shape { rows, cols, depth }
    }

    /// A GPU as tools/vgpu has it.
    fn device(capability: (u32, u32), multiprocessors: u32, kilobytes: u32, clock: f64) -> Properties {
        Properties {
            name: String::new(),
            capability,
            multiprocessors,
            shared_memory: kilobytes << 10,
            memory: 1 << 30,
            clock,
            memory_clock: 1e9,
            memory_bus: 256,
        }
    }

    fn a100() -> Properties {
        device((8, 0), 108, 163, 1.41e9)
    }

    fn h100() -> Properties {
        device((9, 0), 132, 227, 1.755e9)
    }

    fn rtx4090() -> Properties {
        device((8, 9), 128, 99, 2.52e9)
    }

    fn tile(shape: Shape, device: &Properties) -> Tile {
        shape.tile(device, &NT).0
    }

    #[test]
    fn rates_are_those_of_data_sheets_and_of_published_measurements() {
        for (known, tensor, l2) in
            [(a100(), 312e12, 5e12), (h100(), 990e12, 7.88e12), (rtx4090(), 330e12, 5e12)]
        {
            // As vgpu, which passes for a GPU that nothing is compiled for.
            let unknown = Properties { capability: (99, 0), ..known.clone() };
            for device in [known, unknown] {
                let share = device.l2_a_cycle() * device.clock / l2;
                assert!((share - 1.0).abs() < 0.002, "{share} of {l2}");
                let share =
                    device.tensor_a_cycle() * f64::from(device.multiprocessors) * device.clock / tensor;
                assert!((share - 1.0).abs() < 0.05, "{share} of {tensor}");
            }
        }
    }

    #[test]
    fn a_tile_takes_what_binds_it() {
        let all = shape(512, 4096, 4096);
        let assert_takes = |tile: Tile, parts, device: &Properties, cycles: f64| {
            let got = tile.cycles(all, parts, device);
            assert!((got - cycles).abs() < 1e-9 * cycles, "{tile:?}: {got} and {cycles}");
        };
        // 64 wide tiles, one at most on each multiprocessor; 128 middle ones, two on the busiest of an A100.
        assert_takes(WIDE, 1, &a100(), f64::from(128 * 256 * 2 / 2048));
        assert_takes(MIDDLE, 1, &a100(), f64::from(2 * 128 * 128 * 2 / 2048));
        assert_takes(WIDE_90A, 1, &h100(), f64::from(128 * 256 * 2 / 4096));
        // 128 tiles of 256 rows and columns of 2 bytes.
        assert_takes(MIDDLE_90A, 1, &h100(), f64::from(128 * 256 * 2) / (34.0 * 132.0));
        // Of f32, 128 columns are those of 256.
        assert_takes(MIDDLE_F32, 2, &h100(), f64::from(128 * 384 * 2) / (34.0 * 132.0));
        assert_takes(NARROW_F32, 2, &a100(), f64::from(3 * 128 * 64 * 4 / 2048));
    }

    #[test]
    fn a_tile_leaves_few_multiprocessors_idle() {
        // 64 wide tiles would leave half of an H100 idle. Measured on an H200: 33 µs in middle ones, 49 in wide ones; from
        // 1024 rows on 64 and 56.
        assert_eq!(tile(shape(512, 4096, 4096), &h100()), MIDDLE_90A);
        for rows in [1024, 2048, 4096] {
            assert_eq!(tile(shape(rows, 4096, 4096), &h100()), WIDE_90A);
        }
        // GPUs built alike have not its instructions.
        let newer = Properties { capability: (99, 0), ..h100() };
        assert_eq!(tile(shape(1024, 4096, 4096), &newer), WIDE);
        // 64 wide tiles take as long on an A100 as 128 middle ones, two on the busiest.
        assert_eq!(tile(shape(512, 4096, 4096), &a100()), WIDE);
        // 256 wide tiles, three on the busiest; 512 middle ones, five of half the time.
        assert_eq!(tile(shape(2048, 4096, 4096), &a100()), MIDDLE);
        assert_eq!(tile(shape(4096, 4096, 512), &a100()), WIDE);
        assert_eq!(tile(shape(256, 1024, 256), &a100()), SMALL);
        assert_eq!(tile(shape(256, 1024, 256), &Properties { multiprocessors: 1, ..a100() }), WIDE);
        assert_eq!(tile(shape(512, 4096, 4096), &rtx4090()), MIDDLE);
        // What tests/ops/matmul.rs takes for the two large tiles.
        assert_eq!(tile(shape(136, 256 * 66 - 8, 40), &h100()), WIDE_90A);
        assert_eq!(tile(shape(72, 128 * 80 - 8, 40), &h100()), MIDDLE_90A);
        assert_eq!(tile(shape(72, 256 * 58 - 8, 40), &a100()), WIDE);
        assert_eq!(tile(shape(72, 128 * 80 - 8, 40), &a100()), MIDDLE);
    }

    #[test]
    fn a_tile_of_f32_weights_leaves_few_multiprocessors_idle() {
        let tile = |shape: Shape, device: &Properties| shape.tile(device, &NN_OF_F32).0;
        // 128 middle tiles, two on the busiest of an A100; 256 narrow ones, three of half the time.
        assert_eq!(tile(shape(512, 4096, 4096), &a100()), NARROW_F32);
        assert_eq!(tile(shape(512, 4096, 4096), &h100()), MIDDLE_F32);
        assert_eq!(tile(shape(2048, 4096, 4096), &a100()), MIDDLE_F32);
        assert_eq!(tile(shape(256, 1024, 256), &a100()), SMALL);
        // What tests/ops/matmul.rs takes for the larger two.
        assert_eq!(tile(shape(72, 256 * 58 - 8, 40), &a100()), NARROW_F32);
        assert_eq!(tile(shape(72, 128 * 80 - 8, 40), &a100()), MIDDLE_F32);
    }

    #[test]
    fn thin_products_share_their_depth() {
        for (shape, split_depth, splits) in [
            (shape(1, 4096, 4096), 512, 8),
            (shape(64, 4096, 4096), 512, 8),
            (shape(65, 4096, 4096), 2048, 2),
            (shape(512, 16, 4096), 256, 16),
            (shape(16, 4096, 512), 256, 2),
            (shape(512, 4096, 4096), 4096, 1),
            (shape(1, 4096, 16), 32, 1),
            (shape(1, 1, 480), 480, 1),
            (shape(1, 1, 481), 256, 2),
            // 20 steps in 2 parts; 25 in 3, the last of which is shorter.
            (shape(1, 1, 640), 320, 2),
            (shape(1, 1, 800), 288, 3),
            (shape(0, 5, 512), 256, 2),
            (shape(3, 5, 0), 32, 1),
        ] {
            assert_eq!((shape.split_depth(), shape.splits()), (split_depth, splits));
            assert!(splits == 1 || tile(shape, &a100()) == SMALL);
        }
    }
}
