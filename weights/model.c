#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "config.h"
#include "half.h"
#include "manifest.h"
#include "safetensors.h"

#define OPERAND_ALIGNMENT 16 /* what the ops ask of their operands (kernels/linear.h) */
#define WIDENED_ALIGNMENT 64

/* The file beside what it should hold. */
typedef struct {
    safetensors file;
    manifest_tensor *list;            /* [count] */
    const safetensors_tensor **found; /* [count] the file's tensor for each of list */
    int32_t count;
    const char *path;
    f5_error *error;
} loader;

static bool type_of(safetensors_dtype dtype, f5_dtype *type) {
    switch (dtype) {
    case ST_F32:
        *type = F5_F32;
        return true;
    case ST_F16:
        *type = F5_F16;
        return true;
    case ST_BF16:
        *type = F5_BF16;
        return true;
    default:
        return false;
    }
}

/* ---- checks ----------------------------------------------------------------------------------------------------- */

/* All matrices have one type: that of the output projection, which every model has. */
static f5_status find_file_type(const loader *l, f5_dtype *type) {
    static const char witness[] = "dit.proj_out.weight";
    const safetensors_tensor *t = safetensors_find(&l->file, witness);
    if (!t) return f5_fail(l->error, F5_E_FORMAT, "%s: tensor \"%s\" is missing", l->path, witness);
    if (!type_of(t->dtype, type))
        return f5_fail(l->error, F5_E_UNSUPPORTED, "%s: tensor \"%s\" is %s: F32, F16 or BF16 expected", l->path,
                       witness, safetensors_dtype_name(t->dtype));
    return F5_OK;
}

static f5_status check_tensor(const loader *l, const manifest_tensor *expected, const safetensors_tensor *t) {
    static const safetensors_dtype stored[] = {[F5_F32] = ST_F32, [F5_F16] = ST_F16, [F5_BF16] = ST_BF16};
    if (!t) return f5_fail(l->error, F5_E_FORMAT, "%s: tensor \"%s\" is missing", l->path, expected->name);
    if (t->dtype != stored[expected->type])
        return f5_fail(l->error, F5_E_FORMAT, "%s: tensor \"%s\" is %s, %s expected", l->path, expected->name,
                       safetensors_dtype_name(t->dtype), safetensors_dtype_name(stored[expected->type]));
    bool same = t->rank == expected->rank;
    for (int32_t i = 0; same && i < t->rank; i++) same = t->dims[i] == expected->dims[i];
    if (!same)
        return f5_fail(
            l->error, F5_E_FORMAT,
            "%s: tensor \"%s\" has another shape than the configuration gives it, [%lld,%lld,%lld] of rank %d", l->path,
            expected->name, (long long)expected->dims[0], (long long)expected->dims[1], (long long)expected->dims[2],
            (int)expected->rank);
    return F5_OK;
}

/* Every tensor expected is there; if the file has more, one of them is not in the list. */
static f5_status check_unknown(const loader *l) {
    if (l->file.count == l->count) return F5_OK;
    bool *known = calloc((size_t)l->file.count, sizeof *known);
    if (!known) return f5_fail(l->error, F5_E_MEMORY, "%s: out of memory", l->path);
    for (int32_t i = 0; i < l->count; i++) known[l->found[i] - l->file.tensors] = true;
    int32_t stranger = 0;
    while (known[stranger]) stranger++;
    free(known);
    char shown[100];
    const char *name = l->file.tensors[stranger].name;
    json_escape(shown, sizeof shown, name, strlen(name));
    return f5_fail(l->error, F5_E_FORMAT, "%s: tensor \"%s\" has no place in the model", l->path, shown);
}

static f5_status match_tensors(loader *l, const model *m) {
    F5_TRY(manifest_list(&m->config, m->file_type, &l->list, &l->count, l->error));
    l->found = calloc((size_t)l->count, sizeof *l->found);
    if (!l->found) return f5_fail(l->error, F5_E_MEMORY, "%s: out of memory", l->path);
    for (int32_t i = 0; i < l->count; i++) {
        l->found[i] = safetensors_find(&l->file, l->list[i].name);
        F5_TRY(check_tensor(l, &l->list[i], l->found[i]));
    }
    return check_unknown(l);
}

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
    size_t total = 0;
    for (int32_t i = 0; i < l->count; i++)
        if (!in_place(m, &l->list[i], l->found[i])) total += round_up(held_bytes(m, &l->list[i]));
    if (total) {
        m->widened = aligned_alloc(WIDENED_ALIGNMENT, total);
        if (!m->widened)
            return f5_fail(l->error, F5_E_MEMORY, "%s: out of memory: %zu bytes of weights", l->path, total);
    }
    uint8_t *free_place = m->widened;
    for (int32_t i = 0; i < l->count; i++) {
        const manifest_tensor *t = &l->list[i];
        const void *place = l->found[i]->data;
        if (!in_place(m, t, l->found[i])) {
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
    F5_TRY(find_file_type(l, &m->file_type));
    m->type = as_stored ? m->file_type : F5_F32;
    F5_TRY(match_tensors(l, m));
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
    free(l.list);
    free(l.found);
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
