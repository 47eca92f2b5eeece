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
// src/backend/cuda/matmul.rs weighs these for each product. Where a GPU has faster instructions than mma, these tiles are
// not what binds: on an H200 large products in wide tiles reach 300 to 330 TFLOP/s, in middle ones 350 to 380, and those
// of matmul_90a.cu take their place.
// A thin product has few tiles and a long depth. Its blocks then take a part of the depth each (blockIdx.y), and a
// second kernel adds the parts in order. Whether to split depends on the shape alone, as it changes the rounding.
//
// What a linear layer adds to its product joins it, so that the output is written once and not read: the sums start
// from the bias, and the depth goes on over the columns of u. These steps are few, and brought without a pipeline: at
// rank 16 a wide tile waits 700 cycles for them and multiplies for 1024, after 131 072 for a depth of 4096. A product
// of its own would take 1536 in small f32 tiles, and move the output twice more. Of a split product, the last part has
// them. In tn, `scores += g²` is a way to write: the dense gradient g of a weight is never stored.
//
// Where rows are not all 16-byte aligned, an operand passes through registers element by element, into small tiles: of
// the products with factors whose rank is no multiple of 8, the factor alone.
// f32 weights pass so too: each is split into two bf16 numbers on its way, its rounding and the rounding of what that
// leaves, and meets the left operand twice. Their sum is off by 2⁻¹⁷ of the weight at most. A step then takes
//   middle, 128 × 128: 24 KB in 1024 cycles, bound by the tensor cores;
//   narrow, 128 × 64: 16 KB in 512 cycles, just balanced;
//   small, 64 × 64: 12 KB in 256 cycles, bound by L2.
#include "matmul.cuh"

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

// Of which operands all rows begin at multiples of 16 bytes.
enum Aligned { BOTH, LEFT_ALONE, RIGHT_ALONE, NEITHER };

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

// Adds the low-rank term to the sums of a warp, through the memory of the pipeline, which has run dry. Operands make the
// same stage whether they are aligned or not.
template <class T, Rows RIGHT, bool ALIGNED, int ROWS, int COLS>
__device__ __forceinline__ void add_low_rank(float (&sums)[ROWS][COLS][4], const MatmulArgs &a,
                                             uint32_t stage, uint2 corner, int row, int col, bool inside) {
    using U = Operand<Bf16, Rows::ALONG_DEPTH, T::ROWS, STEP, T::THREADS, ALIGNED>;
    using Factor = Operand<float, RIGHT, T::COLS, STEP, T::THREADS, ALIGNED>;
    using RaggedU = Operand<Bf16, Rows::ALONG_DEPTH, T::ROWS, STEP, T::THREADS, false>;
    using RaggedFactor = Operand<float, RIGHT, T::COLS, STEP, T::THREADS, false>;
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

template <class T, class Out, Rows LEFT, Rows RIGHT, class RightElement, Aligned ALIGNED>
__device__ __forceinline__ void matmul(const MatmulArgs &a) {
    using Left = Operand<Bf16, LEFT, T::ROWS, STEP, T::THREADS, ALIGNED == BOTH || ALIGNED == LEFT_ALONE>;
    using Right = Operand<RightElement, RIGHT, T::COLS, STEP, T::THREADS, ALIGNED == BOTH || ALIGNED == RIGHT_ALONE>;
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
        if (a.bias != 0 && depth_begin == 0) add_bias(sums, at<const float>(a.bias), a.cols, corner.y + col);
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
        if (depth_end == a.depth) add_low_rank<T, RIGHT, ALIGNED == BOTH>(sums, a, stages, corner, row, col, inside);
    }

    if (T::SPLITS && gridDim.y > 1) {
        float *partials = at<float>(a.partials) + uint64_t(blockIdx.y) * a.rows * a.cols;
        write(sums, partials, a.rows, a.cols, corner.x + row, corner.y + col, 1, MATMUL_OVERWRITE);
    } else {
        write(sums, at<Out>(a.out), a.rows, a.cols, corner.x + row, corner.y + col, a.scale, a.write);
    }
}

// The three orientations.
template <class T, class Weight = Bf16, Aligned ALIGNED = BOTH> __device__ __forceinline__ void nt(const MatmulArgs &a) {
    matmul<T, __nv_bfloat16, Rows::ALONG_DEPTH, Rows::ALONG_DEPTH, Weight, ALIGNED>(a);
}
template <class T, class Weight = Bf16, Aligned ALIGNED = BOTH> __device__ __forceinline__ void nn(const MatmulArgs &a) {
    matmul<T, __nv_bfloat16, Rows::ALONG_DEPTH, Rows::ACROSS_DEPTH, Weight, ALIGNED>(a);
}
template <class T, Aligned ALIGNED = BOTH> __device__ __forceinline__ void tn(const MatmulArgs &a) {
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
    nt<Small, Bf16, NEITHER>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nn_unaligned(const __grid_constant__ MatmulArgs a) {
    nn<Small, Bf16, NEITHER>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_tn_unaligned(const __grid_constant__ MatmulArgs a) {
    tn<Small, NEITHER>(a);
}

// The one long operand of a thin product is aligned: the other one's 64 columns are mostly not there.
// Occupancy: 4 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 4)
matmul_tn_left_aligned(const __grid_constant__ MatmulArgs a) {
    tn<Small, LEFT_ALONE>(a);
}

// Occupancy: 4 blocks of 128 threads a multiprocessor, 32768 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 4)
matmul_tn_right_aligned(const __grid_constant__ MatmulArgs a) {
    tn<Small, RIGHT_ALONE>(a);
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
    nt<Small, float, NEITHER>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nn_f32_unaligned(const __grid_constant__ MatmulArgs a) {
    nn<Small, float, NEITHER>(a);
}

// Occupancy: 3 blocks of 128 threads a multiprocessor, 49152 bytes of shared memory each.
// Instructions: HMMA, LDSM, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_SMALL_THREADS, 3)
matmul_nn_f32_left_aligned(const __grid_constant__ MatmulArgs a) {
    nn<Small, float, LEFT_ALONE>(a);
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
