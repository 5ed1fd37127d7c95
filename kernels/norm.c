/* norm.c — the plain reference. A row is read three times from the first cache: mean, variance about it, result. */
#include "kernels/norm.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/context.h"
#include "kernels/cpu/simd.h"
#include "kernels/whole.h"

#define NORM_EPS 1e-6f
#define RMS_SHORTEST 1e-12f

enum { LANES = 16 }; /* partial sums of a row: enough to fill the vector units, and fixed, so the order is too */

static float sum_lanes(float lane[LANES]) {
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* sum of (x - centre)^power, power 1 or 2 */
static inline float row_sum(const float *x, int32_t dim, float centre, int power) {
    float lane[LANES] = {0};
    const int32_t whole = dim / LANES * LANES;
    for (int32_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const float d = x[i + j] - centre;
            lane[j] += power == 2 ? d * d : d;
        }
    for (int32_t i = whole; i < dim; i++) {
        const float d = x[i] - centre;
        lane[i - whole] += power == 2 ? d * d : d;
    }
    return sum_lanes(lane);
}

static void norm_row(const norm_args *a, const float *x, float *y) {
    const float mean = row_sum(x, a->dim, 0.0f, 1) / (float)a->dim;
    const float variance = row_sum(x, a->dim, mean, 2) / (float)a->dim;
    const float rstd = 1.0f / sqrtf(variance + (a->eps > 0 ? a->eps : NORM_EPS));
    const float one = a->one_plus_scale ? 1.0f : 0.0f;
    const float *scale = a->scale, *shift = a->shift;
    SIMD_LOOP
    for (int32_t i = 0; i < a->dim; i++) y[i] = (x[i] - mean) * rstd * (one + scale[i]) + shift[i];
}

static void rms_row(const norm_args *a, const float *x, float *y) {
    const float length = sqrtf(row_sum(x, a->dim, 0.0f, 2)), *scale = a->scale;
    const float factor = sqrtf((float)a->dim) / (length > RMS_SHORTEST ? length : RMS_SHORTEST);
    SIMD_LOOP
    for (int32_t i = 0; i < a->dim; i++) y[i] = x[i] * factor * scale[i];
}

/* Rows in F32 go through scratch memory. */
static void norm_rows_int8(const void *user, int32_t begin, int32_t end, void *scratch) {
    const norm_args *a = user;
    float *made = scratch;
    for (int32_t row = begin; row < end; row++) {
        const size_t at = (size_t)row * (size_t)a->dim;
        (a->rms ? rms_row : norm_row)(a, a->x + at, made);
        a->y_scale[row] = whole_row(made, a->dim, (int8_t *)a->y + at);
    }
}

static void norm_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const norm_args *a = user;
    for (int32_t row = begin; row < end; row++) {
        const size_t at = (size_t)row * (size_t)a->dim;
        (a->rms ? rms_row : norm_row)(a, a->x + at, (float *)a->y + at);
    }
}

f5_status norm_ref(cpu_context *c, const norm_args *a) {
    if (!a || !a->x || !a->scale || (!a->shift && !a->rms) || !a->y) return F5_E_ARGUMENT;
    if (a->rows < 0 || a->dim < 1) return F5_E_SHAPE;
    if (a->type == F5_I8) {
        if (!a->y_scale) return F5_E_ARGUMENT;
        if (a->dim % WHOLE_MULTIPLE != 0 || a->dim > (int32_t)(CPU_SCRATCH_BYTES / sizeof(float))) return F5_E_SHAPE;
        cpu_parallel(c, a->rows, cpu_grain(a->dim), norm_rows_int8, a);
        return F5_OK;
    }
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    cpu_parallel(c, a->rows, cpu_grain(a->dim), norm_rows, a);
    return F5_OK;
}

op_output norm_output(const norm_args *a) {
    return (op_output){.data = a->y, .type = a->type, .rows = a->rows, .cols = a->dim};
}

double norm_flop(const norm_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double norm_bytes(const norm_args *a) {
    return (double)a->rows * (a->dim * (4.0 + f5_dtype_bytes(a->type)) + (a->type == F5_I8 ? 4 : 0));
}
