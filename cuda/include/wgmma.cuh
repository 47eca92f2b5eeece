// Hopper's warpgroup products (PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate Operation using
// wgmma.mma_async"): four warps multiply operands that stand in shared memory, while they go on. Inline PTX, for 9.0a only.
//
// An operand stands in lines of 128 bytes, each line's 16-byte pieces turned by the line's number modulo 8 (128-byte
// swizzle), from a multiple of 1024 bytes on: either a line holds 64 of the depth of one row of left or column of right
// (along the depth), or 64 rows or columns of one depth (across it). Or a line of 32 bytes holds 16 of the depth, and its
// two pieces change places in every other four lines (32-byte swizzle). place() of matmul.cuh is these layouts.
#pragma once
#include <stdint.h>

// How the tensor cores find an operand of the depth DEPTH from `address` on. Lines come in eights; across the depth, the
// next 64 rows or columns follow the lines of these.
template <bool ACROSS, int DEPTH> __device__ __forceinline__ uint64_t wgmma_operand(uint32_t address) {
    static_assert(ACROSS || DEPTH == 64 || DEPTH == 16, "the depth fills a line");
    constexpr uint64_t SWIZZLE = ACROSS || DEPTH == 64 ? 1 : 3, EIGHT = SWIZZLE == 1 ? 8 * 128 : 8 * 32;
    constexpr uint64_t NEXT_64 = ACROSS ? DEPTH * 128 : 16;
    return SWIZZLE << 62 | EIGHT >> 4 << 32 | NEXT_64 >> 4 << 16 | (address & 0x3ffff) >> 4;
}

// What that grows by for the next 16 of the depth: 32 bytes of each line along it, 16 lines across it.
template <bool ACROSS> constexpr uint64_t WGMMA_NEXT_16 = (ACROSS ? 16 * 128 : 32) >> 4;

// The sums that products add to are in registers that the tensor cores may touch from here on.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Ends a group of products.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most PENDING groups are not done: then their sums are there, and their operands no longer read.
template <int PENDING> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// What this thread has stored to shared memory, the tensor cores see after a barrier.
__device__ __forceinline__ void fence_for_wgmma() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// d += left·right, 64 rows by as many columns as d has, 16 deep. Warp w of the four holds rows 16·w to 16·w + 15, each 8
// columns as C of an mma (mma.cuh).
#define ROSA_FRAGMENT(i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define ROSA_FRAGMENTS_8(i)                                                                                            \
    ROSA_FRAGMENT(i), ROSA_FRAGMENT(i + 1), ROSA_FRAGMENT(i + 2), ROSA_FRAGMENT(i + 3), ROSA_FRAGMENT(i + 4),          \
        ROSA_FRAGMENT(i + 5), ROSA_FRAGMENT(i + 6), ROSA_FRAGMENT(i + 7)
template <bool LEFT_ACROSS, bool RIGHT_ACROSS>
__device__ __forceinline__ void wgmma(float (&d)[32][4], uint64_t left, uint64_t right) {
    asm volatile(
        "{\n.reg .pred adds;\nsetp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
        "}, %128, %129, adds, 1, 1, %130, %131;\n}"
        : ROSA_FRAGMENTS_8(0), ROSA_FRAGMENTS_8(8), ROSA_FRAGMENTS_8(16), ROSA_FRAGMENTS_8(24)
        : "l"(left), "l"(right), "n"(LEFT_ACROSS), "n"(RIGHT_ACROSS));
}

template <bool LEFT_ACROSS, bool RIGHT_ACROSS>
__device__ __forceinline__ void wgmma(float (&d)[16][4], uint64_t left, uint64_t right) {
    asm volatile(
        "{\n.reg .pred adds;\nsetp.eq.u32 adds, 0, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
        "}, %64, %65, adds, 1, 1, %66, %67;\n}"
        : ROSA_FRAGMENTS_8(0), ROSA_FRAGMENTS_8(8)
        : "l"(left), "l"(right), "n"(LEFT_ACROSS), "n"(RIGHT_ACROSS));
}
#undef ROSA_FRAGMENTS_8
#undef ROSA_FRAGMENT
