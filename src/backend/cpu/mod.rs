//! [`Cpu`], the embedded default: every op in Rust, on a thread pool, a file per op.
//!
//! Work is cut into pieces whose number and bounds depend on the shapes alone, and each piece is
//! summed in a fixed order by one thread: the result is the same, bit for bit, on any number of
//! threads.

// Some of what only packed products ask for exists elsewhere too.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

mod adamw;
mod attention;
mod awake;
mod bias;
mod cross_entropy;
mod csr_add;
mod csr_embedding;
mod csr_transpose;
mod cut;
mod dots;
mod dropout;
mod elements;
mod embedding;
mod exp;
mod grad_norm;
mod linear;
mod matmul;
mod nf4;
mod nf4_elements;
#[cfg_attr(not(target_arch = "x86_64"), path = "unpacked.rs")]
mod packed;
mod plan;
mod reduce;
mod rmsnorm;
mod rope;
mod row_pieces;
mod rows;
mod score;
mod sddmm;
mod simd;
mod slab;
mod small;
mod spare;
mod spmm;
mod strided;
mod swiglu;
mod tile;
mod topk_mask;
mod turn;

use crate::{
    backend::{
        AdapterGrads, Backend, Factors, Heads, LinearTerms, Rounding, ScoreTerm, Selected, SparseBackend,
        Turn, Update, Write, adapted_in_parts, adapted_t_in_parts, adapter_grads_in_parts, linear_in_parts,
        linear_t_in_parts, work,
    },
    device::{Device, Element, Float},
    error::{Error, Result},
    map::MappedElements,
    memory,
    nf4::Nf4Matrix,
    packing::Packing,
    profile::Profile,
    rng::Stream,
    sparse::{Csr, CsrPattern},
    tensor::{Ids, Matrix, Weight},
};
pub use elements::Elements;
use linear::GradOperands;
pub use plan::PatternPlan;
use std::{ops::Range, sync::Arc, thread};
use strided::View;

/// Bytes from which on a buffer of zeros, or of a weight that the host made, is lent.
const LEAST_LENT: usize = 1 << 16;

/// The host: buffers are vectors, lent memory or mapped files, activations f32, work runs on a thread pool of its own.
#[derive(Clone)]
pub struct Cpu {
    pool: Arc<rayon::ThreadPool>,
    awake: Arc<awake::Awake>,
    arch: pulp::Arch,
    packed: Option<packed::Unit>,
    spare: Arc<spare::Spare>,
    /// Of each thread of the pool, for what an op borrows.
    scratch: Arc<[Arc<spare::Spare>]>,
    profile: Arc<Profile>,
}

/// Threads that are started for the asking, though the machine may run fewer at once.
pub const MOST_THREADS: usize = 64;

impl Cpu {
    /// A CPU backend with `threads` threads, or one per core for `None`.
    ///
    /// # Errors
    /// [`Error::Setting`] for more than [`MOST_THREADS`] and more than the machine runs at once, or when the system cannot
    /// start that many.
    pub fn new(threads: Option<usize>) -> Result<Self> {
        let at_once = thread::available_parallelism().map_or(1, usize::from);
        if let Some(threads) = threads.filter(|&threads| threads > at_once.max(MOST_THREADS)) {
            let expected = format!(
                "at most {}: this machine runs {at_once} at once, as many as without it",
                at_once.max(MOST_THREADS)
            );
            return Err(Error::setting("--threads", threads, expected));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .build()
            .map_err(|e| Error::setting("--threads", threads.unwrap_or(0), e))?;
        Ok(Self {
            scratch: (0..pool.current_num_threads()).map(|_| Arc::default()).collect(),
            pool: Arc::new(pool),
            awake: Arc::default(),
            arch: pulp::Arch::new(),
            packed: packed::Unit::detect(),
            spare: Arc::default(),
            profile: Arc::default(),
        })
    }

    /// The same threads as on a machine without tiles: AVX-512 with BF16 takes their place, be it fast here or not.
    #[must_use]
    pub fn without_tiles(self) -> Self {
        Self { packed: self.packed.map(packed::Unit::without_tiles), ..self }
    }

    /// The same threads as on a machine without instructions for bf16.
    #[must_use]
    pub fn without_bf16(self) -> Self {
        Self { packed: None, ..self }
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The vector instructions that loops are compiled for on this CPU.
    #[must_use]
    pub fn vectors(&self) -> &'static str {
        match self.arch {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4(_) => match self.packed {
                Some(unit) if unit.has_tiles() => "AVX-512, AMX",
                Some(_) => "AVX-512 with BF16",
                None => "AVX-512",
            },
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3(_) => "AVX2",
            #[cfg(target_arch = "aarch64")]
            pulp::Arch::Neon(_) => "NEON",
            _ => "no vector instructions beyond the target's own",
        }
    }

    /// Where this thread borrows memory that it gives back before the op ends.
    fn scratch(&self) -> &Arc<spare::Spare> {
        self.pool.current_thread_index().map_or(&self.spare, |thread| &self.scratch[thread])
    }

    /// Memory that is shared with activations, if that much is large enough to matter and there is some.
    fn lend_large<T: Element>(&self, len: usize) -> Option<spare::Lent<T>> {
        (len * size_of::<T>() >= LEAST_LENT).then(|| self.spare.lend(len)).flatten()
    }

    /// Runs `work` inside the pool, so that the ops in it start without waking a thread each: until it has ended, the
    /// threads stay awake, unless the machine has fewer processors. Several callers may do so at once.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.pool.current_thread_index() {
            Some(_) => work(),
            None => self.awake.install(&self.pool, work),
        }
    }

    /// Runs a part of an op inside the pool.
    fn pooled<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.pool.current_thread_index() {
            Some(_) => work(),
            None => self.awake.once(&self.pool, work),
        }
    }
}

impl Device for Cpu {
    type Act = f32;
    type Buffer<T: Element> = Elements<T>;
    type PatternPlan = PatternPlan;
    type PackedValues = ();
    const PLAN_BYTES: usize = plan::BYTES;
    const COPY_BYTES: usize = 0;

    fn zeros<T: Element>(&self, len: usize) -> Result<Elements<T>> {
        Ok(match self.lend_large(len) {
            Some(mut lent) => {
                lent.fill(T::zeroed());
                Elements::Lent(lent)
            }
            None => Elements::Owned(bytemuck::zeroed_vec(len)),
        })
    }
    fn unwritten(&self, len: usize) -> Result<Elements<f32>> {
        Ok(Elements::unwritten(&self.spare, len))
    }
    fn trim(&self) {
        self.spare.trim();
        self.scratch.iter().for_each(|scratch| scratch.trim());
    }
    fn upload<T: Element>(&self, host: Vec<T>) -> Result<Elements<T>> {
        Ok(Elements::Owned(host))
    }
    fn upload_weight<T: Element>(&self, host: Vec<T>) -> Result<Elements<T>> {
        Ok(match self.lend_large(host.len()) {
            Some(mut lent) => {
                lent.copy_from_slice(&host);
                Elements::Lent(lent)
            }
            None => Elements::Owned(host),
        })
    }
    fn adopt<T: Element>(&self, mapped: MappedElements<T>) -> Result<Elements<T>> {
        Ok(Elements::Mapped(mapped))
    }
    fn download<T: Element>(&self, buffer: &Elements<T>) -> Result<Vec<T>> {
        Ok(buffer.to_vec())
    }
    fn copy<T: Element>(&self, src: &Elements<T>, dst: &mut Elements<T>) -> Result<()> {
        dst.copy_from_slice(src);
        Ok(())
    }
    fn clear<T: Element>(&self, buffer: &mut Elements<T>) -> Result<()> {
        buffer.fill(T::zeroed());
        Ok(())
    }
    fn len<T: Element>(buffer: &Elements<T>) -> usize {
        buffer.len()
    }
    fn profile(&self) -> &Profile {
        &self.profile
    }
    fn memory(&self) -> Result<Option<(usize, usize)>> {
        Ok(None)
    }
    fn peak_memory(&self) -> Option<u64> {
        memory::peak()
    }
    fn forget_peak_memory(&self) {
        memory::forget_peak();
    }
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

impl SparseBackend for Cpu {
    unsafe fn spmm_add(&self, s: &Csr<Self>, x: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()> {
        spmm::spmm_add(self, s, x, y);
        Ok(())
    }

    unsafe fn spmm_t_add(&self, s: &Csr<Self>, dy: &Matrix<Self>, dx: &mut Matrix<Self>) -> Result<()> {
        spmm::spmm_t_add(self, s, dy, dx);
        Ok(())
    }

    unsafe fn sddmm_add(&self, dy: &Matrix<Self>, x: &Matrix<Self>, ds: &mut Csr<Self>) -> Result<()> {
        sddmm::sddmm_add(self, dy, x, ds);
        Ok(())
    }

    unsafe fn csr_add<T: Float>(&self, s: &Csr<Self>, w: &mut Matrix<Self, T>) -> Result<()> {
        csr_add::csr_add(self, s, w);
        Ok(())
    }

    unsafe fn csr_transpose(
        &self,
        rows: usize,
        cols: usize,
        selected: Selected<Self>,
    ) -> Result<CsrPattern<Self>> {
        Ok(csr_transpose::csr_transpose(rows, cols, selected))
    }

    unsafe fn score_add(
        &self,
        g: &Matrix<Self, f32>,
        term: ScoreTerm,
        scores: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        score::score_add(self, g, term, scores);
        Ok(())
    }

    unsafe fn score_times_weight(&self, w: Weight<'_, Self>, scores: &mut Matrix<Self, f32>) -> Result<()> {
        score::score_times_weight(self, w, scores);
        Ok(())
    }

    unsafe fn score_random(&self, stream: Stream, scores: &mut Matrix<Self, f32>) -> Result<()> {
        score::score_random(self, stream, scores);
        Ok(())
    }

    unsafe fn topk_mask(&self, scores: &[&Matrix<Self, f32>], k: usize) -> Result<Vec<Selected<Self>>> {
        Ok(topk_mask::topk_mask(self, scores, k))
    }
}

impl Backend for Cpu {
    /// Where the machine has instructions that are the faster for it. Elsewhere the product is formed in f32 and nothing
    /// is rounded. Sums are f32 in either case. The instructions count numbers below 2⁻¹²⁶ as zero.
    fn rounds_to_bf16(&self, tokens: usize) -> bool {
        self.packed.is_some_and(|unit| unit.takes(tokens, matmul::Turned::Yes))
    }

    /// Where the products are those of packed panels.
    fn rounds_sum_to_bf16(&self, tokens: usize) -> bool {
        self.packed.is_some_and(|unit| unit.takes_by_panels(tokens))
    }

    unsafe fn matmul_nt(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        scale: f32,
        write: Write,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        matmul::matmul_nt(self, x, w, scale, write, y);
        Ok(())
    }

    unsafe fn matmul_nn(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        scale: f32,
        write: Write,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        matmul::matmul_nn(self, dy, w, scale, write, dx);
        Ok(())
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
        matmul::matmul_tn(self, dy, x, tokens, scale, write, dw);
        Ok(())
    }

    unsafe fn linear(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        if linear::joins(self, w, [x.rows(), w.rows(), w.cols()]) {
            linear::linear(self, x, w, terms, y);
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { linear_in_parts(self, x, w, terms, y) }
    }

    unsafe fn linear_t(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        write: Write,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        if linear::joins(self, w, [dy.rows(), w.cols(), w.rows()]) {
            linear::linear_t(self, dy, w, terms, write, dx);
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { linear_t_in_parts(self, dy, w, terms, write, dx) }
    }

    unsafe fn adapted_linear(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        factors: Factors<'_, Self>,
        u: &mut Matrix<Self>,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        if !linear::adapted(self, x, (w, terms.sparse), factors, u, y) {
            // SAFETY: the caller's promise.
            return unsafe { adapted_in_parts(self, x, w, terms, factors, u, y) };
        }
        if let Some(bias) = terms.bias {
            bias::bias_add(self, bias, y);
        }
        Ok(())
    }

    unsafe fn adapted_linear_t(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        factors: Factors<'_, Self>,
        write: Write,
        du: &mut Matrix<Self>,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        if linear::adapted_t(self, dy, (w, terms.sparse), factors, write, du, dx) {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe { adapted_t_in_parts(self, dy, w, terms, factors, write, du, dx) }
    }

    unsafe fn adapter_grads_add(
        &self,
        x: &Matrix<Self>,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        [u, du]: [&Matrix<Self>; 2],
        scale: f32,
        grads: AdapterGrads<'_, Self>,
    ) -> Result<()> {
        let Some(unit) = linear::of_grads(self, w, x.rows(), u.cols()) else {
            // SAFETY: the caller's promise.
            return unsafe { adapter_grads_in_parts(self, x, dy, [u, du], scale, grads) };
        };
        let [of_x, of_dy, u, du] = [x, dy, u, du].map(View::of);
        let of = GradOperands { x: of_x, du, dy: of_dy, u, scale };
        if let Some(ds) = &grads.s {
            self.profile.note(work::sddmm(dy, x, ds));
        }
        if matches!(w, Weight::F32(_)) {
            unit.f32_grads_add(self, of, grads.a, grads.b);
            if let Some(ds) = grads.s {
                sddmm::sddmm_add(self, dy, x, ds);
            }
        } else {
            unit.rounded_grads_add(self, of, grads);
        }
        Ok(())
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
        nf4::nf4_dequantize(self, w, s, y);
        Ok(())
    }

    unsafe fn score_product_add(
        &self,
        dy: &Matrix<Self>,
        x: &Matrix<Self>,
        tokens: Range<usize>,
        term: ScoreTerm,
        scores: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        matmul::score_product_add(self, dy, x, tokens, term, scores);
        Ok(())
    }

    unsafe fn csr_embedding_add(&self, s: &Csr<Self>, ids: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        csr_embedding::csr_embedding_add(self, s, ids, y);
        Ok(())
    }

    unsafe fn csr_embedding_grad_add(
        &self,
        ids: &Ids<Self>,
        dy: &Matrix<Self>,
        ds: &mut Csr<Self>,
    ) -> Result<()> {
        csr_embedding::csr_embedding_grad_add(self, ids, dy, ds);
        Ok(())
    }

    unsafe fn rmsnorm(
        &self,
        x: &Matrix<Self>,
        gain: &Matrix<Self, f32>,
        eps: f32,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        rmsnorm::rmsnorm(self, x, gain, eps, y);
        Ok(())
    }

    unsafe fn rmsnorm_backward_add(
        &self,
        x: &Matrix<Self>,
        gain: &Matrix<Self, f32>,
        eps: f32,
        dy: &Matrix<Self>,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        rmsnorm::rmsnorm_backward_add(self, x, gain, eps, dy, dx);
        Ok(())
    }

    unsafe fn rmsnorm_gain_grad_add(
        &self,
        x: &Matrix<Self>,
        eps: f32,
        dy: &Matrix<Self>,
        dgain: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        rmsnorm::rmsnorm_gain_grad_add(self, x, eps, dy, dgain);
        Ok(())
    }

    unsafe fn rope(
        &self,
        cos: &Matrix<Self, f32>,
        sin: &Matrix<Self, f32>,
        positions: &Ids<Self>,
        turn: Turn,
        x: &mut Matrix<Self>,
    ) -> Result<()> {
        rope::rope(self, cos, sin, positions, turn, x);
        Ok(())
    }

    unsafe fn attention(
        &self,
        q: &Matrix<Self>,
        k: &Matrix<Self>,
        v: &Matrix<Self>,
        packing: &Packing<Self>,
        heads: Heads,
        rounding: Rounding,
        y: &mut Matrix<Self>,
        lse: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        attention::attention(self, q, k, v, packing, heads, rounding, y, lse);
        Ok(())
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
        rounding: Rounding,
        dq: &mut Matrix<Self>,
        dk: &mut Matrix<Self>,
        dv: &mut Matrix<Self>,
    ) -> Result<()> {
        attention::attention_backward(self, q, k, v, y, lse, dy, packing, heads, rounding, dq, dk, dv);
        Ok(())
    }

    unsafe fn swiglu(&self, gate: &Matrix<Self>, up: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()> {
        swiglu::swiglu(self, gate, up, y);
        Ok(())
    }

    unsafe fn swiglu_backward(
        &self,
        gate: &mut Matrix<Self>,
        up: &mut Matrix<Self>,
        dy: &mut Matrix<Self>,
    ) -> Result<()> {
        swiglu::swiglu_backward(self, gate, up, dy);
        Ok(())
    }

    unsafe fn embedding(&self, table: Weight<'_, Self>, ids: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        embedding::embedding(self, table, ids, y);
        Ok(())
    }

    unsafe fn embedding_grad_add(
        &self,
        ids: &Ids<Self>,
        dy: &Matrix<Self>,
        dtable: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        embedding::embedding_grad_add(self, ids, dy, dtable);
        Ok(())
    }

    unsafe fn gather_rows(&self, x: &Matrix<Self>, rows: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        rows::gather_rows(self, x, rows, y);
        Ok(())
    }

    unsafe fn scatter_rows(&self, x: &Matrix<Self>, rows: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()> {
        rows::scatter_rows(x, rows, y);
        Ok(())
    }

    unsafe fn bias_add(&self, bias: &Matrix<Self, f32>, x: &mut Matrix<Self>) -> Result<()> {
        bias::bias_add(self, bias, x);
        Ok(())
    }

    unsafe fn bias_grad_add(&self, dy: &Matrix<Self>, dbias: &mut Matrix<Self, f32>) -> Result<()> {
        bias::bias_grad_add(self, dy, dbias);
        Ok(())
    }

    unsafe fn add(&self, x: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()> {
        bias::add(self, x, y);
        Ok(())
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
        dropout::dropout(self, x, p, stream, first_row, write, y);
        Ok(())
    }

    unsafe fn cross_entropy(
        &self,
        targets: &Ids<Self>,
        scale: f32,
        logits: &mut Matrix<Self>,
        first: usize,
        losses: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        cross_entropy::cross_entropy(self, targets, scale, logits, first, losses);
        Ok(())
    }

    unsafe fn argmax_rows(&self, x: &Matrix<Self>, best: &mut Self::Buffer<u32>) -> Result<()> {
        rows::argmax_rows(self, x, best);
        Ok(())
    }

    unsafe fn sum_squares(&self, xs: &[&Self::Buffer<f32>], sums: &mut Matrix<Self, f64>) -> Result<()> {
        grad_norm::sum_squares(self, xs, sums);
        Ok(())
    }

    unsafe fn clip_factor(
        &self,
        sums: &Matrix<Self, f64>,
        max_norm: f32,
        clip: &mut Matrix<Self, f32>,
    ) -> Result<()> {
        grad_norm::clip_factor(sums, max_norm, clip);
        Ok(())
    }

    unsafe fn adamw(&self, clip: &Matrix<Self, f32>, updates: Vec<Update<'_, Self>>) -> Result<()> {
        adamw::adamw(self, clip, updates);
        Ok(())
    }
}
