/* guide.h — classifier-free guidance and one step of the ODE, or the replacement of kept frames.
 *
 *   v = null ? cond + (cond - null) * cfg : cond
 *   y = x + dt * v
 *
 * and with keep: y[n,:] = keep[n] ? kept[n,:] : y[n,:]   (after the last step only)
 * All F32 [rows,dim]. y may be x. dt = 0 with cond NULL: replacement alone. */
#ifndef F5_GUIDE_H
#define F5_GUIDE_H

#include "f5_status.h"

typedef struct {
    int32_t rows, dim;
    float cfg, dt;
    const float *x;       /* [rows,dim] */
    const float *cond;    /* [rows,dim] velocity of the conditional branch, or NULL */
    const float *null;    /* [rows,dim] velocity of the null branch, or NULL */
    const uint8_t *keep;  /* [rows] or NULL */
    const float *kept;    /* [rows,dim] (with keep) */
    float *y;             /* [rows,dim] */
} guide_args;

f5_status guide_ref(const guide_args *a);

#endif
