/* ode.h — the solver's loop: from noise to mel, by the backbone's velocities. */
#ifndef F5_ODE_H
#define F5_ODE_H

#include "runtime/solver/time_grid.h"

typedef struct {
    backbone_input input;
    int32_t branches;
    const uint8_t *keep; /* [R] frames replaced at the end */
    const float *kept;   /* [R,100] by these */
    float *x;            /* [R,100] noise in, mel out */
} ode_args;

f5_status ode_run(const stage_context *c, const time_grid *g, const synth_solver *solver, const ode_args *a);

#endif
