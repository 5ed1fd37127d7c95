/* joint_qkv.c — the plain reference: a row is copied from its stream, q and k head by head on their way. */
#include "kernels/joint_qkv.h"

#include <string.h>

#include "kernels/cpu/context.h"
#include "kernels/cpu/head.h"
#include "kernels/pack_check.h"

enum { HEAD = ATTENTION_HEAD };

static int32_t rows_of(const f5_pack *pack, int32_t slot) {
    return pack->offsets[slot + 1] - pack->offsets[slot];
}

static void join_row(const joint_qkv_args *a, int32_t row) {
    const int32_t slot = a->y_pack->seq_of_row[row], at = row - a->y_pack->offsets[slot];
    const int32_t x_rows = rows_of(a->pack, slot);
    const bool of_x = at < x_rows;
    const int32_t position = of_x ? at : at - x_rows;
    const size_t width = (size_t)a->heads * HEAD;
    const float *from = of_x ? (const float *)a->x + (size_t)(a->pack->offsets[slot] + position) * 3 * width
                             : (const float *)a->c + (size_t)(a->c_pack->offsets[slot] + position) * 3 * width;
    const float *weights[2] = {of_x ? a->q_norm : a->c_q_norm, of_x ? a->k_norm : a->c_k_norm};
    float *y = (float *)a->y + (size_t)row * 3 * width;
    for (int part = 0; part < 2; part++)
        for (int32_t head = 0; head < a->heads; head++) {
            const size_t element = (size_t)part * width + (size_t)head * HEAD;
            const float *rope = head < a->rope_heads ? a->rope + (size_t)position * HEAD : NULL;
            cpu_prepare_head(from + element, weights[part], rope, y + element);
        }
    memcpy(y + 2 * width, from + 2 * width, width * sizeof(float));
}

static void join_rows(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    for (int32_t row = begin; row < end; row++) join_row(user, row);
}

static f5_status check_packs(const joint_qkv_args *a) {
    F5_TRY(pack_check(a->pack));
    F5_TRY(pack_check(a->c_pack));
    F5_TRY(pack_check(a->y_pack));
    if (a->c_pack->n_seq != a->pack->n_seq || a->y_pack->n_seq != a->pack->n_seq) return F5_E_ARGUMENT;
    for (int32_t slot = 0; slot < a->pack->n_seq; slot++)
        if (rows_of(a->y_pack, slot) != rows_of(a->pack, slot) + rows_of(a->c_pack, slot)) return F5_E_ARGUMENT;
    return F5_OK;
}

f5_status joint_qkv_ref(cpu_context *c, const joint_qkv_args *a) {
    if (!a || !a->y || a->y == a->x || a->y == a->c) return F5_E_ARGUMENT;
    if (a->rope_heads > 0 && !a->rope) return F5_E_ARGUMENT;
    const int weights = (a->q_norm != NULL) + (a->k_norm != NULL) + (a->c_q_norm != NULL) + (a->c_k_norm != NULL);
    if (weights != 0 && weights != 4) return F5_E_ARGUMENT;
    if (((uintptr_t)a->x | (uintptr_t)a->c | (uintptr_t)a->y | (uintptr_t)a->rope) % 16 != 0) return F5_E_ARGUMENT;
    if (((uintptr_t)a->q_norm | (uintptr_t)a->k_norm | (uintptr_t)a->c_q_norm | (uintptr_t)a->c_k_norm) % 16 != 0)
        return F5_E_ARGUMENT;
    F5_TRY(check_packs(a));
    if ((!a->x && a->pack->rows > 0) || (!a->c && a->c_pack->rows > 0)) return F5_E_ARGUMENT;
    if (a->heads < 1 || a->rope_heads < 0 || a->rope_heads > a->heads) return F5_E_SHAPE;
    if (a->rope_heads > 0 && (pack_longest(a->pack) > a->max_position || pack_longest(a->c_pack) > a->max_position))
        return F5_E_SHAPE;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    cpu_parallel(c, pack_live(a->y_pack), cpu_grain(3 * a->heads * HEAD), join_rows, a);
    return F5_OK;
}

op_output joint_qkv_output(const joint_qkv_args *a) {
    return (op_output){.data = a->y, .type = a->type, .pack = a->y_pack, .cols = (int64_t)3 * a->heads * HEAD};
}

double joint_qkv_flop(const joint_qkv_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double joint_qkv_bytes(const joint_qkv_args *a) {
    const double rows = op_rows(a->pack, 0) + op_rows(a->c_pack, 0) + op_rows(a->y_pack, 0);
    return rows * 3 * a->heads * HEAD * f5_dtype_bytes(a->type);
}
