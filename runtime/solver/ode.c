/* ode.c — Euler and midpoint steps, with guidance (runtime/MODEL.md §3.3). */
#include "runtime/solver/ode.h"

#include "kernels/guide.h"
#include "kernels/mel.h"

f5_status ode_run(const stage_context *c, const time_grid *g, const synth_solver *solver, const ode_args *a) {
    const backbone *b = backbone_of(&c->model->config);
    ops *o = c->ops;
    size_t numbers = (size_t)a->input.pack->rows * MEL_BANDS, mark = arena_mark(c->arena);
    _Alignas(16) unsigned char state[BACKBONE_STATE_BYTES];
    o->evaluation = 0;
    F5_TRY(b->begin(c, &a->input, state));
    float *v = arena_take(c->arena, numbers, sizeof(float));
    float *x_mid = solver->midpoint ? arena_take(c->arena, numbers, sizeof(float)) : NULL;
    if (c->arena->overflow) return F5_E_MEMORY;

    guide_args step = {.pack = a->input.pack,
                       .dim = MEL_BANDS,
                       .branches = a->branches,
                       .cfg = solver->cfg,
                       .x = a->x,
                       .v = v,
                       .kept = a->kept,
                       .y = a->x};
    for (int32_t i = 0; i < solver->nfe; i++) {
        float dt = g->t[i + 1] - g->t[i];
        const float *row = g->rows + (int64_t)(solver->midpoint ? 2 * i : i) * g->width;
        o->evaluation++;
        F5_TRY(b->velocity(c, state, a->x, row, v));
        if (solver->midpoint) {
            guide_args half = step;
            half.dt = 0.5f * dt;
            half.y = x_mid;
            ops_at(o, "ode", i);
            F5_TRY(o->guide(o, "half_step", &half));
            o->evaluation++;
            F5_TRY(b->velocity(c, state, x_mid, row + g->width, v));
        }
        step.dt = dt;
        step.keep = i == solver->nfe - 1 ? a->keep : NULL;
        ops_at(o, "ode", i);
        F5_TRY(o->guide(o, "step", &step));
        if (solver->progress && solver->progress(solver->progress_user, i + 1, solver->nfe)) return F5_E_CANCELLED;
    }
    o->evaluation = 0;
    arena_release(c->arena, mark);
    return F5_OK;
}
