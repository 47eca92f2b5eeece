// Sums over a block, in a fixed order.
#pragma once
#include "warp.cuh"

// The sum over all threads before this one; `total` becomes the sum over all. Every thread of the block takes part.
// `sums` is scratch of one element a warp, at most 32, and free again at the return.
template <class T, int WARPS> __device__ __forceinline__ T block_exclusive_sum(T x, T (&sums)[WARPS], T &total) {
    static_assert(WARPS <= 32, "one warp sums the warps");
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
