// Tensor cores, asynchronous copies, look-up by shuffle, 2ˣ, registers that stay: the only inline PTX.
//
// Fragments of mma m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"), with lane = 4·group + member:
//   A 16×16: a[0] row group, columns 2·member, +1 · a[1] row group+8 · a[2] row group, columns 8+2·member, +1 · a[3] both
//   B 16×8:  b[0] rows 2·member, +1 of column group · b[1] rows 8+2·member, +1
//   C 16×8:  c[0], c[1] row group, columns 2·member, +1 · c[2], c[3] row group+8
#pragma once
#include <stdint.h>

// The address of shared memory as ldmatrix and cp.async take it.
__device__ __forceinline__ uint32_t shared_address(const void *p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Four 8×8 matrices of 16-bit elements: lane 8·i + r gives the address of row r of matrix i (16 bytes, aligned), and
// receives of each matrix the elements 2·(lane mod 4) and the next of row lane/4.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&d)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(address)
                 : "memory");
}

// The same, each 8×8 matrix transposed on its way.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&d)[4], uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(address)
                 : "memory");
}

// c += a·b, bf16 products summed in f32.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts to copy 16 bytes from global to shared memory, past the first cache; both addresses are multiples of 16.
__device__ __forceinline__ void copy_async_16(uint32_t shared, const void *global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(global) : "memory");
}

// The same if `present`; if not, `global` is not read and zeros arrive.
__device__ __forceinline__ void copy_async_16_or_zeros(uint32_t shared, const void *global, bool present) {
    const uint32_t bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}

// Ends a group of copies; groups arrive in the order in which they were ended.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most PENDING of this thread's groups are on their way.
template <int PENDING> __device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// What lane `index` mod 16 of this half of the warp holds, as __shfl_sync gives it with a width of 16; that one goes
// through an integer register. The whole warp calls it.
__device__ __forceinline__ float shuffle_16(float x, uint32_t index) {
    float y;
    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 0x101f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(index));
    return y;
}

// x in a register that stays. What a loop needs of a thread's place, nvcc works out again at each use where it takes few
// instructions; it cannot where it does not know whence x came.
__device__ __forceinline__ uint32_t kept(uint32_t x) {
    asm volatile("" : "+r"(x));
    return x;
}

// 2ˣ to 2 units in the last place, 0 where that lies below 2⁻¹²⁶: one instruction, where exp2f saves the small ones by
// three more.
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
