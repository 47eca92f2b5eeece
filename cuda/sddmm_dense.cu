// ds[p] += Σ_t dy[t,row(p)] · x[t,col(p)], the dense form: for patterns so full that computing every element of dyᵀ·x
// and keeping those of the pattern is the least work.
//
// A block computes a tile of 128 rows × 256 columns, the largest whose sums fit the registers of 256 threads: an
// element of dy is read once per 256 columns, one of x once per 128 rows. Tokens are K; both operands are row-major
// with K as their slow dimension, so that `ldmatrix.trans` turns them on their way to the tensor cores. Four stages of
// 32 tokens keep three of them on their way while one is multiplied.
//
// The entries of a tile are, row by row, a contiguous piece of the pattern's arrays: a table of where each piece starts
// (4 bytes for each row and tile) is all that this form adds to the pattern. A list in the order of the tiles would
// take 6 bytes for each entry and would save nothing, as most of what is left is ds itself.
//
// For 4096 × 4096 and 512 tokens it asks for 6.3 million sectors of dy and x and, at 4.7 %, half a million of the
// pattern; on an A100 the tensor cores bind it, on an H100 the L2 cache.
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"

namespace {

constexpr int ROWS = SDDMM_DENSE_ROWS, COLS = SDDMM_DENSE_COLS, STEP = SDDMM_DENSE_TOKENS, STAGES = SDDMM_DENSE_STAGES;
constexpr int THREADS = SDDMM_DENSE_THREADS, WARPS = THREADS / 32;
// Eight warps, 2 × 4, with 64 × 64 results each.
constexpr int WARP_TILE = 64;
// Bytes of a stage: dy of its tokens, then x.
constexpr int DY_BYTES = STEP * ROWS * 2, STAGE_BYTES = STEP * (ROWS + COLS) * 2;
// Results leave through shared memory, half of the rows at a time, so that the stages' own memory is enough. 8 floats
// more a row let the pairs that a half-warp stores fall into different banks.
constexpr int RESULT_PITCH = COLS + 8;
static_assert(ROWS / 2 * RESULT_PITCH * 4 <= STAGES * STAGE_BYTES, "the results of half the rows fit the stages");

// Where 8 elements from column 8·octet of a token's row of WIDTH elements stand in a stage. The lowest bits of the
// octet are turned by the token: the same octet of 8 tokens, which ldmatrix reads at a time, lies in 8 groups of banks.
template <int WIDTH> __device__ __forceinline__ uint32_t place(int token, int octet) {
    return token * (2 * WIDTH) + ((octet ^ (token & 7)) << 4);
}

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

// Starts to bring WIDTH columns from `first_column` of the stage's tokens of a matrix [tokens, cols].
template <int WIDTH, bool ALIGNED>
__device__ __forceinline__ void copy_stage(uint32_t stage, const uint16_t *matrix, uint32_t tokens, uint32_t cols,
                                           uint32_t first_token, uint32_t first_column) {
    constexpr int OCTETS = WIDTH / 8;
#pragma unroll
    for (int i = 0; i < STEP * OCTETS / THREADS; ++i) {
        const int piece = threadIdx.x + i * THREADS, token = piece / OCTETS, octet = piece % OCTETS;
        const uint32_t column = first_column + 8 * octet;
        const int left = first_token + token < tokens ? int(cols) - int(column) : 0;
        const uint64_t offset = uint64_t(first_token + token) * cols + column;
        copy_8<ALIGNED>(stage + place<WIDTH>(token, octet), matrix, offset, left);
    }
}

template <bool ALIGNED>
__device__ __forceinline__ void copy_operands(uint32_t stage, const SddmmDenseArgs &a, uint32_t first_token) {
    copy_stage<ROWS, ALIGNED>(stage, at<const uint16_t>(a.dy), a.tokens, a.rows, first_token, blockIdx.x * ROWS);
    copy_stage<COLS, ALIGNED>(stage + DY_BYTES, at<const uint16_t>(a.x), a.tokens, a.cols, first_token,
                              blockIdx.y * COLS);
}

// Adds the products of one stage to the warp's 64 × 64 sums. An ldmatrix brings 16 tokens × 16 rows or columns.
__device__ __forceinline__ void multiply_stage(float (&sums)[4][8][4], uint32_t stage, int first_row, int first_col) {
    const int quarter = (threadIdx.x & 31) >> 3, line = threadIdx.x & 7;
#pragma unroll
    for (int step = 0; step < STEP; step += 16) {
        // A: matrices differ in rows first, then in tokens; B: in tokens first, then in columns.
        const int dy_token = step + 8 * (quarter >> 1) + line, x_token = step + 8 * (quarter & 1) + line;
        uint32_t dy[4][4], x[4][4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            ldmatrix_x4_trans(dy[i], stage + place<ROWS>(dy_token, (first_row + 16 * i) / 8 + (quarter & 1)));
            ldmatrix_x4_trans(x[i], stage + DY_BYTES + place<COLS>(x_token, (first_col + 16 * i) / 8 + (quarter >> 1)));
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
            for (int j = 0; j < 8; ++j) mma_bf16(sums[i][j], dy[i], x[j / 2][j % 2 * 2], x[j / 2][j % 2 * 2 + 1]);
        }
    }
}

template <bool ALIGNED> __device__ __forceinline__ void sddmm_dense(const SddmmDenseArgs &a) {
    extern __shared__ __align__(128) unsigned char memory[];
    __shared__ uint32_t begin[ROWS], end[ROWS];
    const uint32_t stages = shared_address(memory);
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;

    // A tile without entries ends here.
    bool has_entries = false;
    if (threadIdx.x < ROWS) {
        const uint64_t row = blockIdx.x * ROWS + threadIdx.x;
        const uint32_t *starts = at<const uint32_t>(a.starts) + uint64_t(blockIdx.y) * a.rows + row;
        begin[threadIdx.x] = row < a.rows ? __ldg(starts) : 0;
        end[threadIdx.x] = row < a.rows ? __ldg(starts + a.rows) : 0;
        has_entries = begin[threadIdx.x] != end[threadIdx.x];
    }
    if (!__syncthreads_or(has_entries)) return;

    const int first_row = warp % 2 * WARP_TILE, first_col = warp / 2 * WARP_TILE;
    float sums[4][8][4] = {};
    // Every step ends one group of copies, be it empty, so that the wait below always means the same stage.
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage * STEP < a.tokens) copy_operands<ALIGNED>(stages + stage * STAGE_BYTES, a, stage * STEP);
        copy_async_commit();
    }
    uint32_t stage = 0, ahead = STAGES - 1;
    for (uint32_t token = 0; token < a.tokens; token += STEP) {
        copy_async_wait<STAGES - 2>();
        // All have what this step multiplies, and all are done with what the next copy overwrites.
        __syncthreads();
        const uint32_t next = token + (STAGES - 1) * STEP;
        if (next < a.tokens) copy_operands<ALIGNED>(stages + ahead * STAGE_BYTES, a, next);
        copy_async_commit();
        multiply_stage(sums, stages + stage * STAGE_BYTES, first_row, first_col);
        stage = stage + 1 == STAGES ? 0 : stage + 1;
        ahead = ahead + 1 == STAGES ? 0 : ahead + 1;
    }

    // The masked epilogue: each half of the rows goes through shared memory, and a warp adds a row's entries to ds,
    // which lie side by side there as they do in the pattern.
    float *results = reinterpret_cast<float *>(memory);
    const int group = lane >> 2, member = lane & 3;
    const uint32_t *col_indices = at<const uint32_t>(a.col_indices);
    float *ds = at<float>(a.ds);
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
        __syncthreads();
        if (warp % 2 == half) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 8; ++j) {
                    float *out = results + (16 * i + group) * RESULT_PITCH + first_col + 8 * j + 2 * member;
                    *reinterpret_cast<float2 *>(out) = make_float2(sums[i][j][0], sums[i][j][1]);
                    *reinterpret_cast<float2 *>(out + 8 * RESULT_PITCH) = make_float2(sums[i][j][2], sums[i][j][3]);
                }
            }
        }
        __syncthreads();
        for (int row = warp; row < ROWS / 2; row += WARPS) {
            const float *result = results + row * RESULT_PITCH;
            const uint32_t last = end[half * WARP_TILE + row];
            for (uint32_t p = begin[half * WARP_TILE + row] + lane; p < last; p += 32)
                ds[p] += result[__ldg(col_indices + p) - blockIdx.y * COLS];
        }
    }
}

} // namespace

// 128 of the registers are sums.
// Occupancy: 1 block of 256 threads a multiprocessor, 99328 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(SDDMM_DENSE_THREADS, 1)
sddmm_dense(const __grid_constant__ SddmmDenseArgs a) {
    sddmm_dense<true>(a);
}

// The same for rows or columns that are no multiple of 8: elements are copied one by one, while the block waits.
// Occupancy: 1 block of 256 threads a multiprocessor, 99328 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(SDDMM_DENSE_THREADS, 1)
sddmm_dense_unaligned(const __grid_constant__ SddmmDenseArgs a) {
    sddmm_dense<false>(a);
}
