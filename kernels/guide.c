/* guide.c — the plain reference: guidance, the step and the rows that are kept, in one sweep over the state. */
#include "kernels/guide.h"

#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

/* One row of the new state. v_null is NULL when there is but one branch. y may be x. */
static void step_row(const guide_args *a, const float *x, const float *v, const float *v_null, float *y) {
    const float cfg = a->cfg, dt = a->dt;
    for (int32_t i = 0; i < a->dim; i++) {
        const float d = v_null ? v[i] + (v[i] - v_null[i]) * cfg : v[i];
        y[i] = x[i] + dt * d;
    }
}

/* The same with a look back at the step before, and for the next one. Either may be NULL; now may be last. */
static void step_row_back(const guide_args *a, const float *x, const float *v, const float *v_null, const float *last,
                          float *now, float *y) {
    const float cfg = a->cfg, dt = a->dt, back = a->back;
    for (int32_t i = 0; i < a->dim; i++) {
        const float d = v_null ? v[i] + (v[i] - v_null[i]) * cfg : v[i];
        const float step = x[i] + dt * d;
        y[i] = last ? step + back * (d - last[i]) : step;
        if (now) now[i] = d;
    }
}

static void guide_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const guide_args *a = user;
    const size_t dim = (size_t)a->dim, to_null = (size_t)(pack_live(a->pack) / a->branches) * dim;
    for (int32_t row = begin; row < end; row++) {
        const size_t at = (size_t)row * dim;
        const float *v_null = a->branches == 2 ? a->v + at + to_null : NULL;
        if (a->keep && a->keep[row])
            memcpy(a->y + at, a->kept + at, dim * sizeof *a->y);
        else if (a->last || a->now)
            step_row_back(a, a->x + at, a->v + at, v_null, a->last ? a->last + at : NULL, a->now ? a->now + at : NULL,
                          a->y + at);
        else
            step_row(a, a->x + at, a->v + at, v_null, a->y + at);
        if (a->branches == 2) memcpy(a->y + at + to_null, a->y + at, dim * sizeof *a->y);
    }
}

f5_status guide_ref(cpu_context *c, const guide_args *a) {
    if (!a || !a->x || !a->v || !a->y || (a->keep && !a->kept)) return F5_E_ARGUMENT;
    if (a->branches != 1 && a->branches != 2) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 1 || pack_live(a->pack) % a->branches != 0) return F5_E_SHAPE;

    cpu_parallel(c, pack_live(a->pack) / a->branches, cpu_grain(a->dim), guide_rows, a);
    return F5_OK;
}

op_output guide_output(const guide_args *a) {
    return (op_output){.data = a->y, .pack = a->pack, .cols = a->dim};
}

double guide_flop(const guide_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double guide_bytes(const guide_args *a) {
    const double rows = a->pack->rows, backs = (a->last != NULL) + (a->now != NULL);
    return 4.0 * (3 * rows + backs * rows / a->branches) * a->dim; /* x, v and y; the kept frames are few */
}
