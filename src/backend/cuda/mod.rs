//! [`Cuda`], an NVIDIA GPU: kernels of `cuda/`, launched in order on one stream, a file per op.
//!
//! An op's file holds its argument struct, grid and launch; the mathematics and the reasons stand in the `.cu` file of
//! the same name. Activations are bf16, every sum is f32 in a fixed order: the same inputs give the same bits.

mod adamw;
mod attention;
mod bias;
mod cross_entropy;
mod csr_add;
mod csr_embedding;
mod csr_transpose;
mod driver;
mod dropout;
mod embedding;
mod grad_norm;
mod images;
#[rustfmt::skip]
mod kernels;
mod matmul;
mod nf4;
mod nf4_matmul;
mod plan;
mod rmsnorm;
mod rope;
mod rows;
mod score;
mod sddmm;
mod spmm;
mod swiglu;
mod topk_mask;
mod weight_copy;

pub use driver::{Buffer, Properties};
pub use images::{RESOURCES, Resources, TOOLKIT, cubins};
pub use plan::PatternPlan;
pub use spmm::PackedValues;

use crate::{
    backend::{
        Backend, Heads, LinearTerms, Rounding, ScoreTerm, Selected, SparseBackend, Turn, Update, Write,
    },
    device::{Device, Element, Float},
    error::Result,
    nf4::Nf4Matrix,
    num::to_usize,
    packing::Packing,
    profile::Profile,
    rng::Stream,
    sparse::{Csr, CsrPattern},
    tensor::{Ids, Matrix, Weight},
};
use driver::{Driver, Grid};
use half::bf16;
use kernels::ELEMENTWISE_THREADS;
use std::{ops::Range, sync::Arc};

/// A GPU: buffers in its memory, activations bf16, work queued on one stream.
#[derive(Clone)]
pub struct Cuda {
    driver: Arc<Driver>,
    nf4: Arc<nf4::Tables>,
    sparse_values: SparseValues,
    profile: Arc<Profile>,
}

/// What the products with a sparse matrix take its f32 values for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SparseValues {
    /// Rounded to bf16, like the activations that they meet.
    Bf16,
    /// As the sum of two bf16 numbers: an error of 2⁻¹⁷ of the value, for half as much again of memory traffic.
    F32,
}

impl Cuda {
    /// The GPU number `ordinal`, counted from 0.
    ///
    /// # Errors
    /// [`NoDriver`](crate::error::Error::NoDriver), [`NoDevice`](crate::error::Error::NoDevice),
    /// [`OldDriver`](crate::error::Error::OldDriver), [`OldDevice`](crate::error::Error::OldDevice), or what the
    /// driver says.
    pub fn new(ordinal: usize) -> Result<Self> {
        Ok(Self {
            driver: Arc::new(Driver::new(ordinal)?),
            nf4: Arc::default(),
            sparse_values: SparseValues::Bf16,
            profile: Arc::default(),
        })
    }

    /// The same GPU with another precision of sparse values; [`SparseValues::Bf16`] is the default. Patterns made before
    /// belong to the other.
    #[must_use]
    pub fn with_sparse_values(self, sparse_values: SparseValues) -> Self {
        Self { sparse_values, ..self }
    }

    /// The number of GPUs.
    ///
    /// # Errors
    /// [`NoDriver`](crate::error::Error::NoDriver), [`OldDriver`](crate::error::Error::OldDriver), or what the driver
    /// says.
    pub fn count() -> Result<usize> {
        driver::device_count()
    }

    /// The CUDA release that the driver supports, as (13, 0).
    ///
    /// # Errors
    /// [`NoDriver`](crate::error::Error::NoDriver), or what the driver says.
    pub fn driver_release() -> Result<(u32, u32)> {
        driver::driver_release()
    }

    /// What this GPU is.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        self.driver.properties()
    }

    /// Blocks of `threads` threads for a kernel that walks `len` elements in steps of the whole grid: enough to fill
    /// the device eight times over, and no more than there is work for.
    fn blocks_for(&self, len: usize, threads: u32) -> u32 {
        let full = self.properties().multiprocessors * 8;
        u32::try_from(len.div_ceil(to_usize(threads))).map_or(full, |blocks| blocks.min(full))
    }

    /// The grid of an elementwise kernel over `len` elements of bf16, in vectors of 8.
    fn elementwise(&self, len: usize) -> Grid {
        Grid::row(self.blocks_for(len.div_ceil(8), ELEMENTWISE_THREADS), ELEMENTWISE_THREADS)
    }
}

impl Device for Cuda {
    type Act = bf16;
    type Buffer<T: Element> = Buffer<T>;
    type PatternPlan = PatternPlan;
    type PackedValues = PackedValues;
    /// In each of the two directions of `spmm` a code of 2 bytes, a source of 4 and a value of 2; for `sddmm` a code and
    /// an entry; and a fifth of the slots hold nothing.
    const PLAN_BYTES: usize = (2 * (2 + 4 + 2) + 2 + 4) * 5 / 4;
    const COPY_BYTES: usize = size_of::<bf16>();

    fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        self.driver.zeros(len)
    }
    fn unwritten(&self, len: usize) -> Result<Buffer<bf16>> {
        self.driver.uninit(len)
    }
    fn trim(&self) {
        // An error of the device is the next call's too.
        let _ = self.driver.trim();
    }
    fn upload<T: Element>(&self, host: Vec<T>) -> Result<Buffer<T>> {
        self.driver.upload(&host)
    }
    fn download<T: Element>(&self, buffer: &Buffer<T>) -> Result<Vec<T>> {
        self.driver.download(buffer)
    }
    fn copy<T: Element>(&self, src: &Buffer<T>, dst: &mut Buffer<T>) -> Result<()> {
        self.driver.copy(src, dst)
    }
    fn clear<T: Element>(&self, buffer: &mut Buffer<T>) -> Result<()> {
        self.driver.clear(buffer)
    }
    fn len<T: Element>(buffer: &Buffer<T>) -> usize {
        buffer.len()
    }
    fn profile(&self) -> &Profile {
        &self.profile
    }
    fn memory(&self) -> Result<Option<(usize, usize)>> {
        self.driver.memory().map(Some)
    }
    fn peak_memory(&self) -> Option<u64> {
        Some(self.driver.peak_memory())
    }
    fn forget_peak_memory(&self) {
        self.driver.forget_peak_memory();
    }
    fn synchronize(&self) -> Result<()> {
        self.driver.synchronize()
    }
}

impl SparseBackend for Cuda {
    unsafe fn spmm_add(&self, s: &Csr<Self>, x: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()> {
        spmm::spmm_add(self, s, x, y)
    }
    unsafe fn spmm_t_add(&self, s: &Csr<Self>, dy: &Matrix<Self>, dx: &mut Matrix<Self>) -> Result<()> {
        spmm::spmm_t_add(self, s, dy, dx)
    }
    fn counted_value(&self, value: f32) -> f32 {
        let round = |x: f32| bf16::from_f32(x).to_f32();
        match self.sparse_values {
            SparseValues::Bf16 => round(value),
            SparseValues::F32 => round(value) + round(value - round(value)),
        }
    }
    unsafe fn sddmm_add(&self, dy: &Matrix<Self>, x: &Matrix<Self>, ds: &mut Csr<Self>) -> Result<()> {
        sddmm::sddmm_add(self, dy, x, ds)
    }
    unsafe fn csr_add<T: Float>(&self, s: &Csr<Self>, w: &mut Matrix<Self, T>) -> Result<()> {
        csr_add::csr_add(self, s, w)
    }
    unsafe fn csr_transpose(
        &self,
        rows: usize,
        cols: usize,
        selected: Selected<Self>,
    ) -> Result<CsrPattern<Self>> {
        csr_transpose::csr_transpose(self, rows, cols, selected)
    }
    unsafe fn score_add(
        &self,
        g: &Matrix<Self, f32>,
        term: ScoreTerm,
        scores: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        score::score_add(self, g, term, scores)
    }
    unsafe fn score_times_weight(&self, w: Weight<'_, Self>, scores: &mut Matrix<Self, f32>) -> Result<()> {
        score::score_times_weight(self, w, scores)
    }
    unsafe fn score_random(&self, stream: Stream, scores: &mut Matrix<Self, f32>) -> Result<()> {
        score::score_random(self, stream, scores)
    }
    unsafe fn topk_mask(&self, scores: &[&Matrix<Self, f32>], k: usize) -> Result<Vec<Selected<Self>>> {
        topk_mask::topk_mask(self, scores, k)
    }
}

impl Backend for Cuda {
    fn rounds_to_bf16(&self, _: usize) -> bool {
        true
    }
    fn rounds_sum_to_bf16(&self, tokens: usize) -> bool {
        Self::joins(tokens)
    }

    unsafe fn matmul_nt(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        scale: f32,
        write: Write,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        if self.copies_weight(x.rows(), &w, None) {
            return matmul::matmul_nt(self, x, Weight::Bf16(&self.weight_copy(w, None)?), scale, write, y);
        }
        match w {
            Weight::Nf4(w) => nf4_matmul::matmul_nt(self, x, w, scale, write, y),
            w => matmul::matmul_nt(self, x, w, scale, write, y),
        }
    }

    unsafe fn matmul_nn(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        scale: f32,
        write: Write,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        if self.copies_weight(dy.rows(), &w, None) {
            return matmul::matmul_nn(self, dy, Weight::Bf16(&self.weight_copy(w, None)?), scale, write, dx);
        }
        match w {
            Weight::Nf4(w) => nf4_matmul::matmul_nn(self, dy, w, scale, write, dx),
            w => matmul::matmul_nn(self, dy, w, scale, write, dx),
        }
    }

    unsafe fn matmul_tn(
        &self,
        dy: &Matrix<Self>,
        x: &Matrix<Self>,
        tokens: Range<usize>,
        scale: f32,
        write: Write,
        dw: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        matmul::matmul_tn(self, dy, x, tokens, scale, write, dw)
    }

    unsafe fn nf4_quantize(&self, w: &Matrix<Self, f32>, block: usize) -> Result<Nf4Matrix<Self>> {
        nf4::nf4_quantize(self, w, block)
    }

    unsafe fn nf4_dequantize<T: Float>(
        &self,
        w: &Nf4Matrix<Self>,
        s: Option<&Csr<Self>>,
        y: &mut Matrix<Self, T>,
    ) -> Result<()> {
        nf4::nf4_dequantize(self, w, s, y)
    }

    unsafe fn linear(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        if self.copies_weight(x.rows(), &w, terms.sparse) {
            let sum = self.weight_copy(w, terms.sparse)?;
            return matmul::linear(self, x, Weight::Bf16(&sum), LinearTerms { sparse: None, ..terms }, y);
        }
        match w {
            Weight::Nf4(w) => nf4_matmul::linear(self, x, w, terms, y),
            w => matmul::linear(self, x, w, terms, y),
        }
    }

    unsafe fn linear_t(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        write: Write,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        if self.copies_weight(dy.rows(), &w, terms.sparse) {
            let sum = self.weight_copy(w, terms.sparse)?;
            return matmul::linear_t(
                self,
                dy,
                Weight::Bf16(&sum),
                LinearTerms { sparse: None, ..terms },
                write,
                dx,
            );
        }
        match w {
            Weight::Nf4(w) => nf4_matmul::linear_t(self, dy, w, terms, write, dx),
            w => matmul::linear_t(self, dy, w, terms, write, dx),
        }
    }

    unsafe fn score_product_add(
        &self,
        dy: &Matrix<Self>,
        x: &Matrix<Self>,
        tokens: Range<usize>,
        term: ScoreTerm,
        scores: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        matmul::score_product_add(self, dy, x, tokens, term, scores)
    }

    unsafe fn csr_embedding_add(&self, s: &Csr<Self>, ids: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        csr_embedding::csr_embedding_add(self, s, ids, y)
    }

    unsafe fn csr_embedding_grad_add(
        &self,
        ids: &Ids<Self>,
        dy: &Matrix<Self>,
        ds: &mut Csr<Self>,
    ) -> Result<()> {
        csr_embedding::csr_embedding_grad_add(self, ids, dy, ds)
    }

    unsafe fn rmsnorm(
        &self,
        x: &Matrix<Self>,
        gain: &Matrix<Self, f32>,
        eps: f32,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        rmsnorm::rmsnorm(self, x, gain, eps, y)
    }

    unsafe fn rmsnorm_backward_add(
        &self,
        x: &Matrix<Self>,
        gain: &Matrix<Self, f32>,
        eps: f32,
        dy: &Matrix<Self>,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        rmsnorm::rmsnorm_backward_add(self, x, gain, eps, dy, dx)
    }

    unsafe fn rmsnorm_gain_grad_add(
        &self,
        x: &Matrix<Self>,
        eps: f32,
        dy: &Matrix<Self>,
        dgain: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        rmsnorm::rmsnorm_gain_grad_add(self, x, eps, dy, dgain)
    }

    unsafe fn rope(
        &self,
        cos: &Matrix<Self, f32>,
        sin: &Matrix<Self, f32>,
        positions: &Ids<Self>,
        turn: Turn,
        x: &mut Matrix<Self>,
    ) -> Result<()> {
        rope::rope(self, cos, sin, positions, turn, x)
    }

    unsafe fn attention(
        &self,
        q: &Matrix<Self>,
        k: &Matrix<Self>,
        v: &Matrix<Self>,
        packing: &Packing<Self>,
        heads: Heads,
        _: Rounding,
        y: &mut Matrix<Self>,
        lse: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        attention::attention(self, q, k, v, packing, heads, y, lse)
    }

    unsafe fn attention_backward(
        &self,
        q: &Matrix<Self>,
        k: &Matrix<Self>,
        v: &Matrix<Self>,
        y: &Matrix<Self>,
        lse: &Matrix<Self, f32>,
        dy: &Matrix<Self>,
        packing: &Packing<Self>,
        heads: Heads,
        _: Rounding,
        dq: &mut Matrix<Self>,
        dk: &mut Matrix<Self>,
        dv: &mut Matrix<Self>,
    ) -> Result<()> {
        attention::attention_backward(self, q, k, v, y, lse, dy, packing, heads, dq, dk, dv)
    }

    unsafe fn swiglu(&self, gate: &Matrix<Self>, up: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()> {
        swiglu::swiglu(self, gate, up, y)
    }

    unsafe fn swiglu_backward(
        &self,
        gate: &mut Matrix<Self>,
        up: &mut Matrix<Self>,
        dy: &mut Matrix<Self>,
    ) -> Result<()> {
        swiglu::swiglu_backward(self, gate, up, dy)
    }

    unsafe fn embedding(&self, table: Weight<'_, Self>, ids: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        embedding::embedding(self, table, ids, y)
    }

    unsafe fn embedding_grad_add(
        &self,
        ids: &Ids<Self>,
        dy: &Matrix<Self>,
        dtable: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        embedding::embedding_grad_add(self, ids, dy, dtable)
    }

    unsafe fn gather_rows(&self, x: &Matrix<Self>, rows: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        rows::gather_rows(self, x, rows, y)
    }

    unsafe fn scatter_rows(&self, x: &Matrix<Self>, rows: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        rows::scatter_rows(self, x, rows, y)
    }

    unsafe fn bias_add(&self, bias: &Matrix<Self, f32>, x: &mut Matrix<Self>) -> Result<()> {
        bias::bias_add(self, bias, x)
    }

    unsafe fn bias_grad_add(&self, dy: &Matrix<Self>, dbias: &mut Matrix<Self, f32>) -> Result<()> {
        bias::bias_grad_add(self, dy, dbias)
    }

    unsafe fn add(&self, x: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()> {
        rows::add(self, x, y)
    }

    unsafe fn dropout(
        &self,
        x: &Matrix<Self>,
        p: f32,
        stream: Stream,
        first_row: usize,
        write: Write,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        dropout::dropout(self, x, p, stream, first_row, write, y)
    }

    unsafe fn cross_entropy(
        &self,
        targets: &Ids<Self>,
        scale: f32,
        logits: &mut Matrix<Self>,
        first: usize,
        losses: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        cross_entropy::cross_entropy(self, targets, scale, logits, first, losses)
    }

    unsafe fn argmax_rows(&self, x: &Matrix<Self>, best: &mut Self::Buffer<u32>) -> Result<()> {
        cross_entropy::argmax_rows(self, x, best)
    }

    unsafe fn sum_squares(&self, xs: &[&Self::Buffer<f32>], sums: &mut Matrix<Self, f64>) -> Result<()> {
        grad_norm::sum_squares(self, xs, sums)
    }

    unsafe fn clip_factor(
        &self,
        sums: &Matrix<Self, f64>,
        max_norm: f32,
        clip: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        grad_norm::clip_factor(self, sums, max_norm, clip)
    }

    unsafe fn adamw(&self, clip: &Matrix<Self, f32>, updates: Vec<Update<'_, Self>>) -> Result<()> {
        adamw::adamw(self, clip, updates)
    }
}
