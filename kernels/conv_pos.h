/* conv_pos.h — one layer of the convolutional position embedding: grouped conv over time, 31 taps, then Mish.
 *
 *   c[n,o] = bias[o] + sum_{k,i} w[k,o,i] x[n+k-15, group(o)*gw + i]      gw = dim/16, group(o) = o/gw
 *   y[n,o] = (residual ? residual[n,o] : 0) + mish(c)                      mish(c) = c tanh(ln(1 + exp c))
 *
 * Rows outside the sequence count as zero. dim % 16 == 0, else F5_E_SHAPE. y may not overlap x, may be residual.
 * x and w are `type`; residual and bias F32; y F32 if y_f32, else type. Reference F32 only.
 * w is stored tap first: upstream's [dim, dim/16, 31] permuted to [31, dim, dim/16].
 * Source: F5-TTS model/modules.py ConvPositionEmbedding. */
#ifndef F5_CONV_POS_H
#define F5_CONV_POS_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CONV_POS_TAPS 31
#define CONV_POS_GROUPS 16

typedef struct conv_pos_args {
    const f5_pack *pack;
    int32_t dim;
    const void *x;         /* [rows,dim] type */
    const void *w;         /* [31,dim,dim/16] type */
    const float *bias;     /* [dim] */
    const float *residual; /* [rows,dim] or NULL */
    void *y;               /* [rows,dim] F32 if y_f32, else type */
    f5_dtype type;
    bool y_f32;
} conv_pos_args;

#ifdef __cplusplus
}
#endif
#endif
