/* cuda_fp16.h — IEEE half on the CPU, by the conversions of kernels/half.h. */
#ifndef F5_EMULATED_CUDA_FP16_H
#define F5_EMULATED_CUDA_FP16_H

#include "kernels/half.h"

#include <cuda_runtime.h>

struct __half {
    uint16_t bits;
};
struct alignas(4) __half2 {
    __half x, y;
};
static inline float __half2float(__half h) {
    return half_to_float(h.bits);
}
static inline __half __float2half_rn(float x) {
    return {half_from_float(x)};
}
static inline __half2 __floats2half2_rn(float x, float y) {
    return {__float2half_rn(x), __float2half_rn(y)};
}
static inline float2 __half22float2(__half2 v) {
    return {__half2float(v.x), __half2float(v.y)};
}
static inline __half2 __hsub2(__half2 a, __half2 b) {
    return __floats2half2_rn(__half2float(a.x) - __half2float(b.x), __half2float(a.y) - __half2float(b.y));
}

#endif
