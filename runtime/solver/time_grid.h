/* time_grid.h — everything that depends on time alone, computed once per time grid: its steps, and what the backbone
 * makes of the time of every evaluation (its rows). Requests with the same solver settings share it. */
#ifndef F5_TIME_GRID_H
#define F5_TIME_GRID_H

#include "runtime/models/backbone.h"
#include "runtime/solver/solver.h"

#define TIME_GRID_MAX_EVALUATIONS 1024

typedef struct {
    bool ready;
    synth_solver solver;     /* that it was made for */
    int32_t max_evaluations; /* capacity */
    int64_t width;           /* the backbone's row_width */
    float *t;                /* [nfe+1] t_0 .. t_nfe, host */
    float *times;            /* [evaluations] t of each evaluation, host */
    float *rows;             /* [evaluations,width] device */
} time_grid;

/* Fills t [nfe+1], nfe >= 1. Sway: uniform or EPSS steps on [0,1], then  t + s (cos(pi t / 2) - 1 + t).
 * Quadratic: uniform steps, but the backbone is told t + s t (1 - t), within [0,1], as Flow-Matching-TTS does.
 * Otherwise, where AB2 has no grid of its own, the curve  (s(u) - s(0)) / (s(1) - s(0)),  s(u) = 1 / (1 + exp(-a (u -
 * b))), u uniform: steps that grow as a power of e, and shrink again towards the end. */
void time_grid_fill(float *t, const synth_solver *solver);

/* Makes g hold the solver's grid and rows; does nothing if it already does. Temporaries from the arena. */
f5_status time_grid_prepare(time_grid *g, const stage_context *c, const synth_solver *solver);

#endif
