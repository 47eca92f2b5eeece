// w += s: merges a sparse adapter into a dense matrix, in place.
//
// The work is split by entries, so that long rows do not hurt: a warp takes a window of 128 consecutive ones. It learns
// the row of the first from the pattern's plan (4 bytes a window) and walks on from there (entry_rows.cuh); a row per
// entry would be fewer instructions, but cost 4 bytes per nonzero to keep and to read, and memory is what bounds this.
// Consecutive lanes take consecutive entries, so entries of one sector of w are mostly asked for together. No two
// entries name the same element: plain loads and stores will do.
//
// It moves 8 bytes of every entry, the row offsets, and each touched sector of w twice.
// 128 threads, 2 KB of shared memory, at most 32 registers: 16 blocks fill a multiprocessor of sm_80.
#include "element.cuh"
#include "entry_rows.cuh"
#include "vec.cuh"

constexpr uint32_t WARPS = CSR_ADD_THREADS / 32;
constexpr uint32_t STEPS = CSR_WINDOW / 32;

template <class T> __device__ __forceinline__ void csr_add(const CsrAddArgs &a) {
    __shared__ EntryRows warps[WARPS];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t window = blockIdx.x * WARPS + warp;
    if (window >= a.windows) {
        return;
    }
    const uint32_t first = window * CSR_WINDOW;
    const uint32_t count = a.nnz - first;
    const uint32_t *columns = at<const uint32_t>(a.col_indices) + first;
    const float *values = at<const float>(a.values) + first;
    T *w = at<T>(a.w);

    // All loads of a kind before what waits for them, so that they are on their way together.
    uint32_t column[STEPS];
    float value[STEPS];
#pragma unroll
    for (uint32_t i = 0; i < STEPS; i++) {
        const uint32_t entry = 32 * i + lane;
        if (entry < count) {
            column[i] = columns[entry];
            value[i] = values[entry];
        }
    }
    uint32_t row = at<const uint32_t>(a.window_rows)[window];
    warps[warp].mark(at<const uint32_t>(a.row_offsets), a.rows, row, first);
    T *element[STEPS];
    float old[STEPS];
#pragma unroll
    for (uint32_t i = 0; i < STEPS; i++) {
        const uint32_t mine = warps[warp].row_of(32 * i, row);
        if (32 * i + lane < count) {
            element[i] = w + (uint64_t(mine) * a.cols + column[i]);
            old[i] = to_float(*element[i]);
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < STEPS; i++) {
        if (32 * i + lane < count) {
            *element[i] = from_float<T>(old[i] + value[i]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(CSR_ADD_THREADS) csr_add_f32(const __grid_constant__ CsrAddArgs a) {
    csr_add<float>(a);
}

extern "C" __global__ void __launch_bounds__(CSR_ADD_THREADS) csr_add_bf16(const __grid_constant__ CsrAddArgs a) {
    csr_add<bf16>(a);
}
