//! Causal grouped-query attention over packed sequences, and its gradients.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{
        ATTENTION_NARROW, ATTENTION_PADDING, ATTENTION_THREADS, ATTENTION_TILE, ATTENTION_WIDE,
        AttentionArgs, AttentionBackwardArgs, AttentionMeansArgs,
    },
};
use crate::{
    backend::Heads,
    error::{Error, Result},
    num::{to_f32, to_u32, to_usize},
    packing::Packing,
    tensor::Matrix,
};

const NARROW: Kernel<AttentionArgs> = Kernel::new("attention", "attention_narrow");
const WIDE: Kernel<AttentionArgs> = Kernel::new("attention", "attention_wide");
const MEANS: Kernel<AttentionMeansArgs> = Kernel::new("attention_backward", "attention_means");
const DQ_NARROW: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dq_narrow");
const DQ_WIDE: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dq_wide");
const DKV_NARROW: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dkv_narrow");
const DKV_WIDE: Kernel<AttentionBackwardArgs> = Kernel::new("attention_backward", "attention_dkv_wide");

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
    /// Refuses heads wider than there is a kernel for.
    fn new(packing: &Packing<Cuda>, heads: Heads) -> Result<Self> {
        let group = heads.heads / heads.kv_heads;
        let head_dim = to_u32("head_dim", heads.head_dim)?;
        if head_dim > ATTENTION_WIDE {
            let expected = format!("at most {ATTENTION_WIDE} on a GPU");
            return Err(Error::setting("head_dim", heads.head_dim, expected));
        }
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

    /// The kernel for heads of this width.
    fn pick<'a, A>(&self, narrow: &'a Kernel<A>, wide: &'a Kernel<A>) -> &'a Kernel<A> {
        if self.head_dim <= ATTENTION_NARROW { narrow } else { wide }
    }

    /// A block for every number that a tile of `rows` rows in all may have (`find_tile` in `attention.cuh`), and key
    /// head; with `tiles` tiles and `numbers` f32 of shared memory.
    fn grid(&self, rows: u32, tiles: u32, numbers: u32) -> Grid {
        let width = if self.head_dim <= ATTENTION_NARROW { ATTENTION_NARROW } else { ATTENTION_WIDE };
        Grid {
            blocks: [rows / ATTENTION_TILE + self.sequences, self.kv_heads, 1],
            threads: ATTENTION_THREADS,
            shared: tiles * ATTENTION_TILE * (width + ATTENTION_PADDING) * 2 + numbers * 4,
        }
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
    let args = AttentionArgs {
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
        y: driver.output(y.buffer_mut()),
        lse: driver.output(lse.buffer_mut()),
    };
    // SAFETY: the shapes agree and the packing names rows that exist, by the contract of the op.
    unsafe { driver.launch(shape.pick(&NARROW, &WIDE), shape.grid(shape.rows, 3, 0), args) }
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
    let warps = to_usize(ATTENTION_THREADS / 32);
    let means_grid = Grid::row(to_u32("tokens times heads", lse.len().div_ceil(warps))?, ATTENTION_THREADS);
    // SAFETY: the shapes agree and every sequence attends to itself, by the contract of the op; `means` has a number
    // for every one of `lse`, and the kernels run in this order.
    unsafe {
        driver.launch(&MEANS, means_grid, of_means)?;
        driver.launch(shape.pick(&DQ_NARROW, &DQ_WIDE), shape.grid(shape.rows, 4, 0), args)?;
        let dkv_grid = shape.grid(shape.tokens, 4, 2 * ATTENTION_TILE);
        driver.launch(shape.pick(&DKV_NARROW, &DKV_WIDE), dkv_grid, args)
    }
}
