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

// ---- matmul: dense products --------------------------------------------------------------------------------------

// The depth of a step, and of every stage: two tensor-core instructions.
#define MATMUL_STEP 32
// The tiles of the output, the threads that compute one and the stages that they keep in shared memory.
#define MATMUL_WIDE_ROWS 128
#define MATMUL_WIDE_COLS 256
#define MATMUL_WIDE_THREADS 256
#define MATMUL_WIDE_STAGES 4
#define MATMUL_MIDDLE_ROWS 128
#define MATMUL_MIDDLE_COLS 128
#define MATMUL_MIDDLE_THREADS 128
#define MATMUL_MIDDLE_STAGES 3
#define MATMUL_SMALL_ROWS 64
#define MATMUL_SMALL_COLS 64
#define MATMUL_SMALL_THREADS 128
#define MATMUL_SMALL_STAGES 4
// Tile rows that are computed side by side, before the next ones.
#define MATMUL_BAND 8
// Threads of a block that sums the parts of a split product.
#define MATMUL_SUM_THREADS 256

// out ← [out +] scale · left · right, with left [rows, depth], right [depth, cols]; nt holds the transpose of right, tn
// that of left. The blocks of each blockIdx.y sum over split_depth of the depth, the last over what is left of it;
// where there are several, they leave their sums in partials, and matmul_sum writes out.
typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint32_t depth;
    uint32_t split_depth; // a multiple of MATMUL_STEP, at least depth where the product is not split
    uint32_t add;         // 1 to add to out, 0 to overwrite it
    float scale;
    uint64_t left;     // bf16
    uint64_t right;    // bf16; f32 in the kernels that say so
    uint64_t partials; // f32 [splits, rows, cols]
    uint64_t out;      // bf16 [rows, cols]; f32 of tn
} MatmulArgs;
