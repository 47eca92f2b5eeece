// What the dense products share: how operands come into shared memory, and how sums leave for the output.
#pragma once
#include "kernels.h"
#include "mma.cuh"
#include "vec.cuh"
#include <cuda_bf16.h>

using Bf16 = uint16_t;

// Which way the rows of an operand run in memory.
enum class Rows { ALONG_DEPTH, ACROSS_DEPTH };

// Where 8 elements from column 8·octet of one of ROWS rows of COLS elements stand in a stage. Reads take the same octet
// of 8 rows at a time: turned by the row, these lie in the 8 groups of banks. Of short rows, several lie side by side in a
// line of all banks, and turn together; long ones are cut into pieces of a line, each piece of all rows together, which
// is the layout of 128-byte swizzles that Hopper's tensor cores read; that of short rows is their 64- and 32-byte ones.
template <int ROWS, int COLS> __device__ __forceinline__ uint32_t place(int row, int octet) {
    if constexpr (COLS >= 64) {
        return octet / 8 * (ROWS * 128) + row * 128 + ((octet % 8 ^ row % 8) << 4);
    } else {
        constexpr int OCTETS = COLS / 8, ROWS_A_LINE = 8 / OCTETS;
        return row * (2 * COLS) + ((octet ^ (row / ROWS_A_LINE % OCTETS)) << 4);
    }
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
template <class Element, Rows ROWS_RUN, int LINES, int STEP, int THREADS, bool ALIGNED> struct Operand {
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
        if constexpr (ASYNC) {
            start_copies(stage, depth);
        } else {
#pragma unroll
            for (int i = 0; i < PIECES; ++i) start_piece(i, held[i], stage, depth);
        }
    }

    // Whole rows of a stage, or pieces of 64 columns of them, at a time: a warp fills 512 bytes in a row, which the cache
    // passes on at once; 128 bytes in each of four places it passes on in four turns. The copies of a thread lie APART rows
    // from each other, in memory and in the stage, where they turn alike; after those of all rows come those of the next
    // 64 columns.
    __device__ __forceinline__ void start_copies(uint32_t stage, uint32_t depth) const {
        constexpr int OCTETS = COLS < 64 ? COLS / 8 : 8, APART = THREADS / OCTETS, OF_64 = ROWS / APART;
        static_assert(ROWS % APART == 0 && APART % 8 == 0, "all copies of a thread turn alike");
        const uint32_t row = threadIdx.x / OCTETS, octet = threadIdx.x % OCTETS;
        const uint32_t r = (ALONG ? first_line : depth) + row, c = (ALONG ? depth : first_line) + 8 * octet;
        const uint32_t end_row = ALONG ? lines : depth_end, end_col = ALONG ? depth_end : lines;
        const uint32_t rows_left = r < end_row ? end_row - r : 0, cols_left = c < end_col ? end_col - c : 0;
        const Element *from = matrix + uint64_t(r) * cols + c;
        const uint32_t to = stage + place<ROWS, COLS>(row, octet);
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            const uint32_t down = i % OF_64 * APART, across = i / OF_64 * 64;
            copy_async_16_or_zeros(to + i * (APART * OCTETS * 16), from + uint64_t(down) * cols + across,
                                   down < rows_left && across < cols_left);
        }
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
            copy_async_16_or_zeros(stage + place<ROWS, COLS>(row, place_in_row), from, left > 0);
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
                const uint32_t address = stage + part * PART_BYTES + place<ROWS, COLS>(row, quad / 2) + quad % 2 * 8;
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
            ldmatrix_x4(d, part + place<ROWS, COLS>(line + inner, depth / 8));
        } else {
            ldmatrix_x4_trans(d, part + place<ROWS, COLS>(depth + inner, line / 8));
        }
    }
};

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

// Adds the bias of their columns to the sums of a warp.
template <int ROWS, int COLS>
__device__ __forceinline__ void add_bias(float (&sums)[ROWS][COLS][4], const float *bias, uint32_t cols,
                                         uint32_t first_col) {
    const uint32_t col = first_col + threadIdx.x % 4 * 2;
#pragma unroll
    for (int j = 0; j < COLS; ++j) {
        const float first = col + 8 * j < cols ? __ldg(bias + col + 8 * j) : 0;
        const float second = col + 8 * j + 1 < cols ? __ldg(bias + col + 8 * j + 1) : 0;
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            sums[i][j][0] += first;
            sums[i][j][1] += second;
            sums[i][j][2] += first;
            sums[i][j][3] += second;
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
