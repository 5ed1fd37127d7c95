/* cuda_bf16.h — bfloat16 on the CPU, by the conversions of kernels/half.h. */
#ifndef F5_EMULATED_CUDA_BF16_H
#define F5_EMULATED_CUDA_BF16_H

#include "kernels/half.h"

#include <cuda_runtime.h>

struct __nv_bfloat16 {
    uint16_t bits;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
static inline float __bfloat162float(__nv_bfloat16 b) {
    return bfloat_to_float(b.bits);
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    return {bfloat_from_float(x)};
}
static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
    return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
static inline float2 __bfloat1622float2(__nv_bfloat162 v) {
    return {__bfloat162float(v.x), __bfloat162float(v.y)};
}

#endif
