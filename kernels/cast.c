/* cast.c — the plain reference: F32 is the CPU's operand type, so the cast is a copy. */
#include "kernels/cast.h"

#include <string.h>

#include "kernels/op_list.h"

f5_status cast_ref(cpu_context *c, const cast_args *a) {
    (void)c;
    if (a->n < 0) return F5_E_SHAPE;
    if (a->n > 0 && (!a->x || !a->y)) return F5_E_ARGUMENT;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;
    if (a->n > 0) memcpy(a->y, a->x, (size_t)a->n * sizeof(float));
    return F5_OK;
}

op_output cast_output(const cast_args *a) {
    return (op_output){.data = a->y, .type = a->type, .rows = 1, .cols = a->n};
}

double cast_flop(const cast_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double cast_bytes(const cast_args *a) {
    return (double)a->n * (4 + f5_dtype_bytes(a->type));
}
