// The tokens that have the same id, for gradients of table rows: without atomics, sorting or scratch memory.
//
// A block a token. The block whose token is the first with its id owns the id's row and walks all tokens from there on;
// the others end. That is up to tokens² ids to look at, 4 bytes each and from the second cache, against rows of
// thousands of bytes to add: with rows of 4096 features it stays below the time of the sums up to about 16 thousand
// tokens with nothing but different ids, and natural text repeats most of its ids early.
#pragma once
#include "kernels.h"
#include "warp.cuh"

// Ids that a thread looks at between two barriers.
constexpr int IDS_A_THREAD = 8;

struct Occurrences {
    uint32_t tokens[OCCURRENCE_THREADS * IDS_A_THREAD];
    uint32_t of_warp[OCCURRENCE_THREADS / 32];
};

// Whether a token before `token` has the same id; the same answer in every thread.
__device__ __forceinline__ bool occurs_before(const uint32_t *ids, uint32_t token) {
    const uint32_t id = ids[token], tile = blockDim.x * IDS_A_THREAD;
    for (uint32_t first = 0; first < token; first += tile) {
        bool found = false;
#pragma unroll
        for (int i = 0; i < IDS_A_THREAD; ++i) {
            const uint32_t t = first + i * blockDim.x + threadIdx.x;
            found |= t < token && ids[t] == id;
        }
        if (__syncthreads_or(found)) return true;
    }
    return false;
}

// body(tokens, count) for all tokens of the id of `token`, rising, a tile of ids at a time, when `token` is the first
// of them; every thread of the block gets the same calls.
template <class Body>
__device__ __forceinline__ void each_occurrence(const uint32_t *ids, uint32_t tokens, uint32_t token,
                                                Occurrences &shared, Body body) {
    if (occurs_before(ids, token)) return;
    const uint32_t id = ids[token], tile = blockDim.x * IDS_A_THREAD;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    for (uint32_t first = token; first < tokens; first += tile) {
        // A warp has consecutive tokens, so that ranks within it follow from its votes.
        const uint32_t mine = first + warp * (32 * IDS_A_THREAD) + lane;
        uint32_t votes[IDS_A_THREAD], count = 0;
#pragma unroll
        for (int i = 0; i < IDS_A_THREAD; ++i) {
            const uint32_t t = mine + i * 32;
            votes[i] = __ballot_sync(ALL_LANES, t < tokens && ids[t] == id);
            count += __popc(votes[i]);
        }
        if (lane == 0) shared.of_warp[warp] = count;
        __syncthreads();
        uint32_t rank = 0, total = 0;
        for (uint32_t w = 0; w < warps; ++w) {
            if (w == warp) rank = total;
            total += shared.of_warp[w];
        }
#pragma unroll
        for (int i = 0; i < IDS_A_THREAD; ++i) {
            const uint32_t before = votes[i] & ((1u << lane) - 1);
            if (votes[i] >> lane & 1) shared.tokens[rank + __popc(before)] = mine + i * 32;
            rank += __popc(votes[i]);
        }
        __syncthreads();
        if (total > 0) body(shared.tokens, total);
        __syncthreads(); // before the next tile's tokens replace these
    }
}
