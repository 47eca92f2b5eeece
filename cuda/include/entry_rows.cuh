// Which row each entry of a compressed-row pattern stands in, for a warp that walks the entries in order.
//
// A window is CSR_WINDOW consecutive entries. The warp marks in shared memory which of them are the first of their row;
// then a lane's row is that of the last mark at or before its entry. Offsets are read once, side by side, and the work
// depends on the number of entries, not on how they lie in rows (but 31 empty rows cost one more step).
#pragma once
#include "kernels.h"
#include "warp.cuh"

struct EntryRows {
    alignas(16) uint32_t heads[CSR_WINDOW]; // its row where an entry is the first one of it

    static constexpr uint32_t NO_HEAD = 0; // row 0 is never marked: it would start where the row is known

    // Marks the window that starts at entry `first`, which stands in `row`. The whole warp calls it.
    __device__ __forceinline__ void mark(const uint32_t *row_offsets, uint32_t rows, uint32_t row, uint32_t first) {
        const uint32_t lane = threadIdx.x % 32;
        __syncwarp(); // other lanes may still read the window before
#pragma unroll
        for (uint32_t i = lane; i < CSR_WINDOW / 4; i += 32) {
            reinterpret_cast<uint4 *>(heads)[i] = {NO_HEAD, NO_HEAD, NO_HEAD, NO_HEAD};
        }
        __syncwarp();
        // Lane by lane the starts of the next 32 rows, past the last row its end; the next lane's start tells whether
        // a row is empty, and the last lane has none, so it is looked at again.
        for (uint32_t base = row + 1;; base += 31) {
            const uint32_t left = rows - base;
            const uint32_t start = row_offsets[base + min(lane, left)];
            const uint32_t end = __shfl_down_sync(ALL_LANES, start, 1);
            if (start < end && start - first < CSR_WINDOW && lane < 31) {
                heads[start - first] = base + lane;
            }
            if (left <= 31 || __shfl_sync(ALL_LANES, start, 31) - first >= CSR_WINDOW) {
                break;
            }
        }
        __syncwarp();
    }

    // The row of entry `step + lane` of the window. The whole warp calls it, with step 0, 32, 64 …; `row` is that of
    // the entry before, in every lane, and becomes that of lane 31's entry.
    __device__ __forceinline__ uint32_t row_of(uint32_t step, uint32_t &row) const {
        const uint32_t lane = threadIdx.x % 32;
        const uint32_t head = heads[step + lane];
        const uint32_t marks = __ballot_sync(ALL_LANES, head != NO_HEAD);
        // As many lanes down as there are zeros from this lane's bit: the last mark. Without a mark these are 32, which
        // is 0 to the shuffle, and the lane gets its own NO_HEAD.
        const uint32_t marked = __shfl_up_sync(ALL_LANES, head, __clz(marks << (31 - lane)));
        const uint32_t mine = max(row, marked);
        row = __shfl_sync(ALL_LANES, mine, 31);
        return mine;
    }
};
