// Elements in memory, f32 in registers: one at a time or a vector of them, and the ways to walk over arrays.
//
// A vector is 16 bytes of memory, the most that a thread moves at once. Arrays begin at multiples of 256 bytes, so a
// vector is aligned where its index is a multiple of its length; rows are where the number of columns is.
#pragma once
#include <cuda_bf16.h>
#include <stdint.h>

// bf16 elements of 16 bytes.
constexpr int VECTOR = 8;
// f32 elements of 16 bytes.
constexpr int VECTOR_F32 = 4;

using bf16 = __nv_bfloat16;

// An element as f32; exact.
__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }

// The nearest element of a type, ties to even.
template <class T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }

// N consecutive elements in registers.
template <int N> struct Floats {
    float v[N];
};

// N consecutive bf16 as they lie in memory, for values that wait in registers.
template <int N> struct Packed;
template <> struct Packed<1> {
    bf16 v;
};
template <> struct Packed<VECTOR_F32> {
    uint2 v;
};
template <> struct Packed<VECTOR> {
    uint4 v;
};

// The number of elements that a call of a walk's body is for, as a type.
template <int N> struct Width {
    static constexpr int LEN = N;
};

template <int N> __device__ __forceinline__ Packed<N> load_packed(const bf16 *p) {
    return *reinterpret_cast<const Packed<N> *>(p);
}

// bf16 is the upper half of an f32: no rounding.
__device__ __forceinline__ float low_half(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_half(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

__device__ __forceinline__ Floats<1> unpack(Packed<1> x) { return {{to_float(x.v)}}; }
__device__ __forceinline__ Floats<VECTOR_F32> unpack(Packed<VECTOR_F32> x) {
    return {{low_half(x.v.x), high_half(x.v.x), low_half(x.v.y), high_half(x.v.y)}};
}
__device__ __forceinline__ Floats<VECTOR> unpack(Packed<VECTOR> x) {
    return {{low_half(x.v.x), high_half(x.v.x), low_half(x.v.y), high_half(x.v.y), low_half(x.v.z), high_half(x.v.z),
             low_half(x.v.w), high_half(x.v.w)}};
}

template <int N> __device__ __forceinline__ Floats<N> load(const bf16 *p) { return unpack(load_packed<N>(p)); }

template <int N> __device__ __forceinline__ Floats<N> load(const float *p) {
    Floats<N> out;
    if constexpr (N == 1) {
        out.v[0] = *p;
    } else {
#pragma unroll
        for (int i = 0; i < N; i += VECTOR_F32) {
            const float4 four = *reinterpret_cast<const float4 *>(p + i);
            out.v[i] = four.x, out.v[i + 1] = four.y, out.v[i + 2] = four.z, out.v[i + 3] = four.w;
        }
    }
    return out;
}

// Two elements, each rounded to the nearest bf16, ties to even.
__device__ __forceinline__ uint32_t pack_pair(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&pair);
}

__device__ __forceinline__ Packed<1> pack(const Floats<1> &x) { return {from_float<bf16>(x.v[0])}; }
__device__ __forceinline__ Packed<VECTOR_F32> pack(const Floats<VECTOR_F32> &x) {
    return {{pack_pair(x.v[0], x.v[1]), pack_pair(x.v[2], x.v[3])}};
}
__device__ __forceinline__ Packed<VECTOR> pack(const Floats<VECTOR> &x) {
    return {{pack_pair(x.v[0], x.v[1]), pack_pair(x.v[2], x.v[3]), pack_pair(x.v[4], x.v[5]),
             pack_pair(x.v[6], x.v[7])}};
}

template <int N> __device__ __forceinline__ void store(bf16 *p, const Floats<N> &x) {
    *reinterpret_cast<Packed<N> *>(p) = pack(x);
}

template <int N> __device__ __forceinline__ void store(float *p, const Floats<N> &x) {
    if constexpr (N == 1) {
        *p = x.v[0];
    } else {
#pragma unroll
        for (int i = 0; i < N; i += VECTOR_F32) {
            *reinterpret_cast<float4 *>(p + i) = make_float4(x.v[i], x.v[i + 1], x.v[i + 2], x.v[i + 3]);
        }
    }
}

// An array by the whole grid: body(Width<LEN>, i) for the LEN elements from i on, then body(Width<1>, i) for each of
// the fewer than LEN that are left. Consecutive threads take consecutive vectors. A grid has at least 32 threads.
template <int LEN, class Body> __device__ __forceinline__ void walk(uint64_t len, Body body) {
    const uint64_t thread = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    const uint64_t step = uint64_t(gridDim.x) * blockDim.x;
    const uint64_t vectors = len / LEN;
    for (uint64_t i = thread; i < vectors; i += step) body(Width<LEN>{}, LEN * i);
    const uint64_t rest = LEN * vectors + thread;
    if (rest < len) body(Width<1>{}, rest);
}

// The matrix as vectors of N: body(Width<N>, row, column) for each. One division a thread: from then on a thread
// steps by whole rows and columns.
template <int N, class Body>
__device__ __forceinline__ void walk_rows_by(uint64_t rows, uint64_t cols, Body body) {
    const uint64_t thread = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    const uint64_t step = uint64_t(gridDim.x) * blockDim.x;
    const uint64_t vectors = cols / N;
    const uint64_t row_step = step / vectors, vector_step = step % vectors;
    uint64_t row = thread / vectors, vector = thread % vectors;
    while (row < rows) {
        body(Width<N>{}, row, N * vector);
        row += row_step;
        vector += vector_step;
        if (vector >= vectors) {
            vector -= vectors;
            row += 1;
        }
    }
}

// A matrix that is not empty by the whole grid, where the row matters: in vectors of LEN when its rows are aligned.
template <int LEN, class Body> __device__ __forceinline__ void walk_rows(uint64_t rows, uint64_t cols, Body body) {
    if (cols % LEN == 0) {
        walk_rows_by<LEN>(rows, cols, body);
    } else {
        walk_rows_by<1>(rows, cols, body);
    }
}
