/* rope.cuh — the rotation of RoPE, as attention.h says: a pair (a, b) turns by an angle of which the table has (cos,
 * sin).
 */
#ifndef F5_ROPE_CUH
#define F5_ROPE_CUH

#include "kernels/cuda/common/launch.cuh"

/* Four neighbouring pairs by their angles; angles is 16-byte aligned. */
__device__ __forceinline__ void rotate8(float (&v)[8], const float *angles) {
    float turn[8];
    load8(turn, angles);
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        const float a = v[i], b = v[i + 1];
        v[i] = a * turn[i] - b * turn[i + 1];
        v[i + 1] = b * turn[i] + a * turn[i + 1];
    }
}

#endif
