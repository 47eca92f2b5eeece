// 4-bit NormalFloat: from codes to numbers.
//
// Every number is the value of its code times the magnitude of its block, rounded to f32: the bits of src/nf4.rs. A sum
// with it is rounded again; products and sums are written so that nvcc does not join them.
#pragma once
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"

// The values of the 16 codes.
__constant__ float NF4_CODES[16] = {-1.0f,
                                    -0.6961928009986877f,
                                    -0.5250730514526367f,
                                    -0.39491748809814453f,
                                    -0.28444138169288635f,
                                    -0.18477343022823334f,
                                    -0.09105003625154495f,
                                    0.0f,
                                    0.07958029955625534f,
                                    0.16093020141124725f,
                                    0.24611230194568634f,
                                    0.33791524171829224f,
                                    0.44070982933044434f,
                                    0.5626170039176941f,
                                    0.7229568362236023f,
                                    1.0f};

// Magnitudes that are quantized once more have a largest distance in common with so many.
constexpr uint32_t NF4_ABSMAX_BLOCK = 256;

// Weights whose codes stand in a word.
constexpr int NF4_WORD = 8;

// How far right the code of element i of a word stands: of a byte, the high four bits come first.
__device__ __forceinline__ constexpr int code_shift(int i) { return 4 * (i ^ 1); }

// The values of the codes, each lane of a half-warp with its own: a shuffle looks one up for every lane, without the
// conflicts that a table in shared memory has, and reads four bits of its index alone. The whole warp calls it.
struct Codebook {
    float mine = NF4_CODES[threadIdx.x % 16];

    __device__ __forceinline__ float operator[](uint32_t code) const { return shuffle_16(mine, code); }
};

// Bytes of the values of the codes of magnitudes, which a block keeps where there are any.
constexpr uint32_t NF4_DYNAMIC_BYTES = 256 * sizeof(float);

// Brings them to shared memory; for the block to see after its next barrier.
__device__ __forceinline__ void load_dynamic_codes(const Nf4Weight &w, float *dynamic_codes) {
    if (w.codes == 0) return;
    for (uint32_t i = threadIdx.x; i < 256; i += blockDim.x) dynamic_codes[i] = at<const float>(w.dynamic_codes)[i];
}

// The magnitude of a block of weights, on its way. Blocks are counted in 32 bits: 2³⁷ weights.
struct LoadedMagnitude {
    float absmax = 0;
    uint32_t code = 0;
};

__device__ __forceinline__ LoadedMagnitude load_magnitude(const Nf4Weight &w, uint32_t block) {
    const float *absmax = at<const float>(w.absmax);
    if (w.codes == 0) return {__ldg(absmax + block), 0};
    return {__ldg(absmax + block / NF4_ABSMAX_BLOCK), __ldg(at<const uint8_t>(w.codes) + block)};
}

__device__ __forceinline__ float magnitude(const Nf4Weight &w, const float *dynamic_codes, LoadedMagnitude loaded) {
    if (w.codes == 0) return loaded.absmax;
    return __fadd_rn(__fmul_rn(dynamic_codes[loaded.code], loaded.absmax), w.offset);
}

// The same at once; the codes' values may be in any memory.
__device__ __forceinline__ float magnitude(const Nf4Weight &w, const float *dynamic_codes, uint32_t block) {
    return magnitude(w, dynamic_codes, load_magnitude(w, block));
}

// Element i, by a thread of its own.
__device__ __forceinline__ float nf4_element(const Nf4Weight &w, uint64_t i) {
    const uint32_t byte = __ldg(at<const uint8_t>(w.packed) + i / 2);
    const float absmax = magnitude(w, at<const float>(w.dynamic_codes), uint32_t(i >> w.block_shift));
    return __fmul_rn(NF4_CODES[byte >> code_shift(i & 1) & 15], absmax);
}
