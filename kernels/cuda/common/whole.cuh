/* whole.cuh — numbers of a row as whole numbers of 8 bits, as quantize.h says. */
#ifndef F5_WHOLE_CUH
#define F5_WHOLE_CUH

#include "kernels/cuda/common/launch.cuh"
#include "kernels/whole.h"

/* |x| by its bits: NaN is above all, an infinity above all numbers. */
__device__ __forceinline__ uint32_t magnitude(float x) {
    return __float_as_uint(x) & 0x7fffffffu;
}

/* What a row's numbers are multiplied by, and its scale, from the largest of its magnitudes. */
struct whole_scale {
    float by, scale;
};
__device__ __forceinline__ whole_scale whole_scale_of(uint32_t largest) {
    const float m = __uint_as_float(largest);
    return {m >= WHOLE_SMALLEST ? __fdiv_rn(WHOLE_MAX, m) : 0.0f,
            largest < 0x7f800000u ? __fdiv_rn(m, WHOLE_MAX) : m - m};
}

/* Four whole numbers, the first in the low byte. Adding 1.5 * 2^23 rounds to the nearest and leaves it in the low
 * bits. */
__device__ __forceinline__ uint32_t whole4(float a, float b, float c, float d, float by) {
    const float round = 12582912.0f;
    const uint32_t i = __float_as_uint(__fadd_rn(__fmul_rn(a, by), round)),
                   j = __float_as_uint(__fadd_rn(__fmul_rn(b, by), round)),
                   k = __float_as_uint(__fadd_rn(__fmul_rn(c, by), round)),
                   l = __float_as_uint(__fadd_rn(__fmul_rn(d, by), round));
    return __byte_perm(__byte_perm(i, j, 0x0040), __byte_perm(k, l, 0x0040), 0x5410);
}

/* The largest over a warp; every lane gets it. */
__device__ __forceinline__ uint32_t lanes_largest(uint32_t m) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    return __reduce_max_sync(0xffffffffu, m);
#else
    return m;
#endif
}

#endif
