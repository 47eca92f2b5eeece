// The dense products of matmul.cu on Hopper's own tensor-core instructions, which read both operands from shared memory:
// compiled for compute capability 9.0 alone. There an mma reaches six tenths of the peak at best.
//
// Two groups of four warps share a tile, 64 rows each. Steps are 64 deep: rows along the depth then fill lines of 128
// bytes. In each step all threads wait for its copies, start those of a later one, and queue four products; the products
// of the step before go on meanwhile. Cost, for each 64 of the depth:
//   wide, 128 × 256: 1024 cycles at the tensor cores' peak, and 48 KB, which took 1020 alone on an H200;
//   middle, 128 × 128: 512 cycles and 32 KB, bound by the copies: for outputs that wide tiles would not spread over the
//   GPU.
// From 2048 rows on, products of weights 4096 × 4096 and larger reach 580 to 710 TFLOP/s there (tn 530 to 640).
// Bias, low-rank term and the ways to write are those of matmul.cu. The low-rank factor's two bf16 parts are operands like
// the others.
#include "matmul.cuh"
#include "wgmma.cuh"

namespace {

constexpr int STEP = MATMUL_90A_STEP, THREADS = MATMUL_90A_THREADS;
static_assert(STEP == 64, "a step fills a line");

template <int COLS_, int STAGES_> struct Tile {
    static constexpr int ROWS = MATMUL_90A_ROWS, COLS = COLS_, STAGES = STAGES_;
};
using Wide = Tile<MATMUL_90A_WIDE_COLS, MATMUL_90A_WIDE_STAGES>;
using Middle = Tile<MATMUL_90A_MIDDLE_COLS, MATMUL_90A_MIDDLE_STAGES>;

// Queues the products of a stage of the depth DEPTH, with each part of the right operand.
template <class Left, class Right, int DEPTH, int COLS>
__device__ __forceinline__ void multiply(float (&sums)[COLS][4], uint32_t stage, int first_row) {
    constexpr bool LEFT_ACROSS = !Left::ALONG, RIGHT_ACROSS = !Right::ALONG;
    // Across the depth, the 64 rows of a group are a piece of all depths; along it, that many lines: as many bytes.
    const uint64_t left = wgmma_operand<LEFT_ACROSS, DEPTH>(stage + first_row * (2 * DEPTH));
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < DEPTH / 16; ++step) {
#pragma unroll
        for (int part = 0; part < Right::PARTS; ++part) {
            const uint64_t right = wgmma_operand<RIGHT_ACROSS, DEPTH>(stage + Left::BYTES + part * Right::PART_BYTES);
            wgmma<LEFT_ACROSS, RIGHT_ACROSS>(sums, left + step * WGMMA_NEXT_16<LEFT_ACROSS>,
                                             right + step * WGMMA_NEXT_16<RIGHT_ACROSS>);
        }
    }
    wgmma_commit();
}

// Adds the low-rank term, 16 of the rank at a time, through the memory of the pipeline, which has run dry.
template <class T, Rows RIGHT, int COLS>
__device__ __forceinline__ void add_low_rank(float (&sums)[COLS][4], const MatmulArgs &a, uint32_t stage, uint2 corner,
                                             int first_row) {
    constexpr int DEPTH = 16;
    using U = Operand<Bf16, Rows::ALONG_DEPTH, T::ROWS, DEPTH, THREADS, true>;
    using Factor = Operand<float, RIGHT, T::COLS, DEPTH, THREADS, true>;
    using RaggedU = Operand<Bf16, Rows::ALONG_DEPTH, T::ROWS, DEPTH, THREADS, false>;
    using RaggedFactor = Operand<float, RIGHT, T::COLS, DEPTH, THREADS, false>;
#pragma unroll 1
    for (uint32_t depth = 0; depth < a.rank; depth += DEPTH) {
        __syncthreads();
        if (a.rank % 8 == 0) {
            bring_low_rank<U, Factor>(a, stage, corner, depth);
        } else {
            bring_low_rank<RaggedU, RaggedFactor>(a, stage, corner, depth);
        }
        fence_for_wgmma();
        __syncthreads();
        multiply<U, Factor, DEPTH>(sums, stage, first_row);
        wgmma_wait<0>();
    }
}

template <class T, class Out, Rows LEFT, Rows RIGHT> __device__ __forceinline__ void matmul(const MatmulArgs &a) {
    using Left = Operand<Bf16, LEFT, T::ROWS, STEP, THREADS, true>;
    using Right = Operand<Bf16, RIGHT, T::COLS, STEP, THREADS, true>;
    constexpr uint32_t STAGE_BYTES = Left::BYTES + Right::BYTES;
    // Products of the last step may still read their stage, so copies begin two stages ahead of what is overwritten.
    constexpr int AHEAD = T::STAGES - 2;
    // A linear layer's product, which others join, and not the gradient of its weight.
    constexpr bool LINEAR = LEFT == Rows::ALONG_DEPTH;
    extern __shared__ __align__(1024) unsigned char memory[];
    const uint32_t stages = kept(shared_address(memory));
    const uint2 corner = tile_corner<T>(a);
    Left left(a.left, corner.x, a.rows, a.depth, a.depth);
    Right right(a.right, corner.y, a.cols, a.depth, a.depth);

    const int warp = threadIdx.x >> 5, first_row = warp / 4 * 64;
    float sums[1][T::COLS / 8][4] = {};

    // Every step ends one group of copies, be it empty, so that the wait below always means the same stage.
#pragma unroll
    for (int stage = 0; stage < AHEAD; ++stage) {
        const uint32_t depth = stage * STEP, to = stages + stage * STAGE_BYTES;
        if (depth < a.depth) {
            left.start(to, depth);
            right.start(to + Left::BYTES, depth);
        }
        copy_async_commit();
    }
    uint32_t stage = 0, ahead = AHEAD;
    for (uint32_t depth = 0; depth < a.depth; depth += STEP) {
        copy_async_wait<AHEAD - 1>();
        fence_for_wgmma();
        // All have what this step multiplies, and the products of the step before the last are done.
        __syncthreads();
        const uint32_t next = depth + AHEAD * STEP, to = stages + ahead * STAGE_BYTES;
        if (next < a.depth) {
            left.start(to, next);
            right.start(to + Left::BYTES, next);
        }
        copy_async_commit();
        multiply<Left, Right, STEP>(sums[0], stages + stage * STAGE_BYTES, first_row);
        wgmma_wait<1>();
        stage = stage + 1 == T::STAGES ? 0 : stage + 1;
        ahead = ahead + 1 == T::STAGES ? 0 : ahead + 1;
    }
    wgmma_wait<0>();

    if constexpr (LINEAR) {
        add_low_rank<T, RIGHT>(sums[0], a, stages, corner, first_row);
        // Not at the start: sums that a condition chooses make nvcc wait for each product.
        if (a.bias != 0) add_bias(sums, at<const float>(a.bias), a.cols, corner.y);
    }
    write(sums, at<Out>(a.out), a.rows, a.cols, corner.x + first_row + warp % 4 * 16, corner.y, a.scale, a.write);
}

// The three orientations.
template <class T> __device__ __forceinline__ void nt(const MatmulArgs &a) {
    matmul<T, __nv_bfloat16, Rows::ALONG_DEPTH, Rows::ALONG_DEPTH>(a);
}
template <class T> __device__ __forceinline__ void nn(const MatmulArgs &a) {
    matmul<T, __nv_bfloat16, Rows::ALONG_DEPTH, Rows::ACROSS_DEPTH>(a);
}
template <class T> __device__ __forceinline__ void tn(const MatmulArgs &a) {
    matmul<T, float, Rows::ACROSS_DEPTH, Rows::ACROSS_DEPTH>(a);
}

} // namespace

// Occupancy: 1 block of 256 threads a multiprocessor, 196608 bytes of shared memory each.
// Instructions: HGMMA, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_90A_THREADS, 1)
matmul_nt_90a_wide(const __grid_constant__ MatmulArgs a) {
    nt<Wide>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 196608 bytes of shared memory each.
// Instructions: HGMMA, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_90A_THREADS, 1)
matmul_nn_90a_wide(const __grid_constant__ MatmulArgs a) {
    nn<Wide>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 196608 bytes of shared memory each.
// Instructions: HGMMA, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_90A_THREADS, 1)
matmul_tn_90a_wide(const __grid_constant__ MatmulArgs a) {
    tn<Wide>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 196608 bytes of shared memory each.
// Instructions: HGMMA, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_90A_THREADS, 1)
matmul_nt_90a_middle(const __grid_constant__ MatmulArgs a) {
    nt<Middle>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 196608 bytes of shared memory each.
// Instructions: HGMMA, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_90A_THREADS, 1)
matmul_nn_90a_middle(const __grid_constant__ MatmulArgs a) {
    nn<Middle>(a);
}

// Occupancy: 1 block of 256 threads a multiprocessor, 196608 bytes of shared memory each.
// Instructions: HGMMA, LDGSTS.
extern "C" __global__ void __launch_bounds__(MATMUL_90A_THREADS, 1)
matmul_tn_90a_middle(const __grid_constant__ MatmulArgs a) {
    tn<Middle>(a);
}
