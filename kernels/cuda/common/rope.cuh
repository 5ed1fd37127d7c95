/* rope.cuh — the rotation of RoPE: a pair (a, b) is rotated by the angle whose (cos, sin) the table holds
 * (attention.h).
 */
#ifndef F5_ROPE_CUH
#define F5_ROPE_CUH

#include "kernels/cuda/common/launch.cuh"

/* Four neighbouring pairs by their angles; angles is 16-byte aligned. */
__device__ __forceinline__ void rotate8(float (&v)[8], const float *angles) {
    float angle[8];
    load8(angle, angles);
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        const float a = v[i], b = v[i + 1];
        v[i] = a * angle[i] - b * angle[i + 1];
        v[i + 1] = b * angle[i] + a * angle[i + 1];
    }
}

#endif
