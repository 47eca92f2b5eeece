// Random numbers as functions of (seed, stream, index): Philox4x32-10, the same bits as src/rng.rs.
#pragma once
#include <stdint.h>

// Numbers 4·index to 4·index + 3 of a stream, uniform over all 32-bit values. Key: seed; counter: (index, stream).
__device__ __forceinline__ uint4 philox4x32(uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t key_x = uint32_t(seed), key_y = uint32_t(seed >> 32);
    uint4 c = {uint32_t(index), uint32_t(index >> 32), uint32_t(stream), uint32_t(stream >> 32)};
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c.x, p1 = uint64_t(0xCD9E8D57u) * c.z;
        c = {uint32_t(p1 >> 32) ^ c.y ^ key_x, uint32_t(p1), uint32_t(p0 >> 32) ^ c.w ^ key_y, uint32_t(p0)};
        key_x += 0x9E3779B9u;
        key_y += 0xBB67AE85u;
    }
    return c;
}

// The upper 24 bits of a random word as a fraction of 2²⁴: exact, in [0, 1).
__device__ __forceinline__ float unit_interval(uint32_t word) { return float(word >> 8) * 0x1p-24f; }
