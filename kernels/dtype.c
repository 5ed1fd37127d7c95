/* dtype.c — the table of number types. */
#include "kernels/dtype.h"

#include <math.h>
#include <string.h>

#include "kernels/half.h"

static void widen_f32(float *to, const void *from, int64_t n) {
    memcpy(to, from, (size_t)n * sizeof *to);
}

static uint16_t bits_at(const void *from, int64_t i) {
    uint16_t bits;
    memcpy(&bits, (const char *)from + 2 * i, sizeof bits);
    return bits;
}

static void widen_f16(float *to, const void *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = half_to_float(bits_at(from, i));
}

static void widen_bf16(float *to, const void *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = bfloat_to_float(bits_at(from, i));
}

/* A number is not finite where every bit of its exponent is set. */
static int64_t narrow_f32(void *to, const float *from, int64_t n) {
    int64_t bad = -1;
    memcpy(to, from, (size_t)n * sizeof *from);
    for (int64_t i = n - 1; i >= 0; i--) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        if ((bits & 0x7f800000u) == 0x7f800000u) bad = i;
    }
    return bad;
}

static int64_t narrow_f16(void *to, const float *from, int64_t n) {
    uint16_t *out = to;
    int64_t bad = -1;
    for (int64_t i = n - 1; i >= 0; i--) {
        out[i] = half_from_float(from[i]);
        if ((out[i] & 0x7c00u) == 0x7c00u) bad = i;
    }
    return bad;
}

static int64_t narrow_bf16(void *to, const float *from, int64_t n) {
    uint16_t *out = to;
    int64_t bad = -1;
    for (int64_t i = n - 1; i >= 0; i--) {
        out[i] = bfloat_from_float(from[i]);
        if ((out[i] & 0x7f80u) == 0x7f80u) bad = i;
    }
    return bad;
}

static void widen_i8(float *to, const void *from, int64_t n) {
    const int8_t *whole = from;
    for (int64_t i = 0; i < n; i++) to[i] = whole[i];
}

static int64_t narrow_i8(void *to, const float *from, int64_t n) {
    int8_t *whole = to;
    int64_t bad = -1;
    for (int64_t i = n - 1; i >= 0; i--) {
        const bool fits = from[i] >= -127.5f && from[i] <= 127.5f; /* NaN does not */
        const float nearest = rintf(fits ? from[i] : 0.0f);
        whole[i] = (int8_t)(nearest > 127.0f ? 127.0f : nearest < -127.0f ? -127.0f : nearest);
        if (!fits) bad = i;
    }
    return bad;
}

static const dtype_info types[DTYPES] = {
    [F5_F32] = {"fp32", "F32", 4, widen_f32, narrow_f32},
    [F5_F16] = {"fp16", "F16", 2, widen_f16, narrow_f16},
    [F5_BF16] = {"bf16", "BF16", 2, widen_bf16, narrow_bf16},
    [F5_I8] = {"int8", "I8", 1, widen_i8, narrow_i8},
};

const dtype_info *dtype(f5_dtype type) {
    return &types[type];
}

bool dtype_from_name(f5_dtype *type, const char *name) {
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(types[i].name, name) == 0) {
            *type = (f5_dtype)i;
            return true;
        }
    return false;
}
