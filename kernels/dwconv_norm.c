/* dwconv_norm.c — the plain reference: convolve each row into y, then let the reference of norm do its part in place.
 */
#include "kernels/dwconv_norm.h"

#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/norm.h"
#include "kernels/pack_check.h"

/* c[d] = bias[d] + sum_k w[k,d] x[n+k-3,d]. Taps outside [begin,end) are skipped: what lies there is not ours. */
static void convolve_row(const dwconv_norm_args *a, int32_t row, int32_t begin, int32_t end, float *c) {
    memcpy(c, a->bias, sizeof(float) * (size_t)a->dim);
    for (int32_t tap = 0; tap < DWCONV_TAPS; tap++) {
        const int32_t from = row + tap - DWCONV_TAPS / 2;
        if (from < begin || from >= end) continue;
        const float *restrict x = a->x + (size_t)from * (size_t)a->dim;
        const float *restrict w = a->w + (size_t)tap * (size_t)a->dim;
        for (int32_t d = 0; d < a->dim; d++) c[d] += w[d] * x[d];
    }
}

static void convolve_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const dwconv_norm_args *a = user;
    for (int32_t row = begin; row < end; row++) {
        const int32_t s = a->pack->seq_of_row[row];
        convolve_row(a, row, a->pack->offsets[s], a->pack->offsets[s + 1],
                     (float *)a->y + (size_t)row * (size_t)a->dim);
    }
}

f5_status dwconv_norm_ref(cpu_context *c, const dwconv_norm_args *a) {
    if (!a || !a->x || !a->w || !a->bias || !a->scale || !a->shift || !a->y || a->y == (const void *)a->x)
        return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 1) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;

    cpu_parallel(c, pack_live(a->pack), cpu_grain((int64_t)DWCONV_TAPS * a->dim), convolve_rows, a);
    return norm_ref(c, &(norm_args){
                           .rows = pack_live(a->pack),
                           .dim = a->dim,
                           .x = a->y,
                           .scale = a->scale,
                           .shift = a->shift,
                           .y = a->y,
                           .one_plus_scale = false,
                           .type = F5_F32,
                           .eps = a->eps,
                       });
}

op_output dwconv_norm_output(const dwconv_norm_args *a) {
    return (op_output){.data = a->y, .type = a->type, .pack = a->pack, .cols = a->dim};
}

double dwconv_norm_flop(const dwconv_norm_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double dwconv_norm_bytes(const dwconv_norm_args *a) {
    return (double)a->dim * (a->pack->rows * (4.0 + f5_dtype_bytes(a->type)) + 4.0 * (DWCONV_TAPS + 3));
}
