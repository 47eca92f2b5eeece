// The gradients of attention, three kernels in this order:
//   attention_means  means = rowsum(dy∘y), which dS needs, a warp a row
//   attention_dq     a block per 64 rows, over the keys that they see: dq = dS·k/√e
//   attention_dkv    a block per 64 keys, over the rows that see them: dv = Pᵀ·dy, dk = dSᵀ·q/√e
// Weights are recomputed from lse. Each of the last two computes scores and dy·vᵀ anew: 7 products of a tile where 5
// would do, but every sum then belongs to one warp, in a fixed order, without atomics and without partial sums in
// memory. P and dS are rounded to bf16 for their products; dS is made of the unrounded P.
//
// Tiles stand once in shared memory, brought half a step ahead: what a product no longer needs makes room while the
// next one runs, and two or three blocks a multiprocessor fill each other's gaps. As in the forward pass, 16 rows a
// warp make shared memory and tensor cores equally busy.
#include "attention.cuh"
#include "warp.cuh"

// A row's dot product, two columns a lane and step.
// Occupancy: 12 blocks of 128 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS)
    attention_means(const __grid_constant__ AttentionMeansArgs a) {
    const uint64_t row = uint64_t(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    if (row >= a.rows) {
        return;
    }
    const uint32_t pairs = uint32_t(a.head_dim) / 2;
    const uint32_t *y = at<const uint32_t>(a.y) + row * pairs;
    const uint32_t *dy = at<const uint32_t>(a.dy) + row * pairs;
    float sum = 0;
#pragma unroll 1
    for (uint32_t i = threadIdx.x % 32; i < pairs; i += 32) {
        // The halves of a pair, as f32: bf16 is its upper half.
        sum = fmaf(__uint_as_float(y[i] << 16), __uint_as_float(dy[i] << 16), sum);
        sum = fmaf(__uint_as_float(y[i] & 0xffff0000u), __uint_as_float(dy[i] & 0xffff0000u), sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) {
        at<float>(a.means)[row] = sum;
    }
}

template <int WIDTH> __device__ __forceinline__ void gradient_of_queries(const AttentionBackwardArgs &a) {
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *q_tile = shared;
    uint16_t *dy_tile = q_tile + TILE_ELEMENTS<WIDTH>;
    uint16_t *k_tile = dy_tile + TILE_ELEMENTS<WIDTH>;
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
    const Rows keys = key_rows(a, sequence.q_start, kv_head);
    const uint32_t all_see = place.first / a.group + 1;
    const uint32_t key_end = (min(place.first + TILE, end) - 1) / a.group + 1;

    // A row beyond the last has no weights: 2^(score − ∞).
    const uint32_t warp_tile = threadIdx.x / 32 * WARP_ROWS;
    const uint32_t warp_first = place.first + warp_tile;
    const bool working = warp_first < end;
    uint32_t seen[2];
    float lse[2];
    float mean[2];
    const Rows statistics = query_rows(a, sequence, kv_head, 1);
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        const uint32_t row = warp_first + score_row(2 * half);
        seen[half] = row / a.group + 1;
        lse[half] = row < end ? at<const float>(a.lse)[statistics(row)] * LOG2_E : CUDART_INF_F;
        mean[half] = row < end ? at<const float>(a.means)[statistics(row)] : 0;
    }
    const uint32_t q_rows = shared_address(q_tile + warp_tile * PITCH<WIDTH>) + lane_in_rows_first<WIDTH>();
    const uint32_t dy_rows = shared_address(dy_tile + warp_tile * PITCH<WIDTH>) + lane_in_rows_first<WIDTH>();
    const uint32_t k_columns = shared_address(k_tile) + lane_in_columns_first<WIDTH>();
    const uint32_t k_rows = shared_address(k_tile) + lane_in_rows_first<WIDTH>();
    const uint32_t v_columns = shared_address(v_tile) + lane_in_columns_first<WIDTH>();

    load_tile<WIDTH>(dy_tile, at<const uint16_t>(a.dy), queries, place.first, end);
    load_tile<WIDTH>(v_tile, at<const uint16_t>(a.v), keys, 0, key_end);
    copy_async_commit();
    load_tile<WIDTH>(q_tile, at<const uint16_t>(a.q), queries, place.first, end);
    load_tile<WIDTH>(k_tile, at<const uint16_t>(a.k), keys, 0, key_end);
    copy_async_commit();
    Outputs<WIDTH> dq = {};
    for (uint32_t key = 0; key < key_end; key += TILE) {
        copy_async_wait<1>();
        __syncthreads();
        Scores ds;
        if (working) {
            multiply_scores<WIDTH>(ds, dy_rows, v_columns);
        }
        __syncthreads();
        if (key + TILE < key_end) {
            load_tile<WIDTH>(v_tile, at<const uint16_t>(a.v), keys, key + TILE, key_end);
        }
        copy_async_commit();
        copy_async_wait<1>();
        __syncthreads();
        if (working) {
            Scores p;
            multiply_scores<WIDTH>(p, q_rows, k_columns);
            const bool hidden = key + TILE > all_see;
#pragma unroll
            for (uint32_t n = 0; n < TILE / 8; n++) {
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    const bool sees = !hidden || key + score_column(n, i) < seen[i / 2];
                    const float weight = exp2_fast(fmaf(p[n][i], a.score_scale, -lse[i / 2]));
                    ds[n][i] = sees ? weight * (ds[n][i] - mean[i / 2]) : 0;
                }
            }
            Weights weights;
            round_weights(ds, weights);
            add_outputs<WIDTH>(dq, weights, k_rows);
        }
        __syncthreads();
        if (key + TILE < key_end) {
            load_tile<WIDTH>(k_tile, at<const uint16_t>(a.k), keys, key + TILE, key_end);
        }
        copy_async_commit();
    }

    if (working) {
        const float scale = a.score_scale * LN_2;
        store_rows<WIDTH>(dq, {scale, scale}, q_tile + warp_tile * PITCH<WIDTH>, at<uint16_t>(a.dq), queries,
                          warp_first, end);
    }
}

// Scores stand transposed here, keys by rows: so they become the left operand of both outputs as they lie.
template <int WIDTH> __device__ __forceinline__ void gradient_of_keys(const AttentionBackwardArgs &a) {
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *k_tile = shared;
    uint16_t *v_tile = k_tile + TILE_ELEMENTS<WIDTH>;
    uint16_t *q_tile = v_tile + TILE_ELEMENTS<WIDTH>;
    uint16_t *dy_tile = q_tile + TILE_ELEMENTS<WIDTH>;
    // Of the rows of the tile: lse as an exponent of 2, then means.
    float *statistics = reinterpret_cast<float *>(dy_tile + TILE_ELEMENTS<WIDTH>);

    // Early keys are seen by the most rows: their blocks start first.
    const Place place = find_tile(at<const Sequence>(a.packing), a.sequences, 1, blockIdx.x);
    const Sequence &sequence = place.sequence;
    if (place.first >= sequence.q_len) {
        return;
    }
    const uint32_t kv_head = blockIdx.y;
    const uint32_t end = sequence.q_len * a.group;
    const Rows queries = query_rows(a, sequence, kv_head, a.head_dim);
    const Rows keys = key_rows(a, sequence.q_start, kv_head);

    // A thread brings one number of the statistics of a tile. A row beyond the last has no weights: 2^(score − ∞).
    const Rows statistic_rows = query_rows(a, sequence, kv_head, 1);
    const bool brings_lse = threadIdx.x < TILE;
    const auto statistic = [&](uint32_t first) {
        const uint32_t row = first + threadIdx.x % TILE;
        if (row >= end) {
            return brings_lse ? CUDART_INF_F : 0;
        }
        const float *from = at<const float>(brings_lse ? a.lse : a.means);
        return from[statistic_rows(row)] * (brings_lse ? LOG2_E : 1);
    };

    const uint32_t warp_tile = threadIdx.x / 32 * WARP_ROWS;
    const uint32_t warp_first = place.first + warp_tile;
    const bool working = warp_first < sequence.q_len;
    // The first row that sees each of the lane's keys, and the first that sees all keys of the tile.
    uint32_t first_seeing[2];
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        first_seeing[half] = (warp_first + score_row(2 * half)) * a.group;
    }
    const uint32_t all_seen = (place.first + TILE - 1) * a.group;
    // Addresses that differ by a constant share a register.
    constexpr uint32_t TILE_BYTES = TILE_ELEMENTS<WIDTH> * 2;
    const uint32_t k_rows = shared_address(k_tile) + warp_tile * PITCH<WIDTH> * 2 + lane_in_rows_first<WIDTH>();
    const uint32_t v_rows = k_rows + TILE_BYTES;
    const uint32_t q_columns = shared_address(q_tile) + lane_in_columns_first<WIDTH>();
    const uint32_t dy_columns = q_columns + TILE_BYTES;
    const uint32_t q_rows = shared_address(q_tile) + lane_in_rows_first<WIDTH>();
    const uint32_t dy_rows = q_rows + TILE_BYTES;

    const uint32_t first_row = place.first * a.group;
    load_tile<WIDTH>(k_tile, at<const uint16_t>(a.k), keys, place.first, sequence.q_len);
    load_tile<WIDTH>(v_tile, at<const uint16_t>(a.v), keys, place.first, sequence.q_len);
    load_tile<WIDTH>(q_tile, at<const uint16_t>(a.q), queries, first_row, end);
    copy_async_commit();
    load_tile<WIDTH>(dy_tile, at<const uint16_t>(a.dy), queries, first_row, end);
    copy_async_commit();
    statistics[threadIdx.x] = statistic(first_row);
    Outputs<WIDTH> dk = {};
    Outputs<WIDTH> dv = {};
    for (uint32_t row = first_row; row < end; row += TILE) {
        copy_async_wait<1>();
        __syncthreads();
        Scores p;
        if (working) {
            multiply_scores<WIDTH>(p, k_rows, q_columns);
            const bool hidden = row < all_seen;
#pragma unroll
            for (uint32_t n = 0; n < TILE / 8; n++) {
                const float2 lse = *reinterpret_cast<const float2 *>(statistics + score_column(n, 0));
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    const bool seen = !hidden || row + score_column(n, i) >= first_seeing[i / 2];
                    const float weight = exp2_fast(fmaf(p[n][i], a.score_scale, -(i % 2 == 0 ? lse.x : lse.y)));
                    p[n][i] = seen ? weight : 0;
                }
            }
        }
        copy_async_wait<0>();
        __syncthreads();
        Weights weights;
        if (working) {
            Scores ds;
            multiply_scores<WIDTH>(ds, v_rows, dy_columns);
            round_weights(p, weights);
#pragma unroll
            for (uint32_t n = 0; n < TILE / 8; n++) {
                const float2 mean = *reinterpret_cast<const float2 *>(statistics + TILE + score_column(n, 0));
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    ds[n][i] = p[n][i] * (ds[n][i] - (i % 2 == 0 ? mean.x : mean.y));
                }
            }
            Weights ds_weights;
            round_weights(ds, ds_weights);
            add_outputs<WIDTH>(dk, ds_weights, q_rows);
        }
        __syncthreads();
        const float next_statistic = statistic(row + TILE);
        if (row + TILE < end) {
            load_tile<WIDTH>(q_tile, at<const uint16_t>(a.q), queries, row + TILE, end);
        }
        copy_async_commit();
        if (working) {
            add_outputs<WIDTH>(dv, weights, dy_rows);
        }
        statistics[threadIdx.x] = next_statistic;
        __syncthreads();
        if (row + TILE < end) {
            load_tile<WIDTH>(dy_tile, at<const uint16_t>(a.dy), queries, row + TILE, end);
        }
        copy_async_commit();
    }

    if (working) {
        const float scale = a.score_scale * LN_2;
        store_rows<WIDTH>(dk, {scale, scale}, k_tile + warp_tile * PITCH<WIDTH>, at<uint16_t>(a.dk), keys, warp_first,
                          sequence.q_len);
        store_rows<WIDTH>(dv, {1, 1}, v_tile + warp_tile * PITCH<WIDTH>, at<uint16_t>(a.dv), keys, warp_first,
                          sequence.q_len);
    }
}

// For heads of at most 64 columns.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 36864 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_dq_narrow(const __grid_constant__ AttentionBackwardArgs a) {
    gradient_of_queries<ATTENTION_NARROW>(a);
}

// For heads of at most 128 columns.
// Occupancy: 2 blocks of 128 threads a multiprocessor, 69632 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    attention_dq_wide(const __grid_constant__ AttentionBackwardArgs a) {
    gradient_of_queries<ATTENTION_WIDE>(a);
}

// For heads of at most 64 columns.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 37376 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_dkv_narrow(const __grid_constant__ AttentionBackwardArgs a) {
    gradient_of_keys<ATTENTION_NARROW>(a);
}

// For heads of at most 128 columns.
// Occupancy: 2 blocks of 128 threads a multiprocessor, 70144 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    attention_dkv_wide(const __grid_constant__ AttentionBackwardArgs a) {
    gradient_of_keys<ATTENTION_WIDE>(a);
}
