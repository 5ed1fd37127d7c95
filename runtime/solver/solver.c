/* solver.c — what makes two solver settings the same is written here and nowhere else. */
#include "runtime/solver/solver.h"

#include <string.h>

#define NO_GUIDANCE 1e-5f /* upstream's limit (model/cfm.py) */

int32_t solver_evaluations_a_step(const synth_solver *s) {
    return s->method == SOLVER_MIDPOINT ? 2 : 1;
}

int64_t solver_evaluations(const synth_solver *s) {
    return solver_evaluations_a_step(s) * (int64_t)s->nfe;
}

int32_t solver_branches(const synth_solver *s) {
    return s->cfg < NO_GUIDANCE ? 1 : 2;
}

bool solver_sways(const synth_solver *s) {
    return s->grid == GRID_OF_SWAY || (s->grid == GRID_OF_METHOD && s->method != SOLVER_AB2);
}

/* Everything that counts, in one form: a sway that is off has no coefficient. */
typedef struct {
    int32_t nfe, flags;
    float sway, cfg;
} essence;

_Static_assert(sizeof(essence) == SOLVER_KEY_BYTES, "the key is the essence, without gaps");

static essence essence_of(const synth_solver *s) {
    const bool sways = solver_sways(s), quadratic = s->grid == GRID_OF_QUADRATIC;
    const bool warped = (sways || quadratic) && s->use_sway;
    return (essence){.nfe = s->nfe,
                     .flags = (sways && s->use_epss) | warped << 1 | sways << 2 | (s->grid == GRID_OF_CURVE) << 3 |
                              (int32_t)s->method << 4 | quadratic << 8,
                     .sway = warped ? s->sway : 0,
                     .cfg = s->cfg};
}

bool solver_same_times(const synth_solver *a, const synth_solver *b) {
    essence x = essence_of(a), y = essence_of(b);
    return x.nfe == y.nfe && x.flags == y.flags && x.sway == y.sway;
}

bool solver_same(const synth_solver *a, const synth_solver *b) {
    return solver_same_times(a, b) && a->cfg == b->cfg;
}

void solver_key(const synth_solver *s, uint8_t key[SOLVER_KEY_BYTES]) {
    essence e = essence_of(s);
    memcpy(key, &e, sizeof e);
}
