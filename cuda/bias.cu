// A bias added to every row, and its gradient: the sums over all rows.
//
// Both move each element of the matrix once. To add, a warp keeps its columns of the bias in registers for a chunk of
// rows; how the gradient sums stands in columns.cuh.
#include "columns.cuh"
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// A block's tile is 32 vectors of N wide; each of its warps takes every eighth of BIAS_ROWS rows.
template <int N> __device__ __forceinline__ void add_bias(const BiasAddArgs &a) {
    const uint64_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (uint64_t column = (blockIdx.x * 32ull + lane) * N; column < a.cols; column += gridDim.x * 32ull * N) {
        const Floats<N> bias = load<N>(at<const float>(a.bias) + column);
        for (uint64_t chunk = blockIdx.y; chunk * BIAS_ROWS < a.rows; chunk += gridDim.y) {
            const uint64_t end = min((chunk + 1) * BIAS_ROWS, a.rows);
#pragma unroll 4
            for (uint64_t row = chunk * BIAS_ROWS + warp; row < end; row += COLUMN_WARPS) {
                __nv_bfloat16 *place = at<__nv_bfloat16>(a.x) + row * a.cols + column;
                Floats<N> x = load<N>(place);
#pragma unroll
                for (int e = 0; e < N; ++e) x.v[e] += bias.v[e];
                store(place, x);
            }
        }
    }
}

// Occupancy: 4 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 4) bias_add(const __grid_constant__ BiasAddArgs a) {
    if (a.cols % VECTOR == 0) {
        add_bias<VECTOR>(a);
    } else {
        add_bias<1>(a);
    }
}

// Occupancy: 4 blocks of 256 threads a multiprocessor, 8192 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 4) bias_partials(const __grid_constant__ BiasGradArgs a) {
    const __nv_bfloat16 *dy = at<const __nv_bfloat16>(a.dy);
    const auto term = [&](auto width, uint32_t row, uint32_t column) {
        return load<decltype(width)::LEN>(dy + uint64_t(row) * a.cols + column);
    };
    sum_chunk(a.rows, a.cols, uint32_t(a.chunk_rows), at<float>(a.partials), term);
}

// The second launch of every sum over rows.
// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 6)
    column_totals(const __grid_constant__ ColumnTotalsArgs a) {
    const float *partials = at<const float>(a.partials);
    const uint64_t j = uint64_t(blockIdx.x) * COLUMN_THREADS + threadIdx.x;
    if (j >= a.cols) return;
    float total = 0;
#pragma unroll 8
    for (uint64_t chunk = 0; chunk < a.chunks; ++chunk) total += partials[chunk * a.cols + j];
    at<float>(a.sums)[j] += total;
}
