// One update of the AdamW optimizer.
//
// Elementwise in f32, four elements a thread and step: 32 bytes an element and about 30 instructions, so memory is the
// bound. Every operation is rounded by itself and in the order of the CPU, by intrinsics that the compiler may not
// contract: both give the same bits.
#include "elements.cuh"
#include "kernels.h"
#include "vec.cuh"

// Occupancy: 4 blocks of 256 threads a multiprocessor.
extern "C" __global__ void __launch_bounds__(ELEMENTWISE_THREADS, 4) adamw(const __grid_constant__ AdamwArgs a) {
    const float clip = at<const float>(a.clip)[1];
    walk<VECTOR_F32>(a.len, [&](auto width, uint64_t i) {
        constexpr int N = decltype(width)::LEN;
        const Floats<N> grad = load<N>(at<float>(a.grad) + i);
        Floats<N> m = load<N>(at<const float>(a.m) + i);
        Floats<N> v = load<N>(at<const float>(a.v) + i);
        Floats<N> x = load<N>(at<const float>(a.x) + i);
#pragma unroll
        for (int e = 0; e < N; ++e) {
            const float g = __fmul_rn(clip, grad.v[e]);
            m.v[e] = __fadd_rn(__fmul_rn(a.beta1, m.v[e]), __fmul_rn(a.rest1, g));
            v.v[e] = __fadd_rn(__fmul_rn(a.beta2, v.v[e]), __fmul_rn(a.rest2, __fmul_rn(g, g)));
            const float root = __fadd_rn(__fsqrt_rn(__fmul_rn(v.v[e], a.unbias_v)), a.eps);
            const float update = __fdiv_rn(__fmul_rn(a.lr, __fmul_rn(m.v[e], a.unbias_m)), root);
            x.v[e] = __fsub_rn(__fmul_rn(x.v[e], a.keep), update);
        }
        store(at<float>(a.grad) + i, Floats<N>{});
        store(at<float>(a.m) + i, m);
        store(at<float>(a.v) + i, v);
        store(at<float>(a.x) + i, x);
    });
}
