// Table look-up, and its gradient.
//
// The look-up moves each row once, in vectors of 16 bytes of the table. In the gradient several tokens may have the
// same id: the block of the first of them owns the table's row and adds the others' rows in rising order of tokens (see
// occurrences.cuh), so that the sums need no atomics and give the bits of a loop over all tokens.
#include "elements.cuh"
#include "kernels.h"
#include "nf4.cuh"
#include "occurrences.cuh"
#include "vec.cuh"

// In vectors of LEN: 16 bytes of the table, so that neighbouring lanes ask for neighbouring bytes.
template <int LEN, class T> __device__ __forceinline__ void look_up(const EmbeddingArgs &a) {
    walk_rows<LEN>(a.tokens, a.cols, [&](auto width, uint64_t token, uint64_t column) {
        constexpr int N = decltype(width)::LEN;
        const uint64_t id = at<const uint32_t>(a.ids)[token];
        const Floats<N> row = load<N>(at<const T>(a.table) + id * a.cols + column);
        store(at<__nv_bfloat16>(a.y) + token * a.cols + column, row);
    });
}

// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6)
    embedding_bf16(const __grid_constant__ EmbeddingArgs a) {
    look_up<VECTOR, __nv_bfloat16>(a);
}

// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6)
    embedding_f32(const __grid_constant__ EmbeddingArgs a) {
    look_up<VECTOR_F32, float>(a);
}

// Of a 4-bit table, whose rows may begin within a byte. Rows are few: an element by itself.
// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6)
    embedding_nf4(const __grid_constant__ EmbeddingNf4Args a) {
    walk_rows<VECTOR>(a.tokens, a.cols, [&](auto width, uint64_t token, uint64_t column) {
        constexpr int N = decltype(width)::LEN;
        const uint64_t id = at<const uint32_t>(a.ids)[token];
        Floats<N> row;
#pragma unroll
        for (int e = 0; e < N; ++e) row.v[e] = nf4_element(a.table, id * a.cols + column + e);
        store(at<__nv_bfloat16>(a.y) + token * a.cols + column, row);
    });
}

// row += the rows `tokens` of dy, in order; in vectors of 16 bytes of the table.
template <int N>
__device__ __forceinline__ void add_rows(const uint32_t *tokens, uint32_t count, const __nv_bfloat16 *dy, uint32_t cols,
                                         float *row) {
    for (uint32_t column = threadIdx.x * N; column < cols; column += blockDim.x * N) {
        Floats<N> sum = load<N>(row + column);
#pragma unroll 4
        for (uint32_t i = 0; i < count; ++i) {
            const Floats<N> x = load<N>(dy + uint64_t(tokens[i]) * cols + column);
#pragma unroll
            for (int e = 0; e < N; ++e) sum.v[e] += x.v[e];
        }
        store(row + column, sum);
    }
}

// Occupancy: 4 blocks of 256 threads a multiprocessor, 8224 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(OCCURRENCE_THREADS, 4)
    embedding_grad(const __grid_constant__ EmbeddingGradArgs a) {
    __shared__ Occurrences shared;
    const uint32_t *ids = at<const uint32_t>(a.ids);
    const __nv_bfloat16 *dy = at<const __nv_bfloat16>(a.dy);
    float *row = at<float>(a.dtable) + uint64_t(ids[blockIdx.x]) * a.cols;
    each_occurrence(ids, a.tokens, blockIdx.x, shared, [&](const uint32_t *tokens, uint32_t count) {
        if (a.cols % VECTOR_F32 == 0) {
            add_rows<VECTOR_F32>(tokens, count, dy, a.cols, row);
        } else {
            add_rows<1>(tokens, count, dy, a.cols, row);
        }
    });
}
