/* conv1d.h — dense convolution over time with an odd number of taps, same length: Vocos' embedding, and every
 * convolution of BigVGAN and MB-iSTFT.
 *
 *   v[n,o] = gain (bias[o] + residual[n,o] + sum[n,o]
 *                  + sum_{k,i} w[k,o,i] x[n + (k - taps/2) dilation, i])    rows outside the sequence count as zero
 *   raw = v,  y = activation(v)
 *
 * A row of the pack is `rate` rows of every tensor: sequence s has rows rate offsets[s] .. rate offsets[s+1] - 1. So a
 * vocoder raises the rate without packs of its own: y [rows, u C] is [u rows, C], and a transposed convolution of
 * stride u is this one with u C outputs (PACK_UPSAMPLE of weights/part.h).
 *
 * x and w are `type`, y F32 if y_f32, else type; the rest F32. Reference F32 only (else F5_E_UNSUPPORTED). taps odd, 1
 * .. CONV1D_MAX_TAPS; (taps - 1) dilation at most CONV1D_MAX_REACH. raw and an F32 y may be residual or sum, and
 * overlap nothing else. w is stored tap first: PyTorch's [out,in,taps] permuted to [taps,out,in]. Errors:
 * F5_E_ARGUMENT, F5_E_SHAPE. Source: torch.nn.Conv1d as hifi-gan's residual blocks use it. */
#ifndef F5_CONV1D_H
#define F5_CONV1D_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CONV1D_MAX_TAPS 31
#define CONV1D_MAX_REACH 64

typedef enum {
    CONV1D_LINEAR,     /* v */
    CONV1D_LEAKY_RELU, /* v, and slope v below 0; slope 0 is ReLU */
    CONV1D_TANH,
    CONV1D_CLAMP /* to -1 .. 1; NaN stays */
} conv1d_activation;

typedef struct conv1d_args {
    const f5_pack *pack;
    int32_t rate;
    int32_t in, out, taps, dilation;
    conv1d_activation activation;
    float slope, gain;     /* slope: with CONV1D_LEAKY_RELU */
    const void *x;         /* [rate*rows,in] type */
    const void *w;         /* [taps,out,in] type */
    const float *bias;     /* [out] or NULL */
    const float *residual; /* [rate*rows,out] or NULL */
    const float *sum;      /* [rate*rows,out] or NULL */
    float *raw;            /* [rate*rows,out] or NULL */
    void *y;               /* [rate*rows,out] F32 if y_f32, else type */
    f5_dtype type;
    bool y_f32;
} conv1d_args;

#ifdef __cplusplus
}
#endif
#endif
