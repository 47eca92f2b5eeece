// Rows chosen by index, and the sum of two matrices: each element moves once, in vectors of 8.
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// to[to_row, ·] = from[from_row, ·], element by element as it lies in memory.
template <int N>
__device__ __forceinline__ void copy(const RowsArgs &a, uint64_t from_row, uint64_t to_row, uint64_t column) {
    const Packed<N> x = load_packed<N>(at<const __nv_bfloat16>(a.x) + from_row * a.cols + column);
    *reinterpret_cast<Packed<N> *>(at<__nv_bfloat16>(a.y) + to_row * a.cols + column) = x;
}

// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6) gather_rows(const __grid_constant__ RowsArgs a) {
    walk_rows<VECTOR>(a.count, a.cols, [&](auto width, uint64_t i, uint64_t column) {
        copy<decltype(width)::LEN>(a, at<const uint32_t>(a.rows)[i], i, column);
    });
}

// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6) scatter_rows(const __grid_constant__ RowsArgs a) {
    walk_rows<VECTOR>(a.count, a.cols, [&](auto width, uint64_t i, uint64_t column) {
        copy<decltype(width)::LEN>(a, i, at<const uint32_t>(a.rows)[i], column);
    });
}

// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6) add(const __grid_constant__ AddArgs a) {
    walk<VECTOR>(a.len, [&](auto width, uint64_t i) {
        constexpr int N = decltype(width)::LEN;
        const Floats<N> x = load<N>(at<const __nv_bfloat16>(a.x) + i);
        Floats<N> y = load<N>(at<const __nv_bfloat16>(a.y) + i);
#pragma unroll
        for (int e = 0; e < N; ++e) y.v[e] += x.v[e];
        store(at<__nv_bfloat16>(a.y) + i, y);
    });
}
