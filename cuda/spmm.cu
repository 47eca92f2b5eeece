// y += x·Sᵀ with S sparse and x, y dense rows of tokens. On the transposed pattern the same kernels are dx += dy·S.
//
// The slab form keeps 16 tokens of x in shared memory and gathers there. A slab is stored by columns, 16 bytes for
// eight tokens of one column, which is a row as ldmatrix reads it: one ldmatrix.x4.trans brings 16 arbitrary columns of
// all 16 tokens as the left operand of one mma. Its right operand holds the values of these 16 *slots*, each in the
// column of the row it belongs to, and zeros elsewhere; the zeros are multiplied for nothing, which is cheaper than
// anything that would avoid them. So 16 entries times 16 tokens take about ten instructions, and what bounds the kernel
// is the shared memory, four passes over its banks a chunk.
//
//   chunk   16 slots: one ldmatrix, one mma
//   slice   chunks of the same rows, eight of them (bf16 values) or four (split values), or one row alone
//   window  32 neighbouring rows of S, which one warp sums slice by slice in shared memory and then adds to y in
//           whole sectors; rows are sorted by length within, so that the rows of a slice are about equally long
//
// The host has dealt the entries to slots so that the eight slots of a pass lie in eight different bank groups wherever
// that can be. Slots without an entry point at columns of zeros and have the value 0.
//
// Where S has more columns than shared memory holds, a block takes tile after tile of columns, and a window's sums
// wait in `partial` as f32 meanwhile, so that y is rounded once.
//
// The order of a sum is that of its slots: it depends on the pattern and on the size of a tile alone. Which warp takes
// a window is left to chance, and changes nothing. As in a dense product, an x that is not finite makes NaN of sums
// that it has no part in: those of the rows beside its own in a slice.
//
// Cost per slab of 16 tokens: a block reads its 32 bytes a column once, and 4 bytes a slot (6 with split values).
//
// The plain form reads x where it lies, one sector for each entry and token. For few tokens that is less than loading
// slabs that are nearly empty.
#include "elements.cuh"
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"
#include "warp.cuh"

constexpr uint32_t THREADS = SPMM_WARPS * 32;
constexpr uint32_t NO_SOURCE = 0xffffffffu;
// Adding −0 changes no number, not even −0: a row without entries stays as it is, bit for bit.
constexpr float NOTHING = -0.0f;

// ---- the slab ----------------------------------------------------------------------------------------------------

// Tokens 0–7 of column `position` lie at 16·position, tokens 8–15 one plane further: so the bank group of a column is
// position mod 8 in either half, and neighbouring columns never meet.
__device__ __forceinline__ uint32_t plane_bytes(const SpmmSlabArgs &a) {
    return 16 * (a.tile_cols + SPMM_PAD_COLUMNS);
}

// Eight tokens of four columns, as they come from memory: a token's columns 0, 1 in x and 2, 3 in y.
struct Quad {
    uint2 token[8];
};

// Puts each column's eight tokens side by side; the four columns lie a quarter of the tile apart. Consecutive lanes
// hold consecutive positions, so that no two meet in a bank.
__device__ __forceinline__ void store_transposed(uint4 *plane, const Quad &quad, uint32_t quarter) {
#pragma unroll
    for (uint32_t column = 0; column < 4; ++column) {
        const uint32_t halves = column % 2 == 0 ? 0x5410 : 0x7632;
        uint32_t pair[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const uint2 even = quad.token[2 * i], odd = quad.token[2 * i + 1];
            pair[i] = column < 2 ? __byte_perm(even.x, odd.x, halves) : __byte_perm(even.y, odd.y, halves);
        }
        plane[column * quarter] = make_uint4(pair[0], pair[1], pair[2], pair[3]);
    }
}

// Eight tokens of four neighbouring columns; rows of x start at multiples of eight bytes. `tokens` of them exist, the
// others are zeros.
__device__ __forceinline__ void load_neighbours(Quad &quad, const uint16_t *x, uint32_t cols, uint32_t tokens) {
    if (tokens == 8) {
#pragma unroll
        for (int t = 0; t < 8; ++t) {
            quad.token[t] = *reinterpret_cast<const uint2 *>(x);
            x += cols;
        }
    } else {
#pragma unroll
        for (uint32_t t = 0; t < 8; ++t) {
            quad.token[t] = t < tokens ? *reinterpret_cast<const uint2 *>(x) : make_uint2(0, 0);
            x += cols;
        }
    }
}

// Eight tokens of four columns a quarter apart, one by one; `left` columns are left from the first of them on.
__device__ __forceinline__ void load_apart(Quad &quad, const uint16_t *x, uint32_t cols, uint32_t tokens,
                                           uint32_t quarter, uint32_t left) {
#pragma unroll
    for (uint32_t t = 0; t < 8; ++t) {
        uint32_t one[4];
#pragma unroll
        for (uint32_t k = 0; k < 4; ++k) {
            one[k] = t < tokens && k * quarter < left ? x[k * quarter] : 0;
        }
        quad.token[t] = make_uint2(one[0] | one[1] << 16, one[2] | one[3] << 16);
        x += cols;
    }
}

// Fills the slab with 16 tokens of one tile; tokens and columns that do not exist are zeros. A thread takes four
// columns of eight tokens at a time: neighbours where they can be read at once, column c to position
// (c mod 4)·quarter + c/4; else columns a quarter apart, so that neighbouring lanes read neighbours, column c to
// position c.
__device__ __forceinline__ void load_slab(const SpmmSlabArgs &a, uint8_t *slab, uint32_t first_token, uint32_t tile) {
    const uint32_t quarter = a.tile_cols / 4;
    const uint32_t first_col = tile * a.tile_cols;
    const uint32_t cols = min(a.tile_cols, a.cols - first_col);
    for (uint32_t i = threadIdx.x; i < 2 * quarter; i += THREADS) {
        const uint32_t half = i >= quarter, position = i - half * quarter;
        const uint32_t token = first_token + 8 * half;
        const uint32_t tokens = token < a.tokens ? min(8u, a.tokens - token) : 0;
        const uint16_t *x = at<const uint16_t>(a.x) + uint64_t(token) * a.cols + first_col;
        Quad quad;
        if (a.cols % 4 == 0) {
            load_neighbours(quad, x + 4 * position, a.cols, 4 * position < cols ? tokens : 0);
        } else {
            const uint32_t left = position < cols ? cols - position : 0;
            load_apart(quad, x + position, a.cols, tokens, quarter, left);
        }
        store_transposed(reinterpret_cast<uint4 *>(slab + half * plane_bytes(a)) + position, quad, quarter);
    }
    if (threadIdx.x < 2 * SPMM_PAD_COLUMNS) {
        const uint32_t half = threadIdx.x / SPMM_PAD_COLUMNS, pad = threadIdx.x % SPMM_PAD_COLUMNS;
        uint4 *plane = reinterpret_cast<uint4 *>(slab + half * plane_bytes(a));
        plane[a.tile_cols + pad] = make_uint4(0, 0, 0, 0);
    }
}

// ---- values ------------------------------------------------------------------------------------------------------

// Values rounded to bf16. Slot k belongs to row k mod 8 of its slice: the right operand is two diagonals, slots 0–7
// and 8–15. A lane's word holds the values of slots `group` and 8 + `group`, each of which goes to one lane of four.
struct Bf16Values {
    using Word = uint32_t;
    uint32_t first, second; // which bytes of the word, or zeros, make the two operand registers

    __device__ __forceinline__ Bf16Values(uint32_t group, uint32_t member) {
        const bool mine = group / 2 == member, odd = group % 2 == 1;
        first = !mine ? 0x4444 : odd ? 0x1044 : 0x4410;
        second = !mine ? 0x4444 : odd ? 0x3244 : 0x4432;
    }
    __device__ __forceinline__ void multiply(float (&sums)[4], const uint32_t (&x)[4], Word values) const {
        mma_bf16(sums, x, __byte_perm(values, 0, first), __byte_perm(values, 0, second));
    }
    // Columns 2·member and the next of the product are rows of the slice, tokens `group` and 8 + `group`.
    static __device__ __forceinline__ void store(float *sums_of_window, uint32_t group, uint32_t slice,
                                                 const float (&sums)[4]) {
        const uint32_t first_row = slice >> 16 & 0xff, second_row = slice >> 24;
        if (first_row != SPMM_NO_ROW) {
            float *sum = sums_of_window + first_row * SPMM_SUM_PITCH + group;
            sum[0] = sums[0];
            sum[8] = sums[2];
        }
        if (second_row != SPMM_NO_ROW) {
            float *sum = sums_of_window + second_row * SPMM_SUM_PITCH + group;
            sum[0] = sums[1];
            sum[8] = sums[3];
        }
    }
};

// Values as the sum of two bf16 numbers. Slot k belongs to row k/2 mod 4 of its slice; columns 2r and 2r + 1 of the
// right operand hold the high and the low parts of row r, so that a lane's two sums of a token add up to the row's.
struct SplitValues {
    using Word = uint2; // the parts of slots 2r and 2r + 1, of slots 8 + 2r and 9 + 2r
    uint32_t mask;

    __device__ __forceinline__ SplitValues(uint32_t group, uint32_t member) {
        mask = group / 2 == member ? 0xffffffffu : 0;
    }
    __device__ __forceinline__ void multiply(float (&sums)[4], const uint32_t (&x)[4], Word values) const {
        mma_bf16(sums, x, values.x & mask, values.y & mask);
    }
    static __device__ __forceinline__ void store(float *sums_of_window, uint32_t group, uint32_t slice,
                                                 const float (&sums)[4]) {
        const uint32_t row = slice >> 16 & 0xff;
        if (row != SPMM_NO_ROW) {
            float *sum = sums_of_window + row * SPMM_SUM_PITCH + group;
            sum[0] = sums[0] + sums[1];
            sum[8] = sums[2] + sums[3];
        }
    }
};

// All slots of the slice belong to one row: its eight (or twice four) partial sums are added across the four lanes of a
// token, in the same order in each.
__device__ __forceinline__ void add_one_row(float *sums_of_window, uint32_t group, uint32_t member, uint32_t slice,
                                            const float (&sums)[4]) {
    float early = sums[0] + sums[1], late = sums[2] + sums[3];
#pragma unroll
    for (int distance = 1; distance < 4; distance *= 2) {
        early += __shfl_xor_sync(ALL_LANES, early, distance);
        late += __shfl_xor_sync(ALL_LANES, late, distance);
    }
    if (member == 0) {
        float *sum = sums_of_window + (slice >> 16 & 0xff) * SPMM_SUM_PITCH + group;
        sum[0] += early;
        sum[8] += late;
    }
}

// ---- a window's sums, [rows][tokens] in shared memory, and y -------------------------------------------------------

// y += sums where rows of y start at multiples of eight bytes: eight lanes take the 32 rows of a token, four tokens at
// a time. All of y is asked for before any of it is needed.
__device__ __forceinline__ void add_quads_to_y(const SpmmSlabArgs &a, const float *sums, uint32_t first_token,
                                               uint32_t first_row, uint32_t lane) {
    const uint32_t row = 4 * (lane % 8);
    const bool exists = first_row + row < a.rows;
    const uint64_t start = uint64_t(first_token + lane / 8) * a.rows + first_row + row;
    uint2 *y = at<uint2>(a.y) + start / 4; // four tokens further is a.rows of these further
    uint2 old[4];
#pragma unroll
    for (uint32_t pass = 0; pass < 4; ++pass) {
        if (exists && first_token + 4 * pass + lane / 8 < a.tokens) {
            old[pass] = y[uint64_t(pass) * a.rows];
        }
    }
#pragma unroll
    for (uint32_t pass = 0; pass < 4; ++pass) {
        if (exists && first_token + 4 * pass + lane / 8 < a.tokens) {
            const float *sum = sums + row * SPMM_SUM_PITCH + 4 * pass + lane / 8;
            const uint2 pair = old[pass];
            const uint32_t low = pack_pair(low_half(pair.x) + sum[0], high_half(pair.x) + sum[SPMM_SUM_PITCH]);
            const uint32_t high = pack_pair(low_half(pair.y) + sum[2 * SPMM_SUM_PITCH],
                                            high_half(pair.y) + sum[3 * SPMM_SUM_PITCH]);
            y[uint64_t(pass) * a.rows] = make_uint2(low, high);
        }
    }
}

// y += sums for any number of rows: a lane takes a row.
__device__ __forceinline__ void add_elements_to_y(const SpmmSlabArgs &a, const float *sums, uint32_t first_token,
                                                  uint32_t first_row, uint32_t lane) {
    if (first_row + lane >= a.rows) {
        return;
    }
    __nv_bfloat16 *y = at<__nv_bfloat16>(a.y) + uint64_t(first_token) * a.rows + first_row + lane;
    const uint32_t tokens = min(uint32_t(SPMM_SLAB_TOKENS), a.tokens - first_token);
#pragma unroll 4
    for (uint32_t t = 0; t < tokens; ++t) {
        __nv_bfloat16 *out = y + uint64_t(t) * a.rows;
        *out = __float2bfloat16_rn(__bfloat162float(*out) + sums[lane * SPMM_SUM_PITCH + t]);
    }
}

// ---- the slab form ---------------------------------------------------------------------------------------------------

// The window that this warp takes next: a number that no other warp of the block gets.
__device__ __forceinline__ uint32_t take(uint32_t *counter, uint32_t lane) {
    uint32_t taken = 0;
    if (lane == 0) {
        taken = atomicAdd(counter, 1u);
    }
    return __shfl_sync(ALL_LANES, taken, 0);
}

// Stores the sums of one window and tile. `range` is what `ranges` says of it.
template <class Values>
__device__ __forceinline__ void sum_window(const SpmmSlabArgs &a, uint32_t slab, uint4 range, float *sums,
                                           uint32_t lane) {
    using Word = typename Values::Word;
    constexpr uint32_t WORDS = 8; // of a chunk: one for each group of lanes
    const uint32_t group = lane / 4, member = lane % 4;
    const Values layout(group, member);
    // Lanes 8i to 8i + 7 give the addresses of matrix i: slots 0–7 or 8–15, tokens 0–7 or 8–15.
    const uint32_t slot = lane / 16 * 8 + lane % 8;
    const uint32_t plane = slab + lane / 8 % 2 * plane_bytes(a);
    const uint16_t *codes = at<const uint16_t>(a.codes) + uint64_t(range.z) * SPMM_CHUNK_SLOTS + slot;
    const Word *values = at<const Word>(a.values) + uint64_t(range.z) * WORDS + group;
    const uint32_t *slices = at<const uint32_t>(a.slices) + uint64_t(range.y) * 4 + member;

    if (range.w & SPMM_SOME_ROW_NOT_STORED) {
#pragma unroll
        for (uint32_t t = 0; t < SPMM_SLAB_TOKENS; ++t) {
            sums[lane * SPMM_SUM_PITCH + t] = NOTHING;
        }
        __syncwarp();
    }
    uint32_t slices_left = range.w & ~SPMM_SOME_ROW_NOT_STORED;
    if (slices_left == 0) {
        return;
    }
    // A ring of chunks on their way. Behind the window's last chunk it reads some of another's, which nobody uses: 3 % of
    // traffic for a loop without a condition.
    uint32_t code[SPMM_CHUNKS_AHEAD];
    Word value[SPMM_CHUNKS_AHEAD];
#pragma unroll
    for (uint32_t i = 0; i < SPMM_CHUNKS_AHEAD; ++i) {
        code[i] = codes[i * SPMM_CHUNK_SLOTS];
        value[i] = values[i * WORDS];
    }
    uint32_t slice = slices[0], next_slice = slices_left > 1 ? slices[4] : 0;
    uint32_t chunks = slice & (SPMM_ONE_ROW - 1);
    float product[4] = {0, 0, 0, 0};
    while (true) {
        codes += SPMM_CHUNKS_AHEAD * SPMM_CHUNK_SLOTS;
        values += SPMM_CHUNKS_AHEAD * WORDS;
#pragma unroll
        for (uint32_t i = 0; i < SPMM_CHUNKS_AHEAD; ++i) {
            uint32_t x[4];
            ldmatrix_x4_trans(x, plane + 16 * code[i]);
            layout.multiply(product, x, value[i]);
            code[i] = codes[i * SPMM_CHUNK_SLOTS];
            value[i] = values[i * WORDS];
            if (--chunks > 0) {
                continue;
            }
            // Slices that rows share come first and hold each row once; what a row has beyond is added to it.
            if (slice & SPMM_ONE_ROW) {
                __syncwarp();
                add_one_row(sums, group, member, slice, product);
            } else {
                Values::store(sums, group, slice, product);
            }
            if (--slices_left == 0) {
                __syncwarp();
                return;
            }
            slices += 4;
            slice = next_slice;
            next_slice = slices_left > 1 ? slices[4] : 0;
            chunks = slice & (SPMM_ONE_ROW - 1);
            product[0] = product[1] = product[2] = product[3] = 0;
        }
    }
}

// Block (slab, group): all windows `group`, `group` + groups, … of the list, for the 16 tokens of the slab.
template <class Values> __device__ __forceinline__ void spmm_slab(const SpmmSlabArgs &a) {
    extern __shared__ __align__(16) uint8_t slab[];
    __shared__ uint32_t counter;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t first_token = blockIdx.x * SPMM_SLAB_TOKENS;
    constexpr uint32_t SUMS = SPMM_WINDOW_ROWS * SPMM_SUM_PITCH;
    float *sums = reinterpret_cast<float *>(slab + 2 * plane_bytes(a)) + warp * SUMS;

    for (uint32_t tile = 0; tile < a.tiles; ++tile) {
        __syncthreads(); // the tile before has been used, and its partial sums are written
        if (threadIdx.x == 0) {
            counter = 0;
        }
        load_slab(a, slab, first_token, tile);
        __syncthreads();
        const bool first = tile == 0, last = tile + 1 == a.tiles;
        while (true) {
            const uint64_t window = uint64_t(take(&counter, lane)) * gridDim.y + blockIdx.y;
            if (window >= a.windows) {
                break;
            }
            const uint4 range = __ldg(at<const uint4>(a.ranges) + uint64_t(tile) * a.windows + window);
            sum_window<Values>(a, shared_address(slab), range, sums, lane);
            float *partial = at<float>(a.partial) + (uint64_t(blockIdx.x) * a.windows + window) * 512 + lane;
            float *row = sums + lane * SPMM_SUM_PITCH;
            if (!first) {
#pragma unroll
                for (uint32_t t = 0; t < SPMM_SLAB_TOKENS; ++t) {
                    row[t] += partial[32 * t];
                }
                __syncwarp();
            }
            if (!last) {
#pragma unroll
                for (uint32_t t = 0; t < SPMM_SLAB_TOKENS; ++t) {
                    partial[32 * t] = row[t];
                }
            } else if (a.rows % 4 == 0) {
                add_quads_to_y(a, sums, first_token, range.x * SPMM_WINDOW_ROWS, lane);
            } else {
                add_elements_to_y(a, sums, first_token, range.x * SPMM_WINDOW_ROWS, lane);
            }
            __syncwarp();
        }
    }
}

// 80 registers a thread. Shared memory: 32 bytes a column of the tile, 256 of zeros, 34 816 of sums: with 4096 columns
// one block of 16 warps an SM on sm_80, so that up to 128 registers cost nothing.
// Occupancy: 1 block of 512 threads a multiprocessor, 166160 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(THREADS, 1) spmm_slab_bf16(const __grid_constant__ SpmmSlabArgs a) {
    spmm_slab<Bf16Values>(a);
}

// Occupancy: 1 block of 512 threads a multiprocessor, 166160 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(THREADS, 1) spmm_slab_split(const __grid_constant__ SpmmSlabArgs a) {
    spmm_slab<SplitValues>(a);
}

// ---- packing -----------------------------------------------------------------------------------------------------

// The value of a slot, 0 where it holds no entry.
__device__ __forceinline__ float value_of(const SpmmPackArgs &a, uint64_t slot) {
    uint32_t entry = __ldg(at<const uint32_t>(a.sources) + slot);
    if (entry == NO_SOURCE) {
        return 0;
    }
    if (a.permutation != 0) {
        entry = __ldg(at<const uint32_t>(a.permutation) + entry);
    }
    return __ldg(at<const float>(a.values) + entry);
}

// A thread makes one word: slots k and 8 + k.
// Occupancy: 4 blocks of 512 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(THREADS) spmm_pack_bf16(const __grid_constant__ SpmmPackArgs a) {
    const uint64_t step = uint64_t(gridDim.x) * THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * THREADS + threadIdx.x; i < 8 * a.chunks; i += step) {
        const uint64_t slot = i / 8 * SPMM_CHUNK_SLOTS + i % 8;
        at<uint32_t>(a.packed)[i] = pack_pair(value_of(a, slot), value_of(a, slot + 8));
    }
}

// A thread makes two words, the high and the low parts of slots k and k + 1 for an even k. A row's words lie together:
// high parts of its first two slots, of its last two, then the low parts.
// Occupancy: 4 blocks of 512 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(THREADS) spmm_pack_split(const __grid_constant__ SpmmPackArgs a) {
    const uint64_t step = uint64_t(gridDim.x) * THREADS;
    for (uint64_t i = uint64_t(blockIdx.x) * THREADS + threadIdx.x; i < 8 * a.chunks; i += step) {
        const float even = value_of(a, 2 * i), odd = value_of(a, 2 * i + 1);
        const uint32_t high = pack_pair(even, odd);
        const uint64_t row = i % 4, last = i % 8 / 4;
        uint32_t *packed = at<uint32_t>(a.packed) + i / 8 * SPMM_CHUNK_SLOTS + 4 * row + last;
        packed[0] = high;
        packed[2] = pack_pair(even - low_half(high), odd - high_half(high));
    }
}

// ---- the plain form ------------------------------------------------------------------------------------------------

// A warp takes a row and four tokens: a lane every 32nd entry, then a sum over the lanes. Rows need no order of length:
// there are many small blocks, and one that ends makes room for the next.
// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(SPMM_PLAIN_WARPS * 32)
    spmm_plain(const __grid_constant__ SpmmPlainArgs a) {
    const uint32_t lane = threadIdx.x % 32;
    const uint64_t row = uint64_t(blockIdx.x) * SPMM_PLAIN_WARPS + threadIdx.x / 32;
    if (row >= a.rows) {
        return;
    }
    const uint32_t start = __ldg(at<const uint32_t>(a.row_offsets) + row);
    const uint32_t end = __ldg(at<const uint32_t>(a.row_offsets) + row + 1);
    if (start == end) {
        return;
    }
    const uint32_t first_token = blockIdx.y * SPMM_PLAIN_TOKENS;
    const __nv_bfloat16 *x = at<const __nv_bfloat16>(a.x) + uint64_t(first_token) * a.cols;
    float sums[SPMM_PLAIN_TOKENS] = {};
#pragma unroll 2
    for (uint64_t entry = uint64_t(start) + lane; entry < end; entry += 32) {
        const uint32_t col = __ldg(at<const uint32_t>(a.col_indices) + entry);
        const uint64_t source = a.permutation != 0 ? __ldg(at<const uint32_t>(a.permutation) + entry) : entry;
        float value = __ldg(at<const float>(a.values) + source);
        if (a.rounded) {
            value = __bfloat162float(__float2bfloat16_rn(value));
        }
#pragma unroll
        for (uint32_t t = 0; t < SPMM_PLAIN_TOKENS; ++t) {
            if (first_token + t < a.tokens) {
                sums[t] = fmaf(value, __bfloat162float(x[uint64_t(t) * a.cols + col]), sums[t]);
            }
        }
    }
    float mine = 0;
#pragma unroll
    for (uint32_t t = 0; t < SPMM_PLAIN_TOKENS; ++t) {
        const float sum = warp_sum(sums[t]);
        mine = lane == t ? sum : mine;
    }
    if (lane < SPMM_PLAIN_TOKENS && first_token + lane < a.tokens) {
        __nv_bfloat16 *y = at<__nv_bfloat16>(a.y) + uint64_t(first_token + lane) * a.rows + row;
        *y = __float2bfloat16_rn(__bfloat162float(*y) + mine);
    }
}
