// Sums over the rows of a matrix, column by column, in two launches: blocks sum chunks of rows, then a thread a column
// adds the chunks in order. The chunks follow from the shape alone, and so does the order of every sum.
#pragma once
#include "elements.cuh"
#include "kernels.h"

constexpr int COLUMN_WARPS = COLUMN_THREADS / 32;
// Columns of a block's tile.
template <int N> constexpr int TILE_COLUMNS = 32 * N;

// partials[chunk, j] = Σ term(Width<N>, row, j) over the rows of chunk blockIdx.y. A lane has N columns, a warp every
// eighth row; the warps' sums meet in shared memory and are added in order.
template <int N, class Term>
__device__ __forceinline__ void sum_chunk_by(uint32_t rows, uint32_t cols, uint32_t chunk_rows, float *partials,
                                             float *shared, Term term) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t first = blockIdx.y * chunk_rows, end = min(rows, first + chunk_rows);
    for (uint32_t tile = blockIdx.x * TILE_COLUMNS<N>; tile < cols; tile += gridDim.x * TILE_COLUMNS<N>) {
        Floats<N> sum = {};
        const uint32_t column = tile + lane * N;
        if (column < cols) {
#pragma unroll 4
            for (uint32_t row = first + warp; row < end; row += COLUMN_WARPS) {
                const Floats<N> x = term(Width<N>{}, row, column);
#pragma unroll
                for (int e = 0; e < N; ++e) sum.v[e] += x.v[e];
            }
        }
        store<N>(shared + warp * TILE_COLUMNS<N> + lane * N, sum);
        __syncthreads();
        const uint32_t j = threadIdx.x;
        if (j < TILE_COLUMNS<N> && tile + j < cols) {
            float total = 0;
#pragma unroll
            for (int w = 0; w < COLUMN_WARPS; ++w) total += shared[w * TILE_COLUMNS<N> + j];
            partials[uint64_t(blockIdx.y) * cols + tile + j] = total;
        }
        __syncthreads(); // before the next tile's sums replace these
    }
}

template <class Term>
__device__ __forceinline__ void sum_chunk(uint32_t rows, uint32_t cols, uint32_t chunk_rows, float *partials,
                                          Term term) {
    static_assert(TILE_COLUMNS<VECTOR> <= COLUMN_THREADS, "a thread adds up a column");
    __shared__ __align__(16) float shared[COLUMN_WARPS * TILE_COLUMNS<VECTOR>];
    if (cols % VECTOR == 0) {
        sum_chunk_by<VECTOR>(rows, cols, chunk_rows, partials, shared, term);
    } else {
        sum_chunk_by<1>(rows, cols, chunk_rows, partials, shared, term);
    }
}
