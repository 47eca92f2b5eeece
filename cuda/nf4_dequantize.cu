// y = w + s: a 4-bit weight in bf16 or f32, the sparse adapter added on the way.
//
// A warp takes chunks of 4096 consecutive weights, counted row-major, so that rows may have any length, in units of 16
// bytes of y a lane: loads of codes and stores of y are full lines, and the magnitudes of a chunk wait in shared memory.
//
// With s, the host says once a mask which weight of its chunk each entry is for. The entries of a chunk pass through the
// warp in order, up to 32 at a time, one a lane. Those of a unit are handed to the lanes that have their weights, each of
// which has a box in a bank of its own: one entry a lane and turn, all lanes at once, added in f32 before the one
// rounding. A unit without entries costs one vote; others take as many turns as a vector has entries.
//
// It moves 2.5 bytes a weight of bf16 and the magnitudes, 6 bytes an entry; memory bounds it.
#include "elements.cuh"
#include "nf4.cuh"
#include "warp.cuh"

namespace {

constexpr uint32_t THREADS = NF4_DEQUANTIZE_THREADS, WARPS = THREADS / 32, CHUNK = NF4_DEQUANTIZE_CHUNK;
// The blocks of a chunk, when they are smallest.
constexpr uint32_t MOST_BLOCKS = CHUNK / 32;
// Units whose codes are on their way at once.
constexpr uint32_t BATCH = 4;

constexpr uint32_t NONE = 0xffffffffu;

// What a lane is handed: the place of an entry in its vector, or NONE, and 128 bytes further on the entry's value.
constexpr uint32_t BOX_VALUE = 32 * sizeof(uint32_t);

// What a warp keeps in shared memory.
struct Shared {
    float magnitudes[MOST_BLOCKS];
    uint32_t boxes[2][32];
};

// Shared memory by its address, of which nvcc makes one register and constants.
template <class T> __device__ __forceinline__ T &shared_at(uint32_t address) {
    return *static_cast<T *>(__cvta_shared_to_generic(address));
}

// The entries of a chunk in order, for vectors of N weights; a window of them is in the lanes.
template <int N> struct Entries {
    // What a turn adds to the number of a unit; units count below it.
    static constexpr uint32_t TURN = CHUNK / (32 * N);

    const uint16_t *places;
    const float *values;
    // The box of this lane, and of the first.
    const uint32_t my_box, boxes;
    // Where the next window begins, and the entries end.
    uint32_t next, end;
    // This lane's entry, if it has one: the unit and turn that add it, the box of the lane that has its vector, its place
    // there and value.
    uint32_t turn, box, place;
    float value;
    // The lanes after whose entry there may be more for its unit: another of the same vector, or the next window.
    uint32_t more;
    // The unit of the window's last entry, if windows follow.
    uint32_t last_unit;

    __device__ __forceinline__ Entries(const Nf4DequantizeArgs &a, const Shared &shared)
        : places(at<const uint16_t>(a.places)), values(at<const float>(a.values)),
          my_box(kept(shared_address(shared.boxes[0] + threadIdx.x % 32))), boxes(kept(shared_address(shared.boxes))) {
        shared_at<uint32_t>(my_box) = NONE;
    }

    __device__ __forceinline__ void begin(const Nf4DequantizeArgs &a, uint32_t chunk) {
        const uint32_t *starts = at<const uint32_t>(a.starts) + chunk;
        next = starts[0], end = starts[1];
        fill();
    }

    // The next window: up to 32 entries.
    __device__ __forceinline__ void fill() {
        const uint32_t lane = threadIdx.x % 32, entry = next + lane;
        uint32_t weight = NONE;
        if (entry < end) weight = places[entry], value = values[entry];
        // Lanes whose entry is of the same vector as the one before; a run of them takes as many turns.
        const uint32_t vector = weight / N, above = __shfl_up_sync(ALL_LANES, vector, 1);
        const uint32_t same = __ballot_sync(ALL_LANES, vector == above && lane > 0);
        // Where there is no entry, this is beyond every unit's turns.
        turn = vector / 32 + __clz(~(same << (31 - lane))) * TURN;
        box = boxes + vector % 32 * sizeof(uint32_t), place = weight % N;
        more = same >> 1, last_unit = NONE;
        next += 32;
        if (next < end) {
            last_unit = __shfl_sync(ALL_LANES, vector / 32, 31);
            more |= __ballot_sync(ALL_LANES, vector / 32 == last_unit);
        }
    }

    // Adds the entries of unit `unit` to the weights of its vectors, one a lane. Units come in order.
    __device__ __forceinline__ void add(Floats<N> &x, uint32_t unit) {
        uint32_t found = __ballot_sync(ALL_LANES, turn == unit);
        for (uint32_t now = unit; found != 0;) {
            if (turn == now) shared_at<uint32_t>(box) = place, shared_at<float>(box + BOX_VALUE) = value;
            __syncwarp();
            const uint32_t given = shared_at<uint32_t>(my_box);
            if (given != NONE) {
                const float s = shared_at<float>(my_box + BOX_VALUE);
                shared_at<uint32_t>(my_box) = NONE;
#pragma unroll
                for (int j = 0; j < N; ++j) {
                    if (given == j) x.v[j] = __fadd_rn(x.v[j], s);
                }
            }
            __syncwarp(); // the boxes are empty
            if ((found & more) == 0) return;
            now += TURN;
            found = __ballot_sync(ALL_LANES, turn == now);
            if (found == 0 && unit == last_unit) {
                fill();
                now = unit;
                found = __ballot_sync(ALL_LANES, turn == now);
            }
        }
    }
};

// A vector of y as it lies in memory. nvcc takes structs apart where it stores them, and what it takes apart it may not
// store as one; so these are no structs of ours.
__device__ __forceinline__ uint4 bits(const Floats<VECTOR> &x) { return pack(x).v; }
__device__ __forceinline__ uint4 bits(const Floats<VECTOR_F32> &x) {
    return make_uint4(__float_as_uint(x.v[0]), __float_as_uint(x.v[1]), __float_as_uint(x.v[2]), __float_as_uint(x.v[3]));
}

// Where nothing is added.
struct None {
    __device__ __forceinline__ None(const Nf4DequantizeArgs &, const Shared &) {}
};

// `len` weights from `first` on: FULL says that they are a whole chunk, else a multiple of 32, as blocks are.
template <class T, bool FULL, class Added>
__device__ __forceinline__ void chunk(const Nf4DequantizeArgs &a, Shared &shared, const float *dynamic_codes,
                                      const Codebook &codebook, Added &entries, uint64_t first, uint32_t len) {
    // A vector of y, whose codes are 4 or 2 bytes.
    constexpr int N = 16 / sizeof(T);
    constexpr uint32_t UNIT = 32 * N;
    using Codes = std::conditional_t<N == NF4_WORD, uint32_t, uint16_t>;
    const uint32_t shift = kept(a.w.block_shift), lane = kept(threadIdx.x % 32);
    const uint32_t magnitudes = kept(shared_address(shared.magnitudes));
    __syncwarp(); // the chunk before is done with
    // A chunk begins with a block, and ends with one.
    const uint32_t first_block = kept(uint32_t(first >> shift)), blocks = kept(len >> shift);
    for (uint32_t i = lane; i < blocks; i += 32) {
        shared_at<float>(magnitudes + i * sizeof(float)) = magnitude(a.w, dynamic_codes, first_block + i);
    }
    __syncwarp();
    constexpr bool SPARSE = !std::is_same_v<Added, None>;
    if constexpr (SPARSE) entries.begin(a, uint32_t(first / CHUNK));

    const uint32_t my_magnitudes = kept(magnitudes + (lane * N >> shift) * sizeof(float));
    const Codes *packed = reinterpret_cast<const Codes *>(at<const uint8_t>(a.w.packed) + first / 2) + lane;
    uint4 *y = reinterpret_cast<uint4 *>(at<T>(a.y) + first) + lane;
#pragma unroll 1
    for (uint32_t unit = 0; unit < CHUNK / UNIT; unit += BATCH, packed += 32 * BATCH, y += 32 * BATCH) {
        // The weights of the chunk from this lane's first on.
        const uint32_t left = len - min(len, unit * UNIT + lane * N);
        uint32_t codes[BATCH];
#pragma unroll
        for (uint32_t i = 0; i < BATCH; ++i) codes[i] = FULL || i * UNIT < left ? __ldg(packed + 32 * i) : 0;
#pragma unroll
        for (uint32_t i = 0; i < BATCH; ++i) {
            const bool present = FULL || i * UNIT < left;
            // Of units and blocks, the one is a whole number of the other.
            const uint32_t from = my_magnitudes + ((unit + i) * UNIT >> shift) * sizeof(float);
            const float absmax = present ? shared_at<const float>(from) : 0;
            Floats<N> out;
#pragma unroll
            for (int j = 0; j < N; ++j) out.v[j] = __fmul_rn(codebook[codes[i] >> code_shift(j)], absmax);
            if constexpr (SPARSE) entries.add(out, unit + i);
            if (present) y[32 * i] = bits(out);
        }
    }
}

template <class T, bool SPARSE> __device__ __forceinline__ void dequantize(const Nf4DequantizeArgs &a) {
    __shared__ float dynamic_codes[256];
    __shared__ Shared of_warp[WARPS];
    load_dynamic_codes(a.w, dynamic_codes);
    __syncthreads();
    Shared &shared = of_warp[threadIdx.x / 32];
    std::conditional_t<SPARSE, Entries<16 / sizeof(T)>, None> entries(a, shared);
    const Codebook codebook;
    const uint64_t len = a.len, warp = uint64_t(blockIdx.x) * WARPS + threadIdx.x / 32;
    for (uint64_t first = warp * CHUNK; first < len; first += uint64_t(gridDim.x) * WARPS * CHUNK) {
        if (len - first >= CHUNK) {
            chunk<T, true>(a, shared, dynamic_codes, codebook, entries, first, CHUNK);
        } else {
            chunk<T, false>(a, shared, dynamic_codes, codebook, entries, first, uint32_t(len - first));
        }
    }
}

} // namespace

// Occupancy: 6 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_bf16(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<__nv_bfloat16, false>(a);
}

// Occupancy: 6 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_f32(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<float, false>(a);
}

// Occupancy: 6 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_bf16_sparse(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<__nv_bfloat16, true>(a);
}

// Occupancy: 6 blocks of 128 threads a multiprocessor, 4096 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_DEQUANTIZE_THREADS, 6)
    nf4_dequantize_f32_sparse(const __grid_constant__ Nf4DequantizeArgs a) {
    dequantize<float, true>(a);
}
