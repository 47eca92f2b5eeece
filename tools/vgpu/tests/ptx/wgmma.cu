// C = A·B by wgmma: A [m, k] and B [k, n] bf16 row-major, C f32; a warpgroup for 64 x 128, k in steps of 64, four
// stages that cp.async fills two steps ahead under the 128-byte swizzle: A K-major, B N-major in two panels of 64
// columns. One group of products is in flight while the next is asked for. Every size is a multiple of the tile.
#include <stdint.h>
constexpr int PANEL = 64 * 128, STAGE = 3 * PANEL;

#define R10(i) "%" #i "0,%" #i "1,%" #i "2,%" #i "3,%" #i "4,%" #i "5,%" #i "6,%" #i "7,%" #i "8,%" #i "9,"
#define F8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), \
    "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])

__device__ __forceinline__ void multiply(float (&d)[64], uint64_t a, uint64_t b, int adds) {
    asm volatile(
        "{\n.reg .pred adds;\nsetp.ne.b32 adds, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," R10(1) R10(2) R10(3) R10(4) R10(5) "%60,%61,%62,%63}, "
        "%64, %65, adds, 1, 1, 0, 1;\n}"
        : F8(0), F8(8), F8(16), F8(24), F8(32), F8(40), F8(48), F8(56)
        : "l"(a), "l"(b), "r"(adds));
}
// Rows of 128 bytes in eights: 1024 bytes from one eight to the next, B's other columns in the next panel.
__device__ __forceinline__ uint64_t descriptor(uint32_t at) {
    return at >> 4 | (uint64_t)(PANEL >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 | 1ull << 62;
}
// 64 rows of 128 bytes, whose pieces of 16 bytes change places.
__device__ __forceinline__ void copy(uint32_t to, const uint16_t* from, size_t stride) {
#pragma unroll 1
    for (int i = threadIdx.x; i < 512; i += 128) {
        int row = i / 8, piece = i % 8;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + row * 128 + (piece ^ row % 8) * 16),
                     "l"(from + row * stride + piece * 8));
    }
}
extern "C" __global__ void __launch_bounds__(128)
wgmma_bf16(const uint16_t* a, const uint16_t* b, float* c, int n, int k) {
    extern __shared__ __align__(1024) uint8_t tile[];
    uint32_t first = (uint32_t)__cvta_generic_to_shared(tile);
    int m0 = blockIdx.y * 64, n0 = blockIdx.x * 128;
    auto load = [&](int at) {
        if (at < k) {
            uint32_t to = first + at / 64 % 4 * STAGE;
            copy(to, a + (size_t)m0 * k + at, k);
            copy(to + PANEL, b + (size_t)at * n + n0, n);
            copy(to + 2 * PANEL, b + (size_t)at * n + n0 + 64, n);
        }
        asm volatile("cp.async.commit_group;");
    };
    float sum[64];
    load(0);
    load(64);
    for (int at = 0; at < k; at += 64) {
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        // Behind it every warp has waited for the step before the last, whose stage is filled now.
        __syncthreads();
        load(at + 128);
        asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
        uint32_t from = first + at / 64 % 4 * STAGE;
#pragma unroll
        for (int step = 0; step < 4; step++)
            multiply(sum, descriptor(from + step * 32), descriptor(from + PANEL + step * 2048), at + step);
        asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
        asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    int lane = threadIdx.x % 32, row = m0 + threadIdx.x / 32 * 16 + lane / 4;
    for (int i = 0; i < 64; i += 4) {
        float* out = c + (size_t)row * n + n0 + i * 2 + lane % 4 * 2;
        *(float2*)out = make_float2(sum[i], sum[i + 1]);
        *(float2*)(out + (size_t)8 * n) = make_float2(sum[i + 2], sum[i + 3]);
    }
}
