/* conv1d.h — dense convolution over time with an odd number of taps, same length (the Vocos embedding).
 *
 *   y[n,o] = bias[o] + sum_{k,i} w[k,o,i] x[n+k-taps/2, i]    rows outside the sequence count as zero
 *
 * x, w, bias, y F32. taps odd, 1 .. 15. y may not overlap x.
 * w is stored tap first: PyTorch's [out,in,taps] permuted to [taps,out,in]. */
#ifndef F5_CONV1D_H
#define F5_CONV1D_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct conv1d_args {
    const f5_pack *pack;
    int32_t in, out, taps;
    const float *x;    /* [rows,in] */
    const float *w;    /* [taps,out,in] */
    const float *bias; /* [out] or NULL */
    float *y;          /* [rows,out] */
} conv1d_args;

#ifdef __cplusplus
}
#endif
#endif
