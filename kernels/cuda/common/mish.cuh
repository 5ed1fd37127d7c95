/* mish.cuh — c tanh(ln(1 + e)) with e = exp c, which is c (e^2 + 2 e) / (e^2 + 2 e + 2): two of the special function
 * unit's instructions. Past 20 the fraction rounds to one. */
#ifndef F5_MISH_CUH
#define F5_MISH_CUH

#include "kernels/cuda/sm80/ptx.cuh"

__device__ __forceinline__ float mish(float c) {
    const float e = ex2(1.4426950408889634f * fminf(c, 20.0f)), n = e * (e + 2.0f);
    return c * (n * rcp(n + 2.0f));
}

#endif
