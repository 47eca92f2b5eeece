// Root-mean-square normalisation of rows, and its two gradients.
//
// A block has rows, one at a time. Its threads read their columns of a row once, as vectors of 8, keep them packed in
// registers while the block sums, and use them again for the output; the gain stays in registers from row to row.
// So every element moves once: the memory's bandwidth is the bound. Blocks beside each other on a multiprocessor ask
// for the same gain, which its first cache then holds. Rows wider than ROW_THREADS · ROW_KEPT_COLUMNS
// read what is beyond twice, and rows that are not aligned (columns no multiple of 8) go element by element.
// The gradient of the gain sums over rows: see columns.cuh.
#include "block.cuh"
#include "columns.cuh"
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// Vectors that a thread keeps.
constexpr int KEPT = ROW_KEPT_COLUMNS / VECTOR;

// body(slot, column) for each of this thread's vectors in a row; slots below KEPT can be kept in registers, the slot
// KEPT stands for all beyond.
template <int N, class Body> __device__ __forceinline__ void each_of_row(uint32_t cols, Body body) {
    const uint32_t step = blockDim.x * N;
    uint32_t column = threadIdx.x * N;
#pragma unroll
    for (int slot = 0; slot < KEPT; ++slot, column += step) {
        if (column < cols) body(slot, column);
    }
    for (; column < cols; column += step) body(KEPT, column);
}

// A thread's part of a row of bf16, in registers as far as it is kept.
template <int N> struct RowPart {
    const __nv_bfloat16 *row;
    Packed<N> kept[KEPT];

    __device__ __forceinline__ Floats<N> read(int slot, uint32_t column) {
        if (slot == KEPT) return load<N>(row + column);
        kept[slot] = load_packed<N>(row + column);
        return unpack(kept[slot]);
    }
    __device__ __forceinline__ Floats<N> again(int slot, uint32_t column) const {
        return slot == KEPT ? load<N>(row + column) : unpack(kept[slot]);
    }
};

// A thread's part of the gain, read once for all rows.
template <int N> struct GainPart {
    const float *gain;
    Floats<N> kept[KEPT];

    __device__ __forceinline__ GainPart(const float *gain, uint32_t cols) : gain(gain) {
        each_of_row<N>(cols, [&](int slot, uint32_t column) {
            if (slot < KEPT) kept[slot] = load<N>(gain + column);
        });
    }
    __device__ __forceinline__ Floats<N> read(int slot, uint32_t column) const {
        return slot == KEPT ? load<N>(gain + column) : kept[slot];
    }
};

// sum + Σ a·b.
template <int N> __device__ __forceinline__ float add_products(const Floats<N> &a, const Floats<N> &b, float sum) {
#pragma unroll
    for (int e = 0; e < N; ++e) sum = fmaf(a.v[e], b.v[e], sum);
    return sum;
}

// a∘b.
template <int N> __device__ __forceinline__ Floats<N> times(const Floats<N> &a, const Floats<N> &b) {
    Floats<N> out;
#pragma unroll
    for (int e = 0; e < N; ++e) out.v[e] = a.v[e] * b.v[e];
    return out;
}

// 1/√(sum/cols + eps): two units in the last place at most.
__device__ __forceinline__ float reciprocal_rms(float sum, uint32_t cols, float eps) {
    return rsqrtf(sum / float(cols) + eps);
}

template <int N> __device__ __forceinline__ void normalise(const RmsnormArgs &a, float (&scratch)[MOST_WARPS]) {
    const GainPart<N> gain(at<const float>(a.gain), a.cols);
    for (uint64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
        RowPart<N> x = {at<const __nv_bfloat16>(a.x) + row * a.cols};
        __nv_bfloat16 *y = at<__nv_bfloat16>(a.y) + row * a.cols;
        float squares = 0;
        each_of_row<N>(a.cols, [&](int slot, uint32_t column) {
            const Floats<N> part = x.read(slot, column);
            squares = add_products(part, part, squares);
        });
        const float r = reciprocal_rms(block_sum(squares, scratch), a.cols, a.eps);
        each_of_row<N>(a.cols, [&](int slot, uint32_t column) {
            Floats<N> part = x.again(slot, column);
#pragma unroll
            for (int e = 0; e < N; ++e) part.v[e] *= r;
            store(y + column, times(part, gain.read(slot, column)));
        });
    }
}

// Occupancy: 2 blocks of 512 threads a multiprocessor, 128 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2) rmsnorm(const __grid_constant__ RmsnormArgs a) {
    __shared__ float scratch[MOST_WARPS];
    if (a.cols % VECTOR == 0) {
        normalise<VECTOR>(a, scratch);
    } else {
        normalise<1>(a, scratch);
    }
}

template <int N>
__device__ __forceinline__ void add_gradient(const RmsnormBackwardArgs &a, float (&scratch)[MOST_WARPS]) {
    const GainPart<N> gain(at<const float>(a.gain), a.cols);
    for (uint64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
        RowPart<N> x = {at<const __nv_bfloat16>(a.x) + row * a.cols};
        RowPart<N> dy = {at<const __nv_bfloat16>(a.dy) + row * a.cols};
        __nv_bfloat16 *dx = at<__nv_bfloat16>(a.dx) + row * a.cols;
        float squares = 0, products = 0;
        each_of_row<N>(a.cols, [&](int slot, uint32_t column) {
            const Floats<N> part = x.read(slot, column);
            squares = add_products(part, part, squares);
            products = add_products(times(dy.read(slot, column), gain.read(slot, column)), part, products);
        });
        const float r = reciprocal_rms(block_sum(squares, scratch), a.cols, a.eps);
        const float mean = block_sum(products, scratch) / float(a.cols);
        const float pull = r * r * mean;
        each_of_row<N>(a.cols, [&](int slot, uint32_t column) {
            const Floats<N> part = x.again(slot, column);
            const Floats<N> weighted = times(dy.again(slot, column), gain.read(slot, column));
            Floats<N> sum = load<N>(dx + column);
#pragma unroll
            for (int e = 0; e < N; ++e) sum.v[e] += r * (weighted.v[e] - part.v[e] * pull);
            store(dx + column, sum);
        });
    }
}

// Occupancy: 2 blocks of 512 threads a multiprocessor, 128 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2)
    rmsnorm_backward(const __grid_constant__ RmsnormBackwardArgs a) {
    __shared__ float scratch[MOST_WARPS];
    if (a.cols % VECTOR == 0) {
        add_gradient<VECTOR>(a, scratch);
    } else {
        add_gradient<1>(a, scratch);
    }
}

template <int N> __device__ __forceinline__ float sum_of_squares(const __nv_bfloat16 *row, uint32_t cols) {
    float squares = 0;
    each_of_row<N>(cols, [&](int, uint32_t column) {
        const Floats<N> part = load<N>(row + column);
        squares = add_products(part, part, squares);
    });
    return squares;
}

// What the gradient of the gain needs of each row.
// Occupancy: 2 blocks of 512 threads a multiprocessor, 128 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(ROW_THREADS, 2)
    rmsnorm_reciprocals(const __grid_constant__ RmsnormReciprocalArgs a) {
    __shared__ float scratch[MOST_WARPS];
    for (uint64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
        const __nv_bfloat16 *x = at<const __nv_bfloat16>(a.x) + row * a.cols;
        const bool aligned = a.cols % VECTOR == 0;
        const float squares = aligned ? sum_of_squares<VECTOR>(x, a.cols) : sum_of_squares<1>(x, a.cols);
        const float r = reciprocal_rms(block_sum(squares, scratch), a.cols, a.eps);
        if (threadIdx.x == 0) at<float>(a.reciprocals)[row] = r;
    }
}

// Occupancy: 4 blocks of 256 threads a multiprocessor, 8192 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(COLUMN_THREADS, 4)
    rmsnorm_gain_partials(const __grid_constant__ RmsnormGainArgs a) {
    const __nv_bfloat16 *x = at<const __nv_bfloat16>(a.x), *dy = at<const __nv_bfloat16>(a.dy);
    const float *reciprocals = at<const float>(a.reciprocals);
    const auto term = [&](auto width, uint32_t row, uint32_t column) {
        constexpr int N = decltype(width)::LEN;
        const uint64_t i = uint64_t(row) * a.cols + column;
        Floats<N> product = times(load<N>(dy + i), load<N>(x + i));
        const float r = reciprocals[row];
#pragma unroll
        for (int e = 0; e < N; ++e) product.v[e] *= r;
        return product;
    };
    sum_chunk(a.rows, a.cols, uint32_t(a.chunk_rows), at<float>(a.partials), term);
}
