/* grn.h — global response normalisation of ConvNeXt V2, over each sequence's own rows.
 *
 *   g[c]  = sqrt(sum_n x[n,c]^2)           all rows of the sequence, filler included
 *   nx[c] = g[c] / (mean_c g + 1e-6)
 *   y     = gamma[c] * x * nx[c] + beta[c] + x
 *
 * x and y are `type`, gamma and beta F32, sums F32 or wider. y may be x.
 * scratch F32 [n_seq,dim]: holds g while the op runs. dim >= 1, on a GPU at most 10240. Reference F32 only. */
#ifndef F5_GRN_H
#define F5_GRN_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct grn_args {
    const f5_pack *pack;
    int32_t dim;
    const void *x;      /* [rows,dim] type */
    const float *gamma; /* [dim] */
    const float *beta;  /* [dim] */
    float *scratch;     /* [n_seq,dim] */
    void *y;            /* [rows,dim] type */
    f5_dtype type;
} grn_args;

#ifdef __cplusplus
}
#endif
#endif
