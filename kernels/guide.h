/* guide.h — classifier-free guidance and one step of the ODE; after the last one, the kept frames come back.
 *
 * branches 2: the pack holds all conditional sequences, then the same sequences again for the null branch.
 *   half = live rows / 2 (live = offsets[n_seq]); for r < half:
 *   d = v[r] + (v[r] - v[r+half]) * cfg
 *   s = keep && keep[r] ? kept[r] : x[r] + dt * d
 *   y[r] = y[r+half] = s                         both branches continue from the same state
 * branches 1: d = v[r], y[r] = s for r < live.
 *
 * All F32 [rows,dim]. y may be x. keep [rows] and kept [rows,dim] are read for r < half (or live) only.
 * half and live come from device memory, so a captured step serves any composition of a bucket. */
#ifndef F5_GUIDE_H
#define F5_GUIDE_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct guide_args {
    const f5_pack *pack;
    int32_t dim;
    int32_t branches; /* 1 or 2 */
    float cfg, dt;
    const float *x;      /* [rows,dim] state */
    const float *v;      /* [rows,dim] velocities of both branches */
    const uint8_t *keep; /* [rows] 1 = replace, or NULL */
    const float *kept;   /* [rows,dim] (with keep) */
    float *y;            /* [rows,dim] */
} guide_args;

#ifdef __cplusplus
}
#endif
#endif
