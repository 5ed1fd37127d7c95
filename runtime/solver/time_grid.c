/* time_grid.c — the steps in time, and one pass of the backbone over all of them. */
#include "runtime/solver/time_grid.h"

#include <math.h>
#include <string.h>

#define HALF_PI 1.57079632679489661923
#define CURVE_RATE 7.5
#define CURVE_MIDDLE 0.8

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

static void sway_fill(float *t, const synth_solver *s) {
    const int8_t *pruned = s->use_epss ? epss_steps(s->nfe) : NULL;
    for (int32_t i = 0; i <= s->nfe; i++) {
        double at = pruned ? pruned[i] / 32.0 : (double)i / s->nfe;
        if (s->use_sway) at += (double)s->sway * (cos(HALF_PI * at) - 1 + at);
        t[i] = (float)at;
    }
}

static double curve(double u) {
    return 1 / (1 + exp(-CURVE_RATE * (u - CURVE_MIDDLE)));
}

static void curve_fill(float *t, int32_t nfe) {
    const double first = curve(0), last = curve(1);
    for (int32_t i = 0; i <= nfe; i++) t[i] = (float)((curve((double)i / nfe) - first) / (last - first));
    t[nfe] = 1;
}

/* What was found by search for AB2, on flite-small (bench/PERF.md 39); NULL for other counts. */
static const float *ab2_times(int32_t nfe) {
    static const float n6[] = {0, 0.0137f, 0.0457f, 0.1143f, 0.2848f, 0.6506f, 1};
    static const float n8[] = {0, 0.0079f, 0.0193f, 0.0461f, 0.0891f, 0.1986f, 0.4338f, 0.8266f, 1};
    static const float n10[] = {0, 0.0041f, 0.0131f, 0.0317f, 0.0597f, 0.1230f, 0.2347f, 0.3912f, 0.5655f, 0.8201f, 1};
    static const float n12[] = {0,       0.0050f, 0.0101f, 0.0163f, 0.0279f, 0.0395f, 0.0791f,
                                0.1297f, 0.2502f, 0.4666f, 0.7340f, 0.9017f, 1};
    static const float n16[] = {0,       0.0028f, 0.0064f, 0.0109f, 0.0168f, 0.0261f, 0.0380f, 0.0611f, 0.0918f,
                                0.1377f, 0.2130f, 0.3393f, 0.5352f, 0.6996f, 0.8482f, 0.9477f, 1};
    switch (nfe) {
    case 6:
        return n6;
    case 8:
        return n8;
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

void time_grid_fill(float *t, const synth_solver *solver) {
    const float *own = solver->grid == GRID_OF_METHOD ? ab2_times(solver->nfe) : NULL;
    if (solver->grid == GRID_OF_QUADRATIC)
        for (int32_t i = 0; i <= solver->nfe; i++) t[i] = (float)((double)i / solver->nfe);
    else if (solver_sways(solver))
        sway_fill(t, solver);
    else if (own)
        memcpy(t, own, (size_t)(solver->nfe + 1) * sizeof *t);
    else
        curve_fill(t, solver->nfe);
}

/* The time that the backbone is told of a step: its own, but in a quadratic grid, where the steps are uniform. */
static float label(const synth_solver *solver, float t) {
    if (solver->grid != GRID_OF_QUADRATIC || !solver->use_sway) return t;
    const double at = (double)t + (double)solver->sway * (1 - (double)t) * (double)t;
    return (float)(at < 0 ? 0 : at > 1 ? 1 : at);
}

f5_status time_grid_prepare(time_grid *g, const stage_context *c, const synth_solver *solver) {
    if (g->ready && solver_same_times(&g->solver, solver)) return F5_OK;
    g->ready = false;
    if (solver_evaluations(solver) > g->max_evaluations) return F5_E_MEMORY;
    int32_t n = (int32_t)solver_evaluations(solver);
    time_grid_fill(g->t, solver);
    for (int32_t i = 0; i < solver->nfe; i++) {
        float t = g->t[i], dt = g->t[i + 1] - t;
        if (solver->method == SOLVER_MIDPOINT) {
            g->times[2 * i] = label(solver, t);
            g->times[2 * i + 1] = label(solver, t + 0.5f * dt);
        } else {
            g->times[i] = label(solver, t);
        }
    }
    size_t mark = arena_mark(c->arena);
    float *times = arena_take(c->arena, (size_t)n, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(c->ops->copy_in(c->ops, times, g->times, (size_t)n * sizeof(float)));
    F5_TRY(backbone_of(&c->model->config)->fill_rows(c, times, n, g->rows));
    arena_release(c->arena, mark);
    g->solver = *solver;
    g->ready = true;
    return F5_OK;
}
