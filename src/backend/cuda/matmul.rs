//! Dense products: which tile computes an output, and whether its blocks share the depth.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{
        MATMUL_MIDDLE_COLS, MATMUL_MIDDLE_ROWS, MATMUL_MIDDLE_STAGES, MATMUL_MIDDLE_THREADS,
        MATMUL_SMALL_COLS, MATMUL_SMALL_ROWS, MATMUL_SMALL_STAGES, MATMUL_SMALL_THREADS, MATMUL_STEP,
        MATMUL_SUM_THREADS, MATMUL_WIDE_COLS, MATMUL_WIDE_ROWS, MATMUL_WIDE_STAGES, MATMUL_WIDE_THREADS,
        MatmulArgs,
    },
};
use crate::{
    backend::Write,
    error::Result,
    num::{to_u32, to_usize},
    tensor::{Matrix, Weight},
};
use half::bf16;
use std::ops::Range;

const NT_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_wide");
const NT_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_middle");
const NT_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_small");
const NT_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_unaligned");
const NT_F32: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_f32");
const NT_F32_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nt_f32_unaligned");
const NN_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_wide");
const NN_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_middle");
const NN_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_small");
const NN_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_unaligned");
const NN_F32: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32");
const NN_F32_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_nn_f32_unaligned");
const TN_WIDE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_wide");
const TN_MIDDLE: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_middle");
const TN_SMALL: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_small");
const TN_UNALIGNED: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_tn_unaligned");
const SUM_BF16: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_sum_bf16");
const SUM_F32: Kernel<MatmulArgs> = Kernel::new("matmul", "matmul_sum_f32");

/// The kernels of an orientation for one type of the right operand.
struct Kernels {
    /// With wide and middle tiles; f32 weights have small ones only.
    large: Option<(Kernel<MatmulArgs>, Kernel<MatmulArgs>)>,
    small: Kernel<MatmulArgs>,
    unaligned: Kernel<MatmulArgs>,
    /// What the numbers of the output's type are added up by, when the product is split.
    sum: Kernel<MatmulArgs>,
    /// bf16 numbers that stand for an element of the right operand.
    parts: u32,
}

const NT: Kernels = Kernels {
    large: Some((NT_WIDE, NT_MIDDLE)),
    small: NT_SMALL,
    unaligned: NT_UNALIGNED,
    sum: SUM_BF16,
    parts: 1,
};
const NT_OF_F32: Kernels =
    Kernels { large: None, small: NT_F32, unaligned: NT_F32_UNALIGNED, sum: SUM_BF16, parts: 2 };
const NN: Kernels = Kernels {
    large: Some((NN_WIDE, NN_MIDDLE)),
    small: NN_SMALL,
    unaligned: NN_UNALIGNED,
    sum: SUM_BF16,
    parts: 1,
};
const NN_OF_F32: Kernels =
    Kernels { large: None, small: NN_F32, unaligned: NN_F32_UNALIGNED, sum: SUM_BF16, parts: 2 };
const TN: Kernels = Kernels {
    large: Some((TN_WIDE, TN_MIDDLE)),
    small: TN_SMALL,
    unaligned: TN_UNALIGNED,
    sum: SUM_F32,
    parts: 1,
};

/// Elements of bf16 in 16 bytes: rows of a multiple of them all begin aligned.
const ALIGNED: usize = 8;
/// Blocks that a thin product is split for: two a multiprocessor of most GPUs.
const SPLIT_BLOCKS: usize = 256;
/// The fewest steps of a part of the depth: with more, filling the pipeline and adding the parts hardly show.
const SPLIT_STEPS: usize = 8;

/// A tile of the output.
#[derive(Debug, PartialEq)]
struct Tile {
    rows: u32,
    cols: u32,
    threads: u32,
    stages: u32,
    /// Time on a multiprocessor, in that of a small tile: a wide one is bound by the tensor cores, the others by what L2
    /// gives, of which a small one needs twice as much for each multiplication.
    cost: usize,
}

const WIDE: Tile = Tile {
    rows: MATMUL_WIDE_ROWS,
    cols: MATMUL_WIDE_COLS,
    threads: MATMUL_WIDE_THREADS,
    stages: MATMUL_WIDE_STAGES,
    cost: 4,
};
const MIDDLE: Tile = Tile {
    rows: MATMUL_MIDDLE_ROWS,
    cols: MATMUL_MIDDLE_COLS,
    threads: MATMUL_MIDDLE_THREADS,
    stages: MATMUL_MIDDLE_STAGES,
    cost: 2,
};
const SMALL: Tile = Tile {
    rows: MATMUL_SMALL_ROWS,
    cols: MATMUL_SMALL_COLS,
    threads: MATMUL_SMALL_THREADS,
    stages: MATMUL_SMALL_STAGES,
    cost: 1,
};

impl Tile {
    /// Those that cover an output.
    fn count(&self, shape: Shape) -> usize {
        shape.rows.div_ceil(to_usize(self.rows)) * shape.cols.div_ceil(to_usize(self.cols))
    }

    /// Bytes of shared memory, when an element of the right operand takes `parts` bf16 numbers.
    fn shared(&self, parts: u32) -> u32 {
        self.stages * MATMUL_STEP * (self.rows + parts * self.cols) * 2
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
        let parts = (SPLIT_BLOCKS / SMALL.count(self).max(1)).min(steps / SPLIT_STEPS).max(1);
        steps.div_ceil(parts).max(1) * step
    }

    fn splits(self) -> usize {
        self.depth.div_ceil(self.split_depth()).max(1)
    }

    /// The tile that leaves the busiest multiprocessor the least to do, the larger one of equals. All sum in the same
    /// order.
    fn tile(self, multiprocessors: u32) -> Tile {
        let busiest = |tile: &Tile| tile.count(self).div_ceil(to_usize(multiprocessors.max(1))) * tile.cost;
        let unsplit = [WIDE, MIDDLE].into_iter().filter(|_| self.splits() == 1);
        unsplit.chain([SMALL]).min_by_key(busiest).unwrap_or(SMALL)
    }
}

/// The operands of a product, and where it goes.
struct Product {
    shape: Shape,
    /// Whether all rows of both operands begin at multiples of 16 bytes.
    aligned: bool,
    left: u64,
    right: u64,
    scale: f32,
    write: Write,
    out: u64,
}

impl Product {
    /// # Safety
    /// The addresses are those of matrices that live until the call returns, of the shape and the types of `kernels`.
    unsafe fn launch(self, cuda: &Cuda, kernels: &Kernels) -> Result<()> {
        let Self { shape, aligned, left, right, scale, write, out } = self;
        let driver = &cuda.driver;
        let splits = shape.splits();
        let tile = shape.tile(cuda.properties().multiprocessors);
        let (kernel, tile) = match &kernels.large {
            _ if !aligned => (&kernels.unaligned, SMALL),
            Some((wide, _)) if tile == WIDE => (wide, WIDE),
            Some((_, middle)) if tile == MIDDLE => (middle, MIDDLE),
            _ => (&kernels.small, SMALL),
        };
        let mut partials = match splits {
            1 => None,
            _ => Some(driver.uninit::<f32>(splits * shape.rows * shape.cols)?),
        };
        let args = MatmulArgs {
            rows: to_u32("rows of a product", shape.rows)?,
            cols: to_u32("columns of a product", shape.cols)?,
            depth: to_u32("depth of a product", shape.depth)?,
            split_depth: to_u32("depth of a product", shape.split_depth())?,
            add: u32::from(write == Write::Add),
            scale,
            left,
            right,
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
    let (right, kernels) = weight(cuda, &w, &NT_OF_F32, &NT);
    let product = Product {
        shape: Shape { rows: x.rows(), cols: w.rows(), depth: x.cols() },
        aligned: x.cols().is_multiple_of(ALIGNED),
        left: cuda.driver.input(x.buffer()),
        right,
        scale,
        write,
        out: cuda.driver.output(y.buffer_mut()),
    };
    // SAFETY: x [rows, depth], w [cols, depth], y [rows, cols], by the contract of the op.
    unsafe { product.launch(cuda, kernels) }
}

pub(super) fn matmul_nn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    let (right, kernels) = weight(cuda, &w, &NN_OF_F32, &NN);
    let product = Product {
        shape: Shape { rows: dy.rows(), cols: w.cols(), depth: dy.cols() },
        aligned: dy.cols().is_multiple_of(ALIGNED) && w.cols().is_multiple_of(ALIGNED),
        left: cuda.driver.input(dy.buffer()),
        right,
        scale,
        write,
        out: cuda.driver.output(dx.buffer_mut()),
    };
    // SAFETY: dy [rows, depth], w [depth, cols], dx [rows, cols], by the contract of the op.
    unsafe { product.launch(cuda, kernels) }
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
    // The tokens are rows of both operands: a range of them begins further on.
    let from = |matrix: &Matrix<Cuda>| {
        cuda.driver.input(matrix.buffer()) + (tokens.start * matrix.cols() * size_of::<bf16>()) as u64
    };
    let product = Product {
        shape: Shape { rows: dy.cols(), cols: x.cols(), depth: tokens.len() },
        aligned: dy.cols().is_multiple_of(ALIGNED) && x.cols().is_multiple_of(ALIGNED),
        left: from(dy),
        right: from(x),
        scale,
        write,
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

    #[test]
    fn a_tile_leaves_few_multiprocessors_idle() {
        // 64 wide tiles take as long on 108 multiprocessors as 128 middle ones, which 132 do at once.
        assert_eq!(shape(512, 4096, 4096).tile(108), WIDE);
        assert_eq!(shape(512, 4096, 4096).tile(132), MIDDLE);
        // 256 wide tiles, three on the busiest; 512 middle ones, five of half the time.
        assert_eq!(shape(2048, 4096, 4096).tile(108), MIDDLE);
        assert_eq!(shape(4096, 4096, 512).tile(108), WIDE);
        assert_eq!(shape(256, 1024, 256).tile(108), SMALL);
        // What tests/ops/matmul.rs takes for the two large tiles, on the GPU that it names.
        assert_eq!(shape(8, 256 * 82 - 8, 40).tile(108), WIDE);
        assert_eq!(shape(72, 128 * 28 - 8, 40).tile(108), MIDDLE);
        assert_eq!(shape(256, 1024, 256).tile(1), WIDE);
    }

    #[test]
    fn thin_products_share_their_depth() {
        for (shape, split_depth, splits) in [
            (shape(1, 4096, 4096), 1024, 4),
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
            assert!(splits == 1 || shape.tile(108) == SMALL);
        }
    }
}
