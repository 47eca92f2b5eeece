// One sum per block: shuffles within a warp, shared memory between warps; the number of positive elements by a barrier.
extern "C" __global__ void reduce(const float* x, float* sums, int* positive, int n) {
    __shared__ float partial[32];
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    float value = i < n ? x[i] : 0.0f;
    int count = __syncthreads_count(value > 0.0f);
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    if (lane == 0) partial[warp] = value;
    __syncthreads();
    if (warp == 0) {
        value = lane < blockDim.x / 32 ? partial[lane] : 0.0f;
        for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
        if (lane == 0) {
            sums[blockIdx.x] = value;
            positive[blockIdx.x] = count;
        }
    }
}
