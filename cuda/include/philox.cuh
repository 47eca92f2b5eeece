// Counter-based random numbers: Philox4x32-10 (Salmon et al., 2011), the same numbers as src/rng.rs.
#pragma once
#include <stdint.h>

// Ten rounds: key `seed`, counter (index, stream), low words first.
__device__ __forceinline__ uint4 philox4x32(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
    uint4 c = make_uint4(uint32_t(index), uint32_t(index >> 32), uint32_t(stream), uint32_t(stream >> 32));
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c.x;
        const uint64_t p1 = uint64_t(0xCD9E8D57u) * c.z;
        c = make_uint4(uint32_t(p1 >> 32) ^ c.y ^ key0, uint32_t(p1), uint32_t(p0 >> 32) ^ c.w ^ key1, uint32_t(p0));
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

// The upper 24 bits of `word` as a fraction of 2²⁴: exact.
__device__ __forceinline__ float unit_interval(uint32_t word) { return float(word >> 8) * (1.0f / 16777216.0f); }
