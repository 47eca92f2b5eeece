// Causal grouped-query attention over packed sequences, by online softmax (Milakov and Gimelshein, arXiv 1805.02867;
// Dao, arXiv 2307.08691): the scores of 64 rows by 64 keys exist in registers for a moment, those of all never do.
//
// A block has 64 rows of a key head, a warp 16 of them; it goes through the keys that they see, 64 at a time. Weights
// are rounded to bf16 for their product with v; all sums, and the sum of the weights, are f32.
//
// What bounds it: with 16 rows a warp, a tile costs as many cycles of shared memory (ldmatrix reads each tile of keys
// once per warp) as of tensor cores; more rows a warp would halve the former and the occupancy with it.
// Decoding is the same kernel. Then a sequence has only `group` rows, and keys and values are read once for all of
// them, which is the least there can be; the warps without rows only help to bring keys.
#include "attention.cuh"

template <int WIDTH> __device__ __forceinline__ void attend(const AttentionArgs &a) {
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *q_tile = shared;
    uint16_t *k_tile = q_tile + TILE_ELEMENTS<WIDTH>;
    uint16_t *v_tile = k_tile + TILE_ELEMENTS<WIDTH>;

    // Late rows see the most keys: their blocks start first.
    const Place place = find_tile(at<const Sequence>(a.packing), a.sequences, a.group, gridDim.x - 1 - blockIdx.x);
    const Sequence &sequence = place.sequence;
    const uint32_t end = sequence.q_len * a.group;
    if (place.first >= end) {
        return;
    }
    const uint32_t kv_head = blockIdx.y;
    const Rows queries = query_rows(a, sequence, kv_head, a.head_dim);
    const Rows keys = key_rows(a, sequence.k_start, kv_head);
    const auto keys_seen = [&](uint32_t row) { return sequence.k_len - sequence.q_len + row / a.group + 1; };
    const uint32_t all_see = keys_seen(place.first);
    const uint32_t key_end = keys_seen(min(place.first + TILE, end) - 1);

    // A row beyond the last sees what the last does, so that its sums are finite; it is never written.
    const uint32_t warp_tile = threadIdx.x / 32 * WARP_ROWS;
    const uint32_t warp_first = place.first + warp_tile;
    const bool working = warp_first < end;
    uint32_t seen[2];
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        seen[half] = keys_seen(min(warp_first + score_row(2 * half), end - 1));
    }
    const uint32_t q_rows = shared_address(q_tile + warp_tile * PITCH<WIDTH>) + lane_in_rows_first<WIDTH>();
    const uint32_t k_columns = shared_address(k_tile) + lane_in_columns_first<WIDTH>();
    const uint32_t v_rows = shared_address(v_tile) + lane_in_rows_first<WIDTH>();

    // Half a tile ahead: values come while scores are multiplied, the next keys while values are.
    load_tile<WIDTH>(q_tile, at<const uint16_t>(a.q), queries, place.first, end);
    load_tile<WIDTH>(k_tile, at<const uint16_t>(a.k), keys, 0, key_end);
    copy_async_commit();
    Softmax softmax;
    Outputs<WIDTH> outputs = {};
    for (uint32_t key = 0; key < key_end; key += TILE) {
        load_tile<WIDTH>(v_tile, at<const uint16_t>(a.v), keys, key, key_end);
        copy_async_commit();
        copy_async_wait<1>();
        __syncthreads();
        Scores scores;
        if (working) {
            multiply_scores<WIDTH>(scores, q_rows, k_columns);
        }
        __syncthreads();
        if (key + TILE < key_end) {
            load_tile<WIDTH>(k_tile, at<const uint16_t>(a.k), keys, key + TILE, key_end);
        }
        copy_async_commit();
        Weights weights;
        if (working) {
            if (key + TILE > all_see) {
#pragma unroll
                for (uint32_t n = 0; n < TILE / 8; n++) {
#pragma unroll
                    for (uint32_t i = 0; i < 4; i++) {
                        scores[n][i] = key + score_column(n, i) < seen[i / 2] ? scores[n][i] : -CUDART_INF_F;
                    }
                }
            }
            weigh<WIDTH>(scores, a.score_scale, softmax, outputs);
            round_weights(scores, weights);
        }
        copy_async_wait<1>();
        __syncthreads();
        if (working) {
            add_outputs<WIDTH>(outputs, weights, v_rows);
        }
        __syncthreads();
    }

    if (working) {
        float factors[2];
        finish_softmax(softmax, factors, at<float>(a.lse), query_rows(a, sequence, kv_head, 1), warp_first, end);
        store_rows<WIDTH>(outputs, factors, q_tile + warp_tile * PITCH<WIDTH>, at<uint16_t>(a.y), queries, warp_first,
                          end);
    }
}

// For heads of at most 64 columns.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 27648 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_narrow(const __grid_constant__ AttentionArgs a) {
    attend<ATTENTION_NARROW>(a);
}

// For heads of at most 128 columns.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 52224 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_wide(const __grid_constant__ AttentionArgs a) {
    attend<ATTENTION_WIDE>(a);
}
