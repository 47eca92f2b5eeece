// The seam between Rust and CUDA: the argument struct of every kernel, and the constants that both sides need.
//
// Plain C. Sizes stand first, then inputs, outputs last. A device pointer is a 64-bit integer, so that each struct is
// plain data in Rust; a comment gives what it points at. No struct has padding: an odd number of 32-bit fields ends in
// one more size that is needed anyway, or 64-bit fields stand first.
// After a change: tools/bindings writes src/backend/cuda/kernels.rs anew.
#pragma once
#include <stdint.h>

// ---- score: what a gradient adds to the scores of a mask ---------------------------------------------------------

// Threads of a block of the elementwise kernels, which each walk the array in steps of the whole grid.
#define SCORE_THREADS 256

// scores[i] += g[i]² (score_add_square) or scores[i] += g[i] (score_add_sum), for i < len.
typedef struct {
    uint64_t len;
    uint64_t g;      // f32 [len]
    uint64_t scores; // f32 [len]
} ScoreAddArgs;

// ---- attention: causal grouped-query attention over packed sequences, and its gradients --------------------------

// Threads of a block, and the rows of the tiles that it works on: a warp has 16 of them.
#define ATTENTION_THREADS 128
#define ATTENTION_TILE 64
// The widest head that there is a kernel for, and the width from which the wide kernels are needed.
#define ATTENTION_WIDE 128
#define ATTENTION_NARROW 64
// Columns by which a row in shared memory is longer than a head is wide.
#define ATTENTION_PADDING 8

// y = softmax(q·kᵀ/√e)·v and lse = ln Σ exp(q·kᵀ/√e), a block per key head and tile of rows (attention.cuh).
typedef struct {
    uint32_t sequences;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t group;     // heads / kv_heads
    uint32_t head_dim;  // e
    float score_scale;  // log2(exp(1)) / √e: scores are exponents of 2
    uint64_t packing;   // u32 [sequences, 4]: first query, queries, first key, keys
    uint64_t q;         // bf16 [tokens, heads·e]
    uint64_t k;         // bf16 [keys, kv_heads·e]
    uint64_t v;         // bf16 [keys, kv_heads·e]
    uint64_t y;         // bf16 [tokens, heads·e]
    uint64_t lse;       // f32 [tokens, heads]
} AttentionArgs;

// means[i] = Σ_j dy[i, j]·y[i, j]: with y and dy taken as one row a token and head.
typedef struct {
    uint64_t rows;      // tokens·heads
    uint64_t head_dim;
    uint64_t y;         // bf16 [rows, head_dim]
    uint64_t dy;        // bf16 [rows, head_dim]
    uint64_t means;     // f32 [rows]
} AttentionMeansArgs;

// With P = exp(q·kᵀ/√e − lse) and dS = P∘(dy·vᵀ − means): dq = dS·k/√e (a block per key head and tile of rows), or
// dk = dSᵀ·q/√e and dv = Pᵀ·dy (a block per key head and tile of keys).
typedef struct {
    uint32_t sequences;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t group;     // heads / kv_heads
    uint32_t head_dim;  // e
    float score_scale;  // log2(exp(1)) / √e
    uint64_t packing;   // u32 [sequences, 4]: first query, queries; the keys are the same
    uint64_t q;         // bf16 [tokens, heads·e]
    uint64_t k;         // bf16 [tokens, kv_heads·e]
    uint64_t v;         // bf16 [tokens, kv_heads·e]
    uint64_t dy;        // bf16 [tokens, heads·e]
    uint64_t lse;       // f32 [tokens, heads]
    uint64_t means;     // f32 [tokens, heads]
    uint64_t dq;        // bf16 [tokens, heads·e]; the kernel of dk and dv leaves it alone
    uint64_t dk;        // bf16 [tokens, kv_heads·e]; the kernel of dq leaves dk and dv alone
    uint64_t dv;        // bf16 [tokens, kv_heads·e]
} AttentionBackwardArgs;
