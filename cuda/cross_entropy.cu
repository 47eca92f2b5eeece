// The loss of next-token prediction together with its gradient, and the best column of each row.
//
// A block has a row. One sweep reads it for the largest logit and the sum of exponentials, both at once: a thread keeps
// the sum relative to the largest of its own so far, and the block brings the sums to the largest of all. A second
// sweep reads the row again (from the second cache: a row of 128 thousand logits is 256 KB) and writes the gradient.
#include "block.cuh"
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// body(Width<N>, column) for this thread's vectors of a row.
template <int N, class Body> __device__ __forceinline__ void each_of_row_by(uint64_t cols, Body body) {
    for (uint64_t column = uint64_t(threadIdx.x) * N; column < cols; column += uint64_t(blockDim.x) * N) {
        body(Width<N>{}, column);
    }
}
template <class Body> __device__ __forceinline__ void each_of_row(uint64_t cols, Body body) {
    if (cols % VECTOR == 0) {
        each_of_row_by<VECTOR>(cols, body);
    } else {
        each_of_row_by<1>(cols, body);
    }
}

// What exponents are taken relative to: the largest logit so far, or 0 while that is −∞, whose weight then is 0
// instead of NaN. NaN, and +∞ relative to itself, weigh NaN.
__device__ __forceinline__ float anchor(float max) { return max == -INFINITY ? 0.0f : max; }

// e^(x − anchor) by the hardware's power of two: a relative error of 2 units plus 2·|x − anchor|, at a quarter of the
// instructions of expf; with those, issue would bind before the memory does.
__device__ __forceinline__ float weight(float x, float anchor) { return __expf(x - anchor); }

// Occupancy: 2 blocks of 512 threads a multiprocessor, 128 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2)
    cross_entropy(const __grid_constant__ CrossEntropyArgs a) {
    __shared__ float scratch[MOST_WARPS];
    __nv_bfloat16 *row = at<__nv_bfloat16>(a.logits) + uint64_t(blockIdx.x) * a.cols;
    const uint32_t target = at<const uint32_t>(a.targets)[blockIdx.x];
    const float aim = __bfloat162float(row[target]);

    float own_max = -INFINITY, own_sum = 0;
    each_of_row(a.cols, [&](auto width, uint64_t column) {
        constexpr int N = decltype(width)::LEN;
        const Floats<N> x = load<N>(row + column);
        float max = own_max;
#pragma unroll
        for (int e = 0; e < N; ++e) max = fmaxf(max, x.v[e]); // leaves NaN out
        // Once a vector at most, and only where the maximum rises: rare after the first few.
        if (max > own_max) own_sum *= weight(own_max, max);
        const float base = anchor(max);
#pragma unroll
        for (int e = 0; e < N; ++e) own_sum += weight(x.v[e], base);
        own_max = max;
    });
    const float max = block_reduce(own_max, -INFINITY, scratch, [](float x, float y) { return fmaxf(x, y); });
    const float base = anchor(max);
    // The barriers in here also keep the target's logit from being overwritten before all have read it.
    const float sum = block_sum(own_sum * weight(own_max, base), scratch);
    if (threadIdx.x == 0) at<float>(a.losses)[blockIdx.x] = logf(sum) + (max - aim);

    const float factor = a.scale / sum;
    each_of_row(a.cols, [&](auto width, uint64_t column) {
        constexpr int N = decltype(width)::LEN;
        Floats<N> x = load<N>(row + column);
#pragma unroll
        for (int e = 0; e < N; ++e) x.v[e] = weight(x.v[e], base) * factor;
        if (target - column < N) { // below the first column the difference is a huge number
#pragma unroll
            for (int e = 0; e < N; ++e) x.v[e] -= column + e == target ? a.scale : 0.0f;
        }
        store(row + column, x);
    });
}

// A number that rises with x, then with falling column; 0, below that of every number, for NaN.
__device__ __forceinline__ uint64_t rank_of(float x, uint32_t column) {
    if (x != x) return 0;
    const uint32_t bits = __float_as_uint(x + 0.0f); // −0 becomes +0: they are a tie
    const uint32_t rising = bits >> 31 ? ~bits : bits | 0x80000000u;
    return uint64_t(rising) << 32 | ~column;
}

// Occupancy: 2 blocks of 512 threads a multiprocessor, 256 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2) argmax_rows(const __grid_constant__ ArgmaxArgs a) {
    __shared__ uint64_t scratch[MOST_WARPS];
    const __nv_bfloat16 *row = at<const __nv_bfloat16>(a.x) + blockIdx.x * a.cols;
    const auto higher = [](uint64_t x, uint64_t y) { return x > y ? x : y; };
    uint64_t best = 0;
    each_of_row(a.cols, [&](auto width, uint64_t column) {
        constexpr int N = decltype(width)::LEN;
        const Floats<N> x = load<N>(row + column);
#pragma unroll
        for (int e = 0; e < N; ++e) best = higher(best, rank_of(x.v[e], uint32_t(column) + e));
    });
    best = block_reduce(best, uint64_t(0), scratch, higher);
    // A row of nothing but NaN has no maximum: the index after the last.
    if (threadIdx.x == 0) at<uint32_t>(a.best)[blockIdx.x] = best == 0 ? uint32_t(a.cols) : ~uint32_t(best);
}
