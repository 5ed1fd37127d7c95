/* schedule.h — everything that depends on time alone, computed once per time grid: the grid, and every AdaLN
 * modulation of every evaluation. Requests with the same solver settings share it. */
#ifndef F5_SCHEDULE_H
#define F5_SCHEDULE_H

#include "runtime/arena.h"
#include "runtime/ops/ops.h"
#include "runtime/request.h"
#include "weights/model.h"

#define SCHEDULE_MAX_STEPS 1024

typedef struct {
    bool ready;
    int32_t nfe;
    bool use_sway, use_epss, midpoint;
    float sway;
    int32_t evaluations;     /* nfe, or 2 nfe with midpoint */
    int32_t max_evaluations; /* capacity */
    int64_t width;           /* (6*depth+2)*D */
    float *grid;             /* [nfe+1] t_0 .. t_nfe, host */
    float *times;            /* [evaluations] t of each evaluation, host */
    float *modulation;       /* [evaluations,width] device */
} schedule;

/* Fills grid [nfe+1]: uniform or EPSS steps on [0,1], then sway  t + s (cos(pi t / 2) - 1 + t).  nfe >= 1. */
void time_grid_fill(float *grid, int32_t nfe, bool use_epss, bool use_sway, float sway);

int64_t solver_evaluations(const synth_solver *solver); /* of any nfe: requests are checked by it */

/* Makes s hold the solver's grid and modulations; does nothing if it already does. Temporaries from the arena. */
f5_status schedule_prepare(schedule *s, const model *m, ops *o, arena *a, const synth_solver *solver);

#endif
