// What a gradient adds to the scores of a mask.
#include "kernels.h"
#include "vec.cuh"

// One element a thread and step; consecutive threads take consecutive elements, so every access is one full line.
template <class Term> __device__ void score_add(const ScoreAddArgs &a, Term term) {
    const float *g = at<const float>(a.g);
    float *scores = at<float>(a.scores);
    const uint64_t step = uint64_t(gridDim.x) * SCORE_THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * SCORE_THREADS + threadIdx.x; i < a.len; i += step)
        scores[i] = term(g[i], scores[i]);
}

// Square and sum are rounded once, as on the CPU.
// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_add_square(const __grid_constant__ ScoreAddArgs a) {
    score_add(a, [](float g, float score) { return fmaf(g, g, score); });
}

// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS) score_add_sum(const __grid_constant__ ScoreAddArgs a) {
    score_add(a, [](float g, float score) { return score + g; });
}
