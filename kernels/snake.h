/* snake.h — BigVGAN's anti-aliased SnakeBeta: up to twice the rate, x + sin²(x e^alpha) / (e^beta + 1e-9), down again.
 *
 *   a[2m]   = S(2 sum_{d=-2..3} f[5+2d] x[m-d])       x beyond the sequence's ends is its first or last row
 *   a[2m+1] = S(2 sum_{d=-3..2} f[6+2d] x[m-d])
 *   S(v)    = v + sin²(v e^alpha[c]) / (e^beta[c] + 1e-9)
 *   y[n]    = sum_{k=0..11} f[k] a[2n + k - 5]        a beyond its ends is its first or last
 *
 * f is SNAKE_FILTER, a Kaiser-windowed sinc of 12 taps that sums to 1. Every row of y sees x up to SNAKE_REACH rows
 * off. A row of the pack is `rate` rows of x and y (conv1d.h). y is `type`, x F32 if x_f32, else type; the rest F32.
 * Reference F32 only (else F5_E_UNSUPPORTED). y overlaps nothing. Errors: F5_E_ARGUMENT, F5_E_SHAPE. Source:
 * NVIDIA/BigVGAN alias_free_activation/torch (act.py, resample.py, filter.py), activations.py (SnakeBeta with
 * alpha_logscale); Lee et al., BigVGAN, 2023 (arXiv:2206.04658); Karras et al., StyleGAN3, 2021. */
#ifndef F5_SNAKE_H
#define F5_SNAKE_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SNAKE_TAPS 12
#define SNAKE_REACH 5

/* Its symmetric half in F32; tests/ops/test_snake.py makes it anew from its formula. */
#define SNAKE_FILTER_HALF                                                                                              \
    { 0.00202896469f, 0.00938946567f, -0.0255434588f, -0.0576573834f, 0.128572583f, 0.443209797f }

typedef struct snake_args {
    const f5_pack *pack;
    int32_t rate, dim;
    const void *x;      /* [rate*rows,dim] F32 if x_f32, else type */
    const float *alpha; /* [dim] natural logarithms */
    const float *beta;  /* [dim] likewise */
    void *y;            /* [rate*rows,dim] type */
    f5_dtype type;
    bool x_f32;
} snake_args;

#ifdef __cplusplus
}
#endif
#endif
