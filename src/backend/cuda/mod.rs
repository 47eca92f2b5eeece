//! [`Cuda`], an NVIDIA GPU: kernels of `cuda/`, launched in order on one stream, a file per op.
//!
//! An op's file holds its argument struct, grid and launch; the mathematics and the reasons stand in the `.cu` file of
//! the same name. Activations are bf16, every sum is f32 in a fixed order: the same inputs give the same bits.

mod csr_add;
mod csr_transpose;
mod driver;
mod images;
#[rustfmt::skip]
mod kernels;
mod plan;
mod score;
mod sddmm;
mod spmm;
mod topk_mask;

pub use driver::{Buffer, Properties};
pub use images::{RESOURCES, Resources, TOOLKIT, cubins};
pub use plan::PatternPlan;
pub use spmm::PackedValues;

use crate::{
    backend::{ScoreTerm, Selected, SparseBackend},
    device::{Device, Element, Float},
    error::Result,
    num::to_usize,
    rng::Stream,
    sparse::{Csr, CsrPattern},
    tensor::{Matrix, Weight},
};
use driver::Driver;
use half::bf16;
use std::sync::Arc;

/// A GPU: buffers in its memory, activations bf16, work queued on one stream.
#[derive(Clone)]
pub struct Cuda {
    driver: Arc<Driver>,
    sparse_values: SparseValues,
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
        Ok(Self { driver: Arc::new(Driver::new(ordinal)?), sparse_values: SparseValues::Bf16 })
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
}

impl Device for Cuda {
    type Act = bf16;
    type Buffer<T: Element> = Buffer<T>;
    type PatternPlan = PatternPlan;
    type PackedValues = PackedValues;

    fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        self.driver.zeros(len)
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
