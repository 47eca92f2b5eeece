// y = w + s: a 4-bit weight in bf16 or f32, the sparse adapter added on the way.
//
// A block takes chunks of 8192 consecutive weights, counted row-major, so that rows may have any length. It brings the
// packed codes, 16 bytes a thread and turn, and the magnitudes to shared memory; from there a thread takes what 16 bytes of y are
// made of, so that loads and stores are both full lines. Without s, y leaves from registers. With s, the chunk is
// collected in shared memory first: then an entry's thread makes its weight once more in f32, adds, rounds once and
// replaces what stands there. The cost of s is a pass through shared memory, whatever its density, and its entries.
//
// It moves 2.5 bytes a weight of bf16 and the magnitudes, 8 bytes an entry; memory bounds it.
#include "elements.cuh"
#include "nf4.cuh"
#include "warp.cuh"

namespace {

constexpr uint32_t THREADS = NF4_DEQUANTIZE_THREADS, CHUNK = NF4_DEQUANTIZE_CHUNK;
static_assert(CHUNK % (THREADS * 32) == 0, "whole vectors of codes a thread");
// The blocks of a chunk, when they are smallest.
constexpr uint32_t MOST_BLOCKS = CHUNK / 32;

template <class T> struct alignas(16) Shared {
    uint4 packed[CHUNK / 32];
    float magnitudes[MOST_BLOCKS];
    float dynamic_codes[256];
    // The chunk of y, where s is added; alone at the end, so that it need not be there.
    T y[CHUNK];
};

template <class T> __device__ __forceinline__ void store_one(T *p, float x);
template <> __device__ __forceinline__ void store_one(float *p, float x) { *p = x; }
template <> __device__ __forceinline__ void store_one(__nv_bfloat16 *p, float x) { *p = __float2bfloat16_rn(x); }

// The first entry of a row, between these two, whose column is not below `column`.
__device__ __forceinline__ uint32_t first_from(const uint32_t *columns, uint32_t entry, uint32_t end, uint64_t column) {
    while (entry < end) {
        const uint32_t middle = entry + (end - entry) / 2;
        if (columns[middle] < column) {
            entry = middle + 1;
        } else {
            end = middle;
        }
    }
    return entry;
}

// Replaces the weights of a chunk, `len` from `first` on, that have an entry: a row a warp and turn, an entry a lane.
template <class T>
__device__ __forceinline__ void add_entries(const Nf4DequantizeArgs &a, Shared<T> &shared, uint64_t first, uint32_t len) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t *columns = at<const uint32_t>(a.col_indices);
    const uint64_t end_row = (first + len - 1) / a.cols;
    for (uint64_t row = first / a.cols + warp; row <= end_row; row += THREADS / 32) {
        const uint64_t row_first = row * a.cols;
        const uint32_t offset = at<const uint32_t>(a.row_offsets)[row + min(lane, 1)];
        uint32_t entry = __shfl_sync(ALL_LANES, offset, 0);
        const uint32_t row_end = __shfl_sync(ALL_LANES, offset, 1);
        if (row_first < first) entry = first_from(columns, entry, row_end, first - row_first);
        for (entry += lane; entry < row_end; entry += 32) {
            const uint64_t element = row_first + columns[entry];
            if (element >= first + len) break;
            const uint32_t at_element = uint32_t(element - first);
            const uint32_t byte = reinterpret_cast<const uint8_t *>(shared.packed)[at_element / 2];
            const float value = NF4_CODES[byte >> code_shift(at_element & 1) & 15];
            const float weight = __fmul_rn(value, shared.magnitudes[at_element >> a.w.block_shift]);
            store_one(shared.y + at_element, __fadd_rn(weight, at<const float>(a.values)[entry]));
        }
    }
}

// `len` weights from `first` on: FULL says that they are a whole chunk, else a multiple of 32, as blocks are.
template <class T, bool SPARSE, bool FULL>
__device__ __forceinline__ void chunk(const Nf4DequantizeArgs &a, Shared<T> &shared, const Codebook &codebook,
                                      uint64_t first, uint32_t len) {
    // A vector of y, whose codes are 4 or 2 bytes.
    constexpr int N = 16 / sizeof(T);
    using Codes = std::conditional_t<N == NF4_WORD, uint32_t, uint16_t>;
    const uint32_t shift = a.w.block_shift;
    __syncthreads(); // the chunk before is done with
    const uint4 *packed = reinterpret_cast<const uint4 *>(at<const uint8_t>(a.w.packed) + first / 2);
#pragma unroll
    for (uint32_t i = threadIdx.x; i < CHUNK / 32; i += THREADS) {
        if (FULL || 32 * i < len) shared.packed[i] = __ldg(packed + i);
    }
    // A chunk begins with a block, and ends with one.
    for (uint32_t i = threadIdx.x; i << shift < len; i += THREADS) {
        shared.magnitudes[i] = magnitude(a.w, shared.dynamic_codes, uint32_t(first >> shift) + i);
    }
    __syncthreads();

    T *y = at<T>(a.y) + first;
#pragma unroll
    for (uint32_t unit = 0; unit < CHUNK / N / THREADS; ++unit) {
        const uint32_t vector = unit * THREADS + threadIdx.x;
        const bool present = FULL || vector * N < len;
        // Beyond the end, the first weights again: the whole warp asks the codebook.
        const uint32_t from = present ? vector : 0;
        const uint32_t codes = reinterpret_cast<const Codes *>(shared.packed)[from];
        const float absmax = shared.magnitudes[from * N >> shift];
        Floats<N> out;
#pragma unroll
        for (int j = 0; j < N; ++j) out.v[j] = __fmul_rn(codebook[codes >> code_shift(j)], absmax);
        if (present) store((SPARSE ? shared.y : y) + vector * N, out);
    }
    if constexpr (SPARSE) {
        __syncthreads();
        add_entries(a, shared, first, len);
        __syncthreads();
#pragma unroll
        for (uint32_t unit = 0; unit < CHUNK / N / THREADS; ++unit) {
            const uint32_t vector = unit * THREADS + threadIdx.x;
            if (FULL || vector * N < len) {
                reinterpret_cast<uint4 *>(y)[vector] = reinterpret_cast<const uint4 *>(shared.y)[vector];
            }
        }
    }
}

template <class T, bool SPARSE> __device__ __forceinline__ void dequantize(const Nf4DequantizeArgs &a) {
    extern __shared__ __align__(16) unsigned char memory[];
    Shared<T> &shared = *reinterpret_cast<Shared<T> *>(memory);
    load_dynamic_codes(a.w, shared.dynamic_codes);
    const Codebook codebook;
    const uint64_t len = a.rows * a.cols;
    for (uint64_t first = uint64_t(blockIdx.x) * CHUNK; first < len; first += uint64_t(gridDim.x) * CHUNK) {
        if (len - first >= CHUNK) {
            chunk<T, SPARSE, true>(a, shared, codebook, first, CHUNK);
        } else {
            chunk<T, SPARSE, false>(a, shared, codebook, first, uint32_t(len - first));
        }
    }
}

} // namespace

// Occupancy: 6 blocks of 128 threads a multiprocessor, 6144 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_bf16(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<__nv_bfloat16, false>(a);
}

// Occupancy: 6 blocks of 128 threads a multiprocessor, 6144 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_f32(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<float, false>(a);
}

// Occupancy: 6 blocks of 128 threads a multiprocessor, 22528 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_bf16_sparse(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<__nv_bfloat16, true>(a);
}

// Occupancy: 4 blocks of 128 threads a multiprocessor, 38912 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_f32_sparse(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<float, true>(a);
}
