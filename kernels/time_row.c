/* time_row.c — the plain reference: a sequence is one copy, beside it the rows that it has not. */
#include "kernels/time_row.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

static int32_t rows_of(const f5_pack *pack, int32_t slot) {
    return pack->offsets[slot + 1] - pack->offsets[slot];
}

/* row or zeros, k times. */
static void fill(const time_row_args *a, float *y, int32_t k) {
    for (int32_t i = 0; i < k; i++, y += a->dim) {
        if (a->row)
            memcpy(y, a->row, (size_t)a->dim * sizeof *y);
        else
            memset(y, 0, (size_t)a->dim * sizeof *y);
    }
}

static void move_sequences(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const time_row_args *a = user;
    const size_t dim = (size_t)a->dim, bytes = dim * sizeof(float);
    for (int32_t slot = begin; slot < end; slot++) {
        const float *x = a->x + (size_t)a->pack->offsets[slot] * dim;
        float *y = a->y + (size_t)a->y_pack->offsets[slot] * dim;
        const int32_t rows = rows_of(a->pack, slot), k = rows_of(a->y_pack, slot) - rows;
        const bool front = a->mode == TIME_ROW_PUT;
        fill(a, front ? y : y + (size_t)rows * dim, k);
        memcpy(front ? y + (size_t)k * dim : y, x, (size_t)rows * bytes);
    }
}

/* Is no sequence of y shorter than that of x? */
static f5_status check_lengths(const time_row_args *a) {
    if (a->pack->n_seq != a->y_pack->n_seq) return F5_E_ARGUMENT;
    for (int32_t slot = 0; slot < a->pack->n_seq; slot++)
        if (rows_of(a->y_pack, slot) < rows_of(a->pack, slot)) return F5_E_ARGUMENT;
    return F5_OK;
}

f5_status time_row_ref(cpu_context *c, const time_row_args *a) {
    if (!a || !a->x || !a->y) return F5_E_ARGUMENT;
    if (a->mode != TIME_ROW_PUT && a->mode != TIME_ROW_AFTER) return F5_E_ARGUMENT;
    F5_TRY(pack_check(a->pack));
    F5_TRY(pack_check(a->y_pack));
    F5_TRY(check_lengths(a));
    if (a->dim < 1) return F5_E_SHAPE;
    cpu_parallel(c, a->pack->n_seq, 1, move_sequences, a);
    return F5_OK;
}

op_output time_row_output(const time_row_args *a) {
    return (op_output){.data = a->y, .type = F5_F32, .pack = a->y_pack, .cols = a->dim};
}

double time_row_flop(const time_row_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double time_row_bytes(const time_row_args *a) {
    return 4.0 * a->dim * (op_rows(a->pack, 0) + op_rows(a->y_pack, 0));
}
