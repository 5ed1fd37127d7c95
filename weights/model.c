#include "weights/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/half.h"
#include "weights/config.h"
#include "weights/match.h"
#include "weights/safetensors.h"

#define OPERAND_ALIGNMENT 16 /* what the ops ask of their operands (kernels/linear.h) */
#define WIDENED_ALIGNMENT 64

typedef struct {
    safetensors file;
    tensor_match match;
    const char *path;
    f5_error *error;
} loader;

/* ---- placing ---------------------------------------------------------------------------------------------------- */

static f5_dtype held_type(const model *m, const manifest_tensor *t) {
    return t->matrix ? m->type : F5_F32;
}

static bool in_place(const model *m, const manifest_tensor *t, const safetensors_tensor *stored) {
    return held_type(m, t) == t->type && (uintptr_t)stored->data % OPERAND_ALIGNMENT == 0;
}

static size_t held_bytes(const model *m, const manifest_tensor *t) {
    return (size_t)t->elements * (held_type(m, t) == F5_F32 ? 4 : 2);
}

static size_t round_up(size_t bytes) {
    return (bytes + WIDENED_ALIGNMENT - 1) & ~(size_t)(WIDENED_ALIGNMENT - 1);
}

/* 16-bit data is aligned in memory only where the file has it so, hence memcpy. */
static void widen(float *to, const void *from, f5_dtype type, int64_t elements) {
    const uint8_t *bytes = from;
#pragma omp parallel for schedule(static) if (elements > 1 << 16)
    for (int64_t i = 0; i < elements; i++) {
        uint16_t stored;
        memcpy(&stored, bytes + 2 * i, sizeof stored);
        to[i] = type == F5_F16 ? half_to_float(stored) : bfloat_to_float(stored);
    }
}

/* Sets every pointer of the model: into the mapping, or into the one allocation made here for what cannot stay there.
 */
static f5_status place_tensors(const loader *l, model *m) {
    const tensor_match *match = &l->match;
    size_t total = 0;
    for (int32_t i = 0; i < match->count; i++)
        if (!in_place(m, &match->list[i], match->found[i])) total += round_up(held_bytes(m, &match->list[i]));
    if (total) {
        m->widened = aligned_alloc(WIDENED_ALIGNMENT, total);
        if (!m->widened)
            return f5_fail(l->error, F5_E_MEMORY, "%s: out of memory: %zu bytes of weights", l->path, total);
    }
    uint8_t *free_place = m->widened;
    for (int32_t i = 0; i < match->count; i++) {
        const manifest_tensor *t = &match->list[i];
        const void *place = match->found[i]->data;
        if (!in_place(m, t, match->found[i])) {
            if (held_type(m, t) == t->type)
                memcpy(free_place, place, t->bytes);
            else
                widen((float *)(void *)free_place, place, t->type, t->elements);
            place = free_place;
            free_place += round_up(held_bytes(m, t));
        }
        memcpy((char *)m + t->address, &place, sizeof place);
        m->parameters += t->elements;
        m->weight_bytes += held_bytes(m, t);
    }
    m->dit.input_text.b = m->dit.input_cond.b;
    return F5_OK;
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

static f5_status load(loader *l, model *m, bool as_stored) {
    F5_TRY(safetensors_open(&l->file, l->path, l->error));
    F5_TRY(model_metadata_read(&l->file, &m->config, &m->vocab, l->path, l->error));
    F5_TRY(match_tensors(&l->match, &m->config, &l->file, l->path, l->error));
    m->file_type = l->match.types.matrices;
    m->type = as_stored ? m->file_type : F5_F32;
    F5_TRY(place_tensors(l, m));
    m->mapping = l->file.mapping; /* the mapping outlives the reader */
    m->mapping_bytes = l->file.mapping_bytes;
    l->file.mapping = NULL;
    return F5_OK;
}

static f5_status open_as(model *m, const char *path, bool as_stored, f5_error *error) {
    *m = (model){0};
    loader l = {.path = path, .error = error};
    f5_status status = load(&l, m, as_stored);
    match_free(&l.match);
    safetensors_close(&l.file);
    if (status != F5_OK) model_close(m);
    return status;
}

f5_status model_open(model *m, const char *path, f5_error *error) {
    return open_as(m, path, false, error);
}

f5_status model_open_as_stored(model *m, const char *path, f5_error *error) {
    return open_as(m, path, true, error);
}

void model_close(model *m) {
    if (m->mapping) munmap(m->mapping, m->mapping_bytes);
    free(m->widened);
    vocab_free(&m->vocab);
    *m = (model){0};
}
