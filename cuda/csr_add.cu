// w += s: merges a sparse adapter into a dense matrix, in place.
//
// The work is split by entries, so that long rows do not hurt: a warp takes a window of 256 consecutive ones. It learns
// the row of the first from the pattern's plan (4 bytes a window) and walks on from there (entry_rows.cuh); a row per
// entry would be fewer instructions, but cost 4 bytes per nonzero to keep and to read, and memory is what bounds this.
// Consecutive lanes take consecutive entries, so entries of one sector of w are mostly asked for together. No two
// entries name the same element: plain loads and stores will do.
//
// It moves 8 bytes of every entry, the row offsets, and each touched sector of w twice.
// 128 threads, 4 KB of shared memory, at most 48 registers: 10 blocks on a multiprocessor of sm_80, each warp with 8
// loads on their way.
#include "elements.cuh"
#include "entry_rows.cuh"
#include "vec.cuh"

constexpr uint32_t WARPS = CSR_ADD_THREADS / 32;
constexpr int32_t STEPS = CSR_WINDOW / 32;

template <class T> __device__ __forceinline__ void csr_add(const CsrAddArgs &a) {
    __shared__ EntryRows warps[WARPS];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t window = blockIdx.x * WARPS + warp;
    if (window >= a.windows) {
        return;
    }
    const uint32_t first = window * CSR_WINDOW;
    const uint32_t *columns = at<const uint32_t>(a.col_indices) + first + lane;
    const float *values = at<const float>(a.values) + first + lane;
    T *w = at<T>(a.w);
    // This lane has an entry in the steps that begin before `rest`.
    const int32_t rest = int32_t(min(a.nnz - first, uint32_t(CSR_WINDOW))) - int32_t(lane);

    // All loads of a kind before what waits for them, so that they are on their way together.
    uint32_t column[STEPS] = {};
    float value[STEPS];
#pragma unroll
    for (int32_t i = 0; i < STEPS; i++) {
        if (32 * i < rest) {
            column[i] = columns[32 * i];
            value[i] = values[32 * i];
        }
    }
    uint32_t row = at<const uint32_t>(a.window_rows)[window];
    warps[warp].mark(at<const uint32_t>(a.row_offsets), a.rows, row, first);
    uint64_t element[STEPS];
    float old[STEPS];
#pragma unroll
    for (int32_t i = 0; i < STEPS; i++) {
        const uint32_t mine = warps[warp].row_of(32 * i, row);
        element[i] = uint64_t(mine) * a.cols + column[i];
        if (32 * i < rest) {
            old[i] = to_float(w[element[i]]);
        }
    }
#pragma unroll
    for (int32_t i = 0; i < STEPS; i++) {
        if (32 * i < rest) {
            w[element[i]] = from_float<T>(old[i] + value[i]);
        }
    }
}

// Occupancy: 10 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(CSR_ADD_THREADS) csr_add_f32(const __grid_constant__ CsrAddArgs a) {
    csr_add<float>(a);
}

// Occupancy: 10 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(CSR_ADD_THREADS) csr_add_bf16(const __grid_constant__ CsrAddArgs a) {
    csr_add<bf16>(a);
}
