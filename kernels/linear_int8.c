/* linear_int8.c — the plain reference: exact sums of whole numbers, then the epilogue, row by row. */
#include "kernels/linear_int8.h"

#include "kernels/attention.h"
#include "kernels/cpu/context.h"
#include "kernels/cpu/math.h"
#include "kernels/pack_check.h"

static int32_t dot(const int8_t *x, const int8_t *w, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum += (int32_t)x[i] * (int32_t)w[i];
    return sum;
}

static float activated(linear_epilogue epilogue, float a) {
    switch (epilogue) {
    case LINEAR_SILU:
        return cpu_silu(a);
    case LINEAR_GELU_TANH:
        return cpu_gelu_tanh(a);
    case LINEAR_GELU_ERF:
        return cpu_gelu_erf(a);
    default:
        return a;
    }
}

static void rotate_row(const linear_int8_args *a, int32_t row, float *y) {
    const float *angles = a->rope + (size_t)pack_position(a->pack, row) * ATTENTION_HEAD;
    const int32_t heads = a->out / (3 * ATTENTION_HEAD);
    for (int32_t head = 0; head < 2 * heads; head++)
        if (head % heads < a->rope_heads) cpu_rotate(ATTENTION_HEAD, angles, y + (size_t)head * ATTENTION_HEAD);
}

static void rows_of_y(const void *user, int32_t begin, int32_t end, void *scratch) {
    const linear_int8_args *a = user;
    (void)scratch;
    for (int32_t row = begin; row < end; row++) {
        const int8_t *x = a->x + (size_t)row * (size_t)a->in;
        float *y = (float *)a->y.data + (size_t)row * (size_t)a->out;
        for (int32_t col = 0; col < a->out; col++) {
            const float n = (float)dot(x, a->w + (size_t)col * (size_t)a->in, a->in);
            const float product = n * (a->x_scale[row] * a->w_scale[col]) + (a->bias ? a->bias[col] : 0);
            if (a->epilogue == LINEAR_RESIDUAL)
                y[col] = a->addend[(size_t)row * (size_t)a->out + (size_t)col] + (a->gate ? a->gate[col] : 1) * product;
            else
                y[col] = activated(a->epilogue, product);
        }
        if (a->epilogue == LINEAR_ROPE) rotate_row(a, row, y);
    }
}

static f5_status check(const linear_int8_args *a) {
    if (!a || !a->x || !a->x_scale || !a->w || !a->w_scale || !a->y.data) return F5_E_ARGUMENT;
    if ((int)a->epilogue < LINEAR_NONE || (int)a->epilogue > LINEAR_ROPE) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_RESIDUAL && !a->addend) return F5_E_ARGUMENT;
    if (((uintptr_t)a->x | (uintptr_t)a->w | (uintptr_t)a->y.data) % 16 != 0) return F5_E_ARGUMENT;
    if (a->epilogue == LINEAR_ROPE && (!a->rope || (uintptr_t)a->rope % 16 != 0)) return F5_E_ARGUMENT;
    if (a->pack && pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if ((!a->pack && a->rows < 0) || a->in < 1 || a->out < 1) return F5_E_SHAPE;
    if (a->in % LINEAR_INT8_IN_MULTIPLE != 0 || a->in > LINEAR_INT8_MAX_IN) return F5_E_SHAPE;
    if (a->epilogue == LINEAR_ROPE) {
        if (a->out % (3 * ATTENTION_HEAD) != 0 || a->rope_heads < 0 || a->rope_heads > a->out / (3 * ATTENTION_HEAD))
            return F5_E_SHAPE;
        if ((a->pack ? pack_longest(a->pack) : a->rows) > a->max_position) return F5_E_SHAPE;
    }
    return a->y.type == F5_F32 ? F5_OK : F5_E_UNSUPPORTED;
}

f5_status linear_int8_ref(cpu_context *c, const linear_int8_args *a) {
    F5_TRY(check(a));
    cpu_parallel(c, a->pack ? pack_live(a->pack) : a->rows, 1, rows_of_y, a);
    return F5_OK;
}

op_output linear_int8_output(const linear_int8_args *a) {
    return (op_output){.data = a->y.data, .type = a->y.type, .pack = a->pack, .rows = a->rows, .cols = a->out};
}

double linear_int8_flop(const linear_int8_args *a, op_lengths lengths) {
    (void)lengths;
    return 2.0 * op_rows(a->pack, a->rows) * a->in * a->out;
}

double linear_int8_bytes(const linear_int8_args *a) {
    const double rows = op_rows(a->pack, a->rows), in = a->in, out = a->out;
    const double vectors = 4.0 * (rows + out * (1 + (a->bias != NULL) + (a->gate != NULL)));
    return in * (rows + out) + rows * out * (f5_dtype_bytes(a->y.type) + (a->addend ? 4 : 0)) + vectors;
}
