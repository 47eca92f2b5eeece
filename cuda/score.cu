// What a mask is chosen by: sums of gradients, SNIP's product with the weights, random scores.
//
// Elementwise and bound by memory; each thread walks the array in steps of the whole grid. No shared memory, at most
// 32 registers: 8 blocks fill a multiprocessor.
#include "elements.cuh"
#include "kernels.h"
#include "nf4.cuh"
#include "philox.cuh"
#include "vec.cuh"

// scores[i] = f(with[i], scores[i]). One element a thread and step; consecutive threads take consecutive elements, so
// every access is one full line.
template <class T, class F> __device__ __forceinline__ void update(uint64_t len, const T *with, float *scores, F f) {
    const uint64_t step = uint64_t(gridDim.x) * SCORE_THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * SCORE_THREADS + threadIdx.x; i < len; i += step) {
        scores[i] = f(to_float(with[i]), scores[i]);
    }
}

// Square and sum are rounded once, as on the CPU.
// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_add_square(const __grid_constant__ ScoreAddArgs a) {
    update(a.len, at<const float>(a.g), at<float>(a.scores), [](float g, float score) { return fmaf(g, g, score); });
}

// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_add_sum(const __grid_constant__ ScoreAddArgs a) {
    update(a.len, at<const float>(a.g), at<float>(a.scores), [](float g, float score) { return score + g; });
}

template <class T> __device__ __forceinline__ void score_times(const ScoreTimesArgs &a) {
    update(a.len, at<const T>(a.w), at<float>(a.scores), [](float w, float score) { return score * w; });
}

// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_times_f32(const __grid_constant__ ScoreTimesArgs a) {
    score_times<float>(a);
}

// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_times_bf16(const __grid_constant__ ScoreTimesArgs a) {
    score_times<bf16>(a);
}

// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_times_nf4(const __grid_constant__ ScoreTimesNf4Args a) {
    const uint64_t step = uint64_t(gridDim.x) * SCORE_THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * SCORE_THREADS + threadIdx.x; i < a.len; i += step) {
        at<float>(a.scores)[i] *= nf4_element(a.w, i);
    }
}

// A thread takes the four scores that one call of the generator gives, and stores them at once: the buffer starts at a
// multiple of 16 bytes, so they do as well. Only the last four may be fewer.
// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_random(const __grid_constant__ ScoreRandomArgs a) {
    float *scores = at<float>(a.scores);
    const uint64_t step = uint64_t(gridDim.x) * SCORE_THREADS;
    for (uint64_t call = uint64_t(blockIdx.x) * SCORE_THREADS + threadIdx.x; 4 * call < a.len; call += step) {
        const uint4 words = philox4x32(a.seed, a.stream, call);
        const float4 four = {unit_interval(words.x), unit_interval(words.y), unit_interval(words.z),
                             unit_interval(words.w)};
        float *out = scores + 4 * call;
        if (4 * call + 4 <= a.len) {
            *reinterpret_cast<float4 *>(out) = four;
        } else {
            const uint32_t rest = uint32_t(a.len - 4 * call);
            out[0] = four.x;
            if (rest > 1) {
                out[1] = four.y;
            }
            if (rest > 2) {
                out[2] = four.z;
            }
        }
    }
}
