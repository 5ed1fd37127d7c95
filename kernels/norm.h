/* norm.h — LayerNorm of each row, then an affine map shared by all rows; or RMSNorm.
 *
 *   n = (x - mean) / sqrt(var + eps)           var is the biased variance; statistics F32
 *   y = n * (one_plus_scale ? 1 + scale : scale) + shift
 *
 * AdaLN passes a step's modulation with one_plus_scale; plain LayerNorm passes weight and bias without. With rms
 *
 *   y = x * sqrt(D) / max(|x|, 1e-12) * scale         |x| is the root of the sum of squares
 *
 * and shift and one_plus_scale are not read (x-transformers' RMSNorm).
 * x F32; y F32 if type is F32, else type, apart from scale and shift. D >= 1. The tail of a pack may hold anything.
 * type I8: y as whole numbers with a scale for each row, made of the F32 numbers as quantize.h says; D is then a
 * multiple of 16, and y 16-byte aligned for the CUDA twin. The reference takes F32 and I8. */
#ifndef F5_NORM_H
#define F5_NORM_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "kernels/f5_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct norm_args {
    int32_t rows, dim;
    const float *x;     /* [rows,dim] */
    const float *scale; /* [dim] */
    const float *shift; /* [dim]; not with rms */
    void *y;            /* [rows,dim] type; may be x when type is F32 */
    bool one_plus_scale, rms;
    f5_dtype type;  /* of y */
    float *y_scale; /* [rows] (I8) */
    float eps;      /* 0: 1e-6 */
} norm_args;

#ifdef __cplusplus
}
#endif
#endif
