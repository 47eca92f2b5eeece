// The columns of a pattern: a stable counting sort of its entries by column, without atomics that decide an order.
//
// The entries, row by row, are cut into chunks. Four kernels: how many entries of each column a chunk has; the sum of
// these counts over the chunks before, for each column, and the column's length; the sum of the lengths; and the
// entries placed, by one warp a chunk in order. A chunk has no fewer entries than a quarter of the columns, so the
// counts take at most 4 numbers per entry and one per column, whatever the shape.
#include "block.cuh"
#include "entry_rows.cuh"
#include "vec.cuh"

constexpr uint32_t WARPS = CSR_TRANSPOSE_THREADS / 32;

// counts[chunk, column] = the entries of a column in a chunk. An integer sum: the order of the atomics is of no account.
// Occupancy: 16 blocks of 128 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(CSR_TRANSPOSE_THREADS)
    csr_transpose_count(const __grid_constant__ CsrTransposeArgs a) {
    const uint32_t *columns = at<const uint32_t>(a.col_indices);
    const uint64_t step = uint64_t(gridDim.x) * CSR_TRANSPOSE_THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * CSR_TRANSPOSE_THREADS + threadIdx.x; i < a.nnz; i += step) {
        const uint32_t entry = uint32_t(i);
        atomicAdd(at<uint32_t>(a.counts) + (uint64_t(entry / a.chunk) * a.cols + columns[entry]), 1u);
    }
}

// counts[chunk, column] becomes the sum over the chunks before; offsets[column] the column's length. A thread a column:
// consecutive threads read consecutive counts, several chunks at a time, or each would wait for the one before.
// Occupancy: 12 blocks of 128 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(CSR_TRANSPOSE_THREADS)
    csr_transpose_columns(const __grid_constant__ CsrTransposeArgs a) {
    constexpr uint32_t BATCH = 8;
    const uint32_t chunks = (a.nnz - 1) / a.chunk + 1;
    const uint64_t step = uint64_t(gridDim.x) * CSR_TRANSPOSE_THREADS;
    for (uint64_t column = uint64_t(blockIdx.x) * CSR_TRANSPOSE_THREADS + threadIdx.x; column < a.cols;
         column += step) {
        uint32_t *counts = at<uint32_t>(a.counts) + column;
        uint32_t before = 0;
        for (uint32_t chunk = 0; chunk < chunks; chunk += BATCH) {
            uint32_t count[BATCH];
#pragma unroll
            for (uint32_t i = 0; i < BATCH; i++) {
                count[i] = i < chunks - chunk ? counts[uint64_t(i) * a.cols] : 0;
            }
#pragma unroll
            for (uint32_t i = 0; i < BATCH; i++) {
                if (i < chunks - chunk) {
                    counts[uint64_t(i) * a.cols] = before;
                    before += count[i];
                }
            }
            counts += uint64_t(BATCH) * a.cols;
        }
        at<uint32_t>(a.offsets)[column] = before;
    }
}

// offsets[column] becomes the sum of the lengths before, offsets[cols] the sum of all. One block: there are few columns
// beside what the other kernels do.
// Occupancy: 2 blocks of 1024 threads a multiprocessor, 128 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(CSR_TRANSPOSE_SCAN_THREADS)
    csr_transpose_offsets(const __grid_constant__ CsrTransposeArgs a) {
    __shared__ uint32_t sums[CSR_TRANSPOSE_SCAN_THREADS / 32];
    uint32_t *offsets = at<uint32_t>(a.offsets);
    uint32_t before = 0;
    for (uint64_t first = 0; first < a.cols; first += CSR_TRANSPOSE_SCAN_THREADS) {
        const uint64_t column = first + threadIdx.x;
        const uint32_t length = column < a.cols ? offsets[column] : 0;
        uint32_t total;
        const uint32_t start = before + block_exclusive_sum(length, sums, total);
        if (column < a.cols) {
            offsets[column] = start;
        }
        before += total;
    }
    if (threadIdx.x == 0) {
        offsets[a.cols] = before;
    }
}

// The row of an entry: the last one that starts at or before it.
__device__ __forceinline__ uint32_t row_of_entry(const uint32_t *row_offsets, uint32_t rows, uint32_t entry) {
    uint32_t low = 0, high = rows;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (row_offsets[middle] <= entry) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// Each entry to its place: after the columns before, after the chunks before, after the entries of its chunk before.
// A warp takes a chunk, 32 consecutive entries a step. Lanes of one column find each other by match, and stand in the
// order of their entries; the last one counts all of them for the steps after.
// 128 threads, 4 KB of shared memory, at most 40 registers. Bound by latency: three accesses a step wait for each
// other, and a large pattern has some hundred chunks.
// Occupancy: 12 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(CSR_TRANSPOSE_THREADS)
    csr_transpose_place(const __grid_constant__ CsrTransposeArgs a) {
    __shared__ EntryRows warps[WARPS];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint64_t chunk = uint64_t(blockIdx.x) * WARPS + warp;
    if (chunk * a.chunk >= a.nnz) {
        return;
    }
    const uint32_t *row_offsets = at<const uint32_t>(a.row_offsets);
    const uint32_t *columns = at<const uint32_t>(a.col_indices);
    const uint32_t *offsets = at<const uint32_t>(a.offsets);
    uint32_t *counts = at<uint32_t>(a.counts) + chunk * a.cols;
    const uint32_t begin = uint32_t(chunk * a.chunk);
    const uint32_t size = min(a.chunk, a.nnz - begin);
    uint32_t row = row_of_entry(row_offsets, a.rows, begin);
    for (uint32_t window = 0; window < size; window += CSR_WINDOW) {
        warps[warp].mark(row_offsets, a.rows, row, begin + window);
        for (uint32_t step = 0; step < CSR_WINDOW && step < size - window; step += 32) {
            const uint32_t mine = warps[warp].row_of(step, row);
            const bool is_entry = step + lane < size - window;
            const uint32_t entry = begin + window + step + lane;
            // What is no entry matches only its like: no column is 2³² − 1.
            const uint32_t column = is_entry ? columns[entry] : 0xffffffffu;
            const uint32_t alike = __match_any_sync(ALL_LANES, column);
            uint32_t before = 0;
            if (is_entry) {
                before = counts[column];
                const uint32_t place = offsets[column] + before + __popc(alike & lanes_below());
                at<uint32_t>(a.indices)[place] = mine;
                at<uint32_t>(a.permutation)[place] = entry;
            }
            __syncwarp();
            if (is_entry && alike >> lane == 1) {
                counts[column] = before + __popc(alike);
            }
            __syncwarp();
        }
    }
}
