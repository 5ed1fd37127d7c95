/* text_rows.c — the plain reference: rows are zeroed one by one, or the kept rows of a sequence spread over it. */
#include "kernels/text_rows.h"

#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

static void mask_row(const text_rows_args *a, int32_t row) {
    const size_t at = (size_t)row * (size_t)a->dim, bytes = sizeof(float) * (size_t)a->dim;
    if (!a->keep[row])
        memset(a->y + at, 0, bytes);
    else if (a->y != a->x)
        memcpy(a->y + at, a->x + at, bytes);
}

/* Spreads the n kept rows of [begin,end) over the whole of it. */
static void upsample_sequence(const text_rows_args *a, int32_t begin, int32_t end) {
    const size_t dim = (size_t)a->dim, bytes = sizeof(float) * dim;
    int32_t n = 0;
    for (int32_t row = begin; row < end; row++) n += a->keep[row] != 0;
    if (n == 0) {
        memset(a->y + (size_t)begin * dim, 0, (size_t)(end - begin) * bytes);
        return;
    }

    const int32_t repeats = (end - begin) / n, once_more_from = n - (end - begin) % n;
    int32_t to = begin, nth = 0;
    for (int32_t row = begin; row < end; row++) {
        if (!a->keep[row]) continue;
        const int32_t copies = repeats + (nth++ >= once_more_from);
        for (int32_t i = 0; i < copies; i++) memcpy(a->y + (size_t)to++ * dim, a->x + (size_t)row * dim, bytes);
    }
}

static void mask_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    for (int32_t row = begin; row < end; row++) mask_row(user, row);
}

static void upsample_sequences(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const text_rows_args *a = user;
    for (int32_t s = begin; s < end; s++) upsample_sequence(a, a->pack->offsets[s], a->pack->offsets[s + 1]);
}

f5_status text_rows_ref(cpu_context *c, const text_rows_args *a) {
    if (!a || !a->keep || !a->x || !a->y) return F5_E_ARGUMENT;
    if (a->mode != TEXT_ROWS_MASK && a->mode != TEXT_ROWS_UPSAMPLE) return F5_E_ARGUMENT;
    if (a->mode == TEXT_ROWS_UPSAMPLE && a->x == a->y) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (a->dim < 1) return F5_E_SHAPE;

    if (a->mode == TEXT_ROWS_MASK)
        cpu_parallel(c, pack_live(a->pack), cpu_grain(a->dim), mask_rows, a);
    else
        cpu_parallel(c, a->pack->n_seq, 1, upsample_sequences, a);
    return F5_OK;
}

op_output text_rows_output(const text_rows_args *a) {
    return (op_output){.data = a->y, .pack = a->pack, .cols = a->dim};
}

double text_rows_flop(const text_rows_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double text_rows_bytes(const text_rows_args *a) {
    return 8.0 * a->pack->rows * a->dim;
}
