//! The table of contents of every operation: one method each, one line of mathematics.
//!
//! The methods are unsafe because they trust their operands: dimensions agree and indices are in
//! range as the function of the same name in [`ops`](crate::ops) checks. Call those.
//!
//! Shapes: `t` tokens, `n` out features, `k` in features, `h` heads, `g` key heads, `e` the width
//! of a head. A name ending in `_add` accumulates; a plain one overwrites unless it takes a
//! [`Write`]. Outputs stand last. Every sum is accumulated in f32, in an order that depends on the
//! shapes alone.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub(crate) mod work;

use crate::{
    device::{Device, Float},
    error::Result,
    nf4::Nf4Matrix,
    packing::Packing,
    profile::OpClass,
    rng::Stream,
    sparse::{Csr, CsrPattern},
    tensor::{Ids, Matrix, Weight},
};
use std::ops::Range;

/// Whether an output is replaced or added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// `out = value`; what was there is not read.
    Overwrite,
    /// `out += value`.
    Add,
}

/// What joins the product of activations with a weight: the rest of a linear layer.
pub struct LinearTerms<'a, D: Device> {
    /// `[1, n]`, added to every row.
    pub bias: Option<&'a Matrix<D, f32>>,
    /// S `[n, k]`, added to the weight.
    pub sparse: Option<&'a Csr<D>>,
    /// A product of low rank, added to the output.
    pub low_rank: Option<LowRankTerm<'a, D>>,
}

/// `scale · u · factor`, where u `[t, r]` has few columns; see [`Backend::linear`] and [`Backend::linear_t`].
pub struct LowRankTerm<'a, D: Device> {
    /// Activations `[t, r]`.
    pub u: &'a Matrix<D>,
    /// B `[n, r]` forward, A `[r, k]` backward.
    pub factor: &'a Matrix<D, f32>,
    /// What the product is scaled by.
    pub scale: f32,
}

/// The factors of `scale · b · a`, with a `[r, k]` and b `[n, r]`.
pub struct Factors<'a, D: Device> {
    /// A.
    pub a: &'a Matrix<D, f32>,
    /// B.
    pub b: &'a Matrix<D, f32>,
    /// What their product is scaled by.
    pub scale: f32,
}

/// The gradients of an adapter `s + scale·b·a`, each added to.
pub struct AdapterGrads<'a, D: Device> {
    /// That of a, `[r, k]`.
    pub a: &'a mut Matrix<D, f32>,
    /// That of b, `[n, r]`.
    pub b: &'a mut Matrix<D, f32>,
    /// That of s `[n, k]`, where it is set.
    pub s: Option<&'a mut Csr<D>>,
}

impl<D: Device> Clone for Factors<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device> Copy for Factors<'_, D> {}

impl<D: Device> Clone for LinearTerms<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device> Copy for LinearTerms<'_, D> {}

impl<D: Device> Clone for LowRankTerm<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device> Copy for LowRankTerm<'_, D> {}

/// The sense in which rotary embedding turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// By `+θ`: the forward pass.
    Forward,
    /// By `−θ`: its transpose, the backward pass.
    Backward,
}

/// What a gradient adds to the scores of a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreTerm {
    /// `g²`: the diagonal of the empirical Fisher matrix.
    Square,
    /// `g`: the mean gradient.
    Sum,
}

/// The heads of an attention layer. `heads` is a multiple of `kv_heads`; query head `i` reads key
/// head `i / (heads / kv_heads)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads `h`.
    pub heads: usize,
    /// Key and value heads `g`.
    pub kv_heads: usize,
    /// The width `e` of a head, even.
    pub head_dim: usize,
}

/// What the numbers that an operation multiplies may be rounded to, where the backend holds more of them; sums are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// They count as they are.
    Never,
    /// To bf16, to nearest, as beside weights that have no more bits.
    ToBf16,
}

/// The settings of one AdamW update (Loshchilov and Hutter, arXiv 1711.05101).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Which update of this parameter it is, counted from 1.
    pub step: u32,
}

/// One parameter of an update by AdamW: all buffers are equally long.
pub struct Update<'a, D: Device> {
    /// What goes into the update.
    pub settings: AdamW,
    /// The gradient, cleared when it has been read.
    pub grad: &'a mut D::Buffer<f32>,
    /// The first moment.
    pub m: &'a mut D::Buffer<f32>,
    /// The second moment.
    pub v: &'a mut D::Buffer<f32>,
    /// The value.
    pub x: &'a mut D::Buffer<f32>,
}

/// A pattern's arrays before its transpose is known: what [`SparseBackend::topk_mask`] selects.
pub struct Selected<D: Device> {
    /// `rows + 1` offsets.
    pub row_offsets: D::Buffer<u32>,
    /// `nnz` columns.
    pub col_indices: D::Buffer<u32>,
}

/// A device with the operations that this crate exists for: sparse products, sampled gradients, the choice of a mask.
///
/// # Safety
/// Every method demands what the function of the same name in [`ops`](crate::ops) checks.
#[expect(clippy::missing_safety_doc, reason = "stated once, for all methods, on the trait")]
pub trait SparseBackend: Device {
    /// `y[t,i] += Σ_j s[i,j] · x[t,j]`, with s `[n, k]`: `y += x · sᵀ`.
    unsafe fn spmm_add(&self, s: &Csr<Self>, x: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// `dx[t,j] += Σ_i dy[t,i] · s[i,j]`: `dx += dy · s`, through the transposed pattern.
    unsafe fn spmm_t_add(&self, s: &Csr<Self>, dy: &Matrix<Self>, dx: &mut Matrix<Self>) -> Result<()>;

    /// What the products with s count a value of it as: itself, unless the backend rounds it.
    fn counted_value(&self, value: f32) -> f32 {
        value
    }

    /// `ds[i,j] += Σ_t dy[t,i] · x[t,j]` where the pattern of ds is set.
    unsafe fn sddmm_add(&self, dy: &Matrix<Self>, x: &Matrix<Self>, ds: &mut Csr<Self>) -> Result<()>;

    /// `w += s`: an f32 sum, rounded once to the type of w, f32 or bf16.
    unsafe fn csr_add<T: Float>(&self, s: &Csr<Self>, w: &mut Matrix<Self, T>) -> Result<()>;

    /// The pattern with all that follows from it: its transpose with the permutation, the rows by falling length, and
    /// what this device's kernels plan from it.
    unsafe fn csr_transpose(
        &self,
        rows: usize,
        cols: usize,
        selected: Selected<Self>,
    ) -> Result<CsrPattern<Self>>;

    /// `scores += g²` or `scores += g`.
    unsafe fn score_add(
        &self,
        g: &Matrix<Self, f32>,
        term: ScoreTerm,
        scores: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    /// `scores ← scores · w`, elementwise: from the mean gradient to SNIP's `w·g`.
    unsafe fn score_times_weight(&self, w: Weight<'_, Self>, scores: &mut Matrix<Self, f32>) -> Result<()>;

    /// `scores[i] ← stream.uniform(i)`.
    unsafe fn score_random(&self, stream: Stream, scores: &mut Matrix<Self, f32>) -> Result<()>;

    /// The `k` entries of largest |score| over all `scores` together, ties to the earlier matrix
    /// and then to the lower index: one selection per matrix.
    unsafe fn topk_mask(&self, scores: &[&Matrix<Self, f32>], k: usize) -> Result<Vec<Selected<Self>>>;
}

/// A device with all operations that training needs.
///
/// # Safety
/// Every method demands what the function of the same name in [`ops`](crate::ops) checks.
#[expect(clippy::missing_safety_doc, reason = "stated once, for all methods, on the trait")]
pub trait Backend: SparseBackend {
    /// Whether the product of so many tokens with a weight narrower than f32 is one of bf16 numbers: the activations,
    /// and a 4-bit weight's values, are each rounded to bf16 first. A product backward counts as one of
    /// `usize::MAX` tokens. On a GPU all are.
    fn rounds_to_bf16(&self, tokens: usize) -> bool;

    /// Whether S joins the weight for so many tokens, either way: a linear layer with a weight narrower than f32 then counts
    /// each element of `w + s` as that sum in f32, rounded to bf16. Elsewhere S may join, or have a product of its own.
    fn rounds_sum_to_bf16(&self, tokens: usize) -> bool {
        let _ = tokens;
        false
    }

    // ---- dense products -------------------------------------------------------------------

    /// `y ← [y +] scale · x · wᵀ`, with x `[t, k]`, w `[n, k]`, y `[t, n]`.
    unsafe fn matmul_nt(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        scale: f32,
        write: Write,
        y: &mut Matrix<Self>,
    ) -> Result<()>;

    /// `dx ← [dx +] scale · dy · w`, with dy `[t, n]`, w `[n, k]`, dx `[t, k]`.
    unsafe fn matmul_nn(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        scale: f32,
        write: Write,
        dx: &mut Matrix<Self>,
    ) -> Result<()>;

    /// `dw ← [dw +] scale · Σ_{t in tokens} dy[t,·]ᵀ · x[t,·]`, with dy `[t, n]`, x `[t, k]`, dw `[n, k]`.
    unsafe fn matmul_tn(
        &self,
        dy: &Matrix<Self>,
        x: &Matrix<Self>,
        tokens: Range<usize>,
        scale: f32,
        write: Write,
        dw: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    // ---- 4-bit weights --------------------------------------------------------------------

    /// w in blocks of `block` values: the magnitude of a block is its largest |value|, and not finite where a value is
    /// not; a value's code is that of `value · (1 / magnitude)`.
    unsafe fn nf4_quantize(&self, w: &Matrix<Self, f32>, block: usize) -> Result<Nf4Matrix<Self>>;

    /// `y = w + s`: the product of code and magnitude and the sum each rounded to f32, then once to the type of y.
    unsafe fn nf4_dequantize<T: Float>(
        &self,
        w: &Nf4Matrix<Self>,
        s: Option<&Csr<Self>>,
        y: &mut Matrix<Self, T>,
    ) -> Result<()>;

    // ---- linear layers --------------------------------------------------------------------

    /// `scores += g²` or `scores += g`, elementwise, with `g = Σ_{t in tokens} dy[t,·]ᵀ · x[t,·]`, dy `[t, n]`, x
    /// `[t, k]`, scores `[n, k]`. All of g never exists.
    unsafe fn score_product_add(
        &self,
        dy: &Matrix<Self>,
        x: &Matrix<Self>,
        tokens: Range<usize>,
        term: ScoreTerm,
        scores: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    /// A linear layer with its adapter: `y = x·(w + s)ᵀ + bias + scale·u·factorᵀ`, with x `[t, k]`, w `[n, k]`,
    /// y `[t, n]`. A backend joins in one pass what gains by it; this is the form that joins nothing. What
    /// is no part of the product stands in the profile by itself.
    unsafe fn linear(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { linear_in_parts(self, x, w, terms, y) }
    }

    /// The gradient of [`linear`](Self::linear) with respect to x: `dx ← [dx +] dy·(w + s) + scale·u·factor`, with
    /// dy `[t, n]`, w `[n, k]`, dx `[t, k]`. There is no bias.
    unsafe fn linear_t(
        &self,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        write: Write,
        dx: &mut Matrix<Self>,
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { linear_t_in_parts(self, dy, w, terms, write, dx) }
    }

    /// [`linear`](Self::linear) that makes `u = x·aᵀ`, `[t, r]`, first: `y = x·(w + s)ᵀ + bias + scale·u·bᵀ`. The low-rank
    /// part of `terms` is not read. Where x is rounded to bf16 as it meets w, so may be x and a as they make u, and u and
    /// `scale·b` as they meet; what is written to u is not.
    unsafe fn adapted_linear(
        &self,
        x: &Matrix<Self>,
        w: Weight<'_, Self>,
        terms: LinearTerms<'_, Self>,
        factors: Factors<'_, Self>,
        u: &mut Matrix<Self>,
        y: &mut Matrix<Self>,
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { adapted_in_parts(self, x, w, terms, factors, u, y) }
    }

    /// [`linear_t`](Self::linear_t) that makes `du = scale·dy·b`, `[t, r]`, first: `dx ← [dx +] dy·(w + s) + du·a`. Of
    /// `terms` the sparse part alone is read; numbers may be rounded in the same way.
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
        // SAFETY: the caller's promise.
        unsafe { adapted_t_in_parts(self, dy, w, terms, factors, write, du, dx) }
    }

    /// The gradients of an adapter beside w: `da += duᵀ·x`, `db += scale·dyᵀ·u` and `ds += dyᵀ·x` where s is set, with
    /// x `[t, k]`, dy `[t, n]`, u and du `[t, r]`. Where a layer rounds x and dy for their products with w, all four may be
    /// rounded here too.
    unsafe fn adapter_grads_add(
        &self,
        x: &Matrix<Self>,
        dy: &Matrix<Self>,
        w: Weight<'_, Self>,
        [u, du]: [&Matrix<Self>; 2],
        scale: f32,
        grads: AdapterGrads<'_, Self>,
    ) -> Result<()> {
        let _ = w;
        // SAFETY: the caller's promise.
        unsafe { adapter_grads_in_parts(self, x, dy, [u, du], scale, grads) }
    }

    /// `y[t,·] += s[ids[t],·]`: the sparse adapter of an embedding table `[vocab, k]`.
    unsafe fn csr_embedding_add(&self, s: &Csr<Self>, ids: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// `ds[v,j] += Σ_{t: ids[t] = v} dy[t,j]` where the pattern of ds is set.
    unsafe fn csr_embedding_grad_add(
        &self,
        ids: &Ids<Self>,
        dy: &Matrix<Self>,
        ds: &mut Csr<Self>,
    ) -> Result<()>;

    // ---- the layers of a Llama ------------------------------------------------------------

    /// `y[t,·] = x[t,·] / √(mean_j x[t,j]² + eps) ∘ gain`, with gain `[1, k]`.
    unsafe fn rmsnorm(
        &self,
        x: &Matrix<Self>,
        gain: &Matrix<Self, f32>,
        eps: f32,
        y: &mut Matrix<Self>,
    ) -> Result<()>;

    /// `dx += ` the gradient of [`rmsnorm`](Self::rmsnorm) with respect to x: with
    /// `r = 1/√(mean x² + eps)`, `dx[t,j] += r·(gain[j]·dy[t,j] − x[t,j]·r²·mean_i(dy[t,i]·gain[i]·x[t,i]))`.
    unsafe fn rmsnorm_backward_add(
        &self,
        x: &Matrix<Self>,
        gain: &Matrix<Self, f32>,
        eps: f32,
        dy: &Matrix<Self>,
        dx: &mut Matrix<Self>,
    ) -> Result<()>;

    /// `dgain[j] += Σ_t dy[t,j] · x[t,j] / √(mean_i x[t,i]² + eps)`.
    unsafe fn rmsnorm_gain_grad_add(
        &self,
        x: &Matrix<Self>,
        eps: f32,
        dy: &Matrix<Self>,
        dgain: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    /// Turns each pair `(x[j], x[j + e/2])` of each head by the angle whose cosine and sine stand
    /// in row `positions[t]` of the tables `[positions, e/2]`; x `[t, heads·e]`, in place.
    unsafe fn rope(
        &self,
        cos: &Matrix<Self, f32>,
        sin: &Matrix<Self, f32>,
        positions: &Ids<Self>,
        turn: Turn,
        x: &mut Matrix<Self>,
    ) -> Result<()>;

    /// Causal grouped-query attention over packed sequences:
    /// `y = softmax(q·kᵀ/√e)·v` per head, `lse[t, head] = ln Σ exp(q·kᵀ/√e)`; q, y `[t, h·e]`, k, v `[keys, g·e]`. What may
    /// be rounded is q, k, v, and the weights `exp(q·kᵀ/√e − m)` above the division.
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
    ) -> Result<()>;

    /// The gradients of [`attention`](Self::attention), overwriting dq, dk, dv. With
    /// `P = exp(q·kᵀ/√e − lse)` and `dS = P∘(dy·vᵀ − rowsum(dy∘y))/√e`: `dq = dS·k`, `dk = dSᵀ·q`, `dv = Pᵀ·dy`.
    /// Every sequence attends to itself (`k_start = q_start`, `k_len = q_len`). What may be rounded is q, k, v, dy, P and dS.
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
    ) -> Result<()>;

    /// `y = gate·σ(gate) ∘ up`.
    unsafe fn swiglu(&self, gate: &Matrix<Self>, up: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// Gate becomes `dgate = σ(gate)·(1 + gate·(1 − σ(gate))) ∘ up ∘ dy`, up becomes `dup = gate·σ(gate) ∘ dy`, and dy
    /// becomes y again.
    unsafe fn swiglu_backward(
        &self,
        gate: &mut Matrix<Self>,
        up: &mut Matrix<Self>,
        dy: &mut Matrix<Self>,
    ) -> Result<()>;

    /// `y[t,·] = table[ids[t],·]`, with table `[vocab, k]`.
    unsafe fn embedding(&self, table: Weight<'_, Self>, ids: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// `dtable[v,·] += Σ_{t: ids[t] = v} dy[t,·]`, t rising.
    unsafe fn embedding_grad_add(
        &self,
        ids: &Ids<Self>,
        dy: &Matrix<Self>,
        dtable: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    /// `y[i,·] = x[rows[i],·]`.
    unsafe fn gather_rows(&self, x: &Matrix<Self>, rows: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// `y[rows[i],·] = x[i,·]`; no row stands twice in `rows`, other rows of y keep their values.
    unsafe fn scatter_rows(&self, x: &Matrix<Self>, rows: &Ids<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// `x[t,·] += bias`, with bias `[1, n]`.
    unsafe fn bias_add(&self, bias: &Matrix<Self, f32>, x: &mut Matrix<Self>) -> Result<()>;

    /// `dbias[j] += Σ_t dy[t,j]`.
    unsafe fn bias_grad_add(&self, dy: &Matrix<Self>, dbias: &mut Matrix<Self, f32>) -> Result<()>;

    /// `y += x`.
    unsafe fn add(&self, x: &Matrix<Self>, y: &mut Matrix<Self>) -> Result<()>;

    /// `y ← [y +] x ∘ D / (1 − p)`, where entry `(t, j)` of D is kept (1) unless
    /// `stream.uniform((first_row + t) · cols + j) < p`.
    unsafe fn dropout(
        &self,
        x: &Matrix<Self>,
        p: f32,
        stream: Stream,
        first_row: usize,
        write: Write,
        y: &mut Matrix<Self>,
    ) -> Result<()>;

    /// In place, logits `[t, vocab]` become their gradient: `logits ← scale · (softmax(logits) − onehot(targets))`,
    /// `losses[first + t] = ln Σ_v exp(logits[t,v]) − logits[t, targets[t]]`; losses `[1, first + t or more]`.
    unsafe fn cross_entropy(
        &self,
        targets: &Ids<Self>,
        scale: f32,
        logits: &mut Matrix<Self>,
        first: usize,
        losses: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    /// `best[t] = argmax_v x[t,v]`, ties to the lowest index; the number of columns for a row of nothing but NaN.
    unsafe fn argmax_rows(&self, x: &Matrix<Self>, best: &mut Self::Buffer<u32>) -> Result<()>;

    // ---- the optimizer --------------------------------------------------------------------

    /// `sums[i] = Σ xsᵢ²` in f64, with sums `[1, tensors]`.
    unsafe fn sum_squares(&self, xs: &[&Self::Buffer<f32>], sums: &mut Matrix<Self, f64>) -> Result<()>;

    /// `norm = √Σ sums`, `clip = [norm, min(1, max_norm / norm)]`; clip `[1, 2]`, sums `[1, slots]`.
    unsafe fn clip_factor(
        &self,
        sums: &Matrix<Self, f64>,
        max_norm: f32,
        clip: &mut Matrix<Self, f32>,
    ) -> Result<()>;

    /// For each parameter, with `g = clip[1]·grad`: `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`,
    /// `x ← x·(1 − lr·decay) − lr·(m/(1−β₁ˢ)) / (√(v/(1−β₂ˢ)) + eps)`, `grad = 0`.
    unsafe fn adamw(&self, clip: &Matrix<Self, f32>, updates: Vec<Update<'_, Self>>) -> Result<()>;
}

/// [`Backend::linear`] with an op a term.
///
/// # Safety
/// As the method.
pub(crate) unsafe fn linear_in_parts<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    y: &mut Matrix<B>,
) -> Result<()> {
    // SAFETY: the caller's promise holds for each part.
    unsafe {
        be.matmul_nt(x, w, 1.0, Write::Overwrite, y)?;
        if let Some(bias) = terms.bias {
            be.profiled(OpClass::Elementwise, work::passes(2, y), || be.bias_add(bias, y))?;
        }
        if let Some(s) = terms.sparse {
            be.profiled(OpClass::Spmm, work::spmm(s, x, y), || be.spmm_add(s, x, y))?;
        }
        match terms.low_rank {
            Some(l) => be.matmul_nt(l.u, l.factor.into(), l.scale, Write::Add, y),
            None => Ok(()),
        }
    }
}

/// [`Backend::linear_t`] with an op a term.
///
/// # Safety
/// As the method.
pub(crate) unsafe fn linear_t_in_parts<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    write: Write,
    dx: &mut Matrix<B>,
) -> Result<()> {
    // SAFETY: the caller's promise holds for each part.
    unsafe {
        be.matmul_nn(dy, w, 1.0, write, dx)?;
        if let Some(s) = terms.sparse {
            be.profiled(OpClass::Spmm, work::spmm(s, dy, dx), || be.spmm_t_add(s, dy, dx))?;
        }
        match terms.low_rank {
            Some(l) => be.matmul_nn(l.u, l.factor.into(), l.scale, Write::Add, dx),
            None => Ok(()),
        }
    }
}

/// [`Backend::adapted_linear`] as a product for u and a linear layer that reads it.
///
/// # Safety
/// As the method.
pub(crate) unsafe fn adapted_in_parts<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    Factors { a, b, scale }: Factors<'_, B>,
    u: &mut Matrix<B>,
    y: &mut Matrix<B>,
) -> Result<()> {
    // SAFETY: the caller's promise holds for each part.
    unsafe {
        be.matmul_nt(x, a.into(), 1.0, Write::Overwrite, u)?;
        be.linear(x, w, LinearTerms { low_rank: Some(LowRankTerm { u, factor: b, scale }), ..terms }, y)
    }
}

/// [`Backend::adapted_linear_t`] in the same way.
///
/// # Safety
/// As the method.
pub(crate) unsafe fn adapted_t_in_parts<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    terms: LinearTerms<'_, B>,
    Factors { a, b, scale }: Factors<'_, B>,
    write: Write,
    du: &mut Matrix<B>,
    dx: &mut Matrix<B>,
) -> Result<()> {
    // SAFETY: the caller's promise holds for each part.
    unsafe {
        be.matmul_nn(dy, b.into(), scale, Write::Overwrite, du)?;
        let low_rank = Some(LowRankTerm { u: du, factor: a, scale: 1.0 });
        be.linear_t(dy, w, LinearTerms { low_rank, ..terms }, write, dx)
    }
}

/// [`Backend::adapter_grads_add`] with an op a gradient.
///
/// # Safety
/// As the method.
pub(crate) unsafe fn adapter_grads_in_parts<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    dy: &Matrix<B>,
    [u, du]: [&Matrix<B>; 2],
    scale: f32,
    grads: AdapterGrads<'_, B>,
) -> Result<()> {
    let tokens = 0..x.rows();
    // SAFETY: the caller's promise holds for each part.
    unsafe {
        if let Some(ds) = grads.s {
            be.profiled(OpClass::Sddmm, work::sddmm(dy, x, ds), || be.sddmm_add(dy, x, ds))?;
        }
        be.matmul_tn(dy, u, tokens.clone(), scale, Write::Add, grads.b)?;
        be.matmul_tn(du, x, tokens, 1.0, Write::Add, grads.a)
    }
}
