/* take_rows.c — the plain reference: a sequence is one copy. */
#include "kernels/take_rows.h"

#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/pack_check.h"

static int32_t rows_of(const f5_pack *pack, int32_t slot) {
    return pack->offsets[slot + 1] - pack->offsets[slot];
}

static void take_sequences(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const take_rows_args *a = user;
    const size_t dim = (size_t)a->dim;
    for (int32_t slot = begin; slot < end; slot++) {
        const int32_t rows = rows_of(a->y_pack, slot), skipped = rows_of(a->pack, slot) - rows;
        const int32_t from = a->pack->offsets[slot] + (a->mode == TAKE_LAST ? skipped : 0);
        if (rows == 0) continue;
        memcpy((float *)a->y + (size_t)a->y_pack->offsets[slot] * dim, (const float *)a->x + (size_t)from * dim,
               (size_t)rows * dim * sizeof(float));
    }
}

f5_status take_rows_ref(cpu_context *c, const take_rows_args *a) {
    if (!a || !a->x || !a->y) return F5_E_ARGUMENT;
    if (a->mode != TAKE_FIRST && a->mode != TAKE_LAST) return F5_E_ARGUMENT;
    F5_TRY(pack_check(a->pack));
    F5_TRY(pack_check(a->y_pack));
    if (a->pack->n_seq != a->y_pack->n_seq) return F5_E_ARGUMENT;
    for (int32_t slot = 0; slot < a->pack->n_seq; slot++)
        if (rows_of(a->y_pack, slot) > rows_of(a->pack, slot)) return F5_E_ARGUMENT;
    if (a->dim < 1) return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    cpu_parallel(c, a->pack->n_seq, 1, take_sequences, a);
    return F5_OK;
}

op_output take_rows_output(const take_rows_args *a) {
    return (op_output){.data = a->y, .type = a->type, .pack = a->y_pack, .cols = a->dim};
}

double take_rows_flop(const take_rows_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double take_rows_bytes(const take_rows_args *a) {
    return 2.0 * a->dim * op_rows(a->y_pack, 0) * f5_dtype_bytes(a->type); /* of x only what is taken */
}
