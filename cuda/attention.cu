// Causal grouped-query attention over packed sequences, by online softmax (Milakov and Gimelshein, arXiv 1805.02867;
// Dao, arXiv 2307.08691): the scores of 64 rows by 64 keys exist in registers for a moment, those of all never do.
//
// A block has 64 rows of a key head, a warp 16 of them; it goes through the keys that they see, 64 at a time. Weights
// are rounded to bf16 for their product with v; all sums, and the sum of the weights, are f32.
//
// What bounds it: with 16 rows a warp, a tile costs as many cycles of shared memory (ldmatrix reads each tile of keys
// once per warp) as of tensor cores; more rows a warp would halve the former and the occupancy with it.
// Decoding is the same kernel. Then a sequence has only `group` rows, and keys and values are read once for all of
// them, which is the least there can be; the warps without rows only help to bring keys. Few long sequences would occupy
// few multiprocessors: in the split kernels each part of the keys has a block (blockIdx.z), which leaves its sums as
// they are, and attention_sum joins them in order.
#include "attention.cuh"
#include <float.h>

// Leaves the sums of a warp's rows before `end` to attention_sum.
template <int WIDTH>
__device__ __forceinline__ void store_part(const AttentionArgs &a, const Sequence &sequence, const Softmax &softmax,
                                           const Outputs<WIDTH> &outputs, uint32_t first, uint32_t end) {
    const uint64_t rows = uint64_t(a.tokens) * a.heads;
    const Rows queries = query_rows(a, sequence, blockIdx.y, a.head_dim);
    const Rows row_sums = query_rows(a, sequence, blockIdx.y, 1);
    float *partials = at<float>(a.partials) + blockIdx.z * rows * a.head_dim;
    float2 *pairs = at<float2>(a.softmax) + blockIdx.z * rows;
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        float sum = softmax.sum[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        const uint32_t row = first + score_row(2 * half);
        if (row < end) {
            if (threadIdx.x % 4 == 0) {
                pairs[row_sums(row)] = make_float2(softmax.max[half], sum);
            }
            float *to = partials + queries(row);
#pragma unroll
            for (uint32_t n = 0; n < WIDTH / 8; n++) {
                const uint32_t column = score_column(n, 0);
                if (column < a.head_dim) {
                    *reinterpret_cast<float2 *>(to + column) =
                        make_float2(outputs[n][2 * half], outputs[n][2 * half + 1]);
                }
            }
        }
    }
}

template <int WIDTH, bool SPLIT> __device__ __forceinline__ void attend(const AttentionArgs &a) {
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
    const uint32_t all_keys = keys_seen(min(place.first + TILE, end) - 1);
    const uint32_t key_begin = SPLIT ? blockIdx.z * a.part_keys : 0;
    const uint32_t key_end = SPLIT ? min(key_begin + a.part_keys, all_keys) : all_keys;

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
    load_tile<WIDTH>(k_tile, at<const uint16_t>(a.k), keys, key_begin, key_end);
    copy_async_commit();
    Softmax softmax;
    if constexpr (SPLIT) {
        // A row may see no key of a part: a finite maximum keeps its sums at 0.
        softmax.max[0] = softmax.max[1] = -FLT_MAX;
    }
    Outputs<WIDTH> outputs = {};
    for (uint32_t key = key_begin; key < key_end; key += TILE) {
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

    if constexpr (SPLIT) {
        copy_async_wait<0>();
        if (working) {
            store_part<WIDTH>(a, sequence, softmax, outputs, warp_first, end);
        }
    } else if (working) {
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
    attend<ATTENTION_NARROW, false>(a);
}

// For heads of at most 128 columns.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 52224 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_wide(const __grid_constant__ AttentionArgs a) {
    attend<ATTENTION_WIDE, false>(a);
}

// A part of the keys each, for heads of at most 64 columns.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 27648 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_narrow_split(const __grid_constant__ AttentionArgs a) {
    attend<ATTENTION_NARROW, true>(a);
}

// A part of the keys each, for heads of at most 128 columns.
// Occupancy: 2 blocks of 128 threads a multiprocessor, 52224 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    attention_wide_split(const __grid_constant__ AttentionArgs a) {
    attend<ATTENTION_WIDE, true>(a);
}

// Joins the parts of a row, in order; its lanes take two columns each and step.
// Occupancy: 6 blocks of 128 threads a multiprocessor.
// Instructions: MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 6)
    attention_sum(const __grid_constant__ AttentionSumArgs a) {
    const uint64_t row = uint64_t(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    if (row >= a.rows) {
        return;
    }
    const float2 *softmax = at<const float2>(a.softmax) + row;
    float max = -FLT_MAX;
#pragma unroll 2
    for (uint64_t part = 0; part < a.parts; part++) {
        max = fmaxf(max, softmax[part * a.rows].x);
    }
    float sum = 0;
#pragma unroll 2
    for (uint64_t part = 0; part < a.parts; part++) {
        const float2 of_part = softmax[part * a.rows];
        sum = fmaf(of_part.y, exp2_fast(of_part.x - max), sum);
    }
    const uint32_t lane = threadIdx.x % 32;
    if (lane == 0) {
        at<float>(a.lse)[row] = (max + log2f(sum)) * LN_2;
    }
    const float factor = 1 / sum;
#pragma unroll 1
    for (uint32_t column = 2 * lane; column < a.head_dim; column += 64) {
        float2 total = {};
#pragma unroll 2
        for (uint64_t part = 0; part < a.parts; part++) {
            const float2 of_part = softmax[part * a.rows];
            if (of_part.y == 0) continue;
            const uint64_t place = (part * a.rows + row) * a.head_dim + column;
            const float2 values = *reinterpret_cast<const float2 *>(at<const float>(a.partials) + place);
            const float weight = exp2_fast(of_part.x - max);
            total.x = fmaf(values.x, weight, total.x);
            total.y = fmaf(values.y, weight, total.y);
        }
        at<uint32_t>(a.y)[(row * a.head_dim + column) / 2] = rounded_pair(total.x * factor, total.y * factor);
    }
}
