// ds[p] += Σ_t dy[t,row(p)] · x[t,col(p)], the dense form: for patterns so full that computing every element of dyᵀ·x
// and keeping those of the pattern is the least work.
//
// A tile is 256 rows × 128 columns, the largest whose sums fit the registers of 256 threads. A block, one a
// multiprocessor, goes down the tiles below each other and keeps their columns of x in shared memory, so that x is read
// once for some five tiles and dy alone is read for each: an element of dy once per 128 columns. A tile of 128 × 256
// that keeps nothing asks for a third more. Tokens are K; both operands are row-major with K as their slow dimension,
// so that `ldmatrix.trans` turns them on their way to the tensor cores. Four stages of 16 tokens of dy keep three of
// them on their way while one is multiplied. Where there are more tokens than shared memory holds of x, the block goes
// through its tiles again for each share of them, in order.
//
// The entries of a tile are, row by row, a contiguous piece of the pattern's arrays: a table of where each piece starts
// (4 bytes for each row and tile) is all that this form adds to the pattern.
//
// For 4096 × 4096 and 512 tokens an A100 asks for 4.8 million sectors of dy and x and, at 6 %, 0.7 million of the
// pattern and ds; there the tensor cores bind it, on an H100 the L2 cache.
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"

namespace {

constexpr int ROWS = SDDMM_DENSE_ROWS, COLS = SDDMM_DENSE_COLS, STEP = SDDMM_DENSE_TOKENS, STAGES = SDDMM_DENSE_STAGES;
constexpr int THREADS = SDDMM_DENSE_THREADS;
static_assert(THREADS == ROWS, "a thread looks up a row's entries");
static_assert(STEP == 16, "a stage is one mma deep");
// Eight warps, 4 × 2, with 64 × 64 results each.
constexpr int WARP_TILE = 64, ROW_WARPS = ROWS / WARP_TILE;
constexpr int STAGE_BYTES = 2 * STEP * ROWS, HELD_STEP_BYTES = 2 * STEP * COLS;
// Results leave through the stages, as many rows at a time: 16 of each warp.
constexpr int ROWS_AT_ONCE = 16 * ROW_WARPS;
static_assert(ROWS_AT_ONCE * COLS * 4 <= STAGES * STAGE_BYTES, "the results fit the stages");
// Half a warp adds a row's entries; the rows that one takes of those that leave at once.
constexpr int HALF = 16, TURNS = ROWS_AT_ONCE / (THREADS / HALF);

// What a block computes at a time.
struct Tile {
    uint32_t first_row, first_column;
    uint32_t first_token, steps;
    // Whether the columns of x are not in shared memory yet.
    bool brings_x;
};

// Where 8 elements from column 8·octet of a token's row of WIDTH elements stand. The lowest bits of the octet are
// turned by the token: the same octet of 8 tokens, which ldmatrix reads at a time, lies in 8 groups of banks.
template <int WIDTH> __device__ __forceinline__ uint32_t place(int token, int octet) {
    return token * (2 * WIDTH) + ((octet ^ (token & 7)) << 4);
}

// Where the result of a column stands in its row of COLS, for row `row` of those that leave at once: turned likewise,
// so that the pairs that half a warp stores fall into different banks.
__device__ __forceinline__ int result_place(int row, int column) { return row * COLS + (column ^ (row & 7) << 3); }

// Brings 8 elements of a row; `left` of them exist, what does not becomes zero. ALIGNED: all or none exist.
template <bool ALIGNED>
__device__ __forceinline__ void copy_8(uint32_t shared, const uint16_t *base, uint64_t offset, int left) {
    if constexpr (ALIGNED) {
        copy_async_16_or_zeros(shared, left > 0 ? base + offset : base, left > 0);
    } else {
        uint32_t word[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint32_t low = 2 * i < left ? __ldg(base + offset + 2 * i) : 0;
            const uint32_t high = 2 * i + 1 < left ? __ldg(base + offset + 2 * i + 1) : 0;
            word[i] = low | high << 16;
        }
        *static_cast<uint4 *>(__cvta_shared_to_generic(shared)) = make_uint4(word[0], word[1], word[2], word[3]);
    }
}

// Starts to bring WIDTH columns from `first_column` of a step's tokens of a matrix [tokens, cols].
template <int WIDTH, bool ALIGNED>
__device__ __forceinline__ void copy_columns(uint32_t shared, const uint16_t *matrix, uint32_t tokens, uint32_t cols,
                                             uint32_t first_token, uint32_t first_column) {
    constexpr int OCTETS = WIDTH / 8;
#pragma unroll
    for (int i = 0; i < STEP * OCTETS / THREADS; ++i) {
        const int piece = threadIdx.x + i * THREADS, token = piece / OCTETS, octet = piece % OCTETS;
        const uint32_t column = first_column + 8 * octet;
        const int left = first_token + token < tokens ? int(cols) - int(column) : 0;
        const uint64_t offset = uint64_t(first_token + token) * cols + column;
        copy_8<ALIGNED>(shared + place<WIDTH>(token, octet), matrix, offset, left);
    }
}

// Starts to bring what a step of a tile multiplies and shared memory does not hold, if there is such a step.
template <bool ALIGNED>
__device__ __forceinline__ void copy_step(uint32_t stages, uint32_t held, const SddmmDenseArgs &a, const Tile &tile,
                                          uint32_t step) {
    if (step >= tile.steps) return;
    const uint32_t token = tile.first_token + step * STEP;
    copy_columns<ROWS, ALIGNED>(stages + step % STAGES * STAGE_BYTES, at<const uint16_t>(a.dy), a.tokens, a.rows, token,
                                tile.first_row);
    if (tile.brings_x)
        copy_columns<COLS, ALIGNED>(held + step * HELD_STEP_BYTES, at<const uint16_t>(a.x), a.tokens, a.cols, token,
                                    tile.first_column);
}

// Adds the products of one step to the warp's 64 × 64 sums. An ldmatrix brings 16 tokens × 16 rows or columns.
__device__ __forceinline__ void multiply_step(float (&sums)[4][8][4], uint32_t stage, uint32_t held, int first_row,
                                              int first_col) {
    const int quarter = (threadIdx.x & 31) >> 3, line = threadIdx.x & 7;
    // A: matrices differ in rows first, then in tokens; B: in tokens first, then in columns.
    const int dy_token = 8 * (quarter >> 1) + line, x_token = 8 * (quarter & 1) + line;
    uint32_t dy[4][4], x[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        ldmatrix_x4_trans(dy[i], stage + place<ROWS>(dy_token, (first_row + 16 * i) / 8 + (quarter & 1)));
        ldmatrix_x4_trans(x[i], held + place<COLS>(x_token, (first_col + 16 * i) / 8 + (quarter >> 1)));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) mma_bf16(sums[i][j], dy[i], x[j / 2][j % 2 * 2], x[j / 2][j % 2 * 2 + 1]);
    }
}

// The masked epilogue: a row's entries lie side by side in ds, as they do in the pattern, and half a warp adds the
// results to them. What waits for global memory is asked for before the results of these rows are stored.
__device__ __forceinline__ void add_entries(const float (&sums)[4][8][4], float *results, const uint32_t *begin,
                                            const uint32_t *end, uint32_t first_column, const SddmmDenseArgs &a) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, group = lane >> 2, member = lane & 3;
    const uint32_t *col_indices = at<const uint32_t>(a.col_indices);
    float *ds = at<float>(a.ds);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        uint32_t entry[TURNS], last[TURNS], column[TURNS];
        float old[TURNS];
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int line = threadIdx.x / HALF + turn * (THREADS / HALF);
            const int row = line / 16 * WARP_TILE + 16 * i + line % 16;
            entry[turn] = begin[row] + lane % HALF;
            last[turn] = end[row];
            if (entry[turn] < last[turn]) {
                column[turn] = __ldg(col_indices + entry[turn]) - first_column;
                old[turn] = ds[entry[turn]];
            }
        }
        // All are done with the stages: with their products, or with the results before.
        __syncthreads();
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            const int line = warp % ROW_WARPS * 16 + group, col = warp / ROW_WARPS * WARP_TILE + 8 * j + 2 * member;
            const float(&sum)[4] = sums[i][j];
            *reinterpret_cast<float2 *>(results + result_place(line, col)) = make_float2(sum[0], sum[1]);
            *reinterpret_cast<float2 *>(results + result_place(line + 8, col)) = make_float2(sum[2], sum[3]);
        }
        __syncthreads();
#pragma unroll
        for (int turn = 0; turn < TURNS; ++turn) {
            const int line = threadIdx.x / HALF + turn * (THREADS / HALF);
            uint32_t p = entry[turn];
            if (p < last[turn]) ds[p] = old[turn] + results[result_place(line, column[turn])];
            while ((p += HALF) < last[turn])
                ds[p] += results[result_place(line, __ldg(col_indices + p) - first_column)];
        }
    }
}

template <bool ALIGNED> __device__ __forceinline__ void sddmm_dense(const SddmmDenseArgs &a) {
    extern __shared__ __align__(128) unsigned char memory[];
    __shared__ uint32_t begin[ROWS], end[ROWS];
    const uint32_t stages = shared_address(memory), held = stages + STAGES * STAGE_BYTES;
    const int warp = threadIdx.x >> 5;
    const int first_row = warp % ROW_WARPS * WARP_TILE, first_col = warp / ROW_WARPS * WARP_TILE;

    // The tiles of the same columns follow each other; a block has as many as any other, or one more.
    const uint32_t row_tiles = (a.rows + ROWS - 1) / ROWS, column_tiles = (a.cols + COLS - 1) / COLS;
    const uint64_t tiles = uint64_t(row_tiles) * column_tiles;
    const uint64_t first_tile = tiles * blockIdx.x / gridDim.x, end_tile = tiles * (blockIdx.x + 1) / gridDim.x;

    for (uint32_t first_token = 0; first_token < a.tokens; first_token += a.held_tokens) {
        const uint32_t steps = (min(a.held_tokens, a.tokens - first_token) + STEP - 1) / STEP;
        uint32_t held_column_tile = column_tiles;
        for (uint64_t number = first_tile; number < end_tile; ++number) {
            const uint32_t column_tile = uint32_t(number / row_tiles), row_tile = uint32_t(number % row_tiles);
            const uint32_t row = row_tile * ROWS + threadIdx.x;
            const uint32_t *starts = at<const uint32_t>(a.starts) + uint64_t(column_tile) * a.rows + row;
            const uint32_t mine = row < a.rows ? __ldg(starts) : 0, next = row < a.rows ? __ldg(starts + a.rows) : 0;
            // All are done with the tile before; one without entries is passed over.
            if (!__syncthreads_or(mine != next)) continue;
            begin[threadIdx.x] = mine;
            end[threadIdx.x] = next;

            const bool brings_x = column_tile != held_column_tile;
            const Tile tile = {row_tile * ROWS, column_tile * COLS, first_token, steps, brings_x};
            held_column_tile = column_tile;
            float sums[4][8][4] = {};
            // Every step ends one group of copies, be it empty, so that the wait below always means the same stage.
#pragma unroll
            for (int step = 0; step < STAGES - 1; ++step) {
                copy_step<ALIGNED>(stages, held, a, tile, step);
                copy_async_commit();
            }
            for (uint32_t step = 0; step < steps; ++step) {
                copy_async_wait<STAGES - 2>();
                // All have what this step multiplies, and all are done with what the next copy overwrites.
                __syncthreads();
                copy_step<ALIGNED>(stages, held, a, tile, step + STAGES - 1);
                copy_async_commit();
                multiply_step(sums, stages + step % STAGES * STAGE_BYTES, held + step * HELD_STEP_BYTES, first_row,
                              first_col);
            }
            add_entries(sums, reinterpret_cast<float *>(memory), begin, end, tile.first_column, a);
        }
    }
}

} // namespace

// 128 of the registers are sums.
// Occupancy: 1 block of 256 threads a multiprocessor, 165888 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(SDDMM_DENSE_THREADS, 1)
sddmm_dense(const __grid_constant__ SddmmDenseArgs a) {
    sddmm_dense<true>(a);
}

// The same for rows or columns that are no multiple of 8: elements are copied one by one, while the block waits.
// Occupancy: 1 block of 256 threads a multiprocessor, 165888 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(SDDMM_DENSE_THREADS, 1)
sddmm_dense_unaligned(const __grid_constant__ SddmmDenseArgs a) {
    sddmm_dense<false>(a);
}
