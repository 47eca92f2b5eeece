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

// ---- spmm: y += x·Sᵀ, with S sparse ------------------------------------------------------------------------------

// Warps of a block of the slab form, and of the plain one.
#define SPMM_WARPS 16
#define SPMM_PLAIN_WARPS 8
// Tokens of a slab.
#define SPMM_SLAB_TOKENS 16
// Rows of a window: what one warp sums before it writes to y.
#define SPMM_WINDOW_ROWS 32
// Entries that one tensor-core instruction takes.
#define SPMM_CHUNK_SLOTS 16
// Columns of zeros behind a slab, one in each bank group, for the slots that hold no entry.
#define SPMM_PAD_COLUMNS 8
// Floats from one row of a warp's sums to the next: odd, so that rows fall into different banks.
#define SPMM_SUM_PITCH 17
// Chunks that are on their way while one is multiplied: a chunk takes an SM about 5 cycles and 16 warps take turns, so
// four of them cover the 300 cycles of the second cache. So many chunks stand behind the last one.
#define SPMM_CHUNKS_AHEAD 4
// Tokens that a warp of the plain form takes at once.
#define SPMM_PLAIN_TOKENS 4
// In a slice: the flag of a slice whose slots all belong to one row, and the row number that stands for none.
#define SPMM_ONE_ROW 0x8000
#define SPMM_NO_ROW 0xff
// In a range: the flag of a window in which no slice that rows share holds some row, and the sums start as nothing.
#define SPMM_SOME_ROW_NOT_STORED 0x80000000

// The slab form: spmm_slab_bf16 and spmm_slab_split. Slots, chunks, slices and windows: see spmm.cu.
typedef struct {
    uint32_t tokens;
    uint32_t rows;      // of S
    uint32_t cols;      // of S
    uint32_t tiles;     // of columns
    uint32_t tile_cols; // columns of a tile, a multiple of 32
    uint32_t windows;   // that hold entries
    uint64_t x;         // bf16 [tokens, cols]
    uint64_t ranges;    // u32 [tiles, windows, 4]: window number, first slice, first chunk, slices | flag
    uint64_t slices;    // u32 [slices, 4]: chunks | flag · first row << 16 · second row << 24
    uint64_t codes;     // u16 [chunks, 16]: the position of a slot's column in the slab
    uint64_t values;    // u32 [chunks, 8] (bf16) or [chunks, 8, 2] (split)
    uint64_t partial;   // f32 [slabs, windows, 512]: sums between column tiles; not touched when there is one
    uint64_t y;         // bf16 [tokens, rows]
} SpmmSlabArgs;

// The plain form.
typedef struct {
    uint32_t tokens;
    uint32_t rows;
    uint32_t cols;
    uint32_t rounded;     // 1: values are rounded to bf16 first
    uint64_t row_offsets; // u32 [rows + 1]
    uint64_t col_indices; // u32 [nnz]
    uint64_t permutation; // u32 [nnz]: the number of an entry's value; or null: its own number
    uint64_t values;      // f32 [nnz]
    uint64_t x;           // bf16 [tokens, cols]
    uint64_t y;           // bf16 [tokens, rows]
} SpmmPlainArgs;

// Values into slot order: spmm_pack_bf16 and spmm_pack_split.
typedef struct {
    uint64_t chunks;
    uint64_t sources;     // u32 [chunks, 16]: the entry of a slot; or 0xffffffff: none, its value is 0
    uint64_t permutation; // u32 [nnz]: the number of an entry's value; or null: its own number
    uint64_t values;      // f32 [nnz]
    uint64_t packed;      // u32 [chunks, 8] (bf16) or [chunks, 8, 2] (split)
} SpmmPackArgs;
