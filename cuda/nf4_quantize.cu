// From f32 to 4-bit weights, as bitsandbytes does it: a magnitude a block, and for each value the nearest code.
//
// A block of threads takes 4096 weights and a warp 512 of them, in four steps of consecutive quads: loads are full lines,
// and the 16 bits of a quad's codes too. The largest value of 32, 64 or 128 weights lies within a step, that of 256 or
// 512 within a warp, that of more within the block of threads. It moves 4.5 bytes a weight and 4 a magnitude.
#include "nf4.cuh"
#include "warp.cuh"

constexpr int STEPS = 4, QUAD = 4, WARP_WEIGHTS = STEPS * 32 * QUAD;
static_assert(NF4_QUANTIZE_CHUNK == NF4_QUANTIZE_THREADS / 32 * WARP_WEIGHTS, "a chunk is what the warps hold");

// The code of x: the number of midpoints between neighbouring values that are below it, found in four steps. Each lane
// of a half-warp holds a midpoint.
__device__ __forceinline__ uint32_t code_of(float x, float midpoint) {
    uint32_t code = 0;
#pragma unroll
    for (uint32_t step = 8; step > 0; step /= 2) {
        if (x > shuffle_16(midpoint, code + step - 1)) code += step;
    }
    return code;
}

// Occupancy: 6 blocks of 256 threads a multiprocessor, 32 bytes of shared memory each.
extern "C" __global__ void __launch_bounds__(NF4_QUANTIZE_THREADS, 6)
    nf4_quantize(const __grid_constant__ Nf4QuantizeArgs a) {
    __shared__ uint32_t of_warp[NF4_QUANTIZE_THREADS / 32];
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t shift = uint32_t(a.block_shift);
    const uint64_t first = uint64_t(blockIdx.x) * NF4_QUANTIZE_CHUNK + warp * WARP_WEIGHTS + lane * QUAD;
    const float midpoint = (NF4_CODES[lane % 16] + NF4_CODES[min(lane % 16 + 1, 15u)]) / 2;

    float4 w[STEPS];
    // The largest magnitude of a step, as bits: these are ordered like the numbers, and NaN is above infinity.
    uint32_t most[STEPS];
#pragma unroll
    for (int i = 0; i < STEPS; ++i) {
        const uint64_t at_quad = first + i * 32 * QUAD;
        w[i] = at_quad < a.len ? *reinterpret_cast<const float4 *>(at<const float>(a.w) + at_quad) : float4{};
    }
#pragma unroll
    for (int i = 0; i < STEPS; ++i) {
        most[i] = max(max(__float_as_uint(fabsf(w[i].x)), __float_as_uint(fabsf(w[i].y))),
                      max(__float_as_uint(fabsf(w[i].z)), __float_as_uint(fabsf(w[i].w))));
        for (int distance = 1; distance < 32 && distance * QUAD < 1 << shift; distance *= 2) {
            most[i] = max(most[i], __shfl_xor_sync(ALL_LANES, most[i], distance));
        }
    }
    if (shift >= 8) {
        most[0] = most[1] = max(most[0], most[1]);
        most[2] = most[3] = max(most[2], most[3]);
    }
    if (shift >= 9) most[0] = most[1] = most[2] = most[3] = max(most[0], most[2]);
    if (shift >= 10) {
        if (lane == 0) of_warp[warp] = most[0];
        __syncthreads();
        const uint32_t warps = (1u << shift) / WARP_WEIGHTS;
        for (uint32_t i = 0; i < warps; ++i) most[0] = max(most[0], of_warp[warp / warps * warps + i]);
        most[1] = most[2] = most[3] = most[0];
    }
#pragma unroll
    for (int i = 0; i < STEPS; ++i) {
        const uint64_t at_quad = first + i * 32 * QUAD;
        const float absmax = __uint_as_float(most[i]);
        // Below it, the reciprocal would not be finite.
        const float scale = 1.0f / fmaxf(absmax, 1e-38f);
        const uint32_t codes = code_of(w[i].x * scale, midpoint) << code_shift(0) |
                               code_of(w[i].y * scale, midpoint) << code_shift(1) |
                               code_of(w[i].z * scale, midpoint) << code_shift(2) |
                               code_of(w[i].w * scale, midpoint) << code_shift(3);
        if (at_quad < a.len) {
            at<uint16_t>(a.packed)[at_quad / QUAD] = uint16_t(codes);
            if (at_quad % (1 << shift) == 0) at<float>(a.absmax)[at_quad >> shift] = absmax;
        }
    }
}
