/* model.c — maps a .f5 file and sets every pointer of the model: into the mapping, or to a widened copy. */
#include "weights/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "weights/int8_rows.h"
#include "weights/match.h"

#define OPERAND_ALIGNMENT 16 /* what the ops ask of their operands (kernels/linear.h) */
#define WIDENED_ALIGNMENT 64

typedef struct {
    safetensors file;
    tensor_match match;
    const part_catalogue *parts;
    const char *path;
    f5_error *error;
} loader;

/* ---- the parts' structs ------------------------------------------------------------------------------------------ */

static f5_status take_structs(model *m, f5_error *error) {
    for (int p = 0; p < PARTS; p++) {
        m->weights[p] = calloc(1, m->config.part[p]->weights_bytes);
        if (!m->weights[p]) return f5_fail(error, F5_E_MEMORY, "out of memory for the pointers of a model");
    }
    return F5_OK;
}

static void free_structs(model *m) {
    for (int p = 0; p < PARTS; p++) {
        free(m->weights[p]);
        m->weights[p] = NULL;
    }
}

f5_status model_twin(model *twin, const model *m, f5_error *error) {
    *twin = *m;
    memset(twin->weights, 0, sizeof twin->weights);
    f5_status status = take_structs(twin, error);
    if (status != F5_OK) model_twin_free(twin);
    return status;
}

void model_twin_free(model *twin) {
    free_structs(twin);
    *twin = (model){0};
}

f5_status model_twin_held(model *twin, const model *m, f5_precision held, f5_error *error) {
    manifest_tensor *list;
    int32_t count;
    F5_TRY(manifest_list(&m->config, m->file_types, &list, &count, error));
    const f5_status status = model_twin(twin, m, error);
    for (int p = 0; p < PARTS && status == F5_OK; p++)
        memcpy(twin->weights[p], m->weights[p], m->config.part[p]->weights_bytes);
    for (int32_t i = 0; i < count && status == F5_OK; i++) {
        if (list[i].class != MATRIX) continue;
        f5_matrix *matrix = (f5_matrix *)(void *)((char *)twin->weights[list[i].part] + list[i].address);
        matrix->type = model_held_type(held, &list[i]);
    }
    free(list);
    return status;
}

f5_dtype model_held_type(f5_precision held, const manifest_tensor *t) {
    if (t->class != MATRIX || t->held_f32) return F5_F32;
    if (t->scale && held.int8 && !t->wide) return F5_I8;
    return t->part == PART_VOCODER ? held.vocoder : held.operands;
}

void model_place_scale(model *m, const manifest_tensor *t, const float *scale) {
    memcpy((char *)m->weights[t->part] + t->scale, &scale, sizeof scale);
}

void model_place(model *m, const manifest_tensor *t, const void *data, f5_dtype type) {
    char *at = (char *)m->weights[t->part] + t->address;
    if (t->class == MATRIX) {
        f5_matrix matrix = {data, type};
        memcpy(at, &matrix, sizeof matrix);
    } else {
        const float *plain = data;
        memcpy(at, &plain, sizeof plain);
    }
}

/* ---- placing ----------------------------------------------------------------------------------------------------- */

static bool in_place(const model *m, const manifest_tensor *t, const safetensors_tensor *stored) {
    return model_held_type(m->held, t) == t->type && (uintptr_t)stored->data % OPERAND_ALIGNMENT == 0;
}

static size_t held_bytes(const model *m, const manifest_tensor *t) {
    return (size_t)t->elements * f5_dtype_bytes(model_held_type(m->held, t));
}

static size_t round_up(size_t bytes) {
    return (bytes + WIDENED_ALIGNMENT - 1) & ~(size_t)(WIDENED_ALIGNMENT - 1);
}

/* Of the scales that are made here. */
static size_t scale_bytes(const model *m, const manifest_tensor *t) {
    return model_held_type(m->held, t) == F5_I8 && t->type != F5_I8 ? (size_t)t->dims[0] * sizeof(float) : 0;
}

/* A file's scales of an 8-bit matrix; aligned to nothing. */
static const void *stored_scales(const loader *l, const manifest_tensor *t) {
    for (int32_t i = 0; i < l->match.count; i++) {
        const manifest_tensor *s = &l->match.list[i];
        if (s->class == SCALE && s->part == t->part && s->address == t->scale) return l->match.found[i]->data;
    }
    return NULL; /* match.c has seen them */
}

/* Scales are read with their matrix, and stay only where it stays whole numbers. */
static bool is_held(const model *m, const manifest_tensor *t) {
    return t->class != SCALE || m->held.int8;
}

/* A tensor's numbers in the type that it is held in, at `to`; scales behind them. */
static f5_status convert_tensor(const loader *l, model *m, const manifest_tensor *t, const void *from, uint8_t *to) {
    const f5_dtype held = model_held_type(m->held, t);
    if (held == t->type) {
        memcpy(to, from, t->bytes);
    } else if (held == F5_I8) {
        float *row = malloc((size_t)t->dims[1] * sizeof *row),
              *scale = (float *)(void *)(to + round_up(held_bytes(m, t)));
        if (!row) return f5_fail(l->error, F5_E_MEMORY, "%s: out of memory", l->path);
        int8_rows_narrow((int8_t *)to, scale, from, t->type, t->dims[0], t->dims[1], row);
        model_place_scale(m, t, scale);
        free(row);
    } else if (t->type == F5_I8) {
        int8_rows_widen((float *)(void *)to, from, stored_scales(l, t), t->dims[0], t->dims[1]);
    } else {
        dtype(t->type)->widen((float *)(void *)to, from, t->elements);
    }
    return F5_OK;
}

/* Sets every pointer of the model: into the mapping, or into the one allocation made here for what cannot stay there.
 */
static f5_status place_tensors(const loader *l, model *m) {
    const tensor_match *match = &l->match;
    size_t total = 0;
    for (int32_t i = 0; i < match->count; i++)
        if (is_held(m, &match->list[i]) && !in_place(m, &match->list[i], match->found[i]))
            total += round_up(held_bytes(m, &match->list[i])) + round_up(scale_bytes(m, &match->list[i]));
    const safetensors_tensor *pinyin = match->pinyin;
    const bool moved = pinyin && (uintptr_t)pinyin->data % WIDENED_ALIGNMENT != 0;
    if (moved) total += round_up(pinyin->bytes);
    if (total) {
        m->widened = aligned_alloc(WIDENED_ALIGNMENT, total);
        if (!m->widened)
            return f5_fail(l->error, F5_E_MEMORY, "%s: out of memory: %zu bytes of weights", l->path, total);
    }
    uint8_t *free_place = m->widened;
    for (int32_t i = 0; i < match->count; i++) {
        const manifest_tensor *t = &match->list[i];
        const void *place = match->found[i]->data;
        if (t->class != SCALE) m->parameters += t->elements;
        if (!is_held(m, t)) continue;
        if (!in_place(m, t, match->found[i])) {
            F5_TRY(convert_tensor(l, m, t, place, free_place));
            place = free_place;
            free_place += round_up(held_bytes(m, t)) + round_up(scale_bytes(m, t));
        }
        model_place(m, t, place, model_held_type(m->held, t));
        m->weight_bytes += held_bytes(m, t) + scale_bytes(m, t);
    }
    if (pinyin) {
        m->pinyin = moved ? memcpy(free_place, pinyin->data, pinyin->bytes) : pinyin->data;
        m->pinyin_bytes = pinyin->bytes;
    }
    return F5_OK;
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

typedef enum { HELD_F32, HELD_INT8, HELD_F32_OR_INT8, HELD_AS_STORED } holding;

static f5_status load(loader *l, model *m, holding held) {
    F5_TRY(safetensors_open(&l->file, l->path, l->error));
    F5_TRY(model_metadata_read(&l->file, l->parts, &m->config, &m->vocab, &m->format_version, l->path, l->error));
    F5_TRY(match_tensors(&l->match, &m->config, &l->file, l->path, l->error));
    m->file_types = l->match.types;
    m->held.operands = held == HELD_AS_STORED ? m->file_types.matrices : F5_F32;
    m->held.int8 = held == HELD_INT8 || (held >= HELD_F32_OR_INT8 && m->file_types.int8);
    if (held == HELD_F32_OR_INT8) m->held.int8 = model_asks_int8(m);
    if (m->held.int8) F5_TRY(manifest_check_int8(&m->config, l->path, l->error));
    F5_TRY(take_structs(m, l->error));
    F5_TRY(place_tensors(l, m));
    m->mapping = l->file.mapping; /* the mapping outlives the reader */
    m->mapping_bytes = l->file.mapping_bytes;
    m->stamp = l->file.stamp;
    l->file.mapping = NULL;
    return model_check_unchanged(m, l->path, l->error);
}

static f5_status open_as(model *m, const part_catalogue *parts, const char *path, holding held, f5_error *error) {
    *m = (model){0};
    loader l = {.parts = parts, .path = path, .error = error};
    f5_status status = load(&l, m, held);
    match_free(&l.match);
    safetensors_close(&l.file);
    if (status != F5_OK) model_close(m);
    return status;
}

f5_status model_open(model *m, const part_catalogue *parts, const char *path, f5_error *error) {
    return open_as(m, parts, path, HELD_F32, error);
}

f5_status model_open_int8(model *m, const part_catalogue *parts, const char *path, f5_error *error) {
    return open_as(m, parts, path, HELD_INT8, error);
}

f5_status model_open_for_cpu(model *m, const part_catalogue *parts, const char *path, f5_error *error) {
    return open_as(m, parts, path, HELD_F32_OR_INT8, error);
}

f5_status model_open_as_stored(model *m, const part_catalogue *parts, const char *path, f5_error *error) {
    return open_as(m, parts, path, HELD_AS_STORED, error);
}

f5_status model_check_unchanged(const model *m, const char *path, f5_error *error) {
    if (!file_stamp_changed(&m->stamp)) return F5_OK;
    return f5_fail(error, F5_E_IO,
                   "%s: was written to while it was open: close the engine and open it again; a model is replaced by "
                   "renaming another over it",
                   path);
}

void model_close(model *m) {
    if (m->mapping) {
        munmap(m->mapping, m->mapping_bytes);
        close(m->stamp.fd);
    }
    free(m->widened);
    free_structs(m);
    vocab_free(&m->vocab);
    *m = (model){0};
}
