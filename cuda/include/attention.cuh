// Tiles of attention: 64 rows of a head in shared memory, and what a warp does with them on the tensor cores.
//
// The query heads that share a key head are rows of one matrix: row r of a sequence is query r / group, head r mod
// group of the group. So attention knows no groups: row r sees the keys 0 ..= (k_len − q_len) + r / group, keys are
// read once for all heads of the group, and the sums over the group in dk and dv are sums over rows.
//
// A row in shared memory is as wide as the kernel (64 or 128) and 16 bytes more: 8 rows of ldmatrix then start 4 banks
// apart, and neither they nor the copies conflict. What lies beyond head_dim or beyond the last row is 0, so products
// need no edges; a head of 80 costs what one of 128 does.
#pragma once
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"
#include <cuda_bf16.h>
#include <math_constants.h>

constexpr uint32_t THREADS = ATTENTION_THREADS;
constexpr uint32_t TILE = ATTENTION_TILE;
// Rows of a warp: those of one mma.
constexpr uint32_t WARP_ROWS = 16;
static_assert(TILE == THREADS / 32 * WARP_ROWS, "a warp has the rows of one mma");
constexpr float LN_2 = 0.693147180559945f;
constexpr float LOG2_E = 1.442695040888963f;

// The elements from one row of a tile to the next, and those of a tile.
template <int WIDTH> constexpr uint32_t PITCH = WIDTH + ATTENTION_PADDING;
template <int WIDTH> constexpr uint32_t TILE_ELEMENTS = TILE * PITCH<WIDTH>;

// Products of a warp: 16 rows by 64 columns, and 16 rows by a head; as mma's C, 8 columns each.
using Scores = float[TILE / 8][4];
template <int WIDTH> using Outputs = float[WIDTH / 8][4];
// Scores rounded to bf16, as mma's A, 16 columns each.
using Weights = uint32_t[TILE / 16][4];

// A sequence as Packing has it.
struct Sequence {
    uint32_t q_start;
    uint32_t q_len;
    uint32_t k_start;
    uint32_t k_len;
};

// A tile of a sequence: it starts at its row `first`, which may lie beyond its last.
struct Place {
    Sequence sequence;
    uint32_t first;
};

// Tile number `number` where each token has `group` rows. The tiles of sequence i have the numbers from
// q_start·group / TILE + i on: as ⌊(s + n) / T⌋ + 1 ≥ ⌊s / T⌋ + ⌈n / T⌉, they end before those of sequence i + 1, and
// at most one number is left over. So a block finds its work by a search, and nothing is planned or copied.
__device__ inline Place find_tile(const Sequence *sequences, uint32_t count, uint32_t group, uint32_t number) {
    const auto first_number = [=](uint32_t i) { return sequences[i].q_start * group / TILE + i; };
    uint32_t found = 0;
    for (uint32_t end = count; end - found > 1;) {
        const uint32_t middle = found + (end - found) / 2;
        (first_number(middle) <= number ? found : end) = middle;
    }
    return {sequences[found], (number - first_number(found)) * TILE};
}

// Where the rows of a sequence and key head stand in a matrix: `group` of them, `width` elements each, side by side in
// every token.
struct Rows {
    uint64_t start;
    uint32_t token;
    uint32_t group;
    uint32_t width;
    // Columns from `start` on.
    uint32_t columns;

    // The first element of a row.
    __device__ __forceinline__ uint64_t operator()(uint32_t row) const {
        return start + uint64_t(row / group) * token + row % group * width;
    }

    // The same rows from a column on.
    __device__ __forceinline__ Rows from(uint32_t column) const {
        return {start + column, token, group, width, columns - column};
    }
};

// The rows of a matrix [tokens, heads·width]: q, y, dy, and with width 1 lse.
template <class Args>
__device__ __forceinline__ Rows query_rows(const Args &a, const Sequence &sequence, uint32_t kv_head, uint32_t width) {
    const uint32_t token = a.heads * width;
    return {uint64_t(sequence.q_start) * token + kv_head * a.group * width, token, a.group, width, width};
}

// The rows of a matrix [keys, kv_heads·e].
template <class Args>
__device__ __forceinline__ Rows key_rows(const Args &a, uint32_t k_start, uint32_t kv_head) {
    const uint32_t token = a.kv_heads * a.head_dim;
    return {uint64_t(k_start) * token + kv_head * a.head_dim, token, 1, a.head_dim, a.head_dim};
}

// Starts to bring rows first .. min(first + TILE, end) of `matrix` to `tile`, by all threads of the block. Heads of a
// multiple of 8 columns travel as asynchronous copies of 16 bytes; others start at multiples of 4 bytes only.
template <int WIDTH>
__device__ __forceinline__ void load_tile(uint16_t *tile, const uint16_t *matrix, const Rows &rows, uint32_t first,
                                          uint32_t end) {
    constexpr uint32_t PIECES = WIDTH / 8;
    const uint32_t column = threadIdx.x % PIECES * 8;
    // Four at a time: the addresses of more do not fit in the registers that the wide kernels leave.
#pragma unroll 4
    for (uint32_t pass = 0; pass < TILE * PIECES / THREADS; pass++) {
        const uint32_t row = pass * (THREADS / PIECES) + threadIdx.x / PIECES;
        uint16_t *to = tile + row * PITCH<WIDTH> + column;
        const bool inside = first + row < end && column < rows.columns;
        const uint16_t *from = matrix + (inside ? rows(first + row) + column : 0);
        if (inside && rows.width % 8 == 0) {
            copy_async_16(shared_address(to), from);
        } else {
            uint32_t pairs[4];
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                const bool there = inside && column + 2 * i < rows.columns;
                pairs[i] = there ? reinterpret_cast<const uint32_t *>(from)[i] : 0;
            }
            *reinterpret_cast<uint4 *>(to) = {pairs[0], pairs[1], pairs[2], pairs[3]};
        }
    }
}

// Two numbers rounded to bf16, `low` in the lower half.
__device__ __forceinline__ uint32_t rounded_pair(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<const uint32_t &>(pair);
}

// Writes a warp's 16 rows, those from `first` on that lie before `end`, each of its halves times its factor. They are
// turned in `own`, 16 rows of a tile that no other warp reads: fragments are 4 bytes wide, rows are written 16 at once.
template <int WIDTH>
__device__ __forceinline__ void store_rows(const Outputs<WIDTH> &outputs, const float (&factors)[2], uint16_t *own,
                                           uint16_t *matrix, const Rows &rows, uint32_t first, uint32_t end) {
    constexpr uint32_t PIECES = WIDTH / 8;
    const uint32_t lane = threadIdx.x % 32;
    __syncwarp();
#pragma unroll
    for (uint32_t n = 0; n < WIDTH / 8; n++) {
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
            uint16_t *to = own + (lane / 4 + 8 * half) * PITCH<WIDTH> + n * 8 + lane % 4 * 2;
            *reinterpret_cast<uint32_t *>(to) =
                rounded_pair(outputs[n][2 * half] * factors[half], outputs[n][2 * half + 1] * factors[half]);
        }
    }
    __syncwarp();
    const uint32_t column = lane % PIECES * 8;
    for (uint32_t row = lane / PIECES; row < WARP_ROWS && first + row < end; row += 32 / PIECES) {
        if (column < rows.columns) {
            const uint4 piece = *reinterpret_cast<const uint4 *>(own + row * PITCH<WIDTH> + column);
            uint16_t *to = matrix + rows(first + row) + column;
            if (rows.width % 8 == 0) {
                // One store: an assignment here was taken apart, to share its first word with the other branch.
                __stcg(reinterpret_cast<uint4 *>(to), piece);
            } else {
                const uint32_t pairs[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    if (column + 2 * i < rows.columns) {
                        reinterpret_cast<uint32_t *>(to)[i] = pairs[i];
                    }
                }
            }
        }
    }
}

// What a lane adds to the address of 16 rows by 16 columns for ldmatrix: as A, or transposed as B (rows are k)…
template <int WIDTH> __device__ __forceinline__ uint32_t lane_in_rows_first() {
    return (threadIdx.x % 16 * PITCH<WIDTH> + threadIdx.x % 32 / 16 * 8) * 2;
}

// … and as B whose rows are its columns n.
template <int WIDTH> __device__ __forceinline__ uint32_t lane_in_columns_first() {
    return ((threadIdx.x % 8 + threadIdx.x % 32 / 16 * 8) * PITCH<WIDTH> + threadIdx.x / 8 % 2 * 8) * 2;
}

// scores += a·bᵀ over 16 columns: `b` is the address of the first of 64 rows, lane_in_columns_first included.
template <int WIDTH> __device__ __forceinline__ void add_scores(Scores &scores, const uint32_t (&a)[4], uint32_t b) {
#pragma unroll
    for (uint32_t pair = 0; pair < TILE / 16; pair++) {
        uint32_t columns[4];
        ldmatrix_x4(columns, b + pair * 16 * PITCH<WIDTH> * 2);
        mma_bf16(scores[2 * pair], a, columns[0], columns[1]);
        mma_bf16(scores[2 * pair + 1], a, columns[2], columns[3]);
    }
}

__device__ __forceinline__ void clear(Scores &scores) {
#pragma unroll
    for (uint32_t n = 0; n < TILE / 8; n++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            scores[n][i] = 0;
        }
    }
}

// scores += a·bᵀ: `a` is the address of the warp's 16 rows, lane_in_rows_first included.
template <int WIDTH> __device__ __forceinline__ void add_products(Scores &scores, uint32_t a, uint32_t b) {
#pragma unroll
    for (uint32_t chunk = 0; chunk < WIDTH / 16; chunk++) {
        uint32_t rows[4];
        ldmatrix_x4(rows, a + chunk * 32);
        add_scores<WIDTH>(scores, rows, b + chunk * 32);
    }
}

// scores = a·bᵀ.
template <int WIDTH> __device__ __forceinline__ void multiply_scores(Scores &scores, uint32_t a, uint32_t b) {
    clear(scores);
    add_products<WIDTH>(scores, a, b);
}

// Scores become mma's A as they lie: C of 16 columns is A of 16 columns.
__device__ __forceinline__ void round_weights(const Scores &scores, Weights &weights) {
#pragma unroll
    for (uint32_t step = 0; step < TILE / 16; step++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const float(&half)[4] = scores[2 * step + i / 2];
            weights[step][i] = rounded_pair(half[i % 2 * 2], half[i % 2 * 2 + 1]);
        }
    }
}

// outputs += weights·b: `b` is the address of the first of 64 rows, lane_in_rows_first included.
template <int WIDTH>
__device__ __forceinline__ void add_outputs(Outputs<WIDTH> &outputs, const Weights &weights, uint32_t b) {
#pragma unroll
    for (uint32_t step = 0; step < TILE / 16; step++) {
#pragma unroll
        for (uint32_t pair = 0; pair < WIDTH / 16; pair++) {
            uint32_t columns[4];
            ldmatrix_x4_trans(columns, b + (step * 16 * PITCH<WIDTH> + pair * 16) * 2);
            mma_bf16(outputs[2 * pair], weights[step], columns[0], columns[1]);
            mma_bf16(outputs[2 * pair + 1], weights[step], columns[2], columns[3]);
        }
    }
}

// The rows of a warp that a lane has a part of: 0 and 8 after its own.
struct Softmax {
    float max[2] = {-CUDART_INF_F, -CUDART_INF_F}; // of the scores so far, as exponents of 2
    float sum[2] = {0, 0};                         // of this lane's weights so far, relative to 2^max
};

// Scores become weights 2^(score − max), where `max` may grow; what `softmax` and `outputs` hold shrinks accordingly.
template <int WIDTH>
__device__ __forceinline__ void weigh(Scores &scores, float score_scale, Softmax &softmax, Outputs<WIDTH> &outputs) {
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        float largest = -CUDART_INF_F;
#pragma unroll
        for (uint32_t n = 0; n < TILE / 8; n++) {
            largest = fmaxf(largest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        }
        // The four lanes of a row.
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
        const float max = fmaxf(softmax.max[half], largest * score_scale);
        const float shrink = exp2_fast(softmax.max[half] - max);
        softmax.max[half] = max;
        softmax.sum[half] *= shrink;
#pragma unroll
        for (uint32_t n = 0; n < TILE / 8; n++) {
#pragma unroll
            for (uint32_t i = 2 * half; i < 2 * half + 2; i++) {
                scores[n][i] = exp2_fast(fmaf(scores[n][i], score_scale, -max));
                softmax.sum[half] += scores[n][i];
            }
        }
#pragma unroll
        for (uint32_t n = 0; n < WIDTH / 8; n++) {
            outputs[n][2 * half] *= shrink;
            outputs[n][2 * half + 1] *= shrink;
        }
    }
}

// The element of a warp's scores that a lane holds as scores[n][i].
__device__ __forceinline__ uint32_t score_row(uint32_t i) { return threadIdx.x % 32 / 4 + i / 2 * 8; }
__device__ __forceinline__ uint32_t score_column(uint32_t n, uint32_t i) {
    return n * 8 + threadIdx.x % 4 * 2 + i % 2;
}

// What the outputs of a lane's rows are to be multiplied by: one over the sum of their weights, over all four lanes.
// Writes the lse of the rows before `end`, unless `lse` is null.
__device__ __forceinline__ void finish_softmax(const Softmax &softmax, float (&factors)[2], float *lse,
                                               const Rows &rows, uint32_t first, uint32_t end) {
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        float sum = softmax.sum[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        factors[half] = 1 / sum;
        const uint32_t row = first + score_row(2 * half);
        if (lse != nullptr && threadIdx.x % 4 == 0 && row < end) {
            lse[rows(row)] = (softmax.max[half] + log2f(sum)) * LN_2;
        }
    }
}
