// The seam between Rust and CUDA: the argument struct of every kernel, and the constants that both sides need.
//
// Plain C. Sizes stand first, then inputs, outputs last. A device pointer is a 64-bit integer, so that each struct is
// plain data in Rust; a comment gives what it points at. No struct has padding: an odd number of 32-bit fields ends in
// one more size that is needed anyway, or 64-bit fields stand first.
// After a change: tools/bindings writes src/backend/cuda/kernels.rs anew.
#pragma once
#include <stdint.h>

// ---- 4-bit weights, as all kernels read them --------------------------------------------------------------------

// A weight whose element i, counted row-major, is the value of code i times the magnitude of block i >> block_shift.
typedef struct {
    uint32_t block_shift;
    float offset;           // of magnitudes that are quantized once more
    uint64_t packed;        // u8 [len / 2]: code 2j in the high four bits of byte j, code 2j + 1 in the low ones
    uint64_t codes;         // u8 [blocks] where magnitudes are quantized once more, else 0
    uint64_t absmax;        // f32 [blocks]; of such magnitudes f32 [⌈blocks / 256⌉], the largest of each 256
    uint64_t dynamic_codes; // f32 [256], the values of `codes`
} Nf4Weight;

// ---- score: what a gradient adds to the scores of a mask ---------------------------------------------------------

// Threads of a block of the elementwise kernels, which each walk the array in steps of the whole grid.
#define SCORE_THREADS 256

// scores[i] += g[i]² (score_add_square) or scores[i] += g[i] (score_add_sum), for i < len.
typedef struct {
    uint64_t len;
    uint64_t g;      // f32 [len]
    uint64_t scores; // f32 [len]
} ScoreAddArgs;

// scores[i] *= w[i] for i < len; w f32 (score_times_f32) or bf16 (score_times_bf16).
typedef struct {
    uint64_t len;
    uint64_t w;      // f32 or bf16 [len]
    uint64_t scores; // f32 [len]
} ScoreTimesArgs;

// The same with the elements of a 4-bit weight (score_times_nf4).
typedef struct {
    uint64_t len;
    Nf4Weight w;     // of len elements
    uint64_t scores; // f32 [len]
} ScoreTimesNf4Args;

// scores[i] = number i of a random stream, for i < len.
typedef struct {
    uint64_t len;
    uint64_t seed;
    uint64_t stream;
    uint64_t scores; // f32 [len]
} ScoreRandomArgs;

// ---- csr_add: w += s ---------------------------------------------------------------------------------------------

// Entries whose rows a warp finds together; the plan of a pattern knows the row of each window's first entry.
#define CSR_WINDOW 256
#define CSR_ADD_THREADS 128

typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint32_t nnz;
    uint32_t windows;     // ⌈nnz / CSR_WINDOW⌉
    uint64_t row_offsets; // u32 [rows + 1]
    uint64_t col_indices; // u32 [nnz]
    uint64_t values;      // f32 [nnz]
    uint64_t window_rows; // u32 [windows]
    uint64_t w;           // f32 or bf16 [rows, cols]
} CsrAddArgs;

// ---- csr_transpose: the columns of a pattern ---------------------------------------------------------------------

// A chunk of entries, which one warp places in order, has at least so many; a multiple of CSR_WINDOW.
#define CSR_TRANSPOSE_CHUNK 512
#define CSR_TRANSPOSE_THREADS 128
// Threads of the one block that sums the columns' lengths.
#define CSR_TRANSPOSE_SCAN_THREADS 1024

// Of all four kernels, which run one after the other.
typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint32_t nnz;
    uint32_t chunk;       // entries of a chunk, a multiple of CSR_WINDOW
    uint64_t row_offsets; // u32 [rows + 1]
    uint64_t col_indices; // u32 [nnz]
    uint64_t counts;      // u32 [⌈nnz / chunk⌉, cols], zeros at first
    uint64_t offsets;     // u32 [cols + 1], the transpose's row offsets
    uint64_t indices;     // u32 [nnz], its column indices: the rows
    uint64_t permutation; // u32 [nnz]
} CsrTransposeArgs;

// ---- topk_mask: the k scores of largest magnitude ----------------------------------------------------------------

// Scores that a warp looks at together: a word of candidates per lane.
#define TOPK_TILE 1024
#define TOPK_THREADS 512
// Threads of the kernels that are one block.
#define TOPK_SCAN_THREADS 1024
// A magnitude's 31 bits are chosen as three digits of 11, 10 and 10 bits: each one's place and number of values.
#define TOPK_SHIFT_1 20
#define TOPK_SHIFT_2 10
#define TOPK_SHIFT_3 0
#define TOPK_BINS_1 2048
#define TOPK_BINS_2 1024
#define TOPK_BINS_3 1024

// topk_histogram: how often each first digit occurs.
typedef struct {
    uint64_t len;
    uint64_t scores;    // f32 [len]
    uint64_t histogram; // u64 [TOPK_BINS_1], added to
} TopkHistogramArgs;

// topk_choose: the digit in which the last kept score lies.
typedef struct {
    uint32_t shift;
    uint32_t bins;
    uint64_t histogram; // u64 [bins]
    uint64_t state;     // u32 [2]: the digits known so far; how many of the scores that share them are kept
} TopkChooseArgs;

// topk_candidates, topk_refine, topk_count: what one matrix adds to the second and third digit, and to the selection.
typedef struct {
    uint64_t len;
    uint64_t scores;     // f32 [len]
    uint64_t state;      // u32 [2], of TopkChooseArgs
    uint64_t candidates; // u32 [TOPK_TILE / 32 · tiles], a bit per score: written by topk_candidates, then read
    uint64_t result;     // u64 [TOPK_BINS_2 or TOPK_BINS_3], added to; topk_count: u32 [tiles], above | ties << 16
} TopkPassArgs;

// topk_offsets: where each tile's kept scores go.
typedef struct {
    uint64_t tiles;
    uint64_t counts;  // u32 [tiles], of topk_count; becomes the number of ties kept
    uint64_t state;   // u32 [2]: the threshold; the ties that are left, of which this matrix takes its share
    uint64_t offsets; // u32 [tiles], the kept scores before each tile
    uint64_t nnz;     // u32 [1], the kept scores of the matrix
} TopkOffsetsArgs;

// topk_fill: the pattern of one matrix.
typedef struct {
    uint64_t len;
    uint32_t rows;
    uint32_t cols;
    uint64_t scores;      // f32 [rows, cols]
    uint64_t state;       // u32 [2]: the threshold
    uint64_t candidates;  // u32 [TOPK_TILE / 32 · tiles]
    uint64_t ties;        // u32 [tiles], of topk_offsets
    uint64_t offsets;     // u32 [tiles], of topk_offsets
    uint64_t row_offsets; // u32 [rows + 1]
    uint64_t col_indices; // u32 [nnz]
} TopkFillArgs;

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

// ---- sddmm: ds += (dyᵀ·x) at the entries of a pattern ------------------------------------------------------------

// Rows of a window: what a warp of the slab form holds of dy.
#define SDDMM_WINDOW 16
// Slots of a chunk: the gathered columns of one tensor-core product.
#define SDDMM_CHUNK 16
// Chunks whose codes a warp has asked for.
#define SDDMM_CODES_AHEAD 3
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
// The tile of the dense form, the tokens of one of its stages of dy and how many stages there are.
#define SDDMM_DENSE_ROWS 256
#define SDDMM_DENSE_COLS 128
#define SDDMM_DENSE_TOKENS 16
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
    uint64_t codes;    // u16 [slots + SDDMM_CODES_AHEAD · SDDMM_CHUNK]: the last chunks are read but not used
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

// The dense form: entries [starts[n, i], starts[n + 1, i]) are those of row i in tile n of the columns.
typedef struct {
    uint32_t tokens;
    uint32_t rows;
    uint32_t cols;
    uint32_t held_tokens; // of x, in shared memory at a time: a multiple of a stage's
    uint64_t dy;          // bf16 [tokens, rows]
    uint64_t x;           // bf16 [tokens, cols]
    uint64_t starts;      // u32 [tiles of the columns + 1, rows]
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

// gate becomes dgate = σ(gate)·(1 + gate·(1 − σ(gate)))·up·dy, up becomes dup = gate·σ(gate)·dy, and dy becomes y.
typedef struct {
    uint64_t len;
    uint64_t gate; // bf16 [len]
    uint64_t up;   // bf16 [len]
    uint64_t dy;   // bf16 [len]
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

// The same of a 4-bit table (embedding_nf4).
typedef struct {
    uint64_t tokens;
    uint64_t cols;
    Nf4Weight table; // [vocab, cols]
    uint64_t ids;    // u32 [tokens]
    uint64_t y;      // bf16 [tokens, cols]
} EmbeddingNf4Args;

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

// best[t] = argmax_v x[t, v]; cols for a row of nothing but NaN.
typedef struct {
    uint64_t cols;
    uint64_t x;    // bf16 [rows, cols]
    uint64_t best; // u32 [rows]
} ArgmaxArgs;

// ---- grad_norm: the norm of all gradients, and the factor that clips it ------------------------------------------

// Threads of a block that sums in f64; elements for which another block is worth its launch; the most blocks.
#define NORM_THREADS 512
#define NORM_BLOCK_ELEMENTS 8192
#define NORM_BLOCKS 1024

// sums[b] = Σ x[i]² over what block b takes.
typedef struct {
    uint64_t len;
    uint64_t x;    // f32 [len]
    uint64_t sums; // f64 [blocks]
} SumSquaresArgs;

// sums[b] = Σ partials[b, i] over i < len, for each block b.
typedef struct {
    uint64_t len;
    uint64_t partials; // f64 [blocks, len]
    uint64_t sums;     // f64 [blocks]
} SumPartialsArgs;

// clip = [norm, min(1, max_norm/norm)] with norm = √Σ sums.
typedef struct {
    uint32_t slots;
    float max_norm;
    uint64_t sums; // f64 [slots]
    uint64_t clip; // f32 [2]
} ClipFactorArgs;

// ---- adamw: one update of the optimizer --------------------------------------------------------------------------

// m, v and x after one update, for i < len; the gradient is clip[1]·grad, which is then zero.
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
// With f32 weights, which wait in registers on their way.
#define MATMUL_MIDDLE_F32_THREADS 256
#define MATMUL_NARROW_ROWS 128
#define MATMUL_NARROW_COLS 64
#define MATMUL_NARROW_THREADS 128
#define MATMUL_NARROW_STAGES 3
#define MATMUL_SMALL_ROWS 64
#define MATMUL_SMALL_COLS 64
#define MATMUL_SMALL_THREADS 128
#define MATMUL_SMALL_STAGES 4
// On Hopper's own instructions.
#define MATMUL_90A_STEP 64
#define MATMUL_90A_ROWS 128
#define MATMUL_90A_THREADS 256
#define MATMUL_90A_WIDE_COLS 256
#define MATMUL_90A_WIDE_STAGES 4
#define MATMUL_90A_MIDDLE_COLS 128
#define MATMUL_90A_MIDDLE_STAGES 6
// Tile rows that are computed side by side, before the next ones.
#define MATMUL_BAND 8
// Threads of a block that sums the parts of a split product.
#define MATMUL_SUM_THREADS 256

// What becomes of out: it is replaced, added to, or (f32 outputs only) the square of each element is added to it.
#define MATMUL_OVERWRITE 0
#define MATMUL_ADD 1
#define MATMUL_ADD_SQUARE 2

// out ← [out +] scale · (left · right + bias + low_rank_scale · u · factor), with left [rows, depth], right [depth, cols],
// u [rows, rank], factor [rank, cols]; nt holds the transposes of right and factor, tn that of left, and nothing joins
// tn. The blocks of each blockIdx.y sum over split_depth of the depth, the last over what is left of it; where there are
// several, they leave their sums in partials, and matmul_sum writes out.
typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint32_t depth;
    uint32_t split_depth;  // a multiple of MATMUL_STEP, at least depth where the product is not split
    uint32_t write;        // MATMUL_OVERWRITE, MATMUL_ADD, MATMUL_ADD_SQUARE: out += (left · right)²
    uint32_t rank;         // 0: no u, no factor
    float scale;
    float low_rank_scale;
    uint64_t left;     // bf16
    uint64_t right;    // bf16; f32 in the kernels that say so
    uint64_t bias;     // f32 [cols], or null
    uint64_t u;        // bf16
    uint64_t factor;   // f32
    uint64_t partials; // f32 [splits, rows, cols]
    uint64_t out;      // bf16 [rows, cols]; f32 of tn
} MatmulArgs;

// ---- attention: causal grouped-query attention over packed sequences, and its gradients --------------------------

// Threads of a block, and the rows of the tiles that it works on: a warp has 16 of them.
#define ATTENTION_THREADS 128
#define ATTENTION_TILE 64
// The widest heads of the wide and of the narrow kernels; wider ones are taken in slices of ATTENTION_WIDE columns.
#define ATTENTION_WIDE 128
#define ATTENTION_NARROW 64
// Columns by which a row in shared memory is longer than a head is wide.
#define ATTENTION_PADDING 8

// y = softmax(q·kᵀ/√e)·v and lse = ln Σ exp(q·kᵀ/√e), a block per tile of rows, key head and slice or
// part of the keys.
typedef struct {
    uint32_t sequences;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t group;     // heads / kv_heads
    uint32_t head_dim;  // e
    float score_scale;  // log2(exp(1)) / √e: scores are exponents of 2
    uint32_t tokens;    // split kernels: of q
    uint32_t part_keys; // split kernels: keys of a part, a multiple of ATTENTION_TILE
    uint64_t packing;   // u32 [sequences, 4]: first query, queries, first key, keys
    uint64_t q;         // bf16 [tokens, heads·e]
    uint64_t k;         // bf16 [keys, kv_heads·e]
    uint64_t v;         // bf16 [keys, kv_heads·e]
    uint64_t y;         // bf16 [tokens, heads·e]
    uint64_t lse;       // f32 [tokens, heads]
    uint64_t partials;  // split kernels: f32 [parts, tokens, heads·e], sums of values times weights
    uint64_t softmax;   // split kernels: f32 [parts, tokens, heads, 2], the largest score and the sum of weights
} AttentionArgs;

// y and lse from what the parts of the keys left, a warp a row.
typedef struct {
    uint32_t rows;      // tokens·heads
    uint32_t head_dim;  // e
    uint64_t parts;
    uint64_t partials;  // f32 [parts, rows, e]; read where the sum of weights is not 0
    uint64_t softmax;   // f32 [parts, rows, 2]
    uint64_t y;         // bf16 [rows, e]
    uint64_t lse;       // f32 [rows]
} AttentionSumArgs;

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

// ---- nf4: to 4-bit weights and back, and products with them ------------------------------------------------------

// Threads of a block, and the weights that it quantizes: at least a block of the largest size.
#define NF4_QUANTIZE_THREADS 256
#define NF4_QUANTIZE_CHUNK 4096

// The codes and magnitudes of w, in blocks of 2^block_shift.
typedef struct {
    uint64_t len;
    uint64_t block_shift;
    uint64_t w;      // f32 [len]
    uint64_t packed; // u8 [len / 2]
    uint64_t absmax; // f32 [len >> block_shift]
} Nf4QuantizeArgs;

// Threads of a block, the weights that each of its warps takes at a time, and the blocks of a multiprocessor.
#define NF4_DEQUANTIZE_THREADS 128
#define NF4_DEQUANTIZE_CHUNK 4096
#define NF4_DEQUANTIZE_BLOCKS 6

// y = w + s, row-major; or nothing is added.
typedef struct {
    uint64_t len;
    Nf4Weight w;
    uint64_t starts; // u32 [chunks + 1]: where the entries of each chunk of y begin
    uint64_t places; // u16 [nnz]: the weight of its chunk to which an entry is added
    uint64_t values; // f32 [nnz]
    uint64_t y;      // bf16 or f32 [len]
} Nf4DequantizeArgs;

// A block's tile of the output, its threads, the depth of a step and the stages that it keeps in shared memory.
#define NF4_MATMUL_ROWS 128
#define NF4_MATMUL_COLS 256
#define NF4_MATMUL_THREADS 256
#define NF4_MATMUL_STEP 64
#define NF4_MATMUL_STAGES 3
// Where s is added: the weights of a step that a lane makes at a time are a unit of 8, and there are so many units. The
// entries that a step may have, of a thread each; those of a unit share a slot, and slots count from 1.
#define NF4_MATMUL_UNITS 2048
#define NF4_MATMUL_ENTRIES 255
// Bits of an entry: its unit, its place there, its slot.
#define NF4_MATMUL_PLACE_SHIFT 11
#define NF4_MATMUL_SLOT_SHIFT 14

// out ← [out +] scale · left · (w + s) + bias + u · factor_scale · factor, with left [rows, depth]. nt has w and s
// [cols, depth], of which it takes the transpose, and factor [cols, rank]; nn has w and s [depth, cols], factor
// [rank, cols]. The blocks of each blockIdx.y sum over split_depth of the depth; where there are several, they leave
// their sums in partials, and nf4_matmul_sum writes out.
typedef struct {
    uint32_t rows;
    uint32_t cols;
    uint32_t depth;
    uint32_t split_depth; // a multiple of NF4_MATMUL_STEP, at least depth where the product is not split
    uint32_t add;         // 1 to add to out, 0 to overwrite it
    uint32_t rank;        // 0 without u and factor, else a multiple of 8
    float scale;          // 1 where there is more than the product
    float factor_scale;
    Nf4Weight w;
    uint64_t left;     // bf16 [rows, depth]
    uint64_t bias;     // f32 [cols], or 0
    uint64_t u;        // bf16 [rows, rank]
    uint64_t factor;   // f32
    uint64_t starts;   // u32 [tiles of columns, steps] and one more: where the entries of a tile and step begin
    uint64_t entries;  // u32 [nnz, 2]: an entry and the number of its value
    uint64_t values;   // f32 [nnz]
    uint64_t partials; // f32 [splits, rows, cols]
    uint64_t out;      // bf16 [rows, cols]
} Nf4MatmulArgs;

// Rows of the weight that a block takes, its threads, and the tokens that it can have.
#define NF4_GEMV_ROWS 32
#define NF4_GEMV_THREADS 256
#define NF4_GEMV_TOKENS 8
// The depth that a warp reads at once.
#define NF4_GEMV_SPAN 128
// log2 of the most spans of a warp's turn: their magnitudes are 32 bytes of a row.
#define NF4_GEMV_SPANS_SHIFT 2
// Bytes by which a token's row in shared memory is longer than its spans.
#define NF4_GEMV_PADDING 64

// y ← [y +] scale · x · (w + s)ᵀ + bias + factor_scale · u · factorᵀ.
typedef struct {
    uint32_t tokens;
    uint32_t rows;        // of w
    uint32_t depth;       // a multiple of 64
    uint32_t spans_shift; // log2 of the spans of a warp's turn
    uint32_t add;
    uint32_t rank;  // 0 without u and factor
    float scale;    // 1 where there is more than the product
    float factor_scale;
    Nf4Weight w;          // [rows, depth]
    uint64_t x;           // bf16 [tokens, depth]
    uint64_t bias;        // f32 [rows], or 0
    uint64_t u;           // bf16 [tokens, rank]
    uint64_t factor;      // f32 [rows, rank]
    uint64_t row_offsets; // u32 [rows + 1], or 0 without s
    uint64_t col_indices; // u32 [nnz]
    uint64_t values;      // f32 [nnz]
    uint64_t y;           // bf16 [tokens, rows]
} Nf4GemvArgs;
