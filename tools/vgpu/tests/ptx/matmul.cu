// C = A·B in f32, row-major, 64 x 64 tiles, 4 x 4 per thread; every size a multiple of 64.
extern "C" __global__ void __launch_bounds__(256) matmul(const float* a, const float* b, float* c, int n, int k) {
    __shared__ __align__(16) float ta[16][68], tb[16][64];
    int t = threadIdx.x, row = t / 16 * 4, column = t % 16 * 4;
    const float* ap = a + (size_t)(blockIdx.y * 64 + t / 4) * k + t % 4 * 4;
    const float* bp = b + (size_t)(t / 16) * n + blockIdx.x * 64 + t % 16 * 4;
    float sum[4][4] = {};
    for (int at = 0; at < k; at += 16) {
        float4 va = *(const float4*)(ap + at), vb = *(const float4*)(bp + (size_t)at * n);
        ta[t % 4 * 4 + 0][t / 4] = va.x;
        ta[t % 4 * 4 + 1][t / 4] = va.y;
        ta[t % 4 * 4 + 2][t / 4] = va.z;
        ta[t % 4 * 4 + 3][t / 4] = va.w;
        *(float4*)&tb[t / 16][t % 16 * 4] = vb;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 16; i++) {
            float4 x = *(const float4*)&ta[i][row], y = *(const float4*)&tb[i][column];
            float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
            for (int r = 0; r < 4; r++)
#pragma unroll
                for (int s = 0; s < 4; s++) sum[r][s] = fmaf(xs[r], ys[s], sum[r][s]);
        }
        __syncthreads();
    }
    for (int r = 0; r < 4; r++)
        *(float4*)&c[(size_t)(blockIdx.y * 64 + row + r) * n + blockIdx.x * 64 + column] =
            make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
}
