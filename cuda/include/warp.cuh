// Sums and scans within a warp, in a fixed order.
#pragma once
#include <stdint.h>

constexpr uint32_t ALL_LANES = 0xffffffffu;

// The sum over all 32 lanes, in every lane: a butterfly, so that each lane adds in the same order.
template <class T> __device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    return x;
}

// The sum over this lane and all lanes before it.
template <class T> __device__ __forceinline__ T warp_inclusive_sum(T x) {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        const T below = __shfl_up_sync(ALL_LANES, x, distance);
        if (lane >= distance) x += below;
    }
    return x;
}

// The bits of the lanes before this one.
__device__ __forceinline__ uint32_t lanes_below() { return (1u << (threadIdx.x & 31)) - 1; }
