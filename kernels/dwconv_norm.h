/* dwconv_norm.h — the head of a ConvNeXt block: depthwise convolution over time, 7 taps, then LayerNorm.
 *
 *   c[n,d] = bias[d] + sum_k w[k,d] x[n+k-3,d]    rows outside the sequence count as zero
 *   y      = LayerNorm(c) * scale + shift          eps 1e-6 unless given
 *
 * x F32; y `type`; the rest F32. y may not overlap x. dim >= 1.
 * w is stored tap first: upstream's [dim,1,7] transposed. */
#ifndef F5_DWCONV_NORM_H
#define F5_DWCONV_NORM_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DWCONV_TAPS 7

typedef struct dwconv_norm_args {
    const f5_pack *pack;
    int32_t dim;
    const float *x;     /* [rows,dim] */
    const float *w;     /* [7,dim] */
    const float *bias;  /* [dim] */
    const float *scale; /* [dim] LayerNorm weight */
    const float *shift; /* [dim] LayerNorm bias */
    void *y;            /* [rows,dim] type */
    f5_dtype type;
    float eps; /* 0: 1e-6 */
} dwconv_norm_args;

#ifdef __cplusplus
}
#endif
#endif
