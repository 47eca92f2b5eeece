// Products with a 4-bit weight: y = x·wᵀ (nt) and dx = dy·w (nn), with the rest of a linear layer in the same pass.
//
// A block owns a tile of 128 × 256 of the output and walks the depth in steps of 64, rising. A pipeline of three stages
// keeps the activations and the packed codes of the next steps on their way by cp.async; the numbers that the codes
// stand for never are in memory: each warp has 32 of the 256 columns, and makes the fragments of the tensor cores from
// the codes in registers, every weight once a block. A warp's square of 128 × 32 reads as much of the activations as
// one of 64 × 64 would of both operands, but the weights pass through shared memory at 4 bits instead of 16.
//
// Which of the depth a fragment's element stands for is free, if both operands agree, and so is the order of columns:
//   depth: lane 4·group + member has octets 2·member and 2·member + 1 of a step's 64, one in each half of it. Of the
//     activations, these are 16 bytes of a row, which one load brings as two fragments; of nt's codes, 8 bytes;
//   columns: fragment j of four has column 4·group + j of a warp's 32. So a lane's sums are 8 neighbours of a row of the
//     output, and of nn's codes it reads the 16 bits that hold its 4 columns of one row.
//
// Cost for each 64 of the depth of a tile: 16 KB of activations and 8.5 KB of the weight from L2; 1024 passes over the
// banks for the fragments of the activations, some 330 for all else; 2048 cycles of an A100's tensor cores, which bind.
//
// The sparse adapter: its entries of a tile and step, prepared on the host once a mask, are brought to shared memory a
// step ahead, an entry a thread. Those of one unit, the 8 weights that a lane makes together, share a slot of 8 numbers;
// a table says which units have one. They are added in f32 before the one rounding to bf16. What is added where there
// is no entry is −0, which changes no number.
//
// The low-rank term is more depth: u for activations, the factor, scaled and as the sum of two bf16 numbers, for the
// weight. The bias joins at the end.
//
// Rows that are not whole blocks of 64: each element by itself, slowly, in the same order.
#include "elements.cuh"
#include "mma.cuh"
#include "nf4.cuh"

namespace {

constexpr int ROWS = NF4_MATMUL_ROWS, COLS = NF4_MATMUL_COLS, THREADS = NF4_MATMUL_THREADS;
constexpr int STEP = NF4_MATMUL_STEP, STAGES = NF4_MATMUL_STAGES;
constexpr int WARP_COLS = 32, ROW_FRAGMENTS = ROWS / 16, COL_FRAGMENTS = WARP_COLS / 8;
static_assert(THREADS / 32 * WARP_COLS == COLS, "a warp for each 32 columns");

constexpr uint32_t LEFT_BYTES = ROWS * STEP * 2, PACKED_BYTES = COLS * STEP / 2;
constexpr uint32_t STAGE_BYTES = LEFT_BYTES + PACKED_BYTES;

enum class Form { NT, NN };

// Where a lane's operands begin.
struct Lane {
    int warp = threadIdx.x >> 5, index = threadIdx.x & 31, group = index >> 2, member = index & 3;
};

// ---- the magnitudes of the weights of a step ---------------------------------------------------------------------

// nt: of each row those of 8 steps lie in one sector. They are replaced together, a part in each of the 8 steps before.
constexpr int NT_STEPS = 8, NT_PITCH = COLS + 4;
// nn: of each row of a step those of the 4 blocks of 64 columns.
constexpr int NN_BLOCKS = COLS / 64, NN_PITCH = STEP + 8;
constexpr uint32_t MAGNITUDES = 2 * NT_STEPS * NT_PITCH;
static_assert(MAGNITUDES >= 2 * NN_BLOCKS * NN_PITCH, "room for either form");

template <Form FORM> struct Magnitudes {
    float *shared;
    const float *dynamic_codes;
    const Nf4Weight &w;
    uint32_t first_col, cols, first_step, steps;
    uint32_t row_blocks, shift; // blocks of 64 in a row of w; how many of them share a magnitude
    uint32_t depth_end;
    // Where this lane reads and this thread writes, in the lines of the first steps.
    const uint32_t from, to;

    static __device__ __forceinline__ uint32_t read_place(const Lane &lane) {
        if constexpr (FORM == Form::NT) return lane.warp * WARP_COLS + 4 * lane.group;
        return lane.warp * WARP_COLS / 64 * NN_PITCH + nn_place(4 * lane.member);
    }
    static __device__ __forceinline__ uint32_t write_place() {
        if constexpr (FORM == Form::NT) return threadIdx.x % NT_STEPS * NT_PITCH + threadIdx.x / NT_STEPS;
        const uint32_t row = threadIdx.x / NN_BLOCKS;
        return threadIdx.x % NN_BLOCKS * NN_PITCH + nn_place(row / 4) + row % 4;
    }
    // Four rows stand together; in the upper half of a step, pairs of fours are swapped.
    static __device__ __forceinline__ uint32_t nn_place(uint32_t four) { return 4 * (four ^ four >> 3); }

    // A part of what step `step` of this block reads, which thread and part decide.
    __device__ __forceinline__ LoadedMagnitude load(uint32_t step, uint32_t part) const {
        if constexpr (FORM == Form::NT) {
            const uint32_t row = first_col + 32 * part + threadIdx.x / NT_STEPS;
            step += threadIdx.x % NT_STEPS;
            if (row >= cols || step >= steps) return {};
            return load_magnitude(w, (row * row_blocks + first_step + step) >> shift);
        } else {
            const uint32_t row = (first_step + step) * STEP + threadIdx.x / NN_BLOCKS;
            const uint32_t block = first_col / 64 + threadIdx.x % NN_BLOCKS;
            if (row >= depth_end || block >= row_blocks) return {};
            return load_magnitude(w, (row * row_blocks + block) >> shift);
        }
    }

    __device__ __forceinline__ void store(uint32_t step, uint32_t part, LoadedMagnitude loaded) const {
        const float x = magnitude(w, dynamic_codes, loaded);
        if constexpr (FORM == Form::NT) {
            shared[to + step / NT_STEPS % 2 * (NT_STEPS * NT_PITCH) + 32 * part] = x;
        } else {
            shared[to + step % 2 * (NN_BLOCKS * NN_PITCH)] = x;
        }
    }

    // Those of the first steps.
    __device__ __forceinline__ void fill() const {
        constexpr int PARTS = FORM == Form::NT ? NT_STEPS : 1;
        for (int part = 0; part < PARTS; ++part) store(0, part, load(0, part));
    }
    // What is loaded while step `step` is multiplied.
    __device__ __forceinline__ LoadedMagnitude load_ahead(uint32_t step) const {
        if constexpr (FORM == Form::NT) {
            return load((step / NT_STEPS + 1) * NT_STEPS, step % NT_STEPS);
        } else {
            return load(step + 1, 0);
        }
    }
    __device__ __forceinline__ void store_ahead(uint32_t step, LoadedMagnitude loaded) const {
        if constexpr (FORM == Form::NT) {
            store((step / NT_STEPS + 1) * NT_STEPS, step % NT_STEPS, loaded);
        } else {
            store(step + 1, 0, loaded);
        }
    }

    // nt: of rows 4·group to 4·group + 3 of the warp. nn: of the first or second 4 rows of the member's octet in a half.
    __device__ __forceinline__ float4 four(uint32_t step, int half, int second) const {
        if constexpr (FORM == Form::NT) {
            return at_place(from + step % (2 * NT_STEPS) * NT_PITCH);
        } else {
            return at_place((from ^ 4 * second) + 8 * half + step % 2 * (NN_BLOCKS * NN_PITCH));
        }
    }
    __device__ __forceinline__ float4 at_place(uint32_t place) const {
        return *reinterpret_cast<const float4 *>(shared + place);
    }
};

// ---- the sparse adapter ------------------------------------------------------------------------------------------

// What a step adds: the slot of each unit, 0 where there is none, and the slots.
struct alignas(16) Additions {
    uint8_t slot_of[NF4_MATMUL_UNITS];
    float slots[NF4_MATMUL_ENTRIES + 1][NF4_WORD];
};

// Additions of three steps: one is read, one written, one cleared.
struct SparseSteps {
    Additions *additions;
    const uint32_t *starts; // of this block's steps
    uint32_t steps;
    const uint2 *entries;
    const float *values;
    // The entries of this thread in the next step and the one after, and where those of the steps after that begin.
    uint2 next, after;
    float value;
    uint32_t begin, end;

    static constexpr uint32_t NONE = 0xffffffffu;

    __device__ __forceinline__ uint32_t start_of(uint32_t step) const { return starts[min(step, steps)]; }

    __device__ __forceinline__ uint2 entry(uint32_t begin, uint32_t end) const {
        return begin + threadIdx.x < end ? __ldg(entries + begin + threadIdx.x) : make_uint2(NONE, 0);
    }

    __device__ __forceinline__ void clear(Additions &of) const {
        const float4 none = make_float4(-0.0f, -0.0f, -0.0f, -0.0f);
        if (threadIdx.x < NF4_MATMUL_UNITS / 16) reinterpret_cast<uint4 *>(of.slot_of)[threadIdx.x] = make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int i = 0; i < 2; ++i) reinterpret_cast<float4 *>(of.slots)[threadIdx.x + i * THREADS] = none;
    }

    __device__ __forceinline__ void scatter(Additions &to) const {
        if (next.x == NONE) return;
        const uint32_t unit = next.x & (NF4_MATMUL_UNITS - 1), slot = next.x >> NF4_MATMUL_SLOT_SHIFT;
        to.slot_of[unit] = uint8_t(slot);
        to.slots[slot][next.x >> NF4_MATMUL_PLACE_SHIFT & 7] = value;
    }

    __device__ __forceinline__ void fill() {
        clear(additions[0]);
        clear(additions[1]);
        __syncthreads();
        next = entry(start_of(0), start_of(1));
        value = next.x == NONE ? 0 : __ldg(values + next.y);
        scatter(additions[0]);
        next = entry(start_of(1), start_of(2));
        begin = start_of(2), end = start_of(3);
    }
    // The loads for the next steps, and room for the one after the next.
    __device__ __forceinline__ uint32_t load_ahead(uint32_t step) {
        value = next.x == NONE ? 0 : __ldg(values + next.y);
        after = entry(begin, end);
        clear(additions[(step + 2) % 3]);
        return start_of(step + 4);
    }
    __device__ __forceinline__ void store_ahead(uint32_t step, uint32_t new_end) {
        scatter(additions[(step + 1) % 3]);
        next = after, begin = end, end = new_end;
    }

    // Adds to the 8 weights of a unit.
    __device__ __forceinline__ static void add(const Additions &from, const Lane &lane, int number,
                                               float (&weights)[NF4_WORD]) {
        const uint32_t slot = from.slot_of[(lane.warp * 8 + number) * 32 + lane.index];
        if (slot != 0) {
            const float4 low = reinterpret_cast<const float4 *>(from.slots[slot])[0];
            const float4 high = reinterpret_cast<const float4 *>(from.slots[slot])[1];
            weights[0] = __fadd_rn(weights[0], low.x), weights[1] = __fadd_rn(weights[1], low.y);
            weights[2] = __fadd_rn(weights[2], low.z), weights[3] = __fadd_rn(weights[3], low.w);
            weights[4] = __fadd_rn(weights[4], high.x), weights[5] = __fadd_rn(weights[5], high.y);
            weights[6] = __fadd_rn(weights[6], high.z), weights[7] = __fadd_rn(weights[7], high.w);
        }
    }
};

// ---- operands ----------------------------------------------------------------------------------------------------

// What this thread brings to a stage of activations: an octet of the depth, of every 32nd row. Of an odd row, octets
// are swapped in pairs, so that the four that a quad of lanes reads and those of the row below lie in different banks.
// Stages are filled in order: what moves with the step is a pointer, the rest stays.
struct Left {
    static constexpr int ROW_STEP = THREADS / 8, PIECES = ROWS / ROW_STEP;

    const uint16_t *next;
    uint64_t row_step;
    uint32_t to = kept(threadIdx.x / 8 * (2 * STEP) + ((threadIdx.x % 8 ^ threadIdx.x / 8 % 2) << 4));
    uint32_t octet = kept(8 * (threadIdx.x % 8)), count = 0;

    __device__ __forceinline__ Left(uint64_t address, uint32_t first_row, uint32_t rows, uint32_t first_depth,
                                    uint32_t cols)
        : row_step(uint64_t(ROW_STEP) * cols) {
        const uint32_t row = first_row + threadIdx.x / 8;
        if (row < rows) count = min((rows - row - 1) / ROW_STEP + 1, uint32_t(PIECES));
        next = at<const uint16_t>(address) + uint64_t(row) * cols + first_depth + octet;
    }

    // The next 64 of the depth, of which there are `left`; zeros beyond.
    template <bool ALIGNED> __device__ __forceinline__ void start(uint32_t stage, uint32_t left) {
        const uint32_t pieces = octet < left ? count : 0;
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            const uint32_t place = stage + to + i * (ROW_STEP * 2 * STEP);
            const uint16_t *from = next + i * row_step;
            if constexpr (ALIGNED) {
                copy_async_16_or_zeros(place, from, i < pieces);
            } else {
                uint32_t pairs[4];
#pragma unroll
                for (int p = 0; p < 4; ++p) {
                    const uint32_t low = i < pieces && octet + 2 * p < left ? __ldg(from + 2 * p) : 0;
                    const uint32_t high = i < pieces && octet + 2 * p + 1 < left ? __ldg(from + 2 * p + 1) : 0;
                    pairs[p] = low | high << 16;
                }
                *static_cast<uint4 *>(__cvta_shared_to_generic(place)) =
                    make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
            }
        }
        next += STEP;
    }
};

// What this thread brings to a stage of packed codes: two pieces of 16 bytes.
template <Form FORM> struct Packed16 {
    const uint8_t *next;
    uint64_t piece_step, step_bytes;
    uint32_t to, row, count = 0;

    __device__ __forceinline__ Packed16(const Nf4MatmulArgs &a, uint32_t first_col, uint32_t first_depth) {
        next = at<const uint8_t>(a.w.packed);
        if constexpr (FORM == Form::NT) {
            // A row's 32 bytes; those of the warp's rows 4·group + j for the same j side by side.
            const uint32_t place = threadIdx.x / 2, piece = threadIdx.x % 2;
            row = first_col + place / 32 * 32 + place % 8 * 4 + place % 32 / 8;
            if (row < a.cols) count = row + COLS / 2 < a.cols ? 2 : 1;
            next += (uint64_t(row) * a.depth + first_depth) / 2 + 16 * piece;
            piece_step = uint64_t(COLS / 2) * a.depth / 2, step_bytes = STEP / 2;
            to = kept(place * 32 + 16 * piece);
        } else {
            // A row's 128 bytes, 16 a warp; turned so that rows of different members lie in different banks.
            row = threadIdx.x / 8;
            const uint32_t piece = threadIdx.x % 8, col = first_col + 32 * piece, row_bytes = a.cols / 2;
            if (col < a.cols) count = 2;
            next += uint64_t(first_depth + row) * row_bytes + col / 2;
            piece_step = uint64_t(STEP / 2) * row_bytes, step_bytes = uint64_t(STEP) * row_bytes;
            to = kept(row * (COLS / 2) + ((piece ^ row / 16) << 4));
        }
    }

    // The next step's, whose rows of the depth are `left`.
    __device__ __forceinline__ void start(uint32_t stage, uint32_t left) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            // In the lower half of nn's rows, the row's turn has another bit.
            const uint32_t place = (FORM == Form::NT ? to : to ^ i << 5) + i * (PACKED_BYTES / 2);
            const bool present = i < count && (FORM == Form::NT || row + i * (STEP / 2) < left);
            copy_async_16_or_zeros(stage + place, next + i * piece_step, present);
        }
        next += step_bytes;
    }
};

// Where a lane's octets of a half of the step begin, in the first of the fragments' rows.
__device__ __forceinline__ uint32_t left_place(const Lane &lane, int half) {
    return lane.group * (2 * STEP) + (((2 * lane.member + half) ^ (lane.group & 1)) << 4);
}

// The right fragments of a half of the step: of column fragment j, pairs 0 to 3 of the member's octet.
using Right = uint32_t[COL_FRAGMENTS][4];

// 8 weights of one column and an octet of the depth, as pairs.
__device__ __forceinline__ void pack_octet(uint32_t (&pairs)[4], const float (&x)[NF4_WORD]) {
#pragma unroll
    for (int p = 0; p < 4; ++p) pairs[p] = pack_pair(x[2 * p], x[2 * p + 1]);
}
// 8 weights of 4 columns and two of the depth, pair `p` of each column.
__device__ __forceinline__ void pack_two_rows(Right &right, int p, const float (&x)[NF4_WORD]) {
#pragma unroll
    for (int j = 0; j < COL_FRAGMENTS; ++j) right[j][p] = pack_pair(x[j], x[4 + j]);
}

// Where a lane's codes begin in a stage's: of nt's first column, of nn's first row.
template <Form FORM> __device__ __forceinline__ uint32_t packed_place(const Lane &lane) {
    if constexpr (FORM == Form::NT) return (lane.warp * WARP_COLS + lane.group) * 32 + 8 * lane.member;
    return 16 * lane.member * (COLS / 2) + ((lane.warp ^ lane.member) << 4) + 2 * lane.group;
}

// nt: the codes of both halves of a step, loaded at once: that is what keeps the lanes in different banks.
struct Codes {
    uint2 of_column[COL_FRAGMENTS];

    __device__ __forceinline__ Codes(uint32_t packed) {
#pragma unroll
        for (int j = 0; j < COL_FRAGMENTS; ++j) {
            of_column[j] = *static_cast<const uint2 *>(__cvta_shared_to_generic(packed + 8 * j * 32));
        }
    }
};

template <Form FORM, bool SPARSE>
__device__ __forceinline__ void make_right(Right &right, uint32_t packed, const Codes &codes, const Lane &lane,
                                           const Codebook &codebook, const Magnitudes<FORM> &magnitudes, uint32_t step,
                                           int half, const Additions *additions) {
    float x[NF4_WORD];
    if constexpr (FORM == Form::NT) {
        const float4 four = magnitudes.four(step, half, 0);
        const float absmax[COL_FRAGMENTS] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (int j = 0; j < COL_FRAGMENTS; ++j) {
            const uint32_t word = half == 0 ? codes.of_column[j].x : codes.of_column[j].y;
#pragma unroll
            for (int i = 0; i < NF4_WORD; ++i) x[i] = __fmul_rn(codebook[word >> code_shift(i)], absmax[j]);
            if constexpr (SPARSE) SparseSteps::add(*additions, lane, 4 * half + j, x);
            pack_octet(right[j], x);
        }
    } else {
        const uint32_t from = packed + 8 * half * (COLS / 2);
#pragma unroll
        for (int four = 0; four < 2; ++four) {
            const float4 absmax = magnitudes.four(step, half, four);
#pragma unroll
            for (int p = 2 * four; p < 2 * four + 2; ++p) {
                const uint32_t low = *static_cast<const uint16_t *>(__cvta_shared_to_generic(from + 2 * p * (COLS / 2)));
                const uint32_t high =
                    *static_cast<const uint16_t *>(__cvta_shared_to_generic(from + (2 * p + 1) * (COLS / 2)));
#pragma unroll
                for (int j = 0; j < COL_FRAGMENTS; ++j) {
                    x[j] = __fmul_rn(codebook[low >> code_shift(j)], p % 2 == 0 ? absmax.x : absmax.z);
                    x[4 + j] = __fmul_rn(codebook[high >> code_shift(j)], p % 2 == 0 ? absmax.y : absmax.w);
                }
                if constexpr (SPARSE) SparseSteps::add(*additions, lane, 4 * half + p, x);
                pack_two_rows(right, p, x);
            }
        }
    }
}

// The same from numbers by row and column of the weight, f(depth, column), with the depth counted from the step's first.
template <Form FORM, class F>
__device__ __forceinline__ void make_right_of(Right &right, const Lane &lane, int half, F f) {
    const uint32_t depth = 8 * (2 * lane.member + half), col = lane.warp * WARP_COLS + 4 * lane.group;
    float x[NF4_WORD];
    if constexpr (FORM == Form::NT) {
#pragma unroll
        for (int j = 0; j < COL_FRAGMENTS; ++j) {
#pragma unroll
            for (int i = 0; i < NF4_WORD; ++i) x[i] = f(depth + i, col + j);
            pack_octet(right[j], x);
        }
    } else {
#pragma unroll
        for (int p = 0; p < 4; ++p) {
#pragma unroll
            for (int i = 0; i < NF4_WORD; ++i) x[i] = f(depth + 2 * p + i / 4, col + i % 4);
            pack_two_rows(right, p, x);
        }
    }
}

using Sums = float[ROW_FRAGMENTS][COL_FRAGMENTS][4];

// Adds the products of a half of a step, whose activations begin at `left`; of rows beyond the last, 32 by 32, there are
// none.
__device__ __forceinline__ void multiply(Sums &sums, uint32_t left, const Right &right, uint32_t rows) {
    left = kept(left);
#pragma unroll
    for (int pair = 0; pair < ROW_FRAGMENTS; pair += 2) {
        if (pair == 0 || 16 * pair < rows) {
#pragma unroll
            for (int i = pair; i < pair + 2; ++i) {
                // Pairs 0 to 3 of an octet, in two rows.
                const uint4 top = *static_cast<const uint4 *>(__cvta_shared_to_generic(left + 16 * i * (2 * STEP)));
                const uint4 low = *static_cast<const uint4 *>(__cvta_shared_to_generic(left + (16 * i + 8) * (2 * STEP)));
                const uint32_t first[4] = {top.x, low.x, top.y, low.y}, second[4] = {top.z, low.z, top.w, low.w};
#pragma unroll
                for (int j = 0; j < COL_FRAGMENTS; ++j) {
                    mma_bf16(sums[i][j], first, right[j][0], right[j][1]);
                    mma_bf16(sums[i][j], second, right[j][2], right[j][3]);
                }
            }
        }
    }
}

// ---- the product -------------------------------------------------------------------------------------------------

// The corner of this block's tile: tiles in bands of 8 tile rows, column by column, as in matmul.cu.
__device__ __forceinline__ uint2 tile_corner(const Nf4MatmulArgs &a) {
    const uint32_t tile_rows = (a.rows - 1) / ROWS + 1, tile_cols = (a.cols - 1) / COLS + 1;
    const uint32_t band = blockIdx.x / (MATMUL_BAND * tile_cols), within = blockIdx.x % (MATMUL_BAND * tile_cols);
    const uint32_t height = min(tile_rows - band * MATMUL_BAND, MATMUL_BAND);
    return make_uint2((band * MATMUL_BAND + within % height) * ROWS, within / height * COLS);
}

// Four neighbours of a row of the factor, of which `count` exist, if any.
__device__ __forceinline__ void load_four(float *x, const float *p, uint32_t count, bool aligned) {
    if (aligned) {
        const float4 four = count > 0 ? __ldg(reinterpret_cast<const float4 *>(p)) : make_float4(0, 0, 0, 0);
        x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
    } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) x[i] = i < count ? __ldg(p + i) : 0;
    }
}

// The factor's fragments of a half of a step of the rank: each number, scaled, counts as its rounding to bf16 (high) and
// the rounding of what that leaves (low).
template <Form FORM>
__device__ __forceinline__ void make_factor(Right &high, Right &low, const Nf4MatmulArgs &a, const Lane &lane, int half,
                                            uint32_t first, uint32_t first_col) {
    const float *factor = at<const float>(a.factor);
    const uint32_t r = first + 8 * (2 * lane.member + half), col = first_col + lane.warp * WARP_COLS + 4 * lane.group;
#pragma unroll
    for (int unit = 0; unit < 4; ++unit) {
        float x[NF4_WORD], rest[NF4_WORD];
        if constexpr (FORM == Form::NT) {
            const uint32_t count = r < a.rank && col + unit < a.cols ? 8 : 0;
            const float *from = factor + (count > 0 ? (col + unit) * a.rank + r : 0);
            load_four(x, from, count, true);
            load_four(x + 4, from + 4, count, true);
        } else {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const uint32_t count = r < a.rank && col < a.cols ? a.cols - col : 0;
                load_four(x + 4 * i, factor + (count > 0 ? (r + 2 * unit + i) * a.cols + col : 0), count, a.cols % 4 == 0);
            }
        }
#pragma unroll
        for (int i = 0; i < NF4_WORD; ++i) {
            x[i] *= a.factor_scale;
            rest[i] = x[i] - __bfloat162float(__float2bfloat16_rn(x[i]));
        }
        if constexpr (FORM == Form::NT) {
            pack_octet(high[unit], x);
            pack_octet(low[unit], rest);
        } else {
            pack_two_rows(high, unit, x);
            pack_two_rows(low, unit, rest);
        }
    }
}

// sums += u · factor_scale · factor, in steps of 64 of the rank.
template <Form FORM>
__device__ __forceinline__ void add_low_rank(Sums &sums, const Nf4MatmulArgs &a, uint32_t stage, const Lane &lane,
                                             uint2 corner) {
    for (uint32_t first = 0; first < a.rank; first += STEP) {
        __syncthreads(); // the stage is no longer read
        Left(a.u, corner.x, a.rows, first, a.rank).start<true>(stage, a.rank - first);
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();
#pragma unroll 1
        for (int half = 0; half < 2; ++half) {
            Right high, low;
            make_factor<FORM>(high, low, a, lane, half, first, corner.y);
            multiply(sums, stage + left_place(lane, half), high, a.rows - corner.x);
            multiply(sums, stage + left_place(lane, half), low, a.rows - corner.x);
        }
    }
}

// 8 neighbours of a row: to the partial sums, or the output.
__device__ __forceinline__ void write_octet(const Nf4MatmulArgs &a, const Floats<8> &sum, uint32_t row, uint32_t col,
                                            bool bias) {
    const uint64_t at_octet = uint64_t(row) * a.cols + col;
    const uint32_t count = a.cols - col;
    const bool vector = a.cols % 8 == 0;
    float *partials = at<float>(a.partials) + blockIdx.y * uint64_t(a.rows) * a.cols + at_octet;
    __nv_bfloat16 *out = at<__nv_bfloat16>(a.out) + at_octet;
    Floats<8> x = {};
    if (gridDim.y == 1 && a.add) {
        if (vector) {
            x = load<8>(out);
        } else {
#pragma unroll
            for (int i = 0; i < 8; ++i) x.v[i] = i < count ? __bfloat162float(out[i]) : 0;
        }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        x.v[i] = fmaf(gridDim.y == 1 ? a.scale : 1, sum.v[i], x.v[i]);
        if (bias && i < count) x.v[i] += __ldg(at<const float>(a.bias) + col + i);
    }
    if (vector) {
        if (gridDim.y == 1) {
            store(out, x);
        } else {
            store(partials, x);
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            if (i < count) {
                if (gridDim.y == 1) {
                    out[i] = __float2bfloat16_rn(x.v[i]);
                } else {
                    partials[i] = x.v[i];
                }
            }
        }
    }
}

__device__ __forceinline__ void write(const Sums &sums, const Nf4MatmulArgs &a, const Lane &lane, uint2 corner) {
    const uint32_t col = corner.y + lane.warp * WARP_COLS + 8 * lane.member;
    const bool bias = a.bias != 0 && blockIdx.y == 0;
#pragma unroll
    for (int i = 0; i < 2 * ROW_FRAGMENTS; ++i) {
        const uint32_t row = corner.x + 8 * i + lane.group;
        Floats<8> octet;
#pragma unroll
        for (int j = 0; j < COL_FRAGMENTS; ++j) {
            octet.v[j] = sums[i / 2][j][i % 2 * 2];
            octet.v[4 + j] = sums[i / 2][j][i % 2 * 2 + 1];
        }
        if (row < a.rows && col < a.cols) write_octet(a, octet, row, col, bias);
    }
}

template <Form FORM, bool SPARSE> __device__ __forceinline__ void aligned(const Nf4MatmulArgs &a) {
    extern __shared__ __align__(128) unsigned char memory[];
    const uint32_t stages = shared_address(memory);
    float *shared_magnitudes = reinterpret_cast<float *>(memory + STAGES * STAGE_BYTES);
    float *dynamic_codes = shared_magnitudes + MAGNITUDES;
    Additions *additions = reinterpret_cast<Additions *>(dynamic_codes + 256);
    load_dynamic_codes(a.w, dynamic_codes);
    const Lane lane;
    const Codebook codebook;
    const uint2 corner = tile_corner(a);
    const uint32_t first_step = blockIdx.y * (a.split_depth / STEP), begin = first_step * STEP;
    const uint32_t end = begin + min(a.depth - begin, a.split_depth), steps = (end - begin + STEP - 1) / STEP;
    const Magnitudes<FORM> magnitudes{shared_magnitudes, dynamic_codes, a.w, corner.y, a.cols, first_step, steps,
                                      (FORM == Form::NT ? a.depth : a.cols) / 64, a.w.block_shift - 6, end,
                                      kept(Magnitudes<FORM>::read_place(lane)), kept(Magnitudes<FORM>::write_place())};
    Left left(a.left, corner.x, a.rows, begin, a.depth);
    Packed16<FORM> packed(a, corner.y, begin);
    const auto start = [&](uint32_t step, uint32_t stage) {
        left.start<true>(stage, end - begin - step * STEP);
        packed.start(stage + LEFT_BYTES, end - begin - step * STEP);
    };
    const uint32_t left_places[2] = {kept(left_place(lane, 0)), kept(left_place(lane, 1))};
    const uint32_t codes_place = kept(LEFT_BYTES + packed_place<FORM>(lane)), rows = kept(a.rows - corner.x);

    // Every step ends one group of copies, be it empty, so that the wait below always means the same stage.
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (stage < steps) start(stage, stages + stage * STAGE_BYTES);
        copy_async_commit();
    }
    __syncthreads(); // the values of magnitudes' codes are there
    magnitudes.fill();
    SparseSteps sparse{};
    if constexpr (SPARSE) {
        const uint32_t all_steps = (a.depth + STEP - 1) / STEP;
        sparse.additions = additions;
        sparse.starts = at<const uint32_t>(a.starts) + corner.y / COLS * all_steps + first_step;
        sparse.steps = steps;
        sparse.entries = at<const uint2>(a.entries);
        sparse.values = at<const float>(a.values);
        sparse.fill();
    }
    Sums sums = {};
    const uint32_t end_of_stages = stages + STAGES * STAGE_BYTES;
    uint32_t from = stages, ahead = stages + (STAGES - 1) * STAGE_BYTES;
    for (uint32_t step = 0; step < steps; ++step) {
        copy_async_wait<STAGES - 2>();
        // All have what this step multiplies, and all are done with what the next copies overwrite.
        __syncthreads();
        if (step + STAGES - 1 < steps) start(step + STAGES - 1, ahead);
        copy_async_commit();
        const LoadedMagnitude loaded = magnitudes.load_ahead(step);
        uint32_t new_end = 0;
        if constexpr (SPARSE) new_end = sparse.load_ahead(step);
        const Codes codes(from + codes_place);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            Right right;
            make_right<FORM, SPARSE>(right, from + codes_place, codes, lane, codebook, magnitudes, step, half,
                                     additions + step % 3);
            multiply(sums, from + left_places[half], right, rows);
        }
        magnitudes.store_ahead(step, loaded);
        if constexpr (SPARSE) sparse.store_ahead(step, new_end);
        ahead = from;
        from = from + STAGE_BYTES == end_of_stages ? stages : from + STAGE_BYTES;
    }
    if (blockIdx.y + 1 == gridDim.y) add_low_rank<FORM>(sums, a, stages, lane, corner);
    write(sums, a, lane, corner);
}

template <Form FORM> __device__ __forceinline__ void unaligned(const Nf4MatmulArgs &a) {
    extern __shared__ __align__(128) unsigned char memory[];
    const uint32_t stage = shared_address(memory);
    const Lane lane;
    const uint2 corner = tile_corner(a);
    const uint32_t begin = blockIdx.y * a.split_depth, end = begin + min(a.depth - begin, a.split_depth);
    Left left(a.left, corner.x, a.rows, begin, a.depth);
    Sums sums = {};
    for (uint32_t depth = begin; depth < end; depth += STEP) {
        __syncthreads(); // the stage is no longer read
        left.start<false>(stage, end - depth);
        __syncthreads();
#pragma unroll 1
        for (int half = 0; half < 2; ++half) {
            Right right;
            make_right_of<FORM>(right, lane, half, [&](uint32_t row, uint32_t col) {
                row += depth, col += corner.y;
                if (row >= end || col >= a.cols) return 0.0f;
                return nf4_element(a.w, FORM == Form::NT ? uint64_t(col) * a.depth + row : uint64_t(row) * a.cols + col);
            });
            multiply(sums, stage + left_place(lane, half), right, a.rows - corner.x);
        }
    }
    if (blockIdx.y + 1 == gridDim.y) add_low_rank<FORM>(sums, a, stage, lane, corner);
    write(sums, a, lane, corner);
}

} // namespace

// Occupancy: 1 block of 256 threads a multiprocessor, 91392 bytes of shared memory each.
// Instructions: HMMA, SHFL, LDGSTS.
extern "C" __global__ void __launch_bounds__(NF4_MATMUL_THREADS, 1)
nf4_matmul_nt(const __grid_constant__ Nf4MatmulArgs a) {
    aligned<Form::NT, false>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 91392 bytes of shared memory each.
// Instructions: HMMA, SHFL, LDGSTS.
extern "C" __global__ void __launch_bounds__(NF4_MATMUL_THREADS, 1)
nf4_matmul_nn(const __grid_constant__ Nf4MatmulArgs a) {
    aligned<Form::NN, false>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 122112 bytes of shared memory each.
// Instructions: HMMA, SHFL, LDGSTS.
extern "C" __global__ void __launch_bounds__(NF4_MATMUL_THREADS, 1)
nf4_matmul_nt_sparse(const __grid_constant__ Nf4MatmulArgs a) {
    aligned<Form::NT, true>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 122112 bytes of shared memory each.
// Instructions: HMMA, SHFL, LDGSTS.
extern "C" __global__ void __launch_bounds__(NF4_MATMUL_THREADS, 1)
nf4_matmul_nn_sparse(const __grid_constant__ Nf4MatmulArgs a) {
    aligned<Form::NN, true>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 16384 bytes of shared memory each.
// Instructions: HMMA.
extern "C" __global__ void __launch_bounds__(NF4_MATMUL_THREADS, 1)
nf4_matmul_nt_unaligned(const __grid_constant__ Nf4MatmulArgs a) {
    unaligned<Form::NT>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 16384 bytes of shared memory each.
// Instructions: HMMA.
extern "C" __global__ void __launch_bounds__(NF4_MATMUL_THREADS, 1)
nf4_matmul_nn_unaligned(const __grid_constant__ Nf4MatmulArgs a) {
    unaligned<Form::NN>(a);
}

// Adds the parts of an element in order, an element a thread and turn; a warp reads full lines.
// Occupancy: 6 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 6)
nf4_matmul_sum(const __grid_constant__ Nf4MatmulArgs a) {
    const uint64_t len = uint64_t(a.rows) * a.cols, turn = uint64_t(gridDim.x) * ELEMENTWISE_THREADS;
    const uint32_t splits = (a.depth - 1) / a.split_depth + 1;
    const float *partials = at<const float>(a.partials);
    __nv_bfloat16 *out = at<__nv_bfloat16>(a.out);
    for (uint64_t i = uint64_t(blockIdx.x) * ELEMENTWISE_THREADS + threadIdx.x; i < len; i += turn) {
        float total = 0;
#pragma unroll 4
        for (uint32_t split = 0; split < splits; ++split) total += __ldg(partials + split * len + i);
        const float old = a.add ? __bfloat162float(out[i]) : 0;
        out[i] = __float2bfloat16_rn(fmaf(a.scale, total, old));
    }
}
