/* upload.c — moves every tensor of a model to a device, converting those that the device wants in another type. */
#include "runtime/devices/upload.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/arena.h"
#include "weights/int8_rows.h"

enum { BLOCK = 4096 }; /* numbers converted at a time */

typedef struct {
    device *device;
    const model *stored;
    model *placed;
    uint8_t *to;   /* the next free place on the device */
    void *staging; /* of the largest tensor that changes its type, scales of its rows, and a row */
    f5_error *error;
} mover;

static size_t rounded_up(size_t bytes) {
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static f5_dtype wanted_type(const device *d, const manifest_tensor *t) {
    return model_held_type(d->ops->precision, t);
}

static size_t wanted_bytes(const device *d, const manifest_tensor *t) {
    return (size_t)t->elements * f5_dtype_bytes(wanted_type(d, t));
}

/* Of the scales beside an 8-bit tensor. */
static size_t scale_bytes(const device *d, const manifest_tensor *t) {
    return wanted_type(d, t) == F5_I8 ? (size_t)t->dims[0] * sizeof(float) : 0;
}

/* The copy of a bias in the operand type: for products whose 16-bit output takes it so. */
static size_t rounded_bytes(const device *d, const manifest_tensor *t) {
    return t->rounded && d->precision != F5_F32 ? (size_t)t->elements * f5_dtype_bytes(d->precision) : 0;
}

/* Any of our types into any other, by way of F32. */
static void convert(void *to, f5_dtype to_type, const void *from, f5_dtype from_type, int64_t n) {
    float block[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t some = n - i < BLOCK ? n - i : BLOCK;
        dtype(from_type)->widen(block, (const char *)from + i * f5_dtype_bytes(from_type), some);
        (void)dtype(to_type)->narrow((char *)to + i * f5_dtype_bytes(to_type), block, some);
    }
}

/* Where a tensor lies in a model's memory. */
static const void *tensor_data(const model *m, const manifest_tensor *t) {
    const char *at = (const char *)m->weights[t->part] + t->address;
    if (t->class == MATRIX) return ((const f5_matrix *)(const void *)at)->data;
    return *(const float *const *)(const void *)at;
}

/* Copies numbers to the next free place, in the type wanted. */
static f5_status move(mover *m, const void *from, f5_dtype type, f5_dtype wanted, int64_t n, const void **place) {
    size_t bytes = (size_t)n * f5_dtype_bytes(wanted);
    if (type != wanted) {
        convert(m->staging, wanted, from, type, n);
        from = m->staging;
    }
    *place = m->to;
    m->to += rounded_up(bytes);
    return m->device->upload(m->device, (void *)*place, from, bytes, m->error);
}

/* Where the scales of an 8-bit matrix lie in a model's memory. */
static const float *tensor_scales(const model *m, const manifest_tensor *t) {
    return *(const float *const *)(const void *)((const char *)m->weights[t->part] + t->scale);
}

/* A matrix as whole numbers, and the scales of its rows. */
static f5_status move_as_int8(mover *m, const manifest_tensor *t, const void *from, f5_dtype held) {
    int8_t *whole = m->staging;
    float *scale = (float *)(void *)(whole + rounded_up((size_t)t->elements)), *row = scale + t->dims[0];
    const void *place, *numbers = whole, *scales = scale;
    if (held == F5_I8)
        numbers = from, scales = tensor_scales(m->stored, t);
    else
        int8_rows_narrow(whole, scale, from, held, t->dims[0], t->dims[1], row);
    F5_TRY(move(m, numbers, F5_I8, F5_I8, t->elements, &place));
    model_place(m->placed, t, place, F5_I8);
    F5_TRY(move(m, scales, F5_F32, F5_F32, t->dims[0], &place));
    model_place_scale(m->placed, t, place);
    return F5_OK;
}

static f5_status move_tensor(mover *m, const manifest_tensor *t) {
    if (t->class == SCALE) return F5_OK; /* moved with its matrix */
    const void *from = tensor_data(m->stored, t), *place;
    f5_dtype held = model_held_type(m->stored->held, t), wanted = model_held_type(m->placed->held, t);
    if (wanted == F5_I8) return move_as_int8(m, t, from, held);
    if (held == F5_I8) { /* by way of F32, behind the place of the converted */
        float *wide = (float *)(void *)((char *)m->staging + rounded_up(wanted_bytes(m->device, t)));
        int8_rows_widen(wide, from, tensor_scales(m->stored, t), t->dims[0], t->dims[1]);
        from = wide, held = F5_F32;
    }
    F5_TRY(move(m, from, held, wanted, t->elements, &place));
    model_place(m->placed, t, place, wanted);
    if (rounded_bytes(m->device, t) == 0) return F5_OK;
    F5_TRY(move(m, from, held, m->device->precision, t->elements, &place));
    memcpy((char *)m->placed->weights[t->part] + t->rounded, &place, sizeof place);
    return F5_OK;
}

f5_status model_upload(device *d, const model *stored, model *placed, void **memory, size_t *bytes, f5_error *error) {
    manifest_tensor *list;
    int32_t count;
    F5_TRY(manifest_list(&stored->config, stored->file_types, &list, &count, error));
    size_t total = 0, largest = 0;
    for (int32_t i = 0; i < count; i++) {
        if (list[i].class == SCALE) continue;
        size_t one = wanted_bytes(d, &list[i]), copy = rounded_bytes(d, &list[i]), scales = scale_bytes(d, &list[i]);
        total += rounded_up(one) + rounded_up(copy) + rounded_up(scales);
        f5_dtype held = model_held_type(stored->held, &list[i]);
        const bool changes = held != wanted_type(d, &list[i]) || copy;
        const size_t row = scales ? (size_t)list[i].dims[1] * sizeof(float) : 0;
        const size_t wide = held == F5_I8 && !scales ? (size_t)list[i].elements * sizeof(float) : 0;
        const size_t staged = rounded_up(one) + scales + row + wide;
        if (changes && staged > largest) largest = staged;
    }
    *bytes = total;
    f5_status status = model_twin(placed, stored, error);
    mover m = {.device = d, .stored = stored, .placed = placed, .staging = malloc(largest + 1), .error = error};
    if (status == F5_OK && !m.staging)
        status = f5_fail(error, F5_E_MEMORY, "no memory to convert a tensor of %zu bytes", largest);
    if (status == F5_OK) status = d->alloc(d, total, "the model", memory, error);
    if (status == F5_OK) {
        placed->held = d->ops->precision;
        m.to = *memory;
    }
    for (int32_t i = 0; i < count && status == F5_OK; i++) status = move_tensor(&m, &list[i]);
    free(m.staging);
    free(list);
    return status;
}
