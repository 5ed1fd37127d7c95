#include "runtime/solver/schedule.h"

#include "kernels/linear.h"
#include "kernels/timestep.h"

#include <math.h>

/* Empirically pruned step sampling (F5-TTS model/utils.py get_epss_timesteps): steps in units of 1/32, dense where the
 * flow bends. */
static const int8_t *epss_steps(int32_t nfe) {
    static const int8_t n5[] = {0, 2, 4, 8, 16, 32};
    static const int8_t n6[] = {0, 2, 4, 6, 8, 16, 32};
    static const int8_t n7[] = {0, 2, 4, 6, 8, 16, 24, 32};
    static const int8_t n10[] = {0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32};
    static const int8_t n12[] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32};
    static const int8_t n16[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32};
    switch (nfe) {
    case 5:
        return n5;
    case 6:
        return n6;
    case 7:
        return n7;
    case 10:
        return n10;
    case 12:
        return n12;
    case 16:
        return n16;
    default:
        return NULL;
    }
}

void time_grid_fill(float *grid, int32_t nfe, bool use_epss, bool use_sway, float sway) {
    const double half_pi = 1.57079632679489661923;
    const int8_t *pruned = use_epss ? epss_steps(nfe) : NULL;
    for (int32_t i = 0; i <= nfe; i++) {
        double t = pruned ? pruned[i] / 32.0 : (double)i / nfe;
        if (use_sway) t += (double)sway * (cos(half_pi * t) - 1 + t);
        grid[i] = (float)t;
    }
}

int64_t solver_evaluations(const synth_solver *solver) {
    return (solver->midpoint ? 2 : 1) * (int64_t)solver->nfe;
}

static bool schedule_matches(const schedule *s, const synth_solver *v) {
    return s->ready && s->nfe == v->nfe && s->use_epss == v->use_epss && s->midpoint == v->midpoint &&
           s->use_sway == v->use_sway && (!v->use_sway || s->sway == v->sway);
}

f5_status schedule_prepare(schedule *s, const model *m, ops *o, arena *a, const synth_solver *solver) {
    if (schedule_matches(s, solver)) return F5_OK;
    s->ready = false;
    if (solver_evaluations(solver) > s->max_evaluations) return F5_E_MEMORY;
    int32_t n = (int32_t)solver_evaluations(solver), D = m->config.dim;
    time_grid_fill(s->grid, solver->nfe, solver->use_epss, solver->use_sway, solver->sway);
    for (int32_t i = 0; i < solver->nfe; i++) {
        float t = s->grid[i], dt = s->grid[i + 1] - t;
        if (solver->midpoint) {
            s->times[2 * i] = t;
            s->times[2 * i + 1] = t + 0.5f * dt;
        } else {
            s->times[i] = t;
        }
    }

    /* all evaluations are rows of one batch: time MLP, SiLU, then one product for every modulation of the model */
    size_t mark = arena_mark(a);
    float *t = arena_take(a, (size_t)n, sizeof(float));
    void *features = arena_take(a, (size_t)n * TIMESTEP_DIM, f5_dtype_bytes(o->type));
    void *hidden = arena_take(a, (size_t)n * (size_t)D, f5_dtype_bytes(o->type));
    void *c = arena_take(a, (size_t)n * (size_t)D, f5_dtype_bytes(o->type));
    if (a->overflow) return F5_E_MEMORY;
    const dit_weights *w = &m->dit;
    ops_at(o, "schedule", -1);
    F5_TRY(o->copy_in(o, t, s->times, (size_t)n * sizeof(float)));
    F5_TRY(o->timestep(o, "features", &(timestep_args){.n = n, .t = t, .y = features, .type = o->type}));
    F5_TRY(o->linear(o, "time1",
                     &(linear_args){.rows = n,
                                    .in = TIMESTEP_DIM,
                                    .out = D,
                                    .x = features,
                                    .w = w->time1.w,
                                    .bias = w->time1.b,
                                    .y = hidden,
                                    .epilogue = LINEAR_SILU,
                                    .type = o->type}));
    /* SiLU twice: inside the MLP, and again because every modulation is Linear(SiLU(c)) */
    F5_TRY(o->linear(o, "time2",
                     &(linear_args){.rows = n,
                                    .in = D,
                                    .out = D,
                                    .x = hidden,
                                    .w = w->time2.w,
                                    .bias = w->time2.b,
                                    .y = c,
                                    .epilogue = LINEAR_SILU,
                                    .type = o->type}));
    F5_TRY(o->linear(o, "modulation",
                     &(linear_args){.rows = n,
                                    .in = D,
                                    .out = (int32_t)s->width,
                                    .x = c,
                                    .w = w->modulation.w,
                                    .bias = w->modulation.b,
                                    .y = s->modulation,
                                    .type = o->type,
                                    .y_f32 = true}));
    arena_release(a, mark);
    s->nfe = solver->nfe;
    s->evaluations = n;
    s->use_epss = solver->use_epss;
    s->use_sway = solver->use_sway;
    s->sway = solver->sway;
    s->midpoint = solver->midpoint;
    s->ready = true;
    return F5_OK;
}
