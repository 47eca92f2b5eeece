// Reductions and scans over a block, in an order that its size alone decides.
#pragma once
#include "warp.cuh"

// Words of shared memory that a reduction needs: one a warp.
constexpr int MOST_WARPS = 32;

// The join of every thread's x, in every thread; `none` joined with x is x. The block has whole warps. A butterfly in
// each warp, then in every warp one over the warps: all threads join in the same order.
template <class T, class Join>
__device__ __forceinline__ T block_reduce(T x, T none, T (&scratch)[MOST_WARPS], Join join) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x = join(x, __shfl_xor_sync(ALL_LANES, x, distance));
    __syncthreads(); // the scratch may still be read from the reduction before
    if (lane == 0) scratch[warp] = x;
    __syncthreads();
    x = lane < warps ? scratch[lane] : none;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x = join(x, __shfl_xor_sync(ALL_LANES, x, distance));
    return x;
}

template <class T> __device__ __forceinline__ T block_sum(T x, T (&scratch)[MOST_WARPS]) {
    return block_reduce(x, T(0), scratch, [](T a, T b) { return a + b; });
}

// The sum over all threads before this one; `total` becomes the sum over all. Every thread of the block takes part.
// `sums` is scratch of one element a warp, and free again at the return.
template <class T, int WARPS> __device__ __forceinline__ T block_exclusive_sum(T x, T (&sums)[WARPS], T &total) {
    static_assert(WARPS <= MOST_WARPS, "one warp sums the warps");
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const T inclusive = warp_inclusive_sum(x);
    if (lane == 31) {
        sums[warp] = inclusive;
    }
    __syncthreads();
    if (warp == 0) {
        const T up_to_mine = warp_inclusive_sum(lane < WARPS ? sums[lane] : T(0));
        if (lane < WARPS) {
            sums[lane] = up_to_mine;
        }
    }
    __syncthreads();
    total = sums[WARPS - 1];
    const T before = warp == 0 ? T(0) : sums[warp - 1];
    __syncthreads();
    return before + inclusive - x;
}
