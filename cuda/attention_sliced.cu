// Attention for heads of more than 128 columns, and its gradients: attention.cu and attention_backward.cu in slices.
//
// A slice is 128 columns of a head. A block has one slice of its outputs (blockIdx.z); scores, which need all columns,
// it sums over the slices, whose tiles come one after the other. So any width fits in the registers and the shared
// memory of one slice, at the price of scores that every slice computes anew: a head of 256 columns takes 1.5 times the
// tensor-core work of two of 128 (forward), and reads its tiles of q for every tile of keys. Nothing is brought ahead;
// two or three blocks a multiprocessor fill each other's gaps.
#include "attention.cuh"

namespace {

constexpr int SLICE = ATTENTION_WIDE;

// 64 rows of a matrix.
struct Tile {
    const uint16_t *matrix;
    Rows rows;
    uint32_t first;
    uint32_t end;

    __device__ __forceinline__ void load(uint16_t *to, uint32_t column) const {
        load_tile<SLICE>(to, matrix, rows.from(column), first, end);
    }
};

// scores = a·bᵀ over all columns, through two tiles of shared memory. All copies begun before have arrived after it.
__device__ __forceinline__ void multiply_slices(Scores &scores, const Tile &a, const Tile &b, uint16_t *a_tile,
                                                uint16_t *b_tile, bool working) {
    const uint32_t warp_tile = threadIdx.x / 32 * WARP_ROWS;
    const uint32_t a_rows = shared_address(a_tile + warp_tile * PITCH<SLICE>) + lane_in_rows_first<SLICE>();
    const uint32_t b_columns = shared_address(b_tile) + lane_in_columns_first<SLICE>();
    clear(scores);
#pragma unroll 1
    for (uint32_t column = 0; column < a.rows.width; column += SLICE) {
        __syncthreads();
        a.load(a_tile, column);
        b.load(b_tile, column);
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();
        if (working) {
            add_products<SLICE>(scores, a_rows, b_columns);
        }
    }
}

} // namespace

// Occupancy: 3 blocks of 128 threads a multiprocessor, 52224 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_sliced(const __grid_constant__ AttentionArgs a) {
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *q_tile = shared;
    uint16_t *k_tile = q_tile + TILE_ELEMENTS<SLICE>;
    uint16_t *v_tile = k_tile + TILE_ELEMENTS<SLICE>;

    const Place place = find_tile(at<const Sequence>(a.packing), a.sequences, a.group, gridDim.x - 1 - blockIdx.x);
    const Sequence &sequence = place.sequence;
    const uint32_t end = sequence.q_len * a.group;
    if (place.first >= end) {
        return;
    }
    const uint32_t kv_head = blockIdx.y, slice = blockIdx.z * SLICE;
    const Rows queries = query_rows(a, sequence, kv_head, a.head_dim);
    const Rows keys = key_rows(a, sequence.k_start, kv_head);
    const auto keys_seen = [&](uint32_t row) { return sequence.k_len - sequence.q_len + row / a.group + 1; };
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
    const uint32_t v_rows = shared_address(v_tile) + lane_in_rows_first<SLICE>();

    const Tile q = {at<const uint16_t>(a.q), queries, place.first, end};
    Softmax softmax;
    Outputs<SLICE> outputs = {};
#pragma unroll 1
    for (uint32_t key = 0; key < key_end; key += TILE) {
        __syncthreads();
        Tile{at<const uint16_t>(a.v), keys, key, key_end}.load(v_tile, slice);
        Scores scores;
        multiply_slices(scores, q, {at<const uint16_t>(a.k), keys, key, key_end}, q_tile, k_tile, working);
        if (working) {
#pragma unroll
            for (uint32_t n = 0; n < TILE / 8; n++) {
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    scores[n][i] = key + score_column(n, i) < seen[i / 2] ? scores[n][i] : -CUDART_INF_F;
                }
            }
            weigh<SLICE>(scores, a.score_scale, softmax, outputs);
            Weights weights;
            round_weights(scores, weights);
            add_outputs<SLICE>(outputs, weights, v_rows);
        }
    }

    if (working) {
        float factors[2];
        finish_softmax(softmax, factors, blockIdx.z == 0 ? at<float>(a.lse) : nullptr,
                       query_rows(a, sequence, kv_head, 1), warp_first, end);
        store_rows<SLICE>(outputs, factors, q_tile + warp_tile * PITCH<SLICE>, at<uint16_t>(a.y), queries.from(slice),
                          warp_first, end);
    }
}

// Occupancy: 2 blocks of 128 threads a multiprocessor, 52224 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    attention_dq_sliced(const __grid_constant__ AttentionBackwardArgs a) {
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *rows_tile = shared;
    uint16_t *keys_tile = rows_tile + TILE_ELEMENTS<SLICE>;
    uint16_t *k_tile = keys_tile + TILE_ELEMENTS<SLICE>;

    const Place place = find_tile(at<const Sequence>(a.packing), a.sequences, a.group, gridDim.x - 1 - blockIdx.x);
    const Sequence &sequence = place.sequence;
    const uint32_t end = sequence.q_len * a.group;
    if (place.first >= end) {
        return;
    }
    const uint32_t kv_head = blockIdx.y, slice = blockIdx.z * SLICE;
    const Rows queries = query_rows(a, sequence, kv_head, a.head_dim);
    const Rows keys = key_rows(a, sequence.q_start, kv_head);
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
    const uint32_t k_rows = shared_address(k_tile) + lane_in_rows_first<SLICE>();

    const Tile q = {at<const uint16_t>(a.q), queries, place.first, end};
    const Tile dy = {at<const uint16_t>(a.dy), queries, place.first, end};
    Outputs<SLICE> dq = {};
#pragma unroll 1
    for (uint32_t key = 0; key < key_end; key += TILE) {
        const Tile k = {at<const uint16_t>(a.k), keys, key, key_end};
        const Tile v = {at<const uint16_t>(a.v), keys, key, key_end};
        __syncthreads();
        k.load(k_tile, slice);
        Scores ds, p;
        multiply_slices(ds, dy, v, rows_tile, keys_tile, working);
        multiply_slices(p, q, k, rows_tile, keys_tile, working);
        if (working) {
#pragma unroll
            for (uint32_t n = 0; n < TILE / 8; n++) {
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    const bool sees = key + score_column(n, i) < seen[i / 2];
                    const float weight = exp2_fast(fmaf(p[n][i], a.score_scale, -lse[i / 2]));
                    ds[n][i] = sees ? weight * (ds[n][i] - mean[i / 2]) : 0;
                }
            }
            Weights weights;
            round_weights(ds, weights);
            add_outputs<SLICE>(dq, weights, k_rows);
        }
    }

    if (working) {
        const float scale = a.score_scale * LN_2;
        store_rows<SLICE>(dq, {scale, scale}, rows_tile + warp_tile * PITCH<SLICE>, at<uint16_t>(a.dq),
                          queries.from(slice), warp_first, end);
    }
}

// Scores stand transposed here, keys by rows.
// Occupancy: 2 blocks of 128 threads a multiprocessor, 70144 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS, MUFU.
extern "C" __global__ void __launch_bounds__(ATTENTION_THREADS, 2)
    attention_dkv_sliced(const __grid_constant__ AttentionBackwardArgs a) {
    extern __shared__ __align__(16) uint16_t shared[];
    uint16_t *keys_tile = shared;
    uint16_t *rows_tile = keys_tile + TILE_ELEMENTS<SLICE>;
    uint16_t *q_tile = rows_tile + TILE_ELEMENTS<SLICE>;
    uint16_t *dy_tile = q_tile + TILE_ELEMENTS<SLICE>;
    // Of the rows of the tile: lse as an exponent of 2, then means.
    float *statistics = reinterpret_cast<float *>(dy_tile + TILE_ELEMENTS<SLICE>);

    const Place place = find_tile(at<const Sequence>(a.packing), a.sequences, 1, blockIdx.x);
    const Sequence &sequence = place.sequence;
    if (place.first >= sequence.q_len) {
        return;
    }
    const uint32_t kv_head = blockIdx.y, slice = blockIdx.z * SLICE;
    const uint32_t end = sequence.q_len * a.group;
    const Rows queries = query_rows(a, sequence, kv_head, a.head_dim);
    const Rows keys = key_rows(a, sequence.q_start, kv_head);
    const Rows statistic_rows = query_rows(a, sequence, kv_head, 1);

    const uint32_t warp_tile = threadIdx.x / 32 * WARP_ROWS;
    const uint32_t warp_first = place.first + warp_tile;
    const bool working = warp_first < sequence.q_len;
    // The first row that sees each of the lane's keys.
    uint32_t first_seeing[2];
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        first_seeing[half] = (warp_first + score_row(2 * half)) * a.group;
    }
    const uint32_t q_rows = shared_address(q_tile) + lane_in_rows_first<SLICE>();
    const uint32_t dy_rows = shared_address(dy_tile) + lane_in_rows_first<SLICE>();

    const Tile k = {at<const uint16_t>(a.k), keys, place.first, sequence.q_len};
    const Tile v = {at<const uint16_t>(a.v), keys, place.first, sequence.q_len};
    Outputs<SLICE> dk = {};
    Outputs<SLICE> dv = {};
#pragma unroll 1
    for (uint32_t row = place.first * a.group; row < end; row += TILE) {
        const Tile q = {at<const uint16_t>(a.q), queries, row, end};
        const Tile dy = {at<const uint16_t>(a.dy), queries, row, end};
        __syncthreads();
        q.load(q_tile, slice);
        dy.load(dy_tile, slice);
        // A thread brings one number. A row beyond the last has no weights: 2^(score − ∞).
        const bool brings_lse = threadIdx.x < TILE;
        const uint32_t of_row = row + threadIdx.x % TILE;
        float statistic = brings_lse ? CUDART_INF_F : 0;
        if (of_row < end) {
            const float *from = at<const float>(brings_lse ? a.lse : a.means);
            statistic = from[statistic_rows(of_row)] * (brings_lse ? LOG2_E : 1);
        }
        statistics[threadIdx.x] = statistic;

        Scores p, ds;
        multiply_slices(p, k, q, keys_tile, rows_tile, working);
        multiply_slices(ds, v, dy, keys_tile, rows_tile, working);
        if (working) {
#pragma unroll
            for (uint32_t n = 0; n < TILE / 8; n++) {
                const float2 lse = *reinterpret_cast<const float2 *>(statistics + score_column(n, 0));
                const float2 mean = *reinterpret_cast<const float2 *>(statistics + TILE + score_column(n, 0));
#pragma unroll
                for (uint32_t i = 0; i < 4; i++) {
                    const bool seen = row + score_column(n, i) >= first_seeing[i / 2];
                    const float weight = exp2_fast(fmaf(p[n][i], a.score_scale, -(i % 2 == 0 ? lse.x : lse.y)));
                    p[n][i] = seen ? weight : 0;
                    ds[n][i] = p[n][i] * (ds[n][i] - (i % 2 == 0 ? mean.x : mean.y));
                }
            }
            Weights weights;
            round_weights(ds, weights);
            add_outputs<SLICE>(dk, weights, q_rows);
            round_weights(p, weights);
            add_outputs<SLICE>(dv, weights, dy_rows);
        }
    }

    if (working) {
        const float scale = a.score_scale * LN_2;
        store_rows<SLICE>(dk, {scale, scale}, keys_tile + warp_tile * PITCH<SLICE>, at<uint16_t>(a.dk),
                          keys.from(slice), warp_first, sequence.q_len);
        store_rows<SLICE>(dv, {1, 1}, keys_tile + warp_tile * PITCH<SLICE>, at<uint16_t>(a.dv), keys.from(slice),
                          warp_first, sequence.q_len);
    }
}
