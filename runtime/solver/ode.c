/* ode.c — the steps of each method, with guidance (runtime/MODEL.md §3.3). */
#include "runtime/solver/ode.h"

#include "kernels/guide.h"
#include "runtime/models/vocoder.h"

/* AB2 takes half of the velocity's change, whatever the ratio of two steps: Adams-Bashforth in the grid's parameter, in
 * which steps are equal. In time it would be half times that ratio, which is worse where steps grow. */
f5_status ode_run(const stage_context *c, const time_grid *g, const synth_solver *solver, const ode_args *a) {
    const backbone *b = backbone_of(&c->model->config);
    ops *o = c->ops;
    const int32_t bands = model_mel_bands(&c->model->config);
    size_t numbers = (size_t)a->input.pack->rows * (size_t)bands, mark = arena_mark(c->arena);
    _Alignas(16) unsigned char state[BACKBONE_STATE_BYTES];
    o->evaluation = 0;
    F5_TRY(b->begin(c, &a->input, state));
    float *v = arena_take(c->arena, numbers, sizeof(float));
    float *x_mid = NULL, *last = NULL;
    if (solver->method == SOLVER_MIDPOINT) x_mid = arena_take(c->arena, numbers, sizeof(float));
    if (solver->method == SOLVER_AB2) last = arena_take(c->arena, numbers / (size_t)a->branches, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;

    guide_args step = {.pack = a->input.pack,
                       .dim = bands,
                       .branches = a->branches,
                       .cfg = solver->cfg,
                       .x = a->x,
                       .v = v,
                       .kept = a->kept,
                       .y = a->x,
                       .now = last};
    for (int32_t i = 0; i < solver->nfe; i++) {
        float dt = g->t[i + 1] - g->t[i];
        const float *row = g->rows + (int64_t)solver_evaluations_a_step(solver) * i * g->width;
        o->evaluation++;
        F5_TRY(b->velocity(c, state, a->x, row, v));
        if (x_mid) {
            guide_args half = step;
            half.dt = 0.5f * dt;
            half.y = x_mid;
            ops_at(o, "ode", i);
            F5_TRY(o->guide(o, "half_step", &half));
            o->evaluation++;
            F5_TRY(b->velocity(c, state, x_mid, row + g->width, v));
        }
        step.dt = dt;
        if (last && i > 0) {
            step.last = last;
            step.back = 0.5f * dt;
        }
        step.keep = i == solver->nfe - 1 ? a->keep : NULL;
        ops_at(o, "ode", i);
        F5_TRY(o->guide(o, "step", &step));
        if (solver->progress && solver->progress(solver->progress_user, i + 1, solver->nfe)) return F5_E_CANCELLED;
    }
    o->evaluation = 0;
    arena_release(c->arena, mark);
    return F5_OK;
}
