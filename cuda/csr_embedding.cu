// The sparse adapter of an embedding table: rows of s chosen by token ids, and the gradient.
//
// A row of s has tens of entries among thousands of columns, so lanes take entries and touch single elements of the
// dense rows: a sector an entry. In the gradient the block of the first token with an id owns the row of its entries
// and adds in rising order of tokens (see occurrences.cuh).
#include "elements.cuh"
#include "kernels.h"
#include "occurrences.cuh"
#include "vec.cuh"

// A warp a token.
// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6)
    csr_embedding(const __grid_constant__ CsrEmbeddingArgs a) {
    const uint32_t lane = threadIdx.x % 32;
    const uint64_t warps = uint64_t(gridDim.x) * (ELEMENTWISE_THREADS / 32);
    const uint64_t first = uint64_t(blockIdx.x) * (ELEMENTWISE_THREADS / 32) + threadIdx.x / 32;
    for (uint64_t token = first; token < a.tokens; token += warps) {
        const uint32_t id = at<const uint32_t>(a.ids)[token];
        const uint64_t end = at<const uint32_t>(a.row_offsets)[id + 1];
        __nv_bfloat16 *y = at<__nv_bfloat16>(a.y) + token * a.cols;
        // A row has an entry per column at most: no two lanes meet.
        for (uint64_t entry = at<const uint32_t>(a.row_offsets)[id] + lane; entry < end; entry += 32) {
            __nv_bfloat16 *place = y + at<const uint32_t>(a.col_indices)[entry];
            *place = __float2bfloat16_rn(__bfloat162float(*place) + at<const float>(a.values)[entry]);
        }
    }
}

// Occupancy: 4 blocks of 256 threads a multiprocessor, 8224 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(OCCURRENCE_THREADS, 4)
    csr_embedding_grad(const __grid_constant__ CsrEmbeddingGradArgs a) {
    __shared__ Occurrences shared;
    const uint32_t *ids = at<const uint32_t>(a.ids);
    const uint32_t id = ids[blockIdx.x];
    const uint64_t first = at<const uint32_t>(a.row_offsets)[id], end = at<const uint32_t>(a.row_offsets)[id + 1];
    if (first == end) return; // a row without entries has no gradient
    each_occurrence(ids, a.tokens, blockIdx.x, shared, [&](const uint32_t *tokens, uint32_t count) {
        for (uint64_t entry = first + threadIdx.x; entry < end; entry += blockDim.x) {
            const __nv_bfloat16 *dy = at<const __nv_bfloat16>(a.dy) + at<const uint32_t>(a.col_indices)[entry];
            float sum = at<const float>(a.values)[entry];
#pragma unroll 4
            for (uint32_t i = 0; i < count; ++i) sum += __bfloat162float(dy[uint64_t(tokens[i]) * a.cols]);
            at<float>(a.values)[entry] = sum;
        }
    });
}
