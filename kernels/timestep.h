/* timestep.h — sinusoidal features of the flow time.
 *
 *   y[i] = concat(sin(1000 t_i f), cos(1000 t_i f))   f_j = exp(-j ln(10000)/127), j = 0..127
 *
 * f_j and each product (1000 t first) are rounded to F32, as upstream's are: angles reach 1000 radians, where an ulp is
 * 6e-5. t [n] F32; y [n,256] `type`, for the product that follows. Reference F32 only.
 * Source: F5-TTS SinusPositionEmbedding. */
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
    void *y;        /* [n,256] type */
    f5_dtype type;
} timestep_args;

#ifdef __cplusplus
}
#endif
#endif
