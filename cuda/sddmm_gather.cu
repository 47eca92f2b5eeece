// ds[p] += Σ_t dy[t,row(p)] · x[t,col(p)], the gather form: for a few tokens, or a few entries in all.
//
// A lane takes one entry and walks the tokens. Neighbouring lanes are neighbours in their row: their columns rise, and
// most of them share one element of dy. As x is row-major, each token costs about a sector of it an entry: that is more
// than the slab form asks for, which needs a second launch, so that this one is for what is done within that time.
// All blocks have the same work, whatever the rows look like, and no block is empty. 32 registers, full occupancy.
#include "kernels.h"
#include "vec.cuh"

namespace {

__device__ __forceinline__ float to_float(uint16_t bf16) { return __uint_as_float(uint32_t(bf16) << 16); }

// The row of entry p: the last one that starts at or before it, behind any empty rows.
__device__ __forceinline__ uint32_t row_of(const uint32_t *row_offsets, uint32_t rows, uint32_t p) {
    uint32_t low = 0;
    for (uint32_t count = rows; count > 1;) {
        const uint32_t half = count / 2;
        if (__ldg(row_offsets + low + half) <= p) low += half;
        count -= half;
    }
    return low;
}

} // namespace

// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SDDMM_ENTRY_THREADS)
sddmm_gather(const __grid_constant__ SddmmGatherArgs a) {
    const uint64_t p = uint64_t(blockIdx.x) * SDDMM_ENTRY_THREADS + threadIdx.x;
    if (p >= a.entries) return;
    const uint16_t *dy = at<const uint16_t>(a.dy) + row_of(at<const uint32_t>(a.row_offsets), a.rows, p);
    const uint16_t *x = at<const uint16_t>(a.x) + __ldg(at<const uint32_t>(a.col_indices) + p);
    float sum = 0;
#pragma unroll 8
    for (uint32_t token = 0; token < a.tokens; ++token, dy += a.rows, x += a.cols)
        sum = fmaf(to_float(__ldg(dy)), to_float(__ldg(x)), sum);
    at<float>(a.ds)[p] += sum;
}
