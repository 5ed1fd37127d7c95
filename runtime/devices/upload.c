#include "runtime/devices/upload.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/half.h"
#include "runtime/arena.h"
#include "weights/manifest.h"

static f5_dtype wanted_type(const device *d, const manifest_tensor *t) {
    return t->matrix ? d->precision : F5_F32;
}

static size_t wanted_bytes(const device *d, const manifest_tensor *t) {
    size_t bytes = (size_t)t->elements * f5_dtype_bytes(wanted_type(d, t));
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static float element(const void *data, f5_dtype type, int64_t i) {
    if (type == F5_F32) return ((const float *)data)[i];
    uint16_t bits = ((const uint16_t *)data)[i];
    return type == F5_F16 ? half_to_float(bits) : bfloat_to_float(bits);
}

static void convert(void *to, f5_dtype to_type, const void *from, f5_dtype from_type, int64_t n) {
#pragma omp parallel for schedule(static) if (n > 1 << 16)
    for (int64_t i = 0; i < n; i++) {
        float x = element(from, from_type, i);
        if (to_type == F5_F32)
            ((float *)to)[i] = x;
        else
            ((uint16_t *)to)[i] = to_type == F5_F16 ? half_from_float(x) : bfloat_from_float(x);
    }
}

/* One tensor, through `staging` if its type changes. */
static f5_status upload_tensor(device *d, const model *stored, const manifest_tensor *t, void *to, void *staging,
                               f5_error *error) {
    const void *from;
    memcpy(&from, (const char *)stored + t->address, sizeof from);
    f5_dtype type = wanted_type(d, t);
    if (type != t->type) {
        convert(staging, type, from, t->type, t->elements);
        from = staging;
    }
    return d->upload(d, to, from, (size_t)t->elements * f5_dtype_bytes(type), error);
}

static f5_status upload_all(device *d, const model *stored, const manifest_tensor *list, int32_t count, model *placed,
                            uint8_t *to, void *staging, f5_error *error) {
    for (int32_t i = 0; i < count; i++) {
        F5_TRY(upload_tensor(d, stored, &list[i], to, staging, error));
        memcpy((char *)placed + list[i].address, &to, sizeof to);
        to += wanted_bytes(d, &list[i]);
    }
    placed->dit.input_text.b = placed->dit.input_cond.b;
    return F5_OK;
}

/* The products whose 16-bit outputs take their bias in the same type (linear.h: bias_as_type). */
static size_t bias_bytes(const device *d, const model_config *c) {
    size_t one = (size_t)(3 * c->heads * ATTENTION_HEAD + c->ff_dim) * f5_dtype_bytes(d->precision);
    return d->precision == F5_F32 ? 0 : (size_t)c->depth * one;
}

static f5_status upload_bias(device *d, const float *bias, int32_t n, linear_weights *placed, uint8_t **to,
                             void *staging, f5_error *error) {
    convert(staging, d->precision, bias, F5_F32, n);
    size_t bytes = (size_t)n * f5_dtype_bytes(d->precision);
    F5_TRY(d->upload(d, *to, staging, bytes, error));
    placed->b_as_type = *to;
    *to += bytes;
    return F5_OK;
}

static f5_status upload_biases(device *d, const model *stored, model *placed, uint8_t *to, void *staging,
                               f5_error *error) {
    const model_config *c = &stored->config;
    if (d->precision == F5_F32) return F5_OK;
    for (int32_t i = 0; i < c->depth; i++) {
        const dit_block_weights *from = &stored->dit.block[i];
        dit_block_weights *block = &placed->dit.block[i];
        F5_TRY(upload_bias(d, from->qkv.b, 3 * c->heads * ATTENTION_HEAD, &block->qkv, &to, staging, error));
        F5_TRY(upload_bias(d, from->ff1.b, c->ff_dim, &block->ff1, &to, staging, error));
    }
    return F5_OK;
}

f5_status model_upload(device *d, const model *stored, model *placed, void **memory, size_t *bytes, f5_error *error) {
    manifest_tensor *list;
    int32_t count;
    manifest_types types = {.matrices = stored->type, .vocoder = F5_F32}; /* as they are in memory */
    F5_TRY(manifest_list(&stored->config, types, &list, &count, error));
    size_t biases = bias_bytes(d, &stored->config), total = biases, largest = biases;
    for (int32_t i = 0; i < count; i++) {
        size_t one = wanted_bytes(d, &list[i]);
        total += one;
        if (wanted_type(d, &list[i]) != list[i].type && one > largest) largest = one;
    }
    *placed = *stored;
    placed->type = d->precision;
    *bytes = total;
    void *staging = malloc(largest + 1);
    f5_status status = staging ? d->alloc(d, total, "the model", memory, error)
                               : f5_fail(error, F5_E_MEMORY, "no memory to convert a tensor of %zu bytes", largest);
    if (status == F5_OK) status = upload_all(d, stored, list, count, placed, *memory, staging, error);
    if (status == F5_OK)
        status = upload_biases(d, stored, placed, (uint8_t *)*memory + (total - biases), staging, error);
    free(staging);
    free(list);
    return status;
}
