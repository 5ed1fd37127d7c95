/* relu.c — the plain reference: a loop, in shares that the threads take. */
#include "kernels/relu.h"

#include "kernels/cpu/context.h"
#include "kernels/cpu/simd.h"

enum { SHARE = 16384 }; /* elements of a task */

static void relu_shares(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const relu_args *a = user;
    const int64_t first = (int64_t)begin * SHARE, past = (int64_t)end * SHARE < a->n ? (int64_t)end * SHARE : a->n;
    SIMD_LOOP
    for (int64_t i = first; i < past; i++) a->y[i] = a->x[i] < 0 ? a->slope * a->x[i] : a->x[i];
}

f5_status relu_ref(cpu_context *c, const relu_args *a) {
    if (!a || a->n < 0 || a->n > (int64_t)INT32_MAX * SHARE) return a ? F5_E_SHAPE : F5_E_ARGUMENT;
    if (a->n > 0 && (!a->x || !a->y)) return F5_E_ARGUMENT;
    cpu_parallel(c, (int32_t)((a->n + SHARE - 1) / SHARE), 1, relu_shares, a);
    return F5_OK;
}

op_output relu_output(const relu_args *a) {
    return (op_output){.data = a->y, .type = F5_F32, .rows = 1, .cols = a->n};
}

double relu_flop(const relu_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double relu_bytes(const relu_args *a) {
    return 8.0 * (double)a->n;
}
