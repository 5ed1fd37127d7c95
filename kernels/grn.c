/* grn.c — the plain reference: energy of each channel over its sequence, a factor per channel, one sweep over the rows.
 * Sums run in double down the rows, in order, so 65,536 rows cost no accuracy and threads cannot change a result. */
#include "kernels/grn.h"

#include <math.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

#define GRN_EPS 1e-6
#define GRN_BLOCK 64 /* channels one thread sums at a time: their partial sums stay in registers or L1 */

/* g[c] = sqrt(sum_n x[n,c]^2) for the channels [first, first + count) of one sequence. */
static void channel_norms(const float *x, int32_t begin, int32_t end, int32_t dim, int32_t first, int32_t count,
                          float *g) {
    double sum[GRN_BLOCK] = {0};
    for (int32_t row = begin; row < end; row++) {
        const float *restrict xr = x + (size_t)row * (size_t)dim + first;
        for (int32_t c = 0; c < count; c++) sum[c] += (double)xr[c] * (double)xr[c];
    }
    for (int32_t c = 0; c < count; c++) g[first + c] = (float)sqrt(sum[c]);
}

/* g[c] becomes nx[c] = g[c] / (mean_c g + eps). */
static void divide_by_mean(float *g, int32_t dim) {
    double sum = 0;
    for (int32_t c = 0; c < dim; c++) sum += (double)g[c];
    const float divisor = (float)(sum / (double)dim + GRN_EPS);
    for (int32_t c = 0; c < dim; c++) g[c] /= divisor;
}

/* Blocks of channels, sequence by sequence. */
static void norms(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const grn_args *a = user;
    const int32_t dim = a->dim, blocks = (dim + GRN_BLOCK - 1) / GRN_BLOCK;
    for (int32_t i = begin; i < end; i++) {
        const int32_t s = i / blocks, first = i % blocks * GRN_BLOCK;
        channel_norms(a->x, a->pack->offsets[s], a->pack->offsets[s + 1], dim, first,
                      dim - first < GRN_BLOCK ? dim - first : GRN_BLOCK, a->scratch + (size_t)s * (size_t)dim);
    }
}

static void scale_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const grn_args *a = user;
    const size_t dim = (size_t)a->dim;
    for (int32_t row = begin; row < end; row++) {
        const float *nx = a->scratch + (size_t)a->pack->seq_of_row[row] * dim;
        const float *xr = (const float *)a->x + (size_t)row * dim;
        float *yr = (float *)a->y + (size_t)row * dim;
        for (size_t c = 0; c < dim; c++) yr[c] = a->gamma[c] * (xr[c] * nx[c]) + a->beta[c] + xr[c];
    }
}

f5_status grn_ref(cpu_context *c, const grn_args *a) {
    if (!a || !a->x || !a->gamma || !a->beta || !a->scratch || !a->y) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 1) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;

    const f5_pack *pack = a->pack;
    const int32_t dim = a->dim, blocks = (dim + GRN_BLOCK - 1) / GRN_BLOCK;
    cpu_parallel(c, pack->n_seq * blocks, cpu_grain((int64_t)GRN_BLOCK * pack_longest(pack)), norms, a);
    for (int32_t s = 0; s < pack->n_seq; s++) divide_by_mean(a->scratch + (size_t)s * (size_t)dim, dim);
    cpu_parallel(c, pack_live(pack), cpu_grain(dim), scale_rows, a);
    return F5_OK;
}

op_output grn_output(const grn_args *a) {
    return (op_output){.data = a->y, .type = a->type, .pack = a->pack, .cols = a->dim};
}

double grn_flop(const grn_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double grn_bytes(const grn_args *a) {
    return 2.0 * a->pack->rows * a->dim * f5_dtype_bytes(a->type) + 8.0 * a->dim;
}
