// Pointers and wide loads.
#pragma once
#include <stdint.h>

// A device address from an argument struct, as a pointer.
template <class T> __device__ __forceinline__ T *at(uint64_t address) { return reinterpret_cast<T *>(address); }
