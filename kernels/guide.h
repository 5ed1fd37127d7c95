/* guide.h — classifier-free guidance and one step of the ODE; after the last one, the kept frames come back.
 * The step may look back at the guided velocity of the step before, and keep its own for the next one.
 *
 * branches 2: the pack holds all conditional sequences, then the same sequences again for the null branch.
 *   half = live rows / 2 (live = offsets[n_seq]); for r < half:
 *   d = v[r] + (v[r] - v[r+half]) * cfg
 *   s = keep && keep[r] ? kept[r] : x[r] + dt * d
 *   y[r] = y[r+half] = s                         both branches continue from the same state
 * branches 1: d = v[r], y[r] = s for r < live.
 * last given: x[r] + dt * d + back * (d - last[r]) instead of x[r] + dt * d.
 * now given:  now[r] = d, unless keep replaces the row.
 *
 * All F32 [rows,dim]. y may be x, now may be last. Of keep [rows], kept, last and now only r < half (or live) counts.
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
    float back;          /* weight of the change since the step before (with last) */
    const float *last;   /* [rows/branches,dim] guided velocity of the step before, or NULL */
    float *now;          /* [rows/branches,dim] out: guided velocity of this step, or NULL */
} guide_args;

#ifdef __cplusplus
}
#endif
#endif
