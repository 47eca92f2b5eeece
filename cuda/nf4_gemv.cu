// y = x·(w + s)ᵀ for at most 8 tokens, with a 4-bit weight: the product of decoding.
//
// Reading w binds, 0.5 bytes a weight; so few tokens fill an eighth of a tile of nf4_matmul.cu, and few of its tiles
// cover w. Here a block takes 32 rows of w, and its 8 warps share the depth in turns of a few spans of 128: a lane reads
// 16 bytes of codes of a row at once, a quad of lanes two sectors, and the loads of a span are on their way while the one
// before is multiplied. Tensor cores do it, with 16 rows of w as the left operand and the tokens as the 8 columns of
// the right one: 8 tokens cost what one does. Each weight is made by the lane that needs it (as in nf4_matmul.cu, the
// depth that a fragment's element stands for is free). At the end the block adds the warps' sums in order.
//
// x stands in shared memory, a span's pieces of 16 bytes turned so that a quad of lanes reads 64 bytes in a row. The
// entries of s are added as s·x in f32, a row a warp and an entry a lane; so are the bias and the low-rank term.
#include "elements.cuh"
#include "mma.cuh"
#include "nf4.cuh"
#include "warp.cuh"

namespace {

constexpr int ROWS = NF4_GEMV_ROWS, THREADS = NF4_GEMV_THREADS, WARPS = THREADS / 32, TOKENS = NF4_GEMV_TOKENS;
constexpr int SPAN = NF4_GEMV_SPAN, MOST_SPANS = 1 << NF4_GEMV_SPANS_SHIFT;
// Octets of rows, whose codes a lane has of one row each.
constexpr int OCTETS = ROWS / 8;
// Magnitudes of a warp's turn: 2 blocks of 64 a span, at a pitch that keeps reads and writes in different banks.
constexpr int PITCH = ROWS + 12;

struct Shared {
    float magnitudes[WARPS][2 * MOST_SPANS * PITCH];
    float dynamic_codes[256];
    // What each warp has summed up, and what the entries of s add.
    float sums[WARPS + 1][ROWS * TOKENS];
};

// Where element `depth` of a token's row stands, in bytes: of a lane's four pieces of a span, piece i in the i-th quarter.
__device__ __forceinline__ uint32_t place(uint32_t depth) {
    const uint32_t piece = depth / 8 % 16;
    return depth / SPAN * (2 * SPAN) + (piece % 4 * 4 + piece / 4) * 16 + depth % 8 * 2;
}

__device__ __forceinline__ void load_x(const Nf4GemvArgs &a, unsigned char *x, uint32_t pitch) {
    const uint32_t pieces = pitch / 16 - NF4_GEMV_PADDING / 16;
    const uint16_t *from = at<const uint16_t>(a.x);
    for (uint32_t token = 0; token < a.tokens; ++token) {
        for (uint32_t at_place = threadIdx.x; at_place < pieces; at_place += THREADS) {
            // In the order of their places.
            const uint32_t piece = at_place / 16 * 16 + at_place % 4 * 4 + at_place % 16 / 4;
            const bool present = 8 * piece < a.depth;
            const uint16_t *piece_from = present ? from + uint64_t(token) * a.depth + 8 * piece : from;
            copy_async_16_or_zeros(shared_address(x + token * pitch + 16 * at_place), piece_from, present);
        }
    }
    copy_async_commit();
}

// The magnitudes of a warp's rows for the spans of its turn.
__device__ __forceinline__ void load_magnitudes(const Nf4GemvArgs &a, Shared &shared, uint32_t first_span) {
    const uint32_t lane = threadIdx.x % 32, row_blocks = a.depth / 64;
    const uint32_t blocks = 2 << a.spans_shift, shift = a.spans_shift + 1;
    float *magnitudes = shared.magnitudes[threadIdx.x / 32];
    LoadedMagnitude loaded[2 * MOST_SPANS];
#pragma unroll
    for (int i = 0; i < 2 * MOST_SPANS; ++i) {
        const uint32_t index = 32 * i + lane, row = blockIdx.x * ROWS + (index >> shift);
        const uint32_t block = 2 * first_span + (index & (blocks - 1));
        if (i < blocks && row < a.rows && block < row_blocks) {
            loaded[i] = load_magnitude(a.w, (row * row_blocks + block) >> (a.w.block_shift - 6));
        }
    }
    __syncwarp(); // those of the turn before are no longer read
#pragma unroll
    for (int i = 0; i < 2 * MOST_SPANS; ++i) {
        const uint32_t index = 32 * i + lane, row = blockIdx.x * ROWS + (index >> shift);
        const bool present = row < a.rows && 2 * first_span + (index & (blocks - 1)) < row_blocks;
        if (i < blocks) {
            magnitudes[(index & (blocks - 1)) * PITCH + (index >> shift)] =
                present ? magnitude(a.w, shared.dynamic_codes, loaded[i]) : 0;
        }
    }
    __syncwarp();
}

// 16 bytes of codes of each octet's row: 32 of the depth a member.
__device__ __forceinline__ void load_codes(const Nf4GemvArgs &a, uint4 (&codes)[OCTETS], uint32_t span) {
    const uint32_t group = threadIdx.x % 32 / 4, depth = span * SPAN + threadIdx.x % 4 * 32;
#pragma unroll
    for (int i = 0; i < OCTETS; ++i) {
        const uint32_t row = blockIdx.x * ROWS + 8 * i + group;
        const uint8_t *from = at<const uint8_t>(a.w.packed) + (uint64_t(row) * a.depth + depth) / 2;
        codes[i] = row < a.rows && depth < a.depth ? __ldg(reinterpret_cast<const uint4 *>(from)) : make_uint4(0, 0, 0, 0);
    }
}

__device__ __forceinline__ uint32_t word(const uint4 &v, int i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }

// The pairs of a word of codes.
__device__ __forceinline__ void decode(uint32_t (&pairs)[4], const Codebook &codebook, uint32_t codes, float absmax) {
#pragma unroll
    for (int p = 0; p < 4; ++p) {
        const float low = __fmul_rn(codebook[codes >> code_shift(2 * p)], absmax);
        const float high = __fmul_rn(codebook[codes >> code_shift(2 * p + 1)], absmax);
        pairs[p] = pack_pair(low, high);
    }
}

// Adds the products of a span.
__device__ __forceinline__ void multiply(float (&sums)[OCTETS / 2][4], const Nf4GemvArgs &a, const Codebook &codebook,
                                         const uint4 (&codes)[OCTETS], const float *magnitudes,
                                         const unsigned char *x) {
    const uint32_t group = threadIdx.x % 32 / 4, member = threadIdx.x % 4;
    float absmax[OCTETS];
#pragma unroll
    for (int i = 0; i < OCTETS; ++i) absmax[i] = magnitudes[member / 2 * PITCH + 8 * i + group];
#pragma unroll
    for (int c = 0; c < 4; ++c) {
        uint4 tokens = make_uint4(0, 0, 0, 0);
        if (group < a.tokens) tokens = *reinterpret_cast<const uint4 *>(x + (4 * c + member) * 16);
#pragma unroll
        for (int i = 0; i < OCTETS; i += 2) {
            uint32_t top[4], bottom[4];
            decode(top, codebook, word(codes[i], c), absmax[i]);
            decode(bottom, codebook, word(codes[i + 1], c), absmax[i + 1]);
            mma_bf16(sums[i / 2], {top[0], bottom[0], top[1], bottom[1]}, tokens.x, tokens.y);
            mma_bf16(sums[i / 2], {top[2], bottom[2], top[3], bottom[3]}, tokens.z, tokens.w);
        }
    }
}

// s·x of the block's rows, a row a warp and turn.
__device__ __forceinline__ void add_entries(const Nf4GemvArgs &a, float *sums, const unsigned char *x, uint32_t pitch) {
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t *offsets = at<const uint32_t>(a.row_offsets), *columns = at<const uint32_t>(a.col_indices);
    const float *values = at<const float>(a.values);
#pragma unroll
    for (int i = 0; i < ROWS / WARPS; ++i) {
        const uint32_t row = warp * (ROWS / WARPS) + i;
        if (blockIdx.x * ROWS + row >= a.rows) break;
        const uint32_t end = __ldg(offsets + blockIdx.x * ROWS + row + 1);
        float of_token[TOKENS] = {};
        for (uint32_t entry = __ldg(offsets + blockIdx.x * ROWS + row) + lane; entry < end; entry += 32) {
            const uint32_t from = place(__ldg(columns + entry));
            const float value = __ldg(values + entry);
#pragma unroll
            for (int t = 0; t < TOKENS; ++t) {
                if (t < a.tokens) {
                    const uint32_t bits = *reinterpret_cast<const uint16_t *>(x + t * pitch + from);
                    of_token[t] = fmaf(value, low_half(bits), of_token[t]);
                }
            }
        }
#pragma unroll
        for (int t = 0; t < TOKENS; ++t) {
            if (t < a.tokens) {
                const float sum = warp_sum(of_token[t]);
                if (lane == 0) sums[row * TOKENS + t] = sum;
            }
        }
    }
}

// Adds what the warps have of a row and token, and the rest of the layer.
__device__ __forceinline__ void finish(const Nf4GemvArgs &a, const Shared &shared) {
    static_assert(ROWS * TOKENS == THREADS, "a thread for each");
    const uint32_t row = blockIdx.x * ROWS + threadIdx.x / TOKENS, token = threadIdx.x % TOKENS;
    if (row >= a.rows || token >= a.tokens) return;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; ++w) sum += shared.sums[w][threadIdx.x];
    if (a.row_offsets != 0) sum += shared.sums[WARPS][threadIdx.x];
    float low_rank = 0;
    for (uint32_t r = 0; r < a.rank; ++r) {
        const float u = __bfloat162float(at<const __nv_bfloat16>(a.u)[token * a.rank + r]);
        low_rank = fmaf(u, __ldg(at<const float>(a.factor) + uint64_t(row) * a.rank + r), low_rank);
    }
    __nv_bfloat16 *y = at<__nv_bfloat16>(a.y) + uint64_t(token) * a.rows + row;
    float old = a.add ? __bfloat162float(*y) : 0;
    if (a.bias != 0) old += __ldg(at<const float>(a.bias) + row);
    *y = __float2bfloat16_rn(fmaf(a.scale, sum, fmaf(a.factor_scale, low_rank, old)));
}

} // namespace

// The tokens take what is left of the shared memory, 66 KB at most.
// Occupancy: 2 blocks of 256 threads a multiprocessor, 81920 bytes of shared memory each.
// Instructions: HMMA, SHFL, LDGSTS.
extern "C" __global__ void __launch_bounds__(NF4_GEMV_THREADS, 2) nf4_gemv(const __grid_constant__ Nf4GemvArgs a) {
    extern __shared__ __align__(16) unsigned char memory[];
    Shared &shared = *reinterpret_cast<Shared *>(memory);
    unsigned char *x = memory + sizeof(Shared);
    const uint32_t spans = (a.depth + SPAN - 1) / SPAN, pitch = spans * (2 * SPAN) + NF4_GEMV_PADDING;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    load_x(a, x, pitch);
    load_dynamic_codes(a.w, shared.dynamic_codes);
    const Codebook codebook;

    const uint32_t turn = 1 << a.spans_shift;
    uint4 codes[OCTETS];
    load_codes(a, codes, warp * turn);
    copy_async_wait<0>();
    __syncthreads();
    if (a.row_offsets != 0) add_entries(a, shared.sums[WARPS], x, pitch);
    float sums[OCTETS / 2][4] = {};
    for (uint32_t first = warp * turn; first < spans; first += WARPS * turn) {
        load_magnitudes(a, shared, first);
        for (uint32_t i = 0; i < turn && first + i < spans; ++i) {
            // The span after this one: of this turn, or the first of the next.
            uint4 next[OCTETS];
            load_codes(a, next, i + 1 < turn ? first + i + 1 : first + WARPS * turn);
            multiply(sums, a, codebook, codes, shared.magnitudes[warp] + 2 * i * PITCH,
                     x + lane / 4 * pitch + (first + i) * (2 * SPAN));
#pragma unroll
            for (int o = 0; o < OCTETS; ++o) codes[o] = next[o];
        }
    }
#pragma unroll
    for (int i = 0; i < OCTETS / 2; ++i) {
        float *to = shared.sums[warp] + (16 * i + lane / 4) * TOKENS + 2 * (lane % 4);
        *reinterpret_cast<float2 *>(to) = make_float2(sums[i][0], sums[i][1]);
        *reinterpret_cast<float2 *>(to + 8 * TOKENS) = make_float2(sums[i][2], sums[i][3]);
    }
    __syncthreads();
    finish(a, shared);
}
