// One warp, small products on tensor cores: wmma of f16 by way of shared memory, of bf16 straight from global memory,
// and mma of bytes.
#include <mma.h>
#include <cuda_bf16.h>
#include <stdint.h>
using namespace nvcuda;

// C = 2·A·B for a row-major 32 x 48 A and a column-major 48 x 16 B.
extern "C" __global__ void wmma_f16(const __half* a, const __half* b, float* c) {
    __shared__ __align__(32) __half ta[32 * 56], tb[16 * 56];
    for (int i = threadIdx.x; i < 32 * 48; i += 32) ta[i / 48 * 56 + i % 48] = a[i];
    for (int i = threadIdx.x; i < 16 * 48; i += 32) tb[i / 48 * 56 + i % 48] = b[i];
    __syncwarp();
    for (int half = 0; half < 2; half++) {
        wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::col_major> fb;
        wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
        wmma::fill_fragment(sum, 0.0f);
        for (int k = 0; k < 48; k += 16) {
            wmma::load_matrix_sync(fa, ta + half * 16 * 56 + k, 56);
            wmma::load_matrix_sync(fb, tb + k, 56);
            wmma::mma_sync(sum, fa, fb, sum);
        }
        for (int i = 0; i < sum.num_elements; i++) sum.x[i] *= 2.0f;
        wmma::store_matrix_sync(c + half * 256, sum, 16, wmma::mem_row_major);
    }
}

// D = A·B + C for a column-major 8 x 16 A, a row-major 16 x 32 B and a column-major C; D is row-major.
extern "C" __global__ void wmma_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, const float* c, float* d) {
    wmma::fragment<wmma::matrix_a, 8, 32, 16, __nv_bfloat16, wmma::col_major> fa;
    wmma::fragment<wmma::matrix_b, 8, 32, 16, __nv_bfloat16, wmma::row_major> fb;
    wmma::fragment<wmma::accumulator, 8, 32, 16, float> sum;
    wmma::load_matrix_sync(fa, a, 8);
    wmma::load_matrix_sync(fb, b, 32);
    wmma::load_matrix_sync(sum, c, 8, wmma::mem_col_major);
    wmma::mma_sync(sum, fa, fb, sum);
    wmma::store_matrix_sync(d, sum, 32, wmma::mem_row_major);
}

// C = A·B for a row-major 16 x 32 A of signed and a column-major 32 x 8 B of unsigned bytes.
extern "C" __global__ void mma_bytes(const uint32_t* a, const uint32_t* b, int* c) {
    __shared__ __align__(16) uint32_t ta[16][12], tb[8][12];
    int lane = threadIdx.x;
    for (int i = lane; i < 128; i += 32) ta[i / 8][i % 8] = a[i];
    for (int i = lane; i < 64; i += 32) tb[i / 8][i % 8] = b[i];
    __syncwarp();
    uint32_t x[4], y[2];
    uint32_t pa = (uint32_t)__cvta_generic_to_shared(&ta[lane % 16][lane / 16 * 4]);
    uint32_t pb = (uint32_t)__cvta_generic_to_shared(&tb[lane % 8][lane / 8 % 2 * 4]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(pa));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(y[0]), "=r"(y[1]) : "r"(pb));
    int sum[4] = {};
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    for (int i = 0; i < 4; i++) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sum[i];
}
