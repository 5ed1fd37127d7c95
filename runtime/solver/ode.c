/* ode.c — from noise to mel: the ODE dx/dt = v(x,t) by Euler or midpoint steps, with guidance (runtime/MODEL.md §3). */
#include "runtime/models/stages.h"

#include "kernels/guide.h"
#include "kernels/mel.h"

f5_status ode_run(const stage_context *c, const schedule *s, const synth_solver *solver, const ode_args *a) {
    ops *o = c->ops;
    size_t state = (size_t)a->pack->rows * MEL_BANDS;
    size_t mark = arena_mark(c->arena);
    float *v = arena_take(c->arena, state, sizeof(float));
    float *x_mid = solver->midpoint ? arena_take(c->arena, state, sizeof(float)) : NULL;
    dit_buffers buffers;
    if (!dit_buffers_take(c, a->pack->rows, &buffers)) return F5_E_MEMORY;

    guide_args step = {.pack = a->pack,
                       .dim = MEL_BANDS,
                       .branches = a->branches,
                       .cfg = solver->cfg,
                       .x = a->x,
                       .v = v,
                       .kept = a->kept,
                       .y = a->x};
    for (int32_t i = 0; i < solver->nfe; i++) {
        float dt = s->grid[i + 1] - s->grid[i];
        const float *modulation = s->modulation + (int64_t)(solver->midpoint ? 2 * i : i) * s->width;
        F5_TRY(dit_velocity(c, &buffers, a->pack, a->x, a->base, modulation, v));
        if (solver->midpoint) {
            guide_args half = step;
            half.dt = 0.5f * dt;
            half.y = x_mid;
            ops_at(o, "ode", i);
            F5_TRY(o->guide(o, "half_step", &half));
            F5_TRY(dit_velocity(c, &buffers, a->pack, x_mid, a->base, modulation + s->width, v));
        }
        step.dt = dt;
        step.keep = i == solver->nfe - 1 ? a->keep : NULL;
        ops_at(o, "ode", i);
        F5_TRY(o->guide(o, "step", &step));
        if (solver->progress && solver->progress(solver->progress_user, i + 1, solver->nfe)) return F5_E_CANCELLED;
    }
    arena_release(c->arena, mark);
    return F5_OK;
}
