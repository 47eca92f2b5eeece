//! The small cases: together they reach every kernel, and the forms that the CPU's ops have.

use super::{
    Each, attention, elementwise as each_element, linear, lookup, loss, nf4, optimizer, products, sparse,
};
use crate::{
    backend::{Backend, Heads, Rounding, ScoreTerm, Write},
    tensor::Precision::{Bf16, F32, Nf4},
};
use half::bf16;

/// Makes each case on `be` and hands it to `each`.
pub fn proofs<B: Backend>(be: &B, each: &mut Each<'_>) {
    dense_products(be, each);
    sparse_proofs(be, each);
    sampled_products(be, each);
    four_bits(be, each);
    let sizes = linear::Sizes { t: 41, n: 72, k: 136, rank: 8, density: 0.1, precision: Bf16 };
    let many = linear::Sizes { t: 1030, n: 40, k: 24, ..sizes };
    for sizes in [sizes, many, linear::Sizes { t: 5, n: 33, k: 70, rank: 3, ..sizes }] {
        each("linear", linear::forward(be, sizes));
        each("linear_t", linear::backward(be, sizes));
        each("adapted_linear", linear::adapted(be, sizes));
        each("adapted_linear_t", linear::adapted_t(be, sizes));
        each("adapter_grads_add", linear::adapter_grads(be, sizes));
    }
    for (rows, cols) in [(50, 2100), (3, 70_001)] {
        each("csr_add", sparse::csr_add::<_, f32>(be, [rows, cols], 0.02));
        each("csr_add", sparse::csr_add::<_, bf16>(be, [rows, cols], 0.02));
    }
    each("csr_transpose", sparse::csr_transpose(be, [70, 300], 0.05));
    each("topk_mask", sparse::topk_mask(be, [90, 130], 0.3));
    each("score_add", sparse::score_add(be, [37, 70], ScoreTerm::Square));
    each("score_add", sparse::score_add(be, [37, 70], ScoreTerm::Sum));
    each("score_times_weight", sparse::score_times_weight(be, [37, 70], F32));
    each("score_times_weight", sparse::score_times_weight(be, [37, 70], Bf16));
    each("score_times_weight", sparse::score_times_weight(be, [32, 70], Nf4));
    each("score_product_add", products::score(be, [37, 40, 72], ScoreTerm::Square));
    each("score_product_add", products::score(be, [37, 41, 71], ScoreTerm::Sum));
    each("score_random", sparse::score_random(be, [37, 70]));

    // Heads of both widths that kernels are made for, and wider ones; keys that blocks share.
    for head_dim in [16, 80] {
        let heads = Heads { heads: 1, kv_heads: 1, head_dim };
        each("attention", attention::forward(be, &[1030], heads, Rounding::Never));
    }
    for heads in [16, 80, 136].map(|head_dim| Heads { heads: 2, kv_heads: 1, head_dim }) {
        each("attention", attention::forward(be, &[1, 70, 13], heads, Rounding::Never));
        each("attention_backward", attention::backward(be, &[1, 70, 13], heads, Rounding::Never));
    }
    let heads = Heads { heads: 2, kv_heads: 1, head_dim: 80 };
    each("attention", attention::forward(be, &[1, 70, 13], heads, Rounding::ToBf16));
    each("attention_backward", attention::backward(be, &[1, 70, 13], heads, Rounding::ToBf16));
    each("rope", each_element::rope(be, 9, 3, 10));
    for shape in [[9, 64], [7, 577]] {
        each("rmsnorm", each_element::rmsnorm(be, shape));
        each("rmsnorm_backward_add", each_element::rmsnorm_backward(be, shape));
        each("rmsnorm_gain_grad_add", each_element::rmsnorm_gain_grad(be, shape));
        each("swiglu", each_element::swiglu(be, shape));
        each("swiglu_backward", each_element::swiglu_backward(be, shape));
        each("bias_add", each_element::bias_add(be, shape));
        each("bias_grad_add", each_element::bias_grad(be, shape));
        each("add", each_element::add(be, shape));
    }
    each("dropout", each_element::dropout(be, [9, 67], Write::Overwrite));
    each("dropout", each_element::dropout(be, [9, 67], Write::Add));

    each("embedding", lookup::embedding(be, 30, [90, 20], F32));
    each("embedding", lookup::embedding(be, 30, [90, 20], Bf16));
    each("embedding", lookup::embedding(be, 30, [96, 20], Nf4));
    each("embedding_grad_add", lookup::embedding_grad(be, 70, [20, 24]));
    each("csr_embedding_add", lookup::csr_embedding(be, 70, [20, 50], 0.2));
    each("csr_embedding_grad_add", lookup::csr_embedding_grad(be, 70, [20, 50], 0.2));
    each("gather_rows", lookup::gather(be, 40, [30, 20]));
    each("scatter_rows", lookup::scatter(be, [30, 20]));
    each("argmax_rows", lookup::argmax(be, [9, 1003]));
    each("cross_entropy", loss::cross_entropy(be, [5, 129]));
    each("cross_entropy", loss::cross_entropy(be, [2, 9001]));
    each("sum_squares", optimizer::sum_squares(be, 1000));
    each("sum_squares", optimizer::sum_squares(be, 70_001));
    each("clip_factor", optimizer::clip_factor(be));
    each("adamw", optimizer::adamw(be, 1001));
}

/// Ragged, aligned, thin with a long depth; and such that large tiles are taken on a GPU like an A100, or an H100.
fn dense_products<B: Backend>(be: &B, each: &mut Each<'_>) {
    const SMALL: [[usize; 3]; 3] = [[37, 70, 33], [70, 136, 72], [1, 520, 1032]];
    const WIDE: usize = 256 * 58 - 8;
    const MIDDLE: usize = 128 * 80 - 8;
    const WIDE_90A: usize = 256 * 66 - 8;
    for shape in SMALL {
        for precision in [F32, Bf16] {
            each("matmul_nt", products::nt(be, shape, precision));
            each("matmul_nn", products::nn(be, shape, precision));
        }
        each("matmul_tn", products::tn(be, shape));
    }
    for columns in [WIDE, MIDDLE] {
        for precision in [F32, Bf16] {
            each("matmul_nt", products::nt(be, [72, columns, 40], precision));
            each("matmul_nn", products::nn(be, [72, 40, columns], precision));
        }
        each("matmul_tn", products::tn(be, [40, 72, columns]));
    }
    each("matmul_nt", products::nt(be, [136, WIDE_90A, 40], Bf16));
    each("matmul_nn", products::nn(be, [136, 40, WIDE_90A], Bf16));
    each("matmul_tn", products::tn(be, [40, 136, WIDE_90A]));
    each("matmul_tn", products::tn(be, [1032, 16, 40]));
    each("matmul_tn", products::tn(be, [1032, 14, 40]));
}

/// A few tokens; tiles of aligned rows and of others; a shared depth; a layer whose S joins and one whose does not.
fn four_bits<B: Backend>(be: &B, each: &mut Each<'_>) {
    each("nf4_quantize", nf4::quantize(be, [70, 192]));
    for density in [None, Some(0.05)] {
        each("nf4_dequantize", nf4::dequantize::<_, f32>(be, [70, 192], density));
        each("nf4_dequantize", nf4::dequantize::<_, bf16>(be, [70, 192], density));
    }
    for shape in [[3, 70, 576], [70, 136, 192], [20, 64, 84], [20, 72, 1600]] {
        each("matmul_nt", products::nt(be, shape, Nf4));
        each("matmul_nn", products::nn(be, shape, Nf4));
    }
    let sizes = linear::Sizes { t: 41, n: 72, k: 192, rank: 8, density: 0.02, precision: Nf4 };
    for sizes in [sizes, linear::Sizes { t: 5, ..sizes }, linear::Sizes { k: 84, n: 64, rank: 3, ..sizes }] {
        each("linear", linear::forward(be, sizes));
        each("linear_t", linear::backward(be, sizes));
        each("adapted_linear", linear::adapted(be, sizes));
        each("adapted_linear_t", linear::adapted_t(be, sizes));
        each("adapter_grads_add", linear::adapter_grads(be, sizes));
    }
}

/// The products that a backend may make from values of either precision.
pub fn sparse_proofs<B: Backend>(be: &B, each: &mut Each<'_>) {
    for tokens in [4, 41] {
        for (shape, density) in [([64, 130], 0.1), ([50, 4500], 0.01)] {
            each("spmm_add", sparse::spmm(be, tokens, shape, density));
            each("spmm_t_add", sparse::spmm_t(be, tokens, shape, density));
        }
    }
}

/// An entry a lane; slabs of either height, with even sizes and odd ones; so full that dense tiles win on a GPU like an
/// A100 or an H100.
fn sampled_products<B: Backend>(be: &B, each: &mut Each<'_>) {
    for (tokens, shape, density) in [
        (17, [60, 90], 0.1),
        (70, [50, 2100], 0.003),
        (70, [51, 2101], 0.003),
        (128, [64, 1024], 0.02),
        (70, [63, 1023], 0.02),
        (40, [432, 432], 1.0),
        (8, [1041, 1041], 1.0),
    ] {
        each("sddmm_add", sparse::sddmm(be, tokens, shape, density));
    }
}
