// C = A·B on tensor cores: A [m, k] and B [k, n] bf16 row-major, C f32; 64 x 64 tiles, k in steps of 32, two stages of
// cp.async, ldmatrix for A and ldmatrix.trans for B. Every size is a multiple of the tile.
#include <stdint.h>
__device__ __forceinline__ void copy16(uint32_t to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
}
extern "C" __global__ void __launch_bounds__(128)
matmul_bf16(const uint16_t* a, const uint16_t* b, float* c, int n, int k) {
    // Rows are padded by 16 bytes, so that eight of them fall into different banks.
    __shared__ __align__(16) uint16_t ta[2][64][40], tb[2][32][72];
    int t = threadIdx.x, lane = t & 31, warp = t / 32, m0 = blockIdx.y * 64, n0 = blockIdx.x * 64;
    auto load = [&](int stage, int at) {
        for (int i = t; i < 256; i += 128) {
            int ra = i / 4, ca = i % 4 * 8, rb = i / 8, cb = i % 8 * 8;
            copy16((uint32_t)__cvta_generic_to_shared(&ta[stage][ra][ca]), a + (size_t)(m0 + ra) * k + at + ca);
            copy16((uint32_t)__cvta_generic_to_shared(&tb[stage][rb][cb]), b + (size_t)(at + rb) * n + n0 + cb);
        }
        asm volatile("cp.async.commit_group;");
    };
    float sum[8][4] = {};
    load(0, 0);
    for (int at = 0; at < k; at += 32) {
        int stage = at / 32 & 1;
        if (at + 32 < k) load(stage ^ 1, at + 32);
        else asm volatile("cp.async.commit_group;");
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
#pragma unroll
        for (int step = 0; step < 32; step += 16) {
            uint32_t x[4];
            uint32_t pa = (uint32_t)__cvta_generic_to_shared(&ta[stage][warp * 16 + lane % 16][step + lane / 16 * 8]);
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                         : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(pa));
#pragma unroll
            for (int j = 0; j < 8; j++) {
                uint32_t y[2];
                uint32_t pb = (uint32_t)__cvta_generic_to_shared(&tb[stage][step + lane % 16][j * 8]);
                asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                             : "=r"(y[0]), "=r"(y[1]) : "r"(pb));
                asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                             "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                             : "+f"(sum[j][0]), "+f"(sum[j][1]), "+f"(sum[j][2]), "+f"(sum[j][3])
                             : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
            }
        }
        __syncthreads();
    }
    for (int j = 0; j < 8; j++) {
        float* out = c + (size_t)(m0 + warp * 16 + lane / 4) * n + n0 + j * 8 + lane % 4 * 2;
        *(float2*)out = make_float2(sum[j][0], sum[j][1]);
        *(float2*)(out + (size_t)8 * n) = make_float2(sum[j][2], sum[j][3]);
    }
}
