// Dropout whose mask is drawn anew wherever it is needed, the same as on every other backend.
//
// A call of Philox gives the numbers of four elements. A vector of 8 needs two calls, or three where the first row of
// a piece begins inside of four numbers; about 25 instructions an element, half of what an A100 can issue while the
// memory brings it.
#include "elements.cuh"
#include "kernels.h"
#include "philox.cuh"
#include "vec.cuh"

// Numbers of one call.
constexpr int CALL = 4;

// The random words of the N elements from `index` on.
template <int N> struct Words {
    uint32_t v[N];
};

// Random word `index`.
__device__ __forceinline__ Words<1> random_words(const DropoutArgs &a, uint64_t index, Width<1>) {
    const uint4 call = philox4x32(a.seed, a.stream, index / CALL);
    const uint32_t low = index % 2 == 0 ? call.x : call.y, high = index % 2 == 0 ? call.z : call.w;
    return {{index % CALL < 2 ? low : high}};
}

// Random words `index` to `index + 7`: those of three calls, moved down by what the first has too many. The moves
// are by fixed distances, so that the words stay in registers.
__device__ __forceinline__ Words<VECTOR> random_words(const DropoutArgs &a, uint64_t index, Width<VECTOR>) {
    const uint32_t surplus = index % CALL;
    uint32_t words[VECTOR + CALL];
#pragma unroll
    for (int i = 0; i < VECTOR / CALL + 1; ++i) {
        if (i == VECTOR / CALL && surplus == 0) break;
        const uint4 call = philox4x32(a.seed, a.stream, index / CALL + i);
        words[CALL * i] = call.x, words[CALL * i + 1] = call.y;
        words[CALL * i + 2] = call.z, words[CALL * i + 3] = call.w;
    }
#pragma unroll
    for (int distance = 1; distance < CALL; distance *= 2) {
        if (surplus & distance) {
#pragma unroll
            for (int i = 0; i + distance < VECTOR + CALL; ++i) words[i] = words[i + distance];
        }
    }
    Words<VECTOR> out;
#pragma unroll
    for (int i = 0; i < VECTOR; ++i) out.v[i] = words[i];
    return out;
}

// put(y, kept) where kept is x·scale, or 0 for what is dropped.
template <bool ADD> __device__ __forceinline__ void drop_out(const DropoutArgs &a) {
    walk<VECTOR>(a.len, [&](auto width, uint64_t i) {
        constexpr int N = decltype(width)::LEN;
        const Words<N> words = random_words(a, a.offset + i, width);
        const Floats<N> x = load<N>(at<const __nv_bfloat16>(a.x) + i);
        Floats<N> y = {};
        if constexpr (ADD) y = load<N>(at<const __nv_bfloat16>(a.y) + i);
#pragma unroll
        for (int e = 0; e < N; ++e) y.v[e] += unit_interval(words.v[e]) < a.p ? 0.0f : x.v[e] * a.scale;
        store(at<__nv_bfloat16>(a.y) + i, y);
    });
}

// Occupancy: 4 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 4)
    dropout_overwrite(const __grid_constant__ DropoutArgs a) {
    drop_out<false>(a);
}

// Occupancy: 4 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 4)
    dropout_add(const __grid_constant__ DropoutArgs a) {
    drop_out<true>(a);
}
