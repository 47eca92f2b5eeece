// Dense products: out ← [out +] scale · left · right, in the three orientations of a linear layer.
//
//   nt: y  = x·wᵀ [+ bias + s·u·Bᵀ]    left x [rows, depth], right w [cols, depth]
//   nn: dx = dy·w [+ s·u·A]            left dy [rows, depth], right w [depth, cols]
//   tn: dw = dyᵀ·x                     left dy [depth, rows], right x [depth, cols], out in f32
//
// One template computes all of them. A block owns a tile of the output and walks the depth in steps of 32, rising; a
// pipeline of stages in shared memory keeps the operands of the next steps on their way by cp.async. Stages hold the
// rows of either operand as memory does, along the depth or across it; ldmatrix, plain or transposing, makes the same
// fragments of both. Every element of the output is the sum of the same tensor-core products in the same order,
// whatever the tile: the choice among tiles is free.
//
// Cost, for each 32 of the depth: a tile m × n reads 64·(m + n) bytes and takes m·n/32 cycles of an A100's tensor
// cores, during which L2 gives a multiprocessor about m·n bytes. So
//   wide, 128 × 256: 24 KB in 1024 cycles, bound by the tensor cores: the form of large products;
//   middle, 128 × 128: 16 KB in 512 cycles, just balanced: where wide tiles leave multiprocessors idle;
//   small, 64 × 64: 8 KB in 128 cycles, bound by L2: where even those do, and for all that is thin. A rank of 16 or the
//   few tokens of decoding fill a part of such a tile; but then reading the long operand once binds by far (one token
//   and w 4096 × 4096: 33.5 MB in 22 µs from an A100's memory, 3.4 µs of tensor cores), and what is outside of
//   the matrices is neither read nor, where a warp has nothing else, multiplied.
// An H100 multiplies in half the cycles, in which L2 gives 0.37·m·n bytes: L2 binds every tile once they occupy it, and
// wide ones win though they occupy half of it. src/backend/cuda/matmul.rs weighs the two for each product.
// A thin product has few tiles and a long depth. Its blocks then take a part of the depth each (blockIdx.y), and a
// second kernel adds the parts in order. Whether to split depends on the shape alone, as it changes the rounding.
//
// What a linear layer adds to its product joins it, so that the output is written once and not read: the sums start
// from the bias, and the depth goes on over the columns of u. These steps are few, and brought without a pipeline: at
// rank 16 a wide tile waits 700 cycles for them and multiplies for 1024, after 131 072 for a depth of 4096. A product
// of its own would take 1536 in small f32 tiles, and move the output twice more. Of a split product, the last part has
// them. In tn, `scores += g²` is a way to write: the dense gradient g of a weight is never stored.
//
// Where rows are not all 16-byte aligned, operands pass through registers element by element, into small tiles.
// So do f32 weights: each is split into two bf16 numbers on its way, its rounding and the rounding of what that leaves,
// and meets the left operand twice. Their sum is off by 2⁻¹⁷ of the weight at most. A step then takes
//   middle, 128 × 128: 24 KB in 1024 cycles, bound by the tensor cores;
//   narrow, 128 × 64: 16 KB in 512 cycles, just balanced;
//   small, 64 × 64: 12 KB in 256 cycles, bound by L2.
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"
#include <cuda_bf16.h>

namespace {

constexpr int STEP = MATMUL_STEP;

// A tile of ROWS × COLS and its pipeline. Two rows of warps share it.
template <int ROWS_, int COLS_, int THREADS_, int STAGES_> struct Tile {
    static constexpr int ROWS = ROWS_, COLS = COLS_, THREADS = THREADS_, STAGES = STAGES_;
    static constexpr int WARP_ROWS = ROWS / 2, WARP_COLS = COLS / (THREADS / 64);
    // Only thin products are split, and these have small tiles.
    static constexpr bool SPLITS = ROWS == MATMUL_SMALL_ROWS;
    static_assert(WARP_ROWS % 16 == 0 && WARP_COLS % 16 == 0, "a warp multiplies what ldmatrix brings");
};
using Wide = Tile<MATMUL_WIDE_ROWS, MATMUL_WIDE_COLS, MATMUL_WIDE_THREADS, MATMUL_WIDE_STAGES>;
using Middle = Tile<MATMUL_MIDDLE_ROWS, MATMUL_MIDDLE_COLS, MATMUL_MIDDLE_THREADS, MATMUL_MIDDLE_STAGES>;
using MiddleF32 = Tile<MATMUL_MIDDLE_ROWS, MATMUL_MIDDLE_COLS, MATMUL_MIDDLE_F32_THREADS, MATMUL_MIDDLE_STAGES>;
using NarrowF32 = Tile<MATMUL_NARROW_ROWS, MATMUL_NARROW_COLS, MATMUL_NARROW_THREADS, MATMUL_NARROW_STAGES>;
using Small = Tile<MATMUL_SMALL_ROWS, MATMUL_SMALL_COLS, MATMUL_SMALL_THREADS, MATMUL_SMALL_STAGES>;

using Bf16 = uint16_t;

// Which way the rows of an operand run in memory.
enum class Rows { ALONG_DEPTH, ACROSS_DEPTH };

// Where 8 elements from column 8·octet of a row of COLS elements stand in a stage. An ldmatrix reads the same octet of
// 8 rows at a time: turned by the row, these lie in the 8 groups of banks. Of short rows, two lie side by side in a
// line of all banks, and turn together.
template <int COLS> __device__ __forceinline__ uint32_t place(int row, int octet) {
    constexpr int OCTETS = COLS / 8, ROWS_A_LINE = OCTETS < 8 ? 8 / OCTETS : 1, TURNS = OCTETS < 8 ? OCTETS : 8;
    return row * (2 * COLS) + ((octet ^ (row / ROWS_A_LINE % TURNS)) << 4);
}

// Elements that pass through registers: as they are loaded, and the bf16 numbers that stand for them.
__device__ __forceinline__ void split(Bf16 x, float, uint32_t (&parts)[1]) { parts[0] = x; }

// f32, times a factor, as the sum of two bf16 numbers. The difference is exact, as it needs 16 bits only.
__device__ __forceinline__ void split(float x, float factor, uint32_t (&parts)[2]) {
    x *= factor;
    const __nv_bfloat16 high = __float2bfloat16_rn(x);
    parts[0] = __bfloat16_as_ushort(high);
    parts[1] = __bfloat16_as_ushort(__float2bfloat16_rn(x - __bfloat162float(high)));
}

// What a tile needs of one operand: LINES rows of left, or columns of right, by STEP of the depth.
//
// `start` brings a step into a stage, and `finish` completes what passed through registers in between, so that these
// loads have the time of a step as well. Outside of the matrix stand zeros, which are not read.
template <class Element, Rows ROWS_RUN, int LINES, int THREADS, bool ALIGNED> struct Operand {
    static constexpr bool ALONG = ROWS_RUN == Rows::ALONG_DEPTH;
    static constexpr int ROWS = ALONG ? LINES : STEP, COLS = ALONG ? STEP : LINES;
    // bf16 numbers that stand for an element, each in a part of the stage of its own.
    static constexpr int PARTS = sizeof(Element) / 2;
    static constexpr uint32_t PART_BYTES = 2 * LINES * STEP, BYTES = PARTS * PART_BYTES;
    static constexpr bool ASYNC = ALIGNED && PARTS == 1;
    // What a thread moves at a time, elements of one row, and how often.
    static constexpr int PIECE = ASYNC ? 8 : 4, PIECES_A_ROW = COLS / PIECE, PIECES = ROWS * PIECES_A_ROW / THREADS;

    const Element *matrix;
    uint32_t cols, first_line, lines, depth_end;
    Element held[PIECES][4];

    __device__ __forceinline__ Operand(uint64_t address, uint32_t first_line, uint32_t lines, uint32_t depth,
                                       uint32_t depth_end)
        : matrix(at<const Element>(address)), cols(ALONG ? depth : lines), first_line(first_line), lines(lines),
          depth_end(depth_end) {}

    __device__ __forceinline__ void start(uint32_t stage, uint32_t depth) {
#pragma unroll
        for (int i = 0; i < PIECES; ++i) start_piece(i, held[i], stage, depth);
    }

    __device__ __forceinline__ void finish(uint32_t stage) const {
#pragma unroll
        for (int i = 0; i < PIECES; ++i) finish_piece(i, held[i], stage, 1);
    }

    // A step at once, times `factor` where it passes through registers: a few pieces at a time, to need few of these.
    __device__ __forceinline__ void bring(uint32_t stage, uint32_t depth, float factor) const {
#pragma unroll 4
        for (int i = 0; i < PIECES; ++i) {
            Element piece[4];
            start_piece(i, piece, stage, depth);
            finish_piece(i, piece, stage, factor);
        }
    }

    __device__ __forceinline__ void start_piece(int i, Element (&piece)[4], uint32_t stage, uint32_t depth) const {
        const uint32_t first_row = ALONG ? first_line : depth, end_row = ALONG ? lines : depth_end;
        const uint32_t first_col = ALONG ? depth : first_line, end_col = ALONG ? depth_end : lines;
        const int index = threadIdx.x + i * THREADS, row = index / PIECES_A_ROW, place_in_row = index % PIECES_A_ROW;
        const uint32_t r = first_row + row, c = first_col + PIECE * place_in_row;
        const uint32_t left = r < end_row && c < end_col ? end_col - c : 0;
        const Element *from = left > 0 ? matrix + uint64_t(r) * cols + c : matrix;
        if constexpr (ASYNC) {
            copy_async_16_or_zeros(stage + place<COLS>(row, place_in_row), from, left > 0);
        } else {
            load_4(piece, from, left);
        }
    }

    static __device__ __forceinline__ void finish_piece(int i, const Element (&piece)[4], uint32_t stage,
                                                        float factor) {
        if constexpr (!ASYNC) {
            const int index = threadIdx.x + i * THREADS, row = index / PIECES_A_ROW, quad = index % PIECES_A_ROW;
            uint32_t parts[4][PARTS];
#pragma unroll
            for (int j = 0; j < 4; ++j) split(piece[j], factor, parts[j]);
#pragma unroll
            for (int part = 0; part < PARTS; ++part) {
                const uint32_t address = stage + part * PART_BYTES + place<COLS>(row, quad / 2) + quad % 2 * 8;
                *static_cast<uint2 *>(__cvta_shared_to_generic(address)) =
                    make_uint2(parts[0][part] | parts[1][part] << 16, parts[2][part] | parts[3][part] << 16);
            }
        }
    }

    // Four elements of which `left` exist.
    static __device__ __forceinline__ void load_4(Element (&x)[4], const Element *p, uint32_t left) {
        if constexpr (ALIGNED && PARTS == 2) {
            const float4 quad = left > 0 ? __ldg(reinterpret_cast<const float4 *>(p)) : make_float4(0, 0, 0, 0);
            x[0] = quad.x, x[1] = quad.y, x[2] = quad.z, x[3] = quad.w;
        } else {
#pragma unroll
            for (int j = 0; j < 4; ++j) x[j] = j < left ? __ldg(p + j) : Element(0);
        }
    }

    // Four 8×8 matrices from line `line` and depth `depth` of the stage on: the lanes of each quarter of the warp give
    // how far theirs is from there.
    static __device__ __forceinline__ void fragment(uint32_t (&d)[4], uint32_t part, int line, int depth) {
        const int inner = threadIdx.x & 7;
        if constexpr (ALONG) {
            ldmatrix_x4(d, part + place<COLS>(line + inner, depth / 8));
        } else {
            ldmatrix_x4_trans(d, part + place<COLS>(depth + inner, line / 8));
        }
    }
};

// Adds the products of one stage, of whose depth `depth_left` is in use, to the sums of a warp. An ldmatrix brings 16
// lines by 16 of the depth.
template <class Left, class Right, int ROWS, int COLS>
__device__ __forceinline__ void multiply(float (&sums)[ROWS][COLS][4], uint32_t stage, int first_row, int first_col,
                                         uint32_t depth_left = STEP) {
    const int quarter = (threadIdx.x & 31) >> 3;
    // The matrices of left differ in lines first, then in depth; those of right the other way round.
    const int low = 8 * (quarter & 1), high = 8 * (quarter >> 1);
#pragma unroll
    for (int depth = 0; depth < STEP; depth += 16) {
        if (depth >= depth_left) return;
        uint32_t left[ROWS][4], right[COLS / 2][4];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) Left::fragment(left[i], stage, first_row + 16 * i + low, depth + high);
#pragma unroll
        for (int part = 0; part < Right::PARTS; ++part) {
            const uint32_t base = stage + Left::BYTES + part * Right::PART_BYTES;
#pragma unroll
            for (int j = 0; j < COLS / 2; ++j) Right::fragment(right[j], base, first_col + 16 * j + high, depth + low);
#pragma unroll
            for (int i = 0; i < ROWS; ++i) {
#pragma unroll
                for (int j = 0; j < COLS; ++j)
                    mma_bf16(sums[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
            }
        }
    }
}

// Two neighbours of a row of the output, of which `count` exist, if any; PAIRS says that both do, and are aligned.
template <bool PAIRS> __device__ __forceinline__ float2 load_pair(const float *p, uint32_t count) {
    if constexpr (PAIRS) return *reinterpret_cast<const float2 *>(p);
    return make_float2(p[0], count > 1 ? p[1] : 0);
}
template <bool PAIRS> __device__ __forceinline__ float2 load_pair(const __nv_bfloat16 *p, uint32_t count) {
    if constexpr (PAIRS) return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162 *>(p));
    return make_float2(__bfloat162float(p[0]), count > 1 ? __bfloat162float(p[1]) : 0);
}
template <bool PAIRS> __device__ __forceinline__ void store_pair(float *p, float2 x, uint32_t count) {
    if constexpr (PAIRS) {
        *reinterpret_cast<float2 *>(p) = x;
    } else {
        p[0] = x.x;
        if (count > 1) p[1] = x.y;
    }
}
template <bool PAIRS> __device__ __forceinline__ void store_pair(__nv_bfloat16 *p, float2 x, uint32_t count) {
    if constexpr (PAIRS) {
        *reinterpret_cast<__nv_bfloat162 *>(p) = __float22bfloat162_rn(x);
    } else {
        p[0] = __float2bfloat16_rn(x.x);
        if (count > 1) p[1] = __float2bfloat16_rn(x.y);
    }
}

// out ← [out +] scale · sums, or out += sums², for the part of a warp. What is added to is read for a row of fragments
// at a time, so that these loads wait together. A square and its sum are rounded once, as on the CPU.
template <bool PAIRS, class Out, int ROWS, int COLS>
__device__ __forceinline__ void write(const float (&sums)[ROWS][COLS][4], Out *out, uint32_t rows,
                                      uint32_t cols, uint32_t first_row, uint32_t first_col, float scale,
                                      uint32_t write_as) {
    const uint32_t row = first_row + (threadIdx.x & 31) / 4, col = first_col + threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < 2 * ROWS; ++i) {
        Out *p = out + uint64_t(row + 8 * i) * cols + col;
        const uint32_t left = row + 8 * i < rows && col < cols ? cols - col : 0;
        float2 pairs[COLS] = {};
        if (write_as != MATMUL_OVERWRITE) {
#pragma unroll
            for (int j = 0; j < COLS; ++j) {
                if (8 * j < left) pairs[j] = load_pair<PAIRS>(p + 8 * j, left - 8 * j);
            }
        }
#pragma unroll
        for (int j = 0; j < COLS; ++j) {
            const float *sum = sums[i / 2][j] + i % 2 * 2;
            const bool square = sizeof(Out) == 4 && write_as == MATMUL_ADD_SQUARE;
            const float2 pair = make_float2(fmaf(square ? sum[0] : scale, sum[0], pairs[j].x),
                                            fmaf(square ? sum[1] : scale, sum[1], pairs[j].y));
            if (8 * j < left) store_pair<PAIRS>(p + 8 * j, pair, left - 8 * j);
        }
    }
}

// The same for rows of any length: pairs are aligned where all rows are even.
template <class Out, int ROWS, int COLS>
__device__ __forceinline__ void write(const float (&sums)[ROWS][COLS][4], Out *out, uint32_t rows,
                                      uint32_t cols, uint32_t first_row, uint32_t first_col, float scale,
                                      uint32_t write_as) {
    if (cols % 2 == 0) {
        write<true>(sums, out, rows, cols, first_row, first_col, scale, write_as);
    } else {
        write<false>(sums, out, rows, cols, first_row, first_col, scale, write_as);
    }
}

// The corner of this block's tile. Tiles are taken in bands of tile rows, column by column within a band: those that
// run at the same time then share both their rows and their columns in L2.
template <class T> __device__ __forceinline__ uint2 tile_corner(const MatmulArgs &a) {
    const uint32_t tile_rows = (a.rows - 1) / T::ROWS + 1, tile_cols = (a.cols - 1) / T::COLS + 1;
    const uint32_t band = blockIdx.x / (MATMUL_BAND * tile_cols), within = blockIdx.x % (MATMUL_BAND * tile_cols);
    const uint32_t height = min(tile_rows - band * MATMUL_BAND, MATMUL_BAND);
    return make_uint2((band * MATMUL_BAND + within % height) * T::ROWS, within / height * T::COLS);
}

// The sums of a warp start from the bias of their columns.
template <int ROWS, int COLS>
__device__ __forceinline__ void start_from(float (&sums)[ROWS][COLS][4], const float *bias, uint32_t cols,
                                           uint32_t first_col) {
    const uint32_t col = first_col + threadIdx.x % 4 * 2;
#pragma unroll
    for (int j = 0; j < COLS; ++j) {
        const float first = col + 8 * j < cols ? __ldg(bias + col + 8 * j) : 0;
        const float second = col + 8 * j + 1 < cols ? __ldg(bias + col + 8 * j + 1) : 0;
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            sums[i][j][0] = sums[i][j][2] = first;
            sums[i][j][1] = sums[i][j][3] = second;
        }
    }
}

// Brings a step of u and of the factor, times its scale, into a stage.
template <class U, class Factor>
__device__ __forceinline__ void bring_low_rank(const MatmulArgs &a, uint32_t stage, uint2 corner, uint32_t depth) {
    U(a.u, corner.x, a.rows, a.rank, a.rank).bring(stage, depth, 1);
    copy_async_commit();
    Factor(a.factor, corner.y, a.cols, a.rank, a.rank).bring(stage + U::BYTES, depth, a.low_rank_scale);
    copy_async_wait<0>();
}

// Adds the low-rank term to the sums of a warp, through the memory of the pipeline, which has run dry. Operands make the
// same stage whether they are aligned or not.
template <class T, Rows RIGHT, bool ALIGNED, int ROWS, int COLS>
__device__ __forceinline__ void add_low_rank(float (&sums)[ROWS][COLS][4], const MatmulArgs &a,
                                             uint32_t stage, uint2 corner, int row, int col, bool inside) {
    using U = Operand<Bf16, Rows::ALONG_DEPTH, T::ROWS, T::THREADS, ALIGNED>;
    using Factor = Operand<float, RIGHT, T::COLS, T::THREADS, ALIGNED>;
    using RaggedU = Operand<Bf16, Rows::ALONG_DEPTH, T::ROWS, T::THREADS, false>;
    using RaggedFactor = Operand<float, RIGHT, T::COLS, T::THREADS, false>;
    static_assert(U::BYTES == RaggedU::BYTES && Factor::BYTES == RaggedFactor::BYTES, "a stage is a stage");
    static_assert(U::BYTES + Factor::BYTES <= 2 * T::STAGES * STEP * (T::ROWS + T::COLS), "it fits in the pipeline");
#pragma unroll 1
    for (uint32_t depth = 0; depth < a.rank; depth += STEP) {
        __syncthreads();
        if (ALIGNED && a.rank % 8 == 0) {
            bring_low_rank<U, Factor>(a, stage, corner, depth);
        } else {
            bring_low_rank<RaggedU, RaggedFactor>(a, stage, corner, depth);
        }
        __syncthreads();
        if (inside) multiply<U, Factor>(sums, stage, row, col, a.rank - depth);
    }
}

template <class T, class Out, Rows LEFT, Rows RIGHT, class RightElement, bool ALIGNED>
__device__ __forceinline__ void matmul(const MatmulArgs &a) {
    using Left = Operand<Bf16, LEFT, T::ROWS, T::THREADS, ALIGNED>;
    using Right = Operand<RightElement, RIGHT, T::COLS, T::THREADS, ALIGNED>;
    constexpr uint32_t STAGE_BYTES = Left::BYTES + Right::BYTES;
    // A linear layer's product, which others join, and not the gradient of its weight.
    constexpr bool LINEAR = LEFT == Rows::ALONG_DEPTH;
    extern __shared__ __align__(128) unsigned char memory[];
    const uint32_t stages = shared_address(memory);
    const uint2 corner = tile_corner<T>(a);
    const uint32_t depth_begin = blockIdx.y * a.split_depth;
    const uint32_t depth_end = depth_begin + min(a.depth - depth_begin, a.split_depth);
    Left left(a.left, corner.x, a.rows, a.depth, depth_end);
    Right right(a.right, corner.y, a.cols, a.depth, depth_end);

    const int warp = threadIdx.x >> 5, row = warp % 2 * T::WARP_ROWS, col = warp / 2 * T::WARP_COLS;
    const bool inside = corner.x + row < a.rows && corner.y + col < a.cols;
    float sums[T::WARP_ROWS / 16][T::WARP_COLS / 8][4] = {};
    if constexpr (LINEAR) {
        if (a.bias != 0 && depth_begin == 0) start_from(sums, at<const float>(a.bias), a.cols, corner.y + col);
    }

    // Every step ends one group of copies, be it empty, so that the wait below always means the same stage.
#pragma unroll
    for (int stage = 0; stage < T::STAGES - 1; ++stage) {
        const uint32_t depth = depth_begin + stage * STEP, to = stages + stage * STAGE_BYTES;
        if (depth < depth_end) {
            left.start(to, depth);
            right.start(to + Left::BYTES, depth);
            left.finish(to);
            right.finish(to + Left::BYTES);
        }
        copy_async_commit();
    }
    uint32_t stage = 0, ahead = T::STAGES - 1;
    for (uint32_t depth = depth_begin; depth < depth_end; depth += STEP) {
        copy_async_wait<T::STAGES - 2>();
        // All have what this step multiplies, and all are done with what the next copy overwrites.
        __syncthreads();
        const uint32_t next = depth + (T::STAGES - 1) * STEP, to = stages + ahead * STAGE_BYTES;
        if (next < depth_end) {
            left.start(to, next);
            right.start(to + Left::BYTES, next);
        }
        copy_async_commit();
        if (inside) multiply<Left, Right>(sums, stages + stage * STAGE_BYTES, row, col);
        if (next < depth_end) {
            left.finish(to);
            right.finish(to + Left::BYTES);
        }
        stage = stage + 1 == T::STAGES ? 0 : stage + 1;
        ahead = ahead + 1 == T::STAGES ? 0 : ahead + 1;
    }

    if constexpr (LINEAR) {
        if (depth_end == a.depth) add_low_rank<T, RIGHT, ALIGNED>(sums, a, stages, corner, row, col, inside);
    }

    if (T::SPLITS && gridDim.y > 1) {
        float *partials = at<float>(a.partials) + uint64_t(blockIdx.y) * a.rows * a.cols;
        write(sums, partials, a.rows, a.cols, corner.x + row, corner.y + col, 1, MATMUL_OVERWRITE);
    } else {
        write(sums, at<Out>(a.out), a.rows, a.cols, corner.x + row, corner.y + col, a.scale, a.write);
    }
}

// The three orientations.
template <class T, class Weight = Bf16, bool ALIGNED = true> __device__ __forceinline__ void nt(const MatmulArgs &a) {
    matmul<T, __nv_bfloat16, Rows::ALONG_DEPTH, Rows::ALONG_DEPTH, Weight, ALIGNED>(a);
}
template <class T, class Weight = Bf16, bool ALIGNED = true> __device__ __forceinline__ void nn(const MatmulArgs &a) {
    matmul<T, __nv_bfloat16, Rows::ALONG_DEPTH, Rows::ACROSS_DEPTH, Weight, ALIGNED>(a);
}
template <class T, bool ALIGNED = true> __device__ __forceinline__ void tn(const MatmulArgs &a) {
    matmul<T, float, Rows::ACROSS_DEPTH, Rows::ACROSS_DEPTH, Bf16, ALIGNED>(a);
}

// Adds the parts of an element in order, an element a thread and turn; a warp reads full lines.
template <class Out> __device__ __forceinline__ void sum(const MatmulArgs &a) {
    const uint64_t len = uint64_t(a.rows) * a.cols, turn = uint64_t(gridDim.x) * MATMUL_SUM_THREADS;
    const uint32_t splits = (a.depth - 1) / a.split_depth + 1;
    const float *partials = at<const float>(a.partials);
    Out *out = at<Out>(a.out);
    for (uint64_t i = uint64_t(blockIdx.x) * MATMUL_SUM_THREADS + threadIdx.x; i < len; i += turn) {
        float total = 0;
#pragma unroll 4
        for (uint32_t split = 0; split < splits; ++split) total += __ldg(partials + split * len + i);
        const float old = a.write == MATMUL_OVERWRITE ? 0 : load_pair<false>(out + i, 1).x;
        const float factor = a.write == MATMUL_ADD_SQUARE ? total : a.scale;
        store_pair<false>(out + i, make_float2(fmaf(factor, total, old), 0), 1);
    }
}

} // namespace

// A thread holds 128 sums and the fragments of a 64 × 64 square.
// Occupancy: 1 block of 256 threads a multiprocessor, 98304 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_WIDE_THREADS, 1)
matmul_nt_wide(const __grid_constant__ MatmulArgs a) {
    nt<Wide>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 98304 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_WIDE_THREADS, 1)
matmul_nn_wide(const __grid_constant__ MatmulArgs a) {
    nn<Wide>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 98304 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_WIDE_THREADS, 1)
matmul_tn_wide(const __grid_constant__ MatmulArgs a) {
    tn<Wide>(a);
}

// Two blocks share a multiprocessor: one multiplies while the other waits or writes.
// Occupancy: 2 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_MIDDLE_THREADS, 2)
matmul_nt_middle(const __grid_constant__ MatmulArgs a) {
    nt<Middle>(a);
}

// Occupancy: 2 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_MIDDLE_THREADS, 2)
matmul_nn_middle(const __grid_constant__ MatmulArgs a) {
    nn<Middle>(a);
}

// Occupancy: 2 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_MIDDLE_THREADS, 2)
matmul_tn_middle(const __grid_constant__ MatmulArgs a) {
    tn<Middle>(a);
}

// Four blocks share a multiprocessor, and hide each other's latency.
// Occupancy: 4 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 4)
matmul_nt_small(const __grid_constant__ MatmulArgs a) {
    nt<Small>(a);
}

// Occupancy: 4 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 4)
matmul_nn_small(const __grid_constant__ MatmulArgs a) {
    nn<Small>(a);
}

// Occupancy: 4 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 4)
matmul_tn_small(const __grid_constant__ MatmulArgs a) {
    tn<Small>(a);
}

// Rows of any length; what is on its way in registers leaves room for a block less.
// Occupancy: 3 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nt_unaligned(const __grid_constant__ MatmulArgs a) {
    nt<Small, Bf16, false>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nn_unaligned(const __grid_constant__ MatmulArgs a) {
    nn<Small, Bf16, false>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_tn_unaligned(const __grid_constant__ MatmulArgs a) {
    tn<Small, false>(a);
}

// Weights in f32: a stage holds both of their parts. A thread of a middle tile holds 64 sums, the fragments of 64 × 32
// and 16 weights on their way; as in squares of 64 by half the threads, twice as much would not fit.
// Occupancy: 1 block of 256 threads a multiprocessor, 73728 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_MIDDLE_F32_THREADS, 1)
matmul_nt_f32_middle(const __grid_constant__ MatmulArgs a) {
    nt<MiddleF32, float>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 73728 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_MIDDLE_F32_THREADS, 1)
matmul_nn_f32_middle(const __grid_constant__ MatmulArgs a) {
    nn<MiddleF32, float>(a);
}

// Occupancy: 2 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_NARROW_THREADS, 2)
matmul_nt_f32_narrow(const __grid_constant__ MatmulArgs a) {
    nt<NarrowF32, float>(a);
}

// Occupancy: 2 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_NARROW_THREADS, 2)
matmul_nn_f32_narrow(const __grid_constant__ MatmulArgs a) {
    nn<NarrowF32, float>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nt_f32_small(const __grid_constant__ MatmulArgs a) {
    nt<Small, float>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nn_f32_small(const __grid_constant__ MatmulArgs a) {
    nn<Small, float>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nt_f32_unaligned(const __grid_constant__ MatmulArgs a) {
    nt<Small, float, false>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nn_f32_unaligned(const __grid_constant__ MatmulArgs a) {
    nn<Small, float, false>(a);
}

// The parts of a split product.
// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(MATMUL_SUM_THREADS)
matmul_sum_bf16(const __grid_constant__ MatmulArgs a) {
    sum<__nv_bfloat16>(a);
}

// Occupancy: 8 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(MATMUL_SUM_THREADS)
matmul_sum_f32(const __grid_constant__ MatmulArgs a) {
    sum<float>(a);
}
