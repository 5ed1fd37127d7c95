/* quantize.c — the plain reference, row by row. */
#include "kernels/quantize.h"

#include "kernels/cpu/context.h"
#include "kernels/whole.h"

static void rows_of_y(const void *user, int32_t begin, int32_t end, void *scratch) {
    const quantize_args *a = user;
    (void)scratch;
    for (int32_t row = begin; row < end; row++) {
        const size_t at = (size_t)row * (size_t)a->dim;
        a->scale[row] = whole_row((const float *)a->x.data + at, a->dim, a->y + at);
    }
}

f5_status quantize_ref(cpu_context *c, const quantize_args *a) {
    if (!a || !a->x.data || !a->y || !a->scale) return F5_E_ARGUMENT;
    if (((uintptr_t)a->x.data | (uintptr_t)a->y) % 16 != 0) return F5_E_ARGUMENT;
    if (a->rows < 0 || a->dim < 1 || a->dim % WHOLE_MULTIPLE != 0) return F5_E_SHAPE;
    if (a->x.type != F5_F32) return F5_E_UNSUPPORTED;
    cpu_parallel(c, a->rows, cpu_grain(a->dim), rows_of_y, a);
    return F5_OK;
}

op_output quantize_output(const quantize_args *a) {
    return (op_output){.data = a->y, .type = F5_I8, .rows = a->rows, .cols = a->dim};
}

double quantize_flop(const quantize_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double quantize_bytes(const quantize_args *a) {
    return (double)a->rows * (a->dim * (f5_dtype_bytes(a->x.type) + 1.0) + 4);
}
