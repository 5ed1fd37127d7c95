/* solver.h — solver settings, shared by the sequences of a batch: their defaults, and when two of them are the same. */
#ifndef F5_SOLVER_H
#define F5_SOLVER_H

#include <stdbool.h>
#include <stdint.h>

/* The numbers are those of f5_method and f5_grid. */
typedef enum { SOLVER_EULER, SOLVER_MIDPOINT, SOLVER_AB2, SOLVER_METHODS } solver_method;
typedef enum { GRID_OF_METHOD, GRID_OF_SWAY, GRID_OF_CURVE, GRID_OF_QUADRATIC, SOLVER_GRIDS } solver_grid;

typedef struct {
    int32_t nfe; /* steps */
    float cfg;   /* guidance strength; below 1e-5 the conditional branch runs alone */
    float sway;  /* coefficient */
    bool use_sway, use_epss;
    solver_method method;
    solver_grid grid;
    int (*progress)(void *user, int32_t step, int32_t steps); /* or NULL; non-zero cancels */
    int (*waits)(void *user);                                 /* or NULL; while the call waits; non-zero cancels */
    void *progress_user;
} synth_solver;

/* Initialisers of a synth_solver, and of f5_sample_params, whose fields have the same names. */
#define SOLVER_DEFAULTS .nfe = 32, .cfg = 2, .sway = -1, .use_sway = true, .use_epss = true

#define SOLVER_KEY_BYTES 16

int32_t solver_evaluations_a_step(const synth_solver *s);
int64_t solver_evaluations(const synth_solver *s); /* of the velocity; of any nfe: requests are checked by it */
int32_t solver_branches(const synth_solver *s);    /* 1, or 2 with guidance */

/* Are the times EPSS and sway, or the method's own? */
bool solver_sways(const synth_solver *s);

/* Do both ask for the same evaluations, at the same times? */
bool solver_same_times(const synth_solver *a, const synth_solver *b);

/* And for the same steps: then their sequences may share a batch and a graph. Progress is each caller's own. */
bool solver_same(const synth_solver *a, const synth_solver *b);

/* What solver_same compares, as bytes. */
void solver_key(const synth_solver *s, uint8_t key[SOLVER_KEY_BYTES]);

#endif
