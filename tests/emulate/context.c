/* context.c — a cuda_context without a device, and cuBLASLt's products by plain loops: what kernels/cuda/context.cu and
 * blas.cu are to the ops. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/blas.h"
#include "kernels/half.h"
#include "tests/emulate/emulator.h"
#include "tests/emulate/hopper.h"

f5_status emulator_open(cuda_context *c, const char *card, bool portable, size_t fixed_bytes, size_t row_bytes);
void emulator_close(cuda_context *c);

/* As `card` is; portable: with the kernels that any GPU runs, split_f32 as the card has it. Scratch of exactly these
 * sizes. */
f5_status emulator_open(cuda_context *c, const char *card, bool portable, size_t fixed_bytes, size_t row_bytes) {
    memset(c, 0, sizeof *c);
    if (!arch_of_card(&c->arch, card)) return F5_E_ARGUMENT;
    if (portable) c->arch.code = ARCH_SM80;
    c->encode_tensor_map = (void *)hopper_encode;
    c->device_arch = c->arch;
    strcpy(c->name, "emulated");
    c->fixed_bytes = fixed_bytes, c->row_bytes = row_bytes;
    c->fixed_scratch = emulator_alloc(fixed_bytes);
    c->row_scratch = emulator_alloc(row_bytes);
    return F5_OK;
}

void emulator_close(cuda_context *c) {
    (void)emulator_free(c->fixed_scratch);
    (void)emulator_free(c->row_scratch);
}

static float number(f5_dtype type, const void *from, size_t i) {
    return type == F5_F32   ? ((const float *)from)[i]
           : type == F5_F16 ? half_to_float(((const uint16_t *)from)[i])
                            : bfloat_to_float(((const uint16_t *)from)[i]);
}

f5_status blas_multiply(cuda_context *c, blas_product p, const void *x, const void *w, const void *bias,
                        const void *addend, void *y) {
    const f5_dtype made = p.f32_out ? F5_F32 : p.type;
    (void)c;
    for (int32_t row = 0; row < p.rows; row++)
        for (int32_t o = 0; o < p.out; o++) {
            const size_t at = (size_t)row * (size_t)p.out + (size_t)o;
            const size_t of_x = (size_t)row * (size_t)p.in, of_w = (size_t)o * (size_t)p.in;
            double sum = 0;
            for (size_t i = 0; i < (size_t)p.in; i++)
                sum += (double)number(p.type, x, of_x + i) * (double)number(p.type, w, of_w + i);
            if (p.add) sum += (double)number(made, addend, at);
            if (bias) sum += (double)number(made, bias, (size_t)o);
            if (p.gelu) sum = 0.5 * sum * (1 + tanh(0.7978845608028654 * (sum + 0.044715 * sum * sum * sum)));
            if (made == F5_F32)
                ((float *)y)[at] = (float)sum;
            else
                ((uint16_t *)y)[at] = made == F5_F16 ? half_from_float((float)sum) : bfloat_from_float((float)sum);
        }
    return F5_OK;
}
