// ds[p] += Σ_t dy[t,row(p)] · x[t,col(p)], the slab form: for patterns that fill a few percent of the matrix at most.
//
// A block holds one slab, TOKENS tokens of a tile of columns of x, transposed in shared memory, and its warps walk the
// entries of that tile. The product runs on tensor cores with the entries' columns gathered as M: `ldmatrix` takes 16
// arbitrary addresses, so that one of it brings 16 columns × 16 tokens as the A operand. N is 8 rows of dy, K the
// tokens; of the 16 × 8 results of a chunk of 16 slots each slot keeps the one of its row. That throws away 7 of 8
// products and pays all the same: tensor cores have them to spare up to 5 % of the matrix, where all of it is cheaper.
//
// It costs about 32 warp instructions an entry for 512 tokens at 2.4 % of 4096 × 4096, and 1.25 passes over the banks
// of shared memory for each 64 tokens, which bind it there. At 0.6 % it asks for 14 sectors an entry, of which dy takes
// 6, the slabs 4, the partials and their sums 3; there the L2 cache binds it about as much.
// On an H200 4096 tokens take 119 µs at 0.6 %, where one chunk at a time and nothing asked for ahead took 134; the
// load and store units are then busy nine tenths of the time.
//
// dy and x stay row-major; x leaves the L2 cache once per block, dy once per tile of columns. A slot's sum over one
// slab is a partial, written to memory; a second kernel adds the partials of all slabs in their order. So the result
// depends on no order of blocks, and no atomics are needed.
//
// Which slot follows which was decided on the host (sddmm/slots.rs) once per pattern.
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"

namespace {

constexpr int WARPS = SDDMM_SLAB_THREADS / 32;
constexpr uint32_t COLUMN_MASK = (1u << SDDMM_COLUMN_BITS) - 1;

template <int TOKENS> struct Slab {
    // Bytes from one column to the next. An odd multiple of 16 puts the same tokens of columns that differ mod 8 into
    // different groups of banks: what the host's order of slots counts on, and why nothing needs to be swizzled.
    static constexpr int PITCH = 2 * TOKENS + 16;
    // Groups of 8 tokens, 16 bytes of a column each.
    static constexpr int OCTETS = TOKENS / 8;
};

// The lower, or the upper, halves of two words as one word.
__device__ __forceinline__ uint32_t lower_halves(uint32_t a, uint32_t b) { return __byte_perm(a, b, 0x5410); }
__device__ __forceinline__ uint32_t upper_halves(uint32_t a, uint32_t b) { return __byte_perm(a, b, 0x7632); }

// How a block's operands may be loaded.
enum Access {
    WHOLE,   // in words: all of them exist and rows start at words
    GUARDED, // in words, some of which lie beyond the last token, row or column
    SINGLE,  // element by element: rows start anywhere
};

// Two neighbours in a row of which `left` exist; what does not is zero.
template <Access ACCESS> __device__ __forceinline__ uint32_t load_2(const uint16_t *p, int left) {
    if constexpr (ACCESS == SINGLE) {
        const uint32_t first = left > 0 ? __ldg(p) : 0, second = left > 1 ? __ldg(p + 1) : 0;
        return first | second << 16;
    } else {
        return ACCESS == WHOLE || left > 0 ? __ldg(reinterpret_cast<const uint32_t *>(p)) : 0;
    }
}

// Four neighbours.
template <Access ACCESS> __device__ __forceinline__ uint2 load_4(const uint16_t *p, int left) {
    if constexpr (ACCESS == SINGLE) {
        return make_uint2(load_2<SINGLE>(p, left), load_2<SINGLE>(p + 2, left - 2));
    } else {
        return ACCESS == WHOLE || left > 0 ? __ldg(reinterpret_cast<const uint2 *>(p)) : make_uint2(0, 0);
    }
}

// Brings the slab: a lane takes 8 tokens of 4 columns and turns them in registers. OCTETS lanes side by side take the
// tokens of the same columns, so that a warp asks for whole sectors and stores 8 different groups of banks at a time.
template <int TOKENS, Access ACCESS>
__device__ __forceinline__ void fill(unsigned char *slab, const SddmmSlabArgs &a, uint32_t first_token,
                                     uint32_t first_column) {
    constexpr int PITCH = Slab<TOKENS>::PITCH, OCTETS = Slab<TOKENS>::OCTETS, QUADS = 32 / OCTETS;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const int octet = lane % OCTETS;
    const int tokens_left = int(a.tokens - first_token) - 8 * octet, columns_left = int(a.cols - first_column);
    const uint16_t *x = at<const uint16_t>(a.x) + (uint64_t(first_token) + 8 * octet) * a.cols + first_column;
    for (int quad = warp * QUADS + lane / OCTETS; 4 * quad < int(a.columns); quad += WARPS * QUADS) {
        const uint16_t *p = x + 4 * quad;
        uint2 v[8];
#pragma unroll
        for (int t = 0; t < 8; ++t, p += a.cols) {
            v[t] = load_4<ACCESS>(p, t < tokens_left ? columns_left - 4 * quad : 0);
        }
        unsigned char *out = slab + 4 * quad * PITCH + 16 * octet;
        const auto store = [&](int column, uint32_t t01, uint32_t t23, uint32_t t45, uint32_t t67) {
            *reinterpret_cast<uint4 *>(out + column * PITCH) = make_uint4(t01, t23, t45, t67);
        };
        store(0, lower_halves(v[0].x, v[1].x), lower_halves(v[2].x, v[3].x), lower_halves(v[4].x, v[5].x),
              lower_halves(v[6].x, v[7].x));
        store(1, upper_halves(v[0].x, v[1].x), upper_halves(v[2].x, v[3].x), upper_halves(v[4].x, v[5].x),
              upper_halves(v[6].x, v[7].x));
        store(2, lower_halves(v[0].y, v[1].y), lower_halves(v[2].y, v[3].y), lower_halves(v[4].y, v[5].y),
              lower_halves(v[6].y, v[7].y));
        store(3, upper_halves(v[0].y, v[1].y), upper_halves(v[2].y, v[3].y), upper_halves(v[4].y, v[5].y),
              upper_halves(v[6].y, v[7].y));
    }
    for (int i = threadIdx.x; i < SDDMM_ZERO_COLUMNS * OCTETS; i += SDDMM_SLAB_THREADS) {
        unsigned char *out = slab + (a.columns + i / OCTETS) * PITCH + 16 * (i % OCTETS);
        *reinterpret_cast<uint4 *>(out) = make_uint4(0, 0, 0, 0);
    }
}

// dy of a window of 16 rows and TOKENS tokens: a word is two neighbours of a token's row, so that 8 lanes take a whole
// sector of it.
template <int TOKENS> struct Window {
    uint32_t words[TOKENS / 4];

    template <Access ACCESS>
    __device__ __forceinline__ void load(const SddmmSlabArgs &a, uint32_t first_token, uint32_t first_row) {
        const int group = (threadIdx.x & 31) >> 2, member = threadIdx.x & 3;
        const uint32_t row = first_row + 2 * group;
        const int rows_left = int(a.rows - row), tokens_left = int(a.tokens - first_token) - 2 * member;
        const uint16_t *p = at<const uint16_t>(a.dy) + (uint64_t(first_token) + 2 * member) * a.rows + row;
#pragma unroll
        for (int j = 0; j < TOKENS / 8; ++j, p += 8 * uint64_t(a.rows)) {
            words[2 * j] = load_2<ACCESS>(p, 8 * j < tokens_left ? rows_left : 0);
            words[2 * j + 1] = load_2<ACCESS>(p + a.rows, 8 * j + 1 < tokens_left ? rows_left : 0);
        }
    }

    // As the B operands of its 8 even and its 8 odd rows.
    __device__ __forceinline__ void split(uint32_t (&even)[TOKENS / 8], uint32_t (&odd)[TOKENS / 8]) const {
#pragma unroll
        for (int j = 0; j < TOKENS / 8; ++j) {
            even[j] = lower_halves(words[2 * j], words[2 * j + 1]);
            odd[j] = upper_halves(words[2 * j], words[2 * j + 1]);
        }
    }
};

// This lane's codes of the next chunks, asked for ahead of their use: the address of a gather hangs on its code.
struct Codes {
    const uint16_t *next;
    uint32_t ahead[SDDMM_CODES_AHEAD];

    __device__ __forceinline__ void start(const uint16_t *codes) {
        next = codes;
#pragma unroll
        for (int i = 0; i < SDDMM_CODES_AHEAD; ++i, next += SDDMM_CHUNK) ahead[i] = __ldg(next);
    }

    __device__ __forceinline__ uint32_t take() {
        const uint32_t code = ahead[0];
#pragma unroll
        for (int i = 1; i < SDDMM_CODES_AHEAD; ++i) ahead[i - 1] = ahead[i];
        ahead[SDDMM_CODES_AHEAD - 1] = __ldg(next);
        next += SDDMM_CHUNK;
        return code;
    }
};

// Writes the partials of the next N chunks of slots, whose rows are those of b.
template <int TOKENS, int N>
__device__ __forceinline__ void multiply_chunks(const uint32_t (&b)[TOKENS / 8], uint32_t slab, Codes &codes,
                                                float *&partials) {
    const int group = (threadIdx.x & 31) >> 2;
    const uint32_t member = threadIdx.x & 3;
    uint32_t code[N];
    float c[N][4];
#pragma unroll
    for (int n = 0; n < N; ++n) {
        code[n] = codes.take();
        c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0;
    }
#pragma unroll
    for (int j = 0; j < TOKENS / 8; j += 2) {
#pragma unroll
        for (int n = 0; n < N; ++n) {
            uint32_t columns[4];
            ldmatrix_x4(columns, slab + (code[n] & COLUMN_MASK) * Slab<TOKENS>::PITCH + 16 * j);
            mma_bf16(c[n], columns, b[j], b[j + 1]);
        }
    }
#pragma unroll
    for (int n = 0; n < N; ++n) {
        // Slot `group` and the one 8 further are those whose results this lane may hold.
        const uint32_t low = __shfl_sync(0xffffffffu, code[n], group);
        const uint32_t high = __shfl_sync(0xffffffffu, code[n], group + 8);
        // The lane that holds the slot's row stores; four members together fill whole sectors.
        constexpr uint32_t ODD = 1u << SDDMM_COLUMN_BITS;
        if (low / ODD >> 1 == member) partials[0] = low & ODD ? c[n][1] : c[n][0];
        if (high / ODD >> 1 == member) partials[8] = high & ODD ? c[n][3] : c[n][2];
        partials += SDDMM_CHUNK;
    }
}

// The same of any number, two at a time where there are two: neither waits for the other.
template <int TOKENS>
__device__ __forceinline__ void multiply(const uint32_t (&b)[TOKENS / 8], uint32_t chunks, uint32_t slab, Codes &codes,
                                         float *&partials) {
#pragma unroll 1
    for (; chunks >= 2; chunks -= 2) multiply_chunks<TOKENS, 2>(b, slab, codes, partials);
    if (chunks > 0) multiply_chunks<TOKENS, 1>(b, slab, codes, partials);
}

// A block: blockIdx.x names the slab of tokens, y the tile, z which share of the tile's items. Items stand by falling
// length, and go round over the blocks and then over the warps: all get about the same work, the longest first. EDGES
// is how operands are loaded where the matrices end, or everywhere if their rows start at no words.
template <int TOKENS, Access EDGES> __device__ __forceinline__ void sddmm_slab(const SddmmSlabArgs &a) {
    extern __shared__ __align__(128) unsigned char slab[];
    const SddmmTile tile = at<const SddmmTile>(a.tiles)[blockIdx.y];
    const uint32_t first_token = blockIdx.x * TOKENS;
    const bool all_tokens = EDGES == GUARDED && a.tokens - first_token >= TOKENS;
    if (all_tokens && a.cols - tile.first_column >= a.columns) {
        fill<TOKENS, WHOLE>(slab, a, first_token, tile.first_column);
    } else {
        fill<TOKENS, EDGES>(slab, a, first_token, tile.first_column);
    }
    __syncthreads();

    // Matrix `quarter` of an ldmatrix: slots 0-7 or 8-15 (bit 0), tokens 0-7 or 8-15 (bit 1).
    const int lane = threadIdx.x & 31, quarter = lane >> 3;
    const uint32_t base = shared_address(slab) + 16 * (quarter >> 1);
    const uint16_t *codes = at<const uint16_t>(a.codes) + 8 * (quarter & 1) + (lane & 7);
    float *partials = at<float>(a.partials) + blockIdx.x * a.slots + (lane >> 2);

    const uint4 *items = at<const uint4>(a.items);
    const uint32_t stride = WARPS * gridDim.z;
    uint32_t i = tile.first_item + (threadIdx.x >> 5) * gridDim.z + blockIdx.z;
    if (i >= tile.end_item) return;

    // The window and the first codes of an item come while the one before it is worked on; the item itself, earlier.
    uint4 item = __ldg(items + i), next = item;
    Window<TOKENS> window;
    Codes coming;
    const auto ask = [&] {
        if (all_tokens && a.rows - next.x >= SDDMM_WINDOW) {
            window.template load<WHOLE>(a, first_token, next.x);
        } else {
            window.template load<EDGES>(a, first_token, next.x);
        }
        coming.start(codes + uint64_t(next.y) * SDDMM_CHUNK);
    };
    ask();
    if (i + stride < tile.end_item) next = __ldg(items + i + stride);
    for (; i < tile.end_item; i += stride) {
        const uint32_t begin = item.y, middle = item.z, end = item.w;
        uint32_t even[TOKENS / 8], odd[TOKENS / 8];
        window.split(even, odd);
        Codes now = coming;
        // The last item asks for itself once more.
        item = next;
        ask();
        if (i + 2 * stride < tile.end_item) next = __ldg(items + i + 2 * stride);
        float *at_partials = partials + uint64_t(begin) * SDDMM_CHUNK;
        multiply<TOKENS>(even, middle - begin, base, now, at_partials);
        multiply<TOKENS>(odd, end - middle, base, now, at_partials);
    }
}

} // namespace

// One block a multiprocessor: the slab takes nearly all of its shared memory (145 KB, sddmm_slab_32 up to 161 KB), and
// the launch bound leaves 128 registers. On sm_80 they use 90, 68 and, unaligned, 92 and 68.
// Occupancy: 1 block of 512 threads a multiprocessor, 148608 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(SDDMM_SLAB_THREADS, 1)
sddmm_slab_64(const __grid_constant__ SddmmSlabArgs a) {
    sddmm_slab<64, GUARDED>(a);
}

// Occupancy: 1 block of 512 threads a multiprocessor, 164480 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(SDDMM_SLAB_THREADS, 1)
sddmm_slab_32(const __grid_constant__ SddmmSlabArgs a) {
    sddmm_slab<32, GUARDED>(a);
}

// The same for an odd number of rows or columns that are no multiple of 4: element by element.
// Occupancy: 1 block of 512 threads a multiprocessor, 148608 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(SDDMM_SLAB_THREADS, 1)
sddmm_slab_64_unaligned(const __grid_constant__ SddmmSlabArgs a) {
    sddmm_slab<64, SINGLE>(a);
}

// Occupancy: 1 block of 512 threads a multiprocessor, 164480 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(SDDMM_SLAB_THREADS, 1)
sddmm_slab_32_unaligned(const __grid_constant__ SddmmSlabArgs a) {
    sddmm_slab<32, SINGLE>(a);
}

// A slot a thread: partials are read in whole lines. Slots of the same 8 rows and the same tile are neighbours, so that
// the 32 entries of a warp lie in a third as many sectors of ds.
// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SDDMM_ENTRY_THREADS)
sddmm_slab_sum(const __grid_constant__ SddmmSumArgs a) {
    const uint64_t slot = uint64_t(blockIdx.x) * SDDMM_ENTRY_THREADS + threadIdx.x;
    if (slot >= a.slots) return;
    const uint32_t entry = __ldg(at<const uint32_t>(a.entries) + slot);
    if (entry == SDDMM_NO_ENTRY) return;
    const float *partial = at<const float>(a.partials) + slot;
    float sum = *partial;
#pragma unroll 8
    for (uint64_t slab = 1; slab < a.slabs; ++slab) sum += *(partial += a.slots);
    at<float>(a.ds)[entry] += sum;
}
