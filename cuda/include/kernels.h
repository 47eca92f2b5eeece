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

// ---- elementwise kernels: rope, swiglu, embedding, rows, bias, dropout, adamw ------------------------------------

// Threads of a block that takes its turn over the elements of an array.
#define ELEMENTWISE_THREADS 256
// The most threads of a block that has a row of its own, and the columns that a thread of it keeps in registers.
#define ROW_THREADS 512
#define ROW_KEPT_COLUMNS 16

// ---- rmsnorm: root-mean-square normalisation of rows, and its gradients ------------------------------------------

// y[t, j] = x[t, j]·r[t]·gain[j], with r[t] = 1/√(mean_j x[t, j]² + eps).
typedef struct {
    uint64_t rows;
    uint32_t cols;
    float eps;
    uint64_t x;    // bf16 [rows, cols]
    uint64_t gain; // f32 [cols]
    uint64_t y;    // bf16 [rows, cols]
} RmsnormArgs;

// dx[t, j] += r[t]·(gain[j]·dy[t, j] − x[t, j]·r[t]²·mean_i(dy[t, i]·gain[i]·x[t, i])).
typedef struct {
    uint64_t rows;
    uint32_t cols;
    float eps;
    uint64_t x;    // bf16 [rows, cols]
    uint64_t gain; // f32 [cols]
    uint64_t dy;   // bf16 [rows, cols]
    uint64_t dx;   // bf16 [rows, cols]
} RmsnormBackwardArgs;

// reciprocals[t] = r[t].
typedef struct {
    uint64_t rows;
    uint32_t cols;
    float eps;
    uint64_t x;           // bf16 [rows, cols]
    uint64_t reciprocals; // f32 [rows]
} RmsnormReciprocalArgs;

// partials[c, j] = Σ dy[t, j]·x[t, j]·r[t] over the rows of chunk c = blockIdx.y.
typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint64_t chunk_rows;
    uint64_t x;           // bf16 [rows, cols]
    uint64_t dy;          // bf16 [rows, cols]
    uint64_t reciprocals; // f32 [rows]
    uint64_t partials;    // f32 [chunks, cols]
} RmsnormGainArgs;

// ---- rope: rotary position embedding -----------------------------------------------------------------------------

// Heads whose pairs a thread turns by the same angles.
#define ROPE_HEADS 8

// Turns each pair (x[j], x[j + half]) of each head by sign·angle, in place.
typedef struct {
    uint32_t tokens;
    uint32_t heads;
    uint32_t half;
    float sign;         // 1 or −1
    uint64_t cos;       // f32 [positions, half]
    uint64_t sin;       // f32 [positions, half]
    uint64_t positions; // u32 [tokens]
    uint64_t x;         // bf16 [tokens, heads·2·half]
} RopeArgs;

// ---- swiglu: the gated activation --------------------------------------------------------------------------------

// y = gate·σ(gate)·up, for i < len.
typedef struct {
    uint64_t len;
    uint64_t gate; // bf16 [len]
    uint64_t up;   // bf16 [len]
    uint64_t y;    // bf16 [len]
} SwigluArgs;

// dup = gate·σ(gate)·dy, dgate = σ(gate)·(1 + gate·(1 − σ(gate)))·up·dy.
typedef struct {
    uint64_t len;
    uint64_t gate;  // bf16 [len]
    uint64_t up;    // bf16 [len]
    uint64_t dy;    // bf16 [len]
    uint64_t dgate; // bf16 [len]
    uint64_t dup;   // bf16 [len]
} SwigluBackwardArgs;

// ---- embedding: table look-up, and its gradient; csr_embedding: the same of a sparse table -----------------------

// The most threads of a block that gathers the occurrences of an id.
#define OCCURRENCE_THREADS 256

// y[t, j] = table[ids[t], j].
typedef struct {
    uint64_t tokens;
    uint64_t cols;
    uint64_t table; // f32 or bf16 [vocab, cols]
    uint64_t ids;   // u32 [tokens]
    uint64_t y;     // bf16 [tokens, cols]
} EmbeddingArgs;

// dtable[ids[t], j] += dy[t, j], t rising.
typedef struct {
    uint32_t tokens;
    uint32_t cols;
    uint64_t ids;    // u32 [tokens]
    uint64_t dy;     // bf16 [tokens, cols]
    uint64_t dtable; // f32 [vocab, cols]
} EmbeddingGradArgs;

// y[t, j] += s[ids[t], j].
typedef struct {
    uint64_t tokens;
    uint64_t cols;
    uint64_t row_offsets; // u32 [vocab + 1]
    uint64_t col_indices; // u32 [nnz]
    uint64_t values;      // f32 [nnz]
    uint64_t ids;         // u32 [tokens]
    uint64_t y;           // bf16 [tokens, cols]
} CsrEmbeddingArgs;

// ds[ids[t], j] += dy[t, j] where ds has an entry, t rising.
typedef struct {
    uint32_t tokens;
    uint32_t cols;
    uint64_t row_offsets; // u32 [vocab + 1]
    uint64_t col_indices; // u32 [nnz]
    uint64_t ids;         // u32 [tokens]
    uint64_t dy;          // bf16 [tokens, cols]
    uint64_t values;      // f32 [nnz]
} CsrEmbeddingGradArgs;

// ---- rows: rows chosen by index, and the sum of two matrices -----------------------------------------------------

// gather_rows: y[i, j] = x[rows[i], j]; scatter_rows: y[rows[i], j] = x[i, j]; for i < count.
typedef struct {
    uint64_t count;
    uint64_t cols;
    uint64_t x;    // bf16 [·, cols]
    uint64_t rows; // u32 [count]
    uint64_t y;    // bf16 [·, cols]
} RowsArgs;

// y[i] += x[i], for i < len.
typedef struct {
    uint64_t len;
    uint64_t x; // bf16 [len]
    uint64_t y; // bf16 [len]
} AddArgs;

// ---- bias: added to every row, and its gradient ------------------------------------------------------------------

// Threads of a block that has a tile of columns, 32 vectors of 8 wide at most: as many as its threads.
#define COLUMN_THREADS 256
// Rows to which a block adds a bias.
#define BIAS_ROWS 128

// x[t, j] += bias[j].
typedef struct {
    uint64_t rows;
    uint64_t cols;
    uint64_t bias; // f32 [cols]
    uint64_t x;    // bf16 [rows, cols]
} BiasAddArgs;

// partials[c, j] = Σ dy[t, j] over the rows of chunk c = blockIdx.y.
typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint64_t chunk_rows;
    uint64_t dy;       // bf16 [rows, cols]
    uint64_t partials; // f32 [chunks, cols]
} BiasGradArgs;

// sums[j] += Σ_c partials[c, j], c rising.
typedef struct {
    uint64_t chunks;
    uint64_t cols;
    uint64_t partials; // f32 [chunks, cols]
    uint64_t sums;     // f32 [cols]
} ColumnTotalsArgs;

// ---- dropout -----------------------------------------------------------------------------------------------------

// y[i] = x[i]·scale (dropout_overwrite) or y[i] += x[i]·scale (dropout_add) where uniform(offset + i) ≥ p, 0 elsewhere.
typedef struct {
    uint64_t len;
    uint64_t offset;
    uint64_t seed;
    uint64_t stream;
    float p;
    float scale; // 1/(1 − p)
    uint64_t x;  // bf16 [len]
    uint64_t y;  // bf16 [len]
} DropoutArgs;

// ---- cross_entropy: the loss with its gradient, and the best column ----------------------------------------------

// losses[t] = ln Σ_v exp(logits[t, v]) − logits[t, targets[t]]; logits become scale·(softmax(logits) − onehot(target)).
typedef struct {
    uint32_t cols;
    float scale;
    uint64_t targets; // u32 [rows]
    uint64_t losses;  // f32 [rows]
    uint64_t logits;  // bf16 [rows, cols]
} CrossEntropyArgs;

// best[t] = argmax_v x[t, v].
typedef struct {
    uint64_t cols;
    uint64_t x;    // bf16 [rows, cols]
    uint64_t best; // u32 [rows]
} ArgmaxArgs;

// ---- grad_norm: the norm of all gradients, and the factor that clips it ------------------------------------------

// Threads of a block that sums in f64; elements for which another block is worth its launch; the most blocks.
#define NORM_THREADS 512
#define NORM_BLOCK_ELEMENTS 65536
#define NORM_BLOCKS 1024

// sums[b] = Σ x[i]² over what block b takes.
typedef struct {
    uint64_t len;
    uint64_t x;    // f32 [len]
    uint64_t sums; // f64 [blocks]
} SumSquaresArgs;

// *sum = Σ partials[i], for i < len.
typedef struct {
    uint64_t len;
    uint64_t partials; // f64 [len]
    uint64_t sum;      // f64 [1]
} SumPartialsArgs;

// clip = [norm, min(1, max_norm/norm)] with norm = √Σ sums.
typedef struct {
    uint32_t slots;
    float max_norm;
    uint64_t sums; // f64 [slots]
    uint64_t clip; // f32 [2]
} ClipFactorArgs;

// ---- adamw: one update of the optimizer --------------------------------------------------------------------------

// m, v and x after one update, for i < len; the gradient is clip[1]·grad.
typedef struct {
    uint32_t len;
    float beta1;
    float rest1; // 1 − beta1
    float beta2;
    float rest2; // 1 − beta2
    float unbias_m;
    float unbias_v;
    float lr;
    float eps;
    float keep;    // 1 − lr·decay
    uint64_t clip; // f32 [2]
    uint64_t grad; // f32 [len]
    uint64_t m;    // f32 [len]
    uint64_t v;    // f32 [len]
    uint64_t x;    // f32 [len]
} AdamwArgs;
