/* timestep.c — the plain reference: every product rounded to F32, in upstream's order. */
#include "kernels/timestep.h"

#include <math.h>
#include <stddef.h>

#include "kernels/op_list.h"

f5_status timestep_ref(cpu_context *c, const timestep_args *a) {
    (void)c;
    if (!a || !a->t || !a->y || a->n < 0) return F5_E_ARGUMENT;
    if (a->type != F5_F32) return F5_E_UNSUPPORTED;

    const int32_t dim = a->dim, half = dim / 2;
    if (dim < 4 || dim % 2 != 0) return F5_E_SHAPE;
    const float scale = a->scale, step = timestep_step(half);
    float *y = a->y;
    for (int32_t i = 0; i < a->n; i++, y += dim) {
        const float scaled = scale * a->t[i];
        for (int32_t j = 0; j < half; j++) {
            const float frequency = (float)exp((double)((float)j * -step)); /* correctly rounded */
            const float angle = scaled * frequency;
            y[j] = sinf(angle);
            y[half + j] = cosf(angle);
        }
    }
    return F5_OK;
}

op_output timestep_output(const timestep_args *a) {
    return (op_output){.data = a->y, .type = a->type, .rows = a->n, .cols = a->dim};
}

double timestep_flop(const timestep_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double timestep_bytes(const timestep_args *a) {
    return (double)a->n * (4 + a->dim * f5_dtype_bytes(a->type));
}
