/* timestep.h — sinusoidal features of the flow time.
 *
 *   y[i] = concat(sin(scale t_i f), cos(scale t_i f))   f_j = exp(-j ln(10000)/(h-1)), j = 0..h-1, h = dim/2
 *
 * f_j and each product (scale t first) are rounded to F32, as upstream's are: angles reach 1000 radians, where an ulp
 * is 6e-5. t [n] F32; y [n,dim] `type`, for the product that follows. dim even, 4 at least, else F5_E_SHAPE. Reference
 * F32 only. Source: F5-TTS SinusPositionEmbedding; of other widths Flow-Matching-TTS TimestepEmbedding, whose scale
 * is 1. */
#ifndef F5_TIMESTEP_H
#define F5_TIMESTEP_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TIMESTEP_DIM 256

typedef struct timestep_args {
    int32_t n;
    const float *t; /* [n] */
    void *y;        /* [n,dim] type */
    f5_dtype type;
    int32_t dim;
    float scale;
} timestep_args;

/* What the logarithm of a frequency falls by from one to the next, of `half` frequencies. */
static inline float timestep_step(int32_t half) {
    return (float)(9.210340371976184 / (half - 1)); /* ln(10000) */
}

#ifdef __cplusplus
}
#endif
#endif
