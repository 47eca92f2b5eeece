//! Products with a 4-bit weight: which kernel computes them, and what of a linear layer joins it.

mod entries;

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{
        ELEMENTWISE_THREADS, NF4_GEMV_PADDING, NF4_GEMV_ROWS, NF4_GEMV_SPAN, NF4_GEMV_SPANS_SHIFT,
        NF4_GEMV_THREADS, NF4_GEMV_TOKENS, NF4_MATMUL_COLS, NF4_MATMUL_ROWS, NF4_MATMUL_STEP,
        NF4_MATMUL_THREADS, Nf4GemvArgs, Nf4MatmulArgs,
    },
    matmul, nf4, spmm,
};
use crate::{
    backend::{LinearTerms, LowRankTerm, Write, work},
    device::Device,
    error::Result,
    nf4::Nf4Matrix,
    num::{to_u32, to_usize},
    profile::OpClass,
    sparse::Csr,
    tensor::Matrix,
};
use entries::Form;
pub(super) use entries::Plans;

/// The kernels of a product.
struct Kernels {
    plain: Kernel<Nf4MatmulArgs>,
    sparse: Kernel<Nf4MatmulArgs>,
    unaligned: Kernel<Nf4MatmulArgs>,
}

const NT_PLAIN: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_nt");
const NT_SPARSE: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_nt_sparse");
const NT_UNALIGNED: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_nt_unaligned");
const NN_PLAIN: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_nn");
const NN_SPARSE: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_nn_sparse");
const NN_UNALIGNED: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_nn_unaligned");
const SUM: Kernel<Nf4MatmulArgs> = Kernel::new("nf4_matmul", "nf4_matmul_sum");
const GEMV: Kernel<Nf4GemvArgs> = Kernel::new("nf4_gemv", "nf4_gemv");

const NT: Kernels = Kernels { plain: NT_PLAIN, sparse: NT_SPARSE, unaligned: NT_UNALIGNED };
const NN: Kernels = Kernels { plain: NN_PLAIN, sparse: NN_SPARSE, unaligned: NN_UNALIGNED };

/// Bytes of shared memory of the kernels, as their comments state.
const PLAIN_SHARED: u32 = 91392;
const SPARSE_SHARED: u32 = 122_112;
const UNALIGNED_SHARED: u32 = 16384;
/// … of the kernel for few tokens, without them.
const GEMV_SHARED: u32 = 21504;

/// Tiles below which the blocks share the depth: with fewer, most of a GPU would be idle.
const SPLIT_TILES: usize = 96;
/// The fewest steps of a part of the depth.
const SPLIT_STEPS: usize = 4;

/// An output `[rows, cols]` whose elements sum over `depth`.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    cols: usize,
    depth: usize,
}

impl Shape {
    fn tiles(self) -> usize {
        self.rows.div_ceil(to_usize(NF4_MATMUL_ROWS)) * self.cols.div_ceil(to_usize(NF4_MATMUL_COLS))
    }

    /// The depth of a part, a multiple of a step. It depends on the shape alone, because the rounding does.
    fn split_depth(self) -> usize {
        let steps = self.depth.div_ceil(to_usize(NF4_MATMUL_STEP));
        let parts = (SPLIT_TILES / self.tiles().max(1)).min(steps / SPLIT_STEPS).max(1);
        steps.div_ceil(parts).max(1) * to_usize(NF4_MATMUL_STEP)
    }

    fn splits(self) -> usize {
        self.depth.div_ceil(self.split_depth()).max(1)
    }
}

/// `out ← [out +] scale · left · (w + s) + bias + u·factor`, with w, s and factor turned in [`Form::Nt`].
struct Product<'a> {
    form: Form,
    left: &'a Matrix<Cuda>,
    w: &'a Nf4Matrix<Cuda>,
    scale: f32,
    write: Write,
    terms: LinearTerms<'a, Cuda>,
}

const ALONE: LinearTerms<'_, Cuda> = LinearTerms { bias: None, sparse: None, low_rank: None };

impl<'a> Product<'a> {
    fn shape(&self) -> Shape {
        let (out, depth) = match self.form {
            Form::Nt => (self.w.rows(), self.w.cols()),
            Form::Nn => (self.w.cols(), self.w.rows()),
        };
        Shape { rows: self.left.rows(), cols: out, depth }
    }

    /// Whether the weight is made of whole runs of 64 with one magnitude, and the rows of `left` are aligned.
    fn is_aligned(&self) -> bool {
        self.w.cols().is_multiple_of(64) && self.w.block() >= 64 && self.left.cols().is_multiple_of(8)
    }

    /// The low-rank term, where its rows are aligned and the factor's elements are counted in 32 bits.
    fn joined_low_rank(&self) -> Option<LowRankTerm<'a, Cuda>> {
        let fits = |l: &LowRankTerm<'_, Cuda>| {
            l.u.cols() > 0 && l.u.cols().is_multiple_of(8) && u32::try_from(l.factor.len()).is_ok()
        };
        self.terms.low_rank.filter(fits)
    }

    /// The sparse adapter with its entries in order, where a tile's products can add it.
    fn joined_sparse(&self, cuda: &Cuda) -> Result<Option<(&'a Csr<Cuda>, &'a entries::Entries)>> {
        let fits = self.is_aligned() && SPARSE_SHARED <= cuda.properties().shared_memory;
        let Some(s) = self.terms.sparse.filter(|s| fits && s.nnz() > 0) else { return Ok(None) };
        let pattern: &'a _ = s.pattern();
        Ok(pattern.plan.nf4.entries(cuda, pattern, self.form)?.map(|entries| (s, entries)))
    }

    fn run(&self, cuda: &Cuda, out: &mut Matrix<Cuda>) -> Result<()> {
        if let Some(gemv) = Gemv::of(self, cuda) {
            self.terms.sparse.into_iter().for_each(|s| cuda.profile.note(work::joined(s)));
            return gemv.launch(self, cuda, out);
        }
        let (low_rank, sparse) = (self.joined_low_rank(), self.joined_sparse(cuda)?);
        self.launch(cuda, low_rank, sparse, out)?;
        if let Some((s, _)) = sparse {
            cuda.profile.note(work::joined(s));
        }
        if let Some(s) = self.terms.sparse.filter(|_| sparse.is_none()) {
            cuda.profiled(OpClass::Spmm, work::spmm(s, self.left, out), || match self.form {
                Form::Nt => spmm::spmm_add(cuda, s, self.left, out),
                Form::Nn => spmm::spmm_t_add(cuda, s, self.left, out),
            })?;
        }
        if let Some(l) = self.terms.low_rank.filter(|_| low_rank.is_none()) {
            match self.form {
                Form::Nt => matmul::matmul_nt(cuda, l.u, l.factor.into(), l.scale, Write::Add, out)?,
                Form::Nn => matmul::matmul_nn(cuda, l.u, l.factor.into(), l.scale, Write::Add, out)?,
            }
        }
        Ok(())
    }

    fn launch(
        &self,
        cuda: &Cuda,
        low_rank: Option<LowRankTerm<'_, Cuda>>,
        sparse: Option<(&Csr<Cuda>, &entries::Entries)>,
        out: &mut Matrix<Cuda>,
    ) -> Result<()> {
        let (driver, shape) = (&cuda.driver, self.shape());
        let kernels = if self.form == Form::Nt { &NT } else { &NN };
        let (kernel, shared) = match (self.is_aligned(), sparse) {
            (false, _) => (&kernels.unaligned, UNALIGNED_SHARED),
            (true, None) => (&kernels.plain, PLAIN_SHARED),
            (true, Some(_)) => (&kernels.sparse, SPARSE_SHARED),
        };
        let splits = shape.splits();
        let mut partials = match splits {
            1 => None,
            _ => Some(driver.uninit::<f32>(splits * shape.rows * shape.cols)?),
        };
        let args = Nf4MatmulArgs {
            rows: to_u32("rows of a product", shape.rows)?,
            cols: to_u32("columns of a product", shape.cols)?,
            depth: to_u32("depth of a product", shape.depth)?,
            split_depth: to_u32("depth of a product", shape.split_depth())?,
            add: u32::from(self.write == Write::Add),
            rank: to_u32("rank", low_rank.map_or(0, |l| l.u.cols()))?,
            scale: self.scale,
            factor_scale: low_rank.map_or(0.0, |l| l.scale),
            w: nf4::weight(cuda, self.w)?,
            left: driver.input(self.left.buffer()),
            bias: self.terms.bias.map_or(0, |bias| driver.input(bias.buffer())),
            u: low_rank.map_or(0, |l| driver.input(l.u.buffer())),
            factor: low_rank.map_or(0, |l| driver.input(l.factor.buffer())),
            starts: sparse.map_or(0, |(_, entries)| driver.input(&entries.starts)),
            entries: sparse.map_or(0, |(_, entries)| driver.input(&entries.entries)),
            values: sparse.map_or(0, |(s, _)| driver.input(s.values())),
            partials: partials.as_mut().map_or(0, |partials| driver.output(partials)),
            out: driver.output(out.buffer_mut()),
        };
        let blocks = [to_u32("tiles", shape.tiles())?, to_u32("parts", splits)?, 1];
        let grid = Grid { blocks, threads: NF4_MATMUL_THREADS, shared };
        // SAFETY: the shapes agree by the contract of the op; the entries are those of the pattern; partials holds what
        // each part of the depth leaves.
        unsafe { driver.launch(kernel, grid, args)? };
        if partials.is_some() {
            let blocks = cuda.blocks_for(shape.rows * shape.cols, ELEMENTWISE_THREADS);
            // SAFETY: the same.
            unsafe { driver.launch(&SUM, Grid::row(blocks, ELEMENTWISE_THREADS), args)? };
        }
        Ok(())
    }
}

/// `y = x·(w + s)ᵀ` for few tokens.
struct Gemv {
    /// log2 of the spans of 128 of the depth that a warp takes at a time: as many as leave work for all.
    spans_shift: u32,
    shared: u32,
}

impl Gemv {
    /// Where there are few tokens, and they fit into shared memory.
    fn of(product: &Product<'_>, cuda: &Cuda) -> Option<Self> {
        let Shape { rows: tokens, depth, .. } = product.shape();
        let few = (1..=to_usize(NF4_GEMV_TOKENS)).contains(&tokens);
        if product.form != Form::Nt || !few || !product.is_aligned() || depth == 0 {
            return None;
        }
        let span = to_usize(NF4_GEMV_SPAN);
        let pitch = depth.div_ceil(span) * 2 * span + to_usize(NF4_GEMV_PADDING);
        let shared = u32::try_from(to_usize(GEMV_SHARED) + tokens * pitch).ok()?;
        let warps = to_usize(NF4_GEMV_THREADS / 32);
        let fits = |shift: &u32| (warps * span) << shift <= depth;
        let spans_shift = (0..=NF4_GEMV_SPANS_SHIFT).rev().find(fits).unwrap_or(0);
        (shared <= cuda.properties().shared_memory).then_some(Self { spans_shift, shared })
    }

    fn launch(&self, product: &Product<'_>, cuda: &Cuda, y: &mut Matrix<Cuda>) -> Result<()> {
        let (driver, shape, terms) = (&cuda.driver, product.shape(), product.terms);
        let args = Nf4GemvArgs {
            tokens: to_u32("rows of a product", shape.rows)?,
            rows: to_u32("columns of a product", shape.cols)?,
            depth: to_u32("depth of a product", shape.depth)?,
            spans_shift: self.spans_shift,
            add: u32::from(product.write == Write::Add),
            rank: to_u32("rank", terms.low_rank.map_or(0, |l| l.u.cols()))?,
            scale: product.scale,
            factor_scale: terms.low_rank.map_or(0.0, |l| l.scale),
            w: nf4::weight(cuda, product.w)?,
            x: driver.input(product.left.buffer()),
            bias: terms.bias.map_or(0, |bias| driver.input(bias.buffer())),
            u: terms.low_rank.map_or(0, |l| driver.input(l.u.buffer())),
            factor: terms.low_rank.map_or(0, |l| driver.input(l.factor.buffer())),
            row_offsets: terms.sparse.map_or(0, |s| driver.input(&s.pattern().row_offsets)),
            col_indices: terms.sparse.map_or(0, |s| driver.input(&s.pattern().col_indices)),
            values: terms.sparse.map_or(0, |s| driver.input(s.values())),
            y: driver.output(y.buffer_mut()),
        };
        let blocks = args.rows.div_ceil(NF4_GEMV_ROWS);
        let grid = Grid { blocks: [blocks, 1, 1], threads: NF4_GEMV_THREADS, shared: self.shared };
        // SAFETY: the shapes agree by the contract of the op; `of` proved the bounds that the kernel asks for.
        unsafe { driver.launch(&GEMV, grid, args) }
    }
}

pub(super) fn matmul_nt(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    w: &Nf4Matrix<Cuda>,
    scale: f32,
    write: Write,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    Product { form: Form::Nt, left: x, w, scale, write, terms: ALONE }.run(cuda, y)
}

pub(super) fn matmul_nn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: &Nf4Matrix<Cuda>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    Product { form: Form::Nn, left: dy, w, scale, write, terms: ALONE }.run(cuda, dx)
}

/// `y = x·(w + s)ᵀ + bias + scale·u·factorᵀ` in one launch, but for what [`Product`] says does not join.
///
/// s joins wherever it can. As vgpu counts 512 tokens, 4096 × 4096 and 0.6 %, the product takes 55.1 µs of an A100 and
/// 23.9 of an H100, the separate form of s 8.9 and 7.5 more; joined with it and a rank of 16, it takes 56.8 and 30.4.
/// From about 1.2 % on some step of a tile has more than 255 entries, and s is added separately. Up to 8 tokens it joins
/// at every density.
pub(super) fn linear(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    w: &Nf4Matrix<Cuda>,
    terms: LinearTerms<'_, Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    Product { form: Form::Nt, left: x, w, scale: 1.0, write: Write::Overwrite, terms }.run(cuda, y)
}

/// `dx ← [dx +] dy·(w + s) + scale·u·factor`, in the same way.
pub(super) fn linear_t(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: &Nf4Matrix<Cuda>,
    terms: LinearTerms<'_, Cuda>,
    write: Write,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    let terms = LinearTerms { bias: None, ..terms };
    Product { form: Form::Nn, left: dy, w, scale: 1.0, write, terms }.run(cuda, dx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_tiles_share_the_depth() {
        for ([rows, cols, depth], split_depth, splits) in [
            ([512, 4096, 4096], 4096, 1),
            ([384, 4096, 4096], 2048, 2),
            ([16, 4096, 4096], 704, 6),
            ([16, 64, 4096], 256, 16),
            ([16, 64, 255], 256, 1),
            ([16, 64, 512], 256, 2),
            ([0, 64, 512], 256, 2),
            ([16, 64, 0], 64, 1),
        ] {
            let shape = Shape { rows, cols, depth };
            assert_eq!(
                (shape.split_depth(), shape.splits()),
                (split_depth, splits),
                "{rows}, {cols}, {depth}"
            );
        }
    }
}
