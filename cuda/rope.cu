// Rotary position embedding; its gradient is the turn back.
//
// A thread has a vector of pairs, 8 in the lower half of a head and 8 in the upper, and turns the same pairs of up to
// ROPE_HEADS heads: cosines and sines, as large as a head each, are read once for all of them. Lanes of a warp beside
// each other take the vectors of a half, then neighbouring heads, so that a token's angles are asked for once a warp.
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// Turns N pairs from `low` and `low + half` on.
template <int N>
__device__ __forceinline__ void turn(__nv_bfloat16 *low, uint32_t half, const Floats<N> &cos, const Floats<N> &sin) {
    const Floats<N> x = load<N>(low), y = load<N>(low + half);
    Floats<N> turned_x, turned_y;
#pragma unroll
    for (int e = 0; e < N; ++e) {
        turned_x.v[e] = x.v[e] * cos.v[e] - y.v[e] * sin.v[e];
        turned_y.v[e] = y.v[e] * cos.v[e] + x.v[e] * sin.v[e];
    }
    store(low, turned_x);
    store(low + half, turned_y);
}

// Work item i is vector i mod (half/N) of the heads `stripe`, `stripe + stripes`, … of a token.
template <int N> __device__ __forceinline__ void turn_all(const RopeArgs &a) {
    const uint32_t vectors = a.half / N, stripes = (a.heads + ROPE_HEADS - 1) / ROPE_HEADS;
    const uint64_t items = uint64_t(a.tokens) * stripes * vectors, step = uint64_t(gridDim.x) * ELEMENTWISE_THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * ELEMENTWISE_THREADS + threadIdx.x; i < items; i += step) {
        const uint64_t stripe_of_all = i / vectors, token = stripe_of_all / stripes;
        const uint32_t j = uint32_t(i - stripe_of_all * vectors) * N;
        const uint32_t stripe = uint32_t(stripe_of_all - token * stripes);
        const uint64_t angle = uint64_t(at<const uint32_t>(a.positions)[token]) * a.half + j;
        const Floats<N> cos = load<N>(at<const float>(a.cos) + angle);
        Floats<N> sin = load<N>(at<const float>(a.sin) + angle);
#pragma unroll
        for (int e = 0; e < N; ++e) sin.v[e] *= a.sign;
        const uint64_t head_len = 2 * uint64_t(a.half);
        __nv_bfloat16 *x = at<__nv_bfloat16>(a.x) + token * a.heads * head_len + j;
#pragma unroll 2
        for (uint32_t head = stripe; head < a.heads; head += stripes) turn(x + head * head_len, a.half, cos, sin);
    }
}

// Occupancy: 4 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 4) rope(const __grid_constant__ RopeArgs a) {
    if (a.half % VECTOR == 0) {
        turn_all<VECTOR>(a);
    } else {
        turn_all<1>(a);
    }
}
