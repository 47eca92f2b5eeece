//! `y += x·Sᵀ` and `dx += dy·S`: one kernel, on the pattern or on its transpose.

mod bank_groups;
mod slots;

use super::{
    Cuda, SparseValues,
    driver::{Buffer, Grid, Kernel},
    kernels::{
        SPMM_CHUNK_SLOTS, SPMM_PLAIN_TOKENS, SPMM_PLAIN_WARPS, SPMM_SLAB_TOKENS, SPMM_WARPS,
        SPMM_WINDOW_ROWS, SpmmPackArgs, SpmmPlainArgs, SpmmSlabArgs,
    },
};
use crate::{
    error::Result,
    num::{to_u32, to_usize},
    sparse::Csr,
    tensor::Matrix,
};
pub(super) use slots::Slots;
use slots::Tiles;

const SLAB_BF16: Kernel<SpmmSlabArgs> = Kernel::new("spmm", "spmm_slab_bf16");
const SLAB_SPLIT: Kernel<SpmmSlabArgs> = Kernel::new("spmm", "spmm_slab_split");
const PLAIN: Kernel<SpmmPlainArgs> = Kernel::new("spmm", "spmm_plain");
const PACK_BF16: Kernel<SpmmPackArgs> = Kernel::new("spmm", "spmm_pack_bf16");
const PACK_SPLIT: Kernel<SpmmPackArgs> = Kernel::new("spmm", "spmm_pack_split");

/// Up to so many tokens the plain form is taken. At 4096 × 4096 and 0.6 % it asks the second cache for 3.2 MB a token,
/// 0.65 µs on an A100; one slab, on eight blocks, takes about 6 µs however few of its tokens there are. Sparser
/// matrices would move this up, denser ones down.
const FEW_TOKENS: usize = 8;

/// The values of a sparse matrix in the order of the slots, for both directions.
pub struct PackedValues {
    forward: Buffer<u32>,
    transposed: Buffer<u32>,
}

pub(super) fn spmm_add(cuda: &Cuda, s: &Csr<Cuda>, x: &Matrix<Cuda>, y: &mut Matrix<Cuda>) -> Result<()> {
    let pattern = s.pattern();
    let slots = &pattern.plan.spmm;
    if x.rows() > FEW_TOKENS {
        return slab_add(cuda, slots, &packed(cuda, s)?.forward, x, y);
    }
    let (row_offsets, col_indices) = (&pattern.row_offsets, &pattern.col_indices);
    plain_add(cuda, Rows { row_offsets, col_indices, permutation: None }, s, slots.values, x, y)
}

pub(super) fn spmm_t_add(cuda: &Cuda, s: &Csr<Cuda>, dy: &Matrix<Cuda>, dx: &mut Matrix<Cuda>) -> Result<()> {
    let pattern = s.pattern();
    let slots = &pattern.plan.spmm_t;
    if dy.rows() > FEW_TOKENS {
        return slab_add(cuda, slots, &packed(cuda, s)?.transposed, dy, dx);
    }
    let transpose = &pattern.transpose;
    let (row_offsets, col_indices) = (&transpose.row_offsets, &transpose.col_indices);
    let permutation = Some(&transpose.permutation);
    plain_add(cuda, Rows { row_offsets, col_indices, permutation }, s, slots.values, dy, dx)
}

/// The values of `s` in slot order; a launch per direction, once per change of values.
fn packed<'a>(cuda: &Cuda, s: &'a Csr<Cuda>) -> Result<&'a PackedValues> {
    s.packed(|| {
        let plan = &s.pattern().plan;
        let permutation = Some(&s.pattern().transpose.permutation);
        Ok(PackedValues {
            forward: pack(cuda, &plan.spmm, None, s.values())?,
            transposed: pack(cuda, &plan.spmm_t, permutation, s.values())?,
        })
    })
}

fn pack(
    cuda: &Cuda,
    slots: &Slots,
    permutation: Option<&Buffer<u32>>,
    values: &Buffer<f32>,
) -> Result<Buffer<u32>> {
    let (kernel, words) = match slots.values {
        SparseValues::Bf16 => (PACK_BF16, SPMM_CHUNK_SLOTS / 2),
        SparseValues::F32 => (PACK_SPLIT, SPMM_CHUNK_SLOTS),
    };
    let driver = &cuda.driver;
    let mut packed = driver.uninit(slots.chunks * to_usize(words))?;
    let args = SpmmPackArgs {
        chunks: slots.chunks as u64,
        sources: driver.input(&slots.sources),
        permutation: permutation.map_or(0, |permutation| driver.input(permutation)),
        values: driver.input(values),
        packed: driver.output(&mut packed),
    };
    let threads = 32 * SPMM_WARPS;
    let blocks = cuda.blocks_for(slots.chunks * to_usize(SPMM_CHUNK_SLOTS / 2), threads);
    // SAFETY: sources are entries of the pattern that the values and the permutation belong to, and `packed` holds
    // `words` words a chunk.
    unsafe { driver.launch(&kernel, Grid::row(blocks, threads), args) }?;
    Ok(packed)
}

fn slab_add(
    cuda: &Cuda,
    slots: &Slots,
    values: &Buffer<u32>,
    x: &Matrix<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    if slots.windows == 0 {
        return Ok(());
    }
    let kernel = match slots.values {
        SparseValues::Bf16 => SLAB_BF16,
        SparseValues::F32 => SLAB_SPLIT,
    };
    let driver = &cuda.driver;
    let slabs = x.rows().div_ceil(to_usize(SPMM_SLAB_TOKENS));
    let carried = if slots.tiles.count > 1 { slabs * slots.windows } else { 0 };
    let mut partial = driver.uninit::<f32>(carried * to_usize(SPMM_SLAB_TOKENS * SPMM_WINDOW_ROWS))?;
    let groups = groups(slabs, slots, to_usize(cuda.properties().multiprocessors));
    let grid = Grid {
        blocks: [to_u32("slabs of tokens", slabs)?, to_u32("groups of rows", groups)?, 1],
        threads: 32 * SPMM_WARPS,
        shared: to_u32("bytes of a slab", Tiles::shared_bytes(slots.tiles.cols))?,
    };
    let args = SpmmSlabArgs {
        tokens: to_u32("tokens", x.rows())?,
        rows: to_u32("rows", y.cols())?,
        cols: to_u32("columns", x.cols())?,
        tiles: to_u32("tiles of columns", slots.tiles.count)?,
        tile_cols: to_u32("columns of a tile", slots.tiles.cols)?,
        windows: to_u32("windows of rows", slots.windows)?,
        x: driver.input(x.buffer()),
        ranges: driver.input(&slots.ranges),
        slices: driver.input(&slots.slices),
        codes: driver.input(&slots.codes),
        values: driver.input(values),
        partial: driver.output(&mut partial),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: the slots were made for matrices of these widths, by the contract of the op; the shared memory holds a
    // tile of them, and `partial` every window of every slab.
    unsafe { driver.launch(&kernel, grid, args) }
}

/// Into how many groups the windows are split, a block per group and slab: what takes the fewest rounds of the device.
/// A block loads its slab in about a cycle a column (32 bytes of the second cache's share of an SM), then needs about
/// five cycles a chunk (four passes over the banks, some conflicts); one block fits an SM. More groups than windows for
/// every warp would be idle.
fn groups(slabs: usize, slots: &Slots, multiprocessors: usize) -> usize {
    const CYCLES_OF_CHUNK: usize = 5;
    let most = slots.windows.div_ceil(to_usize(SPMM_WARPS));
    let cycles = |groups: &usize| {
        let rounds = (slabs * groups).div_ceil(multiprocessors);
        rounds * (slots.tiles.count * slots.tiles.cols + CYCLES_OF_CHUNK * slots.chunks.div_ceil(*groups))
    };
    (1..=most.min(multiprocessors)).min_by_key(cycles).unwrap_or(1)
}

/// A sparse matrix by its rows; `permutation` gives the number of an entry's value.
struct Rows<'a> {
    row_offsets: &'a Buffer<u32>,
    col_indices: &'a Buffer<u32>,
    permutation: Option<&'a Buffer<u32>>,
}

fn plain_add(
    cuda: &Cuda,
    rows: Rows<'_>,
    s: &Csr<Cuda>,
    values: SparseValues,
    x: &Matrix<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    let driver = &cuda.driver;
    let blocks = y.cols().div_ceil(to_usize(SPMM_PLAIN_WARPS));
    let token_groups = x.rows().div_ceil(to_usize(SPMM_PLAIN_TOKENS));
    let grid = Grid {
        blocks: [to_u32("groups of rows", blocks)?, to_u32("groups of tokens", token_groups)?, 1],
        threads: 32 * SPMM_PLAIN_WARPS,
        shared: 0,
    };
    let args = SpmmPlainArgs {
        tokens: to_u32("tokens", x.rows())?,
        rows: to_u32("rows", y.cols())?,
        cols: to_u32("columns", x.cols())?,
        rounded: u32::from(values == SparseValues::Bf16),
        row_offsets: driver.input(rows.row_offsets),
        col_indices: driver.input(rows.col_indices),
        permutation: rows.permutation.map_or(0, |permutation| driver.input(permutation)),
        values: driver.input(s.values()),
        x: driver.input(x.buffer()),
        y: driver.output(y.buffer_mut()),
    };
    // SAFETY: offsets and indices form a pattern of y.cols() rows and x.cols() columns, by the contract of the op.
    unsafe { driver.launch(&PLAIN, grid, args) }
}
