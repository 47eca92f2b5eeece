//! The cases with the shapes of a model's layer.

use super::{
    Each, attention, elementwise as each_element, linear, lookup, loss, nf4, optimizer, products, sparse,
};
use crate::{
    backend::{Backend, Heads, Rounding, ScoreTerm, Write},
    tensor::Precision::{Bf16, Nf4},
};
use half::bf16;

/// A layer of a Llama, the tokens of a micro-batch, and the adapter of a weight.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Tokens, all of one sequence.
    pub tokens: usize,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width between the projections of the feed-forward part.
    pub intermediate: usize,
    /// Attention.
    pub heads: Heads,
    /// Words.
    pub vocab: usize,
    /// Rank of A and B.
    pub rank: usize,
    /// Share of the entries in S.
    pub density: f64,
}

impl Layer {
    /// Of Llama 2 7B, with RoSA as published.
    pub const LLAMA_7B: Self = Self {
        tokens: 512,
        hidden: 4096,
        intermediate: 11_008,
        heads: Heads { heads: 32, kv_heads: 32, head_dim: 128 },
        vocab: 32_000,
        rank: 16,
        density: 0.006,
    };
}

/// Makes each case on `be` and hands it to `each`.
pub fn layer<B: Backend>(be: &B, layer: Layer, each: &mut Each<'_>) {
    let Layer { tokens: t, hidden, intermediate, heads, vocab, rank, density } = layer;
    let square = [hidden, hidden];
    each("matmul_nt", products::nt(be, [t, hidden, hidden], Bf16));
    each("matmul_nn", products::nn(be, [t, hidden, hidden], Bf16));
    each("matmul_tn", products::tn(be, [t, hidden, hidden]));
    each("matmul_nt", products::nt(be, [t, rank, hidden], Bf16));
    each("matmul_nn", products::nn(be, [t, hidden, rank], Bf16));
    each("matmul_tn", products::tn(be, [t, rank, hidden]));
    for precision in [Bf16, Nf4] {
        let sizes = linear::Sizes { t, n: hidden, k: hidden, rank, density, precision };
        each("linear", linear::forward(be, sizes));
        each("linear_t", linear::backward(be, sizes));
    }
    each("matmul_nt", products::nt(be, [t, hidden, hidden], Nf4));
    each("matmul_nn", products::nn(be, [t, hidden, hidden], Nf4));
    each("matmul_nt", products::nt(be, [1, hidden, hidden], Nf4));
    each("nf4_quantize", nf4::quantize(be, square));
    each("nf4_dequantize", nf4::dequantize::<_, bf16>(be, square, Some(density)));
    each("score_product_add", products::score(be, [t, hidden, hidden], ScoreTerm::Square));
    each("attention", attention::forward(be, &[t], heads, Rounding::ToBf16));
    each("attention_backward", attention::backward(be, &[t], heads, Rounding::ToBf16));
    each("rope", each_element::rope(be, t, heads.heads, heads.head_dim / 2));
    each("rmsnorm", each_element::rmsnorm(be, [t, hidden]));
    each("rmsnorm_backward_add", each_element::rmsnorm_backward(be, [t, hidden]));
    each("rmsnorm_gain_grad_add", each_element::rmsnorm_gain_grad(be, [t, hidden]));
    each("swiglu", each_element::swiglu(be, [t, intermediate]));
    each("swiglu_backward", each_element::swiglu_backward(be, [t, intermediate]));
    each("bias_add", each_element::bias_add(be, [t, hidden]));
    each("bias_grad_add", each_element::bias_grad(be, [t, hidden]));
    each("add", each_element::add(be, [t, hidden]));
    each("dropout", each_element::dropout(be, [t, hidden], Write::Overwrite));
    // Of a table only the rows of tokens are touched: a part of it will do.
    each("embedding", lookup::embedding(be, t, square, Bf16));
    each("embedding_grad_add", lookup::embedding_grad(be, t, square));
    each("gather_rows", lookup::gather(be, t, [t, hidden]));
    each("scatter_rows", lookup::scatter(be, [t, hidden]));
    each("cross_entropy", loss::cross_entropy(be, [t, vocab]));
    each("argmax_rows", lookup::argmax(be, [t, vocab]));
    each("sum_squares", optimizer::sum_squares(be, hidden * hidden));
    each("adamw", optimizer::adamw(be, hidden * hidden));
    each("spmm_add", sparse::spmm(be, t, square, density));
    each("spmm_t_add", sparse::spmm_t(be, t, square, density));
    each("sddmm_add", sparse::sddmm(be, t, square, density));
    each("csr_add", sparse::csr_add::<_, bf16>(be, square, density));
    each("topk_mask", sparse::topk_mask(be, square, density));
}
