/* embed.c — the plain reference: a row is copied from the table and its position added. Also the position table, which
 * both devices read. */
#include "kernels/embed.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

static f5_status check(const embed_args *a) {
    if (!a || !a->ids || !a->table || !a->y) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 2 || a->dim % 2 != 0 || a->table_rows < 1) return F5_E_SHAPE;

    const f5_pack *pack = a->pack;
    if (a->positions && a->max_position < 1) return F5_E_SHAPE;
    if (a->positions && !a->clamp)
        for (int32_t s = 0; s < pack->n_seq; s++)
            if (pack->offsets[s + 1] - pack->offsets[s] > a->max_position) return F5_E_SHAPE;
    for (int32_t row = 0; row < pack_live(pack); row++)
        if (a->ids[row] < 0 || a->ids[row] >= a->table_rows) return F5_E_ARGUMENT;
    return F5_OK;
}

static void embed_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const embed_args *a = user;
    const f5_pack *pack = a->pack;
    const size_t dim = (size_t)a->dim;
    for (int32_t row = begin; row < end; row++) {
        float *y = a->y + (size_t)row * dim;
        if (a->keep && !a->keep[row]) {
            memset(y, 0, dim * sizeof *y);
            continue;
        }
        memcpy(y, a->table + (size_t)a->ids[row] * dim, dim * sizeof *y);
        if (!a->positions) continue;
        int32_t p = row - pack->offsets[pack->seq_of_row[row]];
        if (p >= a->max_position) p = a->max_position - 1; /* only with clamp: check */
        const float *position = a->positions + (size_t)p * dim;
        for (size_t d = 0; d < dim; d++) y[d] += position[d];
    }
}

f5_status embed_ref(cpu_context *c, const embed_args *a) {
    F5_TRY(check(a));
    cpu_parallel(c, pack_live(a->pack), cpu_grain(a->dim), embed_rows, a);
    return F5_OK;
}

/* Frequency and angle are rounded to F32 as upstream's are: at row 8191 the rounding of the frequency alone turns the
 * angle by up to 5e-4, and the trained model has seen the rounded ones. */
void position_table_fill(float *positions, int32_t rows, int32_t dim) {
    const int32_t half = dim / 2;
    for (int32_t j = 0; j < half; j++) {
        const float power = (float)pow(10000.0, (double)((float)(2 * j) / (float)dim)); /* correctly rounded */
        const float frequency = 1.0f / power;
        for (int32_t p = 0; p < rows; p++) {
            const float angle = (float)p * frequency;
            positions[(size_t)p * (size_t)dim + (size_t)j] = cosf(angle);
            positions[(size_t)p * (size_t)dim + (size_t)(half + j)] = sinf(angle);
        }
    }
}

op_output embed_output(const embed_args *a) {
    return (op_output){.data = a->y, .pack = a->pack, .cols = a->dim};
}

double embed_flop(const embed_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double embed_bytes(const embed_args *a) {
    return 4.0 * a->pack->rows * ((double)a->dim * (a->positions ? 3 : 2) + 1);
}
