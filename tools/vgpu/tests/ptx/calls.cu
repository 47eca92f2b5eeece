// Device calls from diverged lanes, constants, local arrays, an argument struct, and the functions of libdevice.
struct Arguments {
    int n;
    float scale;
    const float* x;
    float* y;
};
__constant__ float table[4] = {1.0f, 2.0f, 4.0f, 8.0f};
__device__ unsigned calls;
__device__ __noinline__ float twice(float a, int index) { return a * table[index & 3]; }
__device__ __noinline__ float polynomial(float a, int index) { return twice(a, index) + twice(a * a, index + 1); }
extern "C" __global__ void call(const __grid_constant__ Arguments a) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.n) return;
    float local[8];
    for (int j = 0; j < 8; j++) local[j] = a.x[(i + j) % a.n];
    float y = local[i * 5 % 8];
    if (i % 3 == 0) y = polynomial(y, i);
    else if (i % 3 == 1) y = twice(y, i) / a.scale;
    else y = expf(y) + sinf(y) + logf(1.0f + y * y) + sqrtf(fabsf(y)) + tanhf(y) + rsqrtf(1.0f + y * y);
    atomicAdd(&calls, 1u);
    a.y[i] = y;
}
