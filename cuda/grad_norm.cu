// The norm of all gradients together, and the factor that clips it: sums in f64, whose products of f32 are exact.
//
// How many blocks sum an array follows from its length alone, and so does the order; a last launch adds the blocks' sums
// of all arrays, a block each. Nothing returns to the host. One product in f64 for 4 bytes: below what even a consumer
// GPU, with a sixty-fourth of its f32 rate, does while the memory brings them.
#include "block.cuh"
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// Occupancy: 2 blocks of 512 threads a multiprocessor, 256 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NORM_THREADS, 2) sum_squares(const __grid_constant__ SumSquaresArgs a) {
    __shared__ double scratch[MOST_WARPS];
    double sum = 0;
    walk<VECTOR_F32>(a.len, [&](auto width, uint64_t i) {
        constexpr int N = decltype(width)::LEN;
        const Floats<N> x = load<N>(at<const float>(a.x) + i);
#pragma unroll
        for (int e = 0; e < N; ++e) sum = fma(double(x.v[e]), double(x.v[e]), sum);
    });
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) at<double>(a.sums)[blockIdx.x] = sum;
}

// The sum of an array, in every thread of a block.
__device__ __forceinline__ double sum_of(const double *x, uint64_t len, double (&scratch)[MOST_WARPS]) {
    double sum = 0;
    for (uint64_t i = threadIdx.x; i < len; i += blockDim.x) sum += x[i];
    return block_sum(sum, scratch);
}

// Occupancy: 2 blocks of 512 threads a multiprocessor, 256 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NORM_THREADS, 2) sum_partials(const __grid_constant__ SumPartialsArgs a) {
    __shared__ double scratch[MOST_WARPS];
    const double sum = sum_of(at<const double>(a.partials) + blockIdx.x * a.len, a.len, scratch);
    if (threadIdx.x == 0) at<double>(a.sums)[blockIdx.x] = sum;
}

// Occupancy: 2 blocks of 512 threads a multiprocessor, 256 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NORM_THREADS, 2) clip_factor(const __grid_constant__ ClipFactorArgs a) {
    __shared__ double scratch[MOST_WARPS];
    const double norm = sqrt(sum_of(at<const double>(a.sums), a.slots, scratch));
    if (threadIdx.x > 0) return;
    const double most = a.max_norm;
    // A norm that is not finite is left to show: clipping would hide it.
    const bool clips = isfinite(norm) && norm > most;
    at<float>(a.clip)[0] = float(norm);
    at<float>(a.clip)[1] = clips ? float(most / norm) : 1.0f;
}
