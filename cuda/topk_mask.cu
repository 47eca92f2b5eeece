// The mask: the k scores of largest magnitude over several matrices, exactly, without a sort.
//
// The bits of a magnitude rise with it, so the k-th largest is found digit by digit, 11 + 10 + 10 bits: count how often
// each value of a digit occurs among the scores that share the digits found so far, and choose the one that holds the
// k-th. The scores are read whole twice only. The second time each tile leaves a bit per score that may be kept: one
// whose first digit reaches the chosen one, a share of the scores hardly above the density. What follows (the third
// digit, the counts, the pattern) looks at these alone. If all scores tie, all are candidates, and every step reads all.
//
// For N scores, in bytes: 4 N for topk_histogram, 4 N + N/8 for topk_candidates, and N/8 + 32 times the candidates at
// most for each of topk_refine, topk_count and topk_fill: some 2.5 readings of the scores. A radix sort of keys and
// indices in digits of 8 bits reads and writes all of them four times, and counts once a digit: some 17.
//
// topk_histogram, topk_choose, topk_candidates, topk_choose, topk_refine, topk_choose run over all matrices each; then
// matrix by matrix topk_count, topk_offsets, topk_fill, in which the ties are handed out in order.
#include "block.cuh"
#include "kernels.h"
#include "vec.cuh"

constexpr uint32_t WARPS = TOPK_THREADS / 32;
constexpr uint32_t WORDS = TOPK_TILE / 32;
static_assert(WORDS == 32, "a lane holds a tile's word");

// What a score is ranked by: its magnitude's bits, 0 for NaN.
__device__ __forceinline__ uint32_t key_of(float score) {
    const uint32_t magnitude = __float_as_uint(score) & 0x7fffffffu;
    return magnitude > 0x7f800000u ? 0 : magnitude;
}

// Counts of a digit's values, a block's own. Four copies side by side, in different banks, one for every fourth lane:
// if all scores tie, 8 lanes wait for each other, which still takes less time than the scores take to arrive.
template <uint32_t BINS> struct Histogram {
    static constexpr uint32_t COPIES = 4;
    alignas(16) uint32_t counts[BINS * COPIES];

    // The whole block calls clear and flush; both leave the block synchronized.
    __device__ __forceinline__ void clear() {
        for (uint32_t i = threadIdx.x; i < BINS * COPIES; i += TOPK_THREADS) {
            counts[i] = 0;
        }
        __syncthreads();
    }

    __device__ __forceinline__ void add(uint32_t digit, uint32_t count) {
        atomicAdd(&counts[digit * COPIES + threadIdx.x % COPIES], count);
    }

    // Adds the block's counts to those of the grid: integers, in any order.
    __device__ __forceinline__ void flush(uint64_t *total) {
        __syncthreads();
        for (uint32_t digit = threadIdx.x; digit < BINS; digit += TOPK_THREADS) {
            const uint4 copies = reinterpret_cast<const uint4 *>(counts)[digit];
            const uint32_t count = copies.x + copies.y + copies.z + copies.w;
            if (count > 0) {
                atomicAdd(reinterpret_cast<unsigned long long *>(total) + digit, static_cast<unsigned long long>(count));
            }
        }
        __syncthreads();
    }
};

// How often each first digit occurs. Four scores a thread and step in one load: the buffer starts at a multiple of 16
// bytes. Where scores next to each other tie, as zeros do, their four counts become one.
// Occupancy: 4 blocks of 512 threads a multiprocessor, 32768 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_THREADS)
    topk_histogram(const __grid_constant__ TopkHistogramArgs a) {
    __shared__ Histogram<TOPK_BINS_1> histogram;
    histogram.clear();
    const float *scores = at<const float>(a.scores);
    const uint64_t step = 4 * uint64_t(gridDim.x) * TOPK_THREADS;
    for (uint64_t i = 4 * (uint64_t(blockIdx.x) * TOPK_THREADS + threadIdx.x); i < a.len; i += step) {
        if (a.len - i < 4) {
            for (uint64_t j = i; j < a.len; j++) {
                histogram.add(key_of(scores[j]) >> TOPK_SHIFT_1, 1);
            }
            break;
        }
        const float4 four = *reinterpret_cast<const float4 *>(scores + i);
        const uint32_t x = key_of(four.x) >> TOPK_SHIFT_1, y = key_of(four.y) >> TOPK_SHIFT_1;
        const uint32_t z = key_of(four.z) >> TOPK_SHIFT_1, w = key_of(four.w) >> TOPK_SHIFT_1;
        if (x == y && x == z && x == w) {
            histogram.add(x, 4);
        } else {
            histogram.add(x, 1);
            histogram.add(y, 1);
            histogram.add(z, 1);
            histogram.add(w, 1);
        }
    }
    histogram.flush(at<uint64_t>(a.histogram));
}

// Chooses the digit of the last score that is kept, if state[1] of those that share the digits so far are: fewer lie
// above the digit, and with those on it there are enough. One block, a thread a value, the largest first.
// Occupancy: 2 blocks of 1024 threads a multiprocessor, 256 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_SCAN_THREADS) topk_choose(const __grid_constant__ TopkChooseArgs a) {
    __shared__ uint64_t sums[TOPK_SCAN_THREADS / 32];
    const uint64_t *histogram = at<const uint64_t>(a.histogram);
    uint32_t *state = at<uint32_t>(a.state);
    const uint64_t kept = state[1];
    uint64_t above = 0;
    for (uint32_t done = 0; done < a.bins; done += TOPK_SCAN_THREADS) {
        const uint32_t digit = a.bins - 1 - done - threadIdx.x;
        const uint64_t count = histogram[digit];
        uint64_t total;
        const uint64_t above_mine = above + block_exclusive_sum(count, sums, total);
        if (above_mine < kept && kept <= above_mine + count) {
            state[0] |= digit << a.shift;
            state[1] = uint32_t(kept - above_mine);
        }
        above += total;
    }
}

// Marks the candidates, the scores whose first digit is at least the chosen one, and counts the second digits of those
// that share it. A warp takes a tile; a load is 32 consecutive scores, so that a ballot is a word of marks.
// Occupancy: 3 blocks of 512 threads a multiprocessor, 16384 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_THREADS) topk_candidates(const __grid_constant__ TopkPassArgs a) {
    constexpr int32_t BATCH = 8;
    __shared__ Histogram<TOPK_BINS_2> histogram;
    histogram.clear();
    const float *scores = at<const float>(a.scores);
    uint32_t *candidates = at<uint32_t>(a.candidates);
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t floor = at<const uint32_t>(a.state)[0];
    const uint32_t next = floor + (1u << TOPK_SHIFT_1);
    const uint64_t step = uint64_t(gridDim.x) * WARPS * TOPK_TILE;
    for (uint64_t first = (uint64_t(blockIdx.x) * WARPS + threadIdx.x / 32) * TOPK_TILE; first < a.len; first += step) {
        // This lane has a score in the steps that begin before `rest`.
        const int32_t rest = int32_t(min(a.len - first, uint64_t(TOPK_TILE))) - int32_t(lane);
        const float *mine = scores + first + lane;
        uint32_t word = 0;
        for (int32_t batch = 0; batch < int32_t(WORDS); batch += BATCH) {
            // Eight loads before the first atomic, over which the compiler may not move them.
            float score[BATCH];
#pragma unroll
            for (int32_t i = 0; i < BATCH; i++) {
                score[i] = 32 * (batch + i) < rest ? mine[32 * (batch + i)] : 0;
            }
#pragma unroll
            for (int32_t i = 0; i < BATCH; i++) {
                const uint32_t key = key_of(score[i]);
                const bool candidate = key >= floor && 32 * (batch + i) < rest;
                const uint32_t marks = __ballot_sync(ALL_LANES, candidate);
                word = int32_t(lane) == batch + i ? marks : word;
                if (candidate && key < next) {
                    histogram.add(key >> TOPK_SHIFT_2 & (TOPK_BINS_2 - 1), 1);
                }
            }
        }
        candidates[first / 32 + lane] = word;
    }
    histogram.flush(at<uint64_t>(a.result));
}

// The candidates of a warp's tile in order, so that lanes side by side look at scores close to each other.
struct Candidates {
    uint16_t places[TOPK_TILE];

    // Lists the tile whose marks are `word`, a lane's share of them; returns how many. The whole warp calls it.
    __device__ __forceinline__ uint32_t list(uint32_t word) {
        const uint32_t lane = threadIdx.x % 32;
        const uint32_t up_to_mine = warp_inclusive_sum(uint32_t(__popc(word)));
        uint32_t next = up_to_mine - __popc(word);
        __syncwarp();
        for (; word != 0; word &= word - 1) {
            places[next] = uint16_t(32 * lane + __ffs(word) - 1);
            next++;
        }
        __syncwarp();
        return __shfl_sync(ALL_LANES, up_to_mine, 31);
    }
};

// Counts the third digits of the candidates that share the first two.
// Occupancy: 3 blocks of 512 threads a multiprocessor, 49152 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_THREADS) topk_refine(const __grid_constant__ TopkPassArgs a) {
    __shared__ Histogram<TOPK_BINS_3> histogram;
    __shared__ Candidates warps[WARPS];
    histogram.clear();
    Candidates &candidates = warps[threadIdx.x / 32];
    const float *scores = at<const float>(a.scores);
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t chosen = at<const uint32_t>(a.state)[0] >> TOPK_SHIFT_2;
    const uint64_t step = uint64_t(gridDim.x) * WARPS * TOPK_TILE;
    for (uint64_t first = (uint64_t(blockIdx.x) * WARPS + threadIdx.x / 32) * TOPK_TILE; first < a.len; first += step) {
        const uint32_t count = candidates.list(at<const uint32_t>(a.candidates)[first / 32 + lane]);
        for (uint32_t i = lane; i < count; i += 32) {
            const uint32_t key = key_of(scores[first + candidates.places[i]]);
            if (key >> TOPK_SHIFT_2 == chosen) {
                histogram.add(key & (TOPK_BINS_3 - 1), 1);
            }
        }
    }
    histogram.flush(at<uint64_t>(a.result));
}

// How many scores of each tile lie above the threshold, and how many equal it.
// Occupancy: 3 blocks of 512 threads a multiprocessor, 32768 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_THREADS) topk_count(const __grid_constant__ TopkPassArgs a) {
    __shared__ Candidates warps[WARPS];
    Candidates &candidates = warps[threadIdx.x / 32];
    const float *scores = at<const float>(a.scores);
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t threshold = at<const uint32_t>(a.state)[0];
    const uint64_t step = uint64_t(gridDim.x) * WARPS * TOPK_TILE;
    for (uint64_t first = (uint64_t(blockIdx.x) * WARPS + threadIdx.x / 32) * TOPK_TILE; first < a.len; first += step) {
        const uint32_t count = candidates.list(at<const uint32_t>(a.candidates)[first / 32 + lane]);
        uint32_t above_and_ties = 0;
        for (uint32_t i = lane; i < count; i += 32) {
            const uint32_t key = key_of(scores[first + candidates.places[i]]);
            above_and_ties += key > threshold ? 1 : key == threshold ? 1 << 16 : 0;
        }
        above_and_ties = warp_sum(above_and_ties);
        if (lane == 0) {
            at<uint32_t>(a.result)[first / TOPK_TILE] = above_and_ties;
        }
    }
}

// Hands out the ties to the tiles in order, and tells each tile where its kept scores go. One block, a thread a tile;
// what is left of the ties stays in the state for the next matrix.
// Occupancy: 2 blocks of 1024 threads a multiprocessor, 128 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_SCAN_THREADS)
    topk_offsets(const __grid_constant__ TopkOffsetsArgs a) {
    __shared__ uint32_t sums[TOPK_SCAN_THREADS / 32];
    uint32_t *counts = at<uint32_t>(a.counts);
    uint32_t *state = at<uint32_t>(a.state);
    uint32_t left = state[1];
    uint32_t before = 0;
    for (uint64_t first = 0; first < a.tiles; first += TOPK_SCAN_THREADS) {
        const uint64_t tile = first + threadIdx.x;
        const uint32_t count = tile < a.tiles ? counts[tile] : 0;
        const uint32_t ties = count >> 16, above = count & 0xffff;
        uint32_t total;
        const uint32_t ties_before = block_exclusive_sum(ties, sums, total);
        const uint32_t ties_kept = min(ties, left - min(left, ties_before));
        left -= min(left, total);
        const uint32_t offset = before + block_exclusive_sum(above + ties_kept, sums, total);
        before += total;
        if (tile < a.tiles) {
            counts[tile] = ties_kept;
            at<uint32_t>(a.offsets)[tile] = offset;
        }
    }
    if (threadIdx.x == 0) {
        state[1] = left;
        *at<uint32_t>(a.nnz) = before;
    }
}

// The scores that a tile keeps, and how many of them stand in the words before.
struct Kept {
    uint32_t marks[WORDS];
    uint32_t before[WORDS];
};

// Writes the columns of the scores that each tile keeps, and the offsets of the rows that start in it.
// Occupancy: 2 blocks of 512 threads a multiprocessor, 36864 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(TOPK_THREADS) topk_fill(const __grid_constant__ TopkFillArgs a) {
    __shared__ Candidates candidates_of[WARPS];
    __shared__ Kept kept_of[WARPS];
    Candidates &candidates = candidates_of[threadIdx.x / 32];
    Kept &kept = kept_of[threadIdx.x / 32];
    const float *scores = at<const float>(a.scores);
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t threshold = at<const uint32_t>(a.state)[0];
    const uint64_t step = uint64_t(gridDim.x) * WARPS * TOPK_TILE;
    for (uint64_t first = (uint64_t(blockIdx.x) * WARPS + threadIdx.x / 32) * TOPK_TILE; first < a.len; first += step) {
        const uint64_t tile = first / TOPK_TILE;
        const uint64_t end = min(a.len, first + TOPK_TILE);
        const uint32_t start = at<const uint32_t>(a.offsets)[tile];
        uint32_t ties_left = at<const uint32_t>(a.ties)[tile];
        const uint32_t count = candidates.list(at<const uint32_t>(a.candidates)[first / 32 + lane]);
        kept.marks[lane] = 0;
        __syncwarp();

        // All 32 lanes stay to the end of each step: they count each other.
        uint32_t next = start;
        for (uint32_t i = 0; i < count; i += 32) {
            const bool is_candidate = i + lane < count;
            const uint32_t place = is_candidate ? candidates.places[i + lane] : 0;
            const uint32_t key = is_candidate ? key_of(scores[first + place]) : 0;
            const uint32_t ties = __ballot_sync(ALL_LANES, is_candidate && key == threshold);
            const bool tie_is_kept = (ties >> lane & 1) != 0 && __popc(ties & lanes_below()) < ties_left;
            const bool is_kept = is_candidate && (key > threshold || tie_is_kept);
            ties_left -= min(ties_left, uint32_t(__popc(ties)));
            const uint32_t all = __ballot_sync(ALL_LANES, is_kept);
            if (is_kept) {
                at<uint32_t>(a.col_indices)[next + __popc(all & lanes_below())] = uint32_t((first + place) % a.cols);
                atomicOr(&kept.marks[place / 32], 1u << place % 32);
            }
            next += __popc(all);
        }
        __syncwarp();

        const uint32_t in_mine = __popc(kept.marks[lane]);
        kept.before[lane] = warp_inclusive_sum(in_mine) - in_mine;
        __syncwarp();
        for (uint64_t row = (first + a.cols - 1) / a.cols + lane; row * a.cols < end; row += 32) {
            const uint32_t place = uint32_t(row * a.cols - first);
            const uint32_t in_word = __popc(kept.marks[place / 32] & ((1u << place % 32) - 1));
            at<uint32_t>(a.row_offsets)[row] = start + kept.before[place / 32] + in_word;
        }
        if (end == a.len && lane == 0) {
            at<uint32_t>(a.row_offsets)[a.rows] = next;
        }
        __syncwarp();
    }
}
