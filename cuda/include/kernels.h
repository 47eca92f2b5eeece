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

// ---- sddmm: ds += (dyᵀ·x) at the entries of a pattern ------------------------------------------------------------

// Rows of a window: what a warp of the slab form holds of dy.
#define SDDMM_WINDOW 16
// Slots of a chunk: the gathered columns of one tensor-core product.
#define SDDMM_CHUNK 16
// A slot's code: the column within its tile below, the row within its slice (of 8) above.
#define SDDMM_COLUMN_BITS 13
// Columns behind each tile that hold zeros, one for each group of banks: what slots without an entry point at.
#define SDDMM_ZERO_COLUMNS 8
// What stands for the entry of such a slot.
#define SDDMM_NO_ENTRY 0xffffffffu
// Threads of a block of the slab kernels.
#define SDDMM_SLAB_THREADS 512
// Threads of a block of the kernels that take an entry or a slot a thread.
#define SDDMM_ENTRY_THREADS 256
// The tile of the dense form, the tokens of one of its stages and how many of these are on their way.
#define SDDMM_DENSE_ROWS 128
#define SDDMM_DENSE_COLS 256
#define SDDMM_DENSE_TOKENS 32
#define SDDMM_DENSE_STAGES 4
#define SDDMM_DENSE_THREADS 256

// A tile of columns that has entries: its first column, and its items.
typedef struct {
    uint32_t first_column;
    uint32_t first_item;
    uint32_t end_item;
} SddmmTile;

// What a warp does at a time: chunks of a window's even rows, [begin, middle), and of its odd rows, [middle, end).
typedef struct {
    uint32_t first_row;
    uint32_t begin;
    uint32_t middle;
    uint32_t end;
} SddmmItem;

// partials[b, i] = Σ_t dy[t, row of slot i] · x[t, column of slot i] over the tokens t of slab b.
typedef struct {
    uint32_t tokens;
    uint32_t rows;
    uint32_t cols;
    uint32_t columns;  // of a tile: a multiple of 32
    uint64_t slots;    // of all tiles
    uint64_t dy;       // bf16 [tokens, rows]
    uint64_t x;        // bf16 [tokens, cols]
    uint64_t tiles;    // SddmmTile, one for each blockIdx.y
    uint64_t items;    // SddmmItem
    uint64_t codes;    // u16 [slots + SDDMM_CHUNK]: the last chunk is read but not used
    uint64_t partials; // f32 [slabs, slots]
} SddmmSlabArgs;

// ds[entries[i]] += Σ_b partials[b, i].
typedef struct {
    uint64_t slots;
    uint64_t slabs;
    uint64_t entries;  // u32 [slots]
    uint64_t partials; // f32 [slabs, slots]
    uint64_t ds;       // f32, an element per entry
} SddmmSumArgs;

// The dense form: entries [starts[n, i], starts[n + 1, i]) are those of row i in tile n.
typedef struct {
    uint32_t tokens;
    uint32_t rows;
    uint32_t cols;
    uint32_t column_tiles;
    uint64_t dy;          // bf16 [tokens, rows]
    uint64_t x;           // bf16 [tokens, cols]
    uint64_t starts;      // u32 [column_tiles + 1, rows]
    uint64_t col_indices; // u32, an element per entry
    uint64_t ds;          // f32, an element per entry
} SddmmDenseArgs;

// The gather form.
typedef struct {
    uint32_t tokens;
    uint32_t rows;
    uint32_t cols;
    uint32_t entries;
    uint64_t dy;          // bf16 [tokens, rows]
    uint64_t x;           // bf16 [tokens, cols]
    uint64_t row_offsets; // u32 [rows + 1]
    uint64_t col_indices; // u32 [entries]
    uint64_t ds;          // f32 [entries]
} SddmmGatherArgs;
