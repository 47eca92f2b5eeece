//! Causal grouped-query attention over packed sequences, and its gradients.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{
        ATTENTION_NARROW, ATTENTION_PADDING, ATTENTION_THREADS, ATTENTION_TILE, ATTENTION_WIDE,
        AttentionArgs, AttentionBackwardArgs, AttentionMeansArgs, AttentionSumArgs,
    },
};
use crate::{
    backend::Heads,
    error::Result,
    num::{to_f32, to_u32, to_usize},
    packing::Packing,
    tensor::Matrix,
};

const NARROW: Kernel<AttentionArgs> = Kernel::new("attention", "attention_narrow");
const WIDE: Kernel<AttentionArgs> = Kernel::new("attention", "attention_wide");
const NARROW_SPLIT: Kernel<AttentionArgs> = Kernel::new("attention", "attention_narrow_split");
const WIDE_SPLIT: Kernel<AttentionArgs> = Kernel::new("attention", "attention_wide_split");
const SUM: Kernel<AttentionSumArgs> = Kernel::new("attention", "attention_sum");
const SLICED: Kernel<AttentionArgs> = Kernel::new("attention_sliced", "attention_sliced");
const MEANS: Kernel<AttentionMeansArgs> = Kernel::new("attention_backward", "attention_means");
const DQ_NARROW: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dq_narrow");
const DQ_WIDE: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dq_wide");
const DQ_SLICED: Kernel<AttentionBackwardArgs> = Kernel::new("attention_sliced", "attention_dq_sliced");
const DKV_NARROW: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dkv_narrow");
const DKV_WIDE: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dkv_wide");

const DKV_SLICED: Kernel<AttentionBackwardArgs> = Kernel::new("attention_sliced", "attention_dkv_sliced");

/// The kernels of a product, and the tiles that each holds in shared memory.
struct Kernels<A> {
    narrow: Kernel<A>,
    wide: Kernel<A>,
    tiles: u32,
    sliced: Kernel<A>,
    sliced_tiles: u32,
}

const FORWARD: Kernels<AttentionArgs> =
    Kernels { narrow: NARROW, wide: WIDE, tiles: 3, sliced: SLICED, sliced_tiles: 3 };
const DQ: Kernels<AttentionBackwardArgs> =
    Kernels { narrow: DQ_NARROW, wide: DQ_WIDE, tiles: 4, sliced: DQ_SLICED, sliced_tiles: 3 };
const DKV: Kernels<AttentionBackwardArgs> =
    Kernels { narrow: DKV_NARROW, wide: DKV_WIDE, tiles: 4, sliced: DKV_SLICED, sliced_tiles: 4 };

/// Blocks that the keys are split for: two a multiprocessor of most GPUs.
const SPLIT_BLOCKS: usize = 256;
/// The fewest keys of a part: with more, what joining the parts moves hardly shows.
const PART_KEYS: usize = 512;

/// How many parts the keys of the longest sequence are cut into, and the keys of a part, when there are `blocks` blocks
/// without. It depends on the shapes alone, because the rounding does.
fn parts(blocks: usize, longest: usize) -> (usize, usize) {
    let wanted = (SPLIT_BLOCKS / blocks.max(1)).min(longest / PART_KEYS).max(1);
    let keys = longest.div_ceil(wanted).next_multiple_of(to_usize(ATTENTION_TILE)).max(1);
    (longest.div_ceil(keys).max(1), keys)
}

/// The numbers that shape the launches of a packing and its heads.
struct Shape {
    sequences: u32,
    heads: u32,
    kv_heads: u32,
    group: u32,
    head_dim: u32,
    /// `log2(exp(1)) / √e`.
    score_scale: f32,
    tokens: u32,
    /// Query rows of a key head: `tokens · group`.
    rows: u32,
}

impl Shape {
    fn new(packing: &Packing<Cuda>, heads: Heads) -> Result<Self> {
        let group = heads.heads / heads.kv_heads;
        let head_dim = to_u32("head_dim", heads.head_dim)?;
        // Within a token, offsets are 32-bit.
        to_u32("columns of q", heads.heads * heads.head_dim)?;
        Ok(Self {
            sequences: to_u32("sequences", packing.sequences().len())?,
            heads: to_u32("heads", heads.heads)?,
            kv_heads: to_u32("key heads", heads.kv_heads)?,
            group: to_u32("heads of a key head", group)?,
            head_dim,
            score_scale: to_f32(std::f64::consts::LOG2_E / f64::from(head_dim).sqrt()),
            tokens: to_u32("tokens", packing.tokens())?,
            rows: to_u32("tokens times heads of a key head", packing.tokens() * group)?,
        })
    }

    /// The kernel for heads of this width, and its grid: a block for every number that a tile of `rows` rows in all may
    /// have (`find_tile` in `attention.cuh`), key head and slice; with `numbers` f32 of shared memory behind the tiles.
    fn pick<'a, A>(&self, kernels: &'a Kernels<A>, rows: u32, numbers: u32) -> (&'a Kernel<A>, Grid) {
        let (kernel, width, tiles) = if self.head_dim <= ATTENTION_NARROW {
            (&kernels.narrow, ATTENTION_NARROW, kernels.tiles)
        } else if self.head_dim <= ATTENTION_WIDE {
            (&kernels.wide, ATTENTION_WIDE, kernels.tiles)
        } else {
            (&kernels.sliced, ATTENTION_WIDE, kernels.sliced_tiles)
        };
        let slices = self.head_dim.div_ceil(width);
        let grid = Grid {
            blocks: [rows / ATTENTION_TILE + self.sequences, self.kv_heads, slices],
            threads: ATTENTION_THREADS,
            shared: tiles * ATTENTION_TILE * (width + ATTENTION_PADDING) * 2 + numbers * 4,
        };
        (kernel, grid)
    }
}

pub(super) fn attention(
    cuda: &Cuda,
    q: &Matrix<Cuda>,
    k: &Matrix<Cuda>,
    v: &Matrix<Cuda>,
    packing: &Packing<Cuda>,
    heads: Heads,
    y: &mut Matrix<Cuda>,
    lse: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    let shape = Shape::new(packing, heads)?;
    let driver = &cuda.driver;
    let (kernel, grid) = shape.pick(&FORWARD, shape.rows, 0);
    let longest = packing.longest();
    let (parts, part_keys) = match shape.head_dim {
        0..=ATTENTION_WIDE => parts(grid.blocks.into_iter().map(to_usize).product(), longest),
        _ => (1, longest),
    };
    let mut args = AttentionArgs {
        sequences: shape.sequences,
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        group: shape.group,
        head_dim: shape.head_dim,
        score_scale: shape.score_scale,
        tokens: shape.tokens,
        part_keys: to_u32("keys of a part", part_keys)?,
        packing: driver.input(packing.on_device()),
        q: driver.input(q.buffer()),
        k: driver.input(k.buffer()),
        v: driver.input(v.buffer()),
        y: driver.output(y.buffer_mut()),
        lse: driver.output(lse.buffer_mut()),
        partials: 0,
        softmax: 0,
    };
    if parts == 1 {
        // SAFETY: the shapes agree and the packing names rows that exist, by the contract of the op.
        return unsafe { driver.launch(kernel, grid, args) };
    }
    let mut partials = driver.uninit::<f32>(parts * q.len())?;
    let mut softmax = driver.uninit::<f32>(parts * lse.len() * 2)?;
    (args.partials, args.softmax) = (driver.output(&mut partials), driver.output(&mut softmax));
    let kernel = if shape.head_dim <= ATTENTION_NARROW { &NARROW_SPLIT } else { &WIDE_SPLIT };
    let grid = Grid { blocks: [grid.blocks[0], grid.blocks[1], to_u32("parts of the keys", parts)?], ..grid };
    let of_sum = AttentionSumArgs {
        rows: to_u32("tokens times heads", lse.len())?,
        head_dim: shape.head_dim,
        parts: parts as u64,
        partials: args.partials,
        softmax: args.softmax,
        y: args.y,
        lse: args.lse,
    };
    let warps = to_usize(ATTENTION_THREADS / 32);
    let sum_grid = Grid::row(to_u32("rows", lse.len().div_ceil(warps))?, ATTENTION_THREADS);
    // SAFETY: the same; `partials` and `softmax` have a row for each of y and lse and part, all written by the first.
    unsafe {
        driver.launch(kernel, grid, args)?;
        driver.launch(&SUM, sum_grid, of_sum)
    }
}

pub(super) fn attention_backward(
    cuda: &Cuda,
    q: &Matrix<Cuda>,
    k: &Matrix<Cuda>,
    v: &Matrix<Cuda>,
    y: &Matrix<Cuda>,
    lse: &Matrix<Cuda, f32>,
    dy: &Matrix<Cuda>,
    packing: &Packing<Cuda>,
    heads: Heads,
    dq: &mut Matrix<Cuda>,
    dk: &mut Matrix<Cuda>,
    dv: &mut Matrix<Cuda>,
) -> Result<()> {
    let shape = Shape::new(packing, heads)?;
    let driver = &cuda.driver;
    let mut means = driver.uninit::<f32>(lse.len())?;
    let of_means = AttentionMeansArgs {
        rows: lse.len() as u64,
        head_dim: u64::from(shape.head_dim),
        y: driver.input(y.buffer()),
        dy: driver.input(dy.buffer()),
        means: driver.output(&mut means),
    };
    let args = AttentionBackwardArgs {
        sequences: shape.sequences,
        heads: shape.heads,
        kv_heads: shape.kv_heads,
        group: shape.group,
        head_dim: shape.head_dim,
        score_scale: shape.score_scale,
        packing: driver.input(packing.on_device()),
        q: driver.input(q.buffer()),
        k: driver.input(k.buffer()),
        v: driver.input(v.buffer()),
        dy: driver.input(dy.buffer()),
        lse: driver.input(lse.buffer()),
        means: driver.input(&means),
        dq: driver.output(dq.buffer_mut()),
        dk: driver.output(dk.buffer_mut()),
        dv: driver.output(dv.buffer_mut()),
    };
    let (dq_kernel, dq_grid) = shape.pick(&DQ, shape.rows, 0);
    let (dkv_kernel, dkv_grid) = shape.pick(&DKV, shape.tokens, 2 * ATTENTION_TILE);
    let warps = to_usize(ATTENTION_THREADS / 32);
    let means_grid = Grid::row(to_u32("tokens times heads", lse.len().div_ceil(warps))?, ATTENTION_THREADS);
    // SAFETY: the shapes agree and every sequence attends to itself, by the contract of the op; `means` has a number
    // for every one of `lse`, and the kernels run in this order.
    unsafe {
        driver.launch(&MEANS, means_grid, of_means)?;
        driver.launch(dq_kernel, dq_grid, args)?;
        driver.launch(dkv_kernel, dkv_grid, args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_long_sequences_share_their_keys() {
        for (blocks, longest, want) in [
            (8, 16_384, (32, 512)),
            (8, 4096, (8, 512)),
            (8, 1023, (1, 1024)),
            (8, 1024, (2, 512)),
            // 1500 keys in 2 parts, in whole tiles.
            (8, 1500, (2, 768)),
            (128, 4096, (2, 2048)),
            (129, 65_536, (1, 65_536)),
            (0, 0, (1, 1)),
        ] {
            assert_eq!(parts(blocks, longest), want, "{blocks} blocks, {longest} keys");
        }
    }
}
