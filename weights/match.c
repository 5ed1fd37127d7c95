/* match.c — compares name by name, type by type, shape by shape. */
#include "weights/match.h"

#include <stdlib.h>
#include <string.h>

/* One side of the comparison and how to report on it. */
typedef struct {
    const safetensors *file;
    const char *where;
    f5_error *error;
} matcher;

/* All matrices have the type of the witness, a tensor that every model has. */
static f5_status find_type(const matcher *m, const char *witness, f5_dtype *type) {
    const safetensors_tensor *t = safetensors_find(m->file, witness);
    if (!t) return f5_fail(m->error, F5_E_FORMAT, "%s: tensor \"%s\" is missing", m->where, witness);
    if (!safetensors_number_type(t->dtype, type) || *type == F5_I8)
        return f5_fail(m->error, F5_E_UNSUPPORTED, "%s: tensor \"%s\" is %s: F32, F16 or BF16 expected", m->where,
                       witness, safetensors_dtype_name(t->dtype));
    return F5_OK;
}

static f5_status check_tensor(const matcher *m, const manifest_tensor *expected, const safetensors_tensor *t) {
    safetensors_dtype stored = safetensors_dtype_of(expected->type);
    if (!t) return f5_fail(m->error, F5_E_FORMAT, "%s: tensor \"%s\" is missing", m->where, expected->name);
    if (t->dtype != stored)
        return f5_fail(m->error, F5_E_FORMAT, "%s: tensor \"%s\" is %s, %s expected", m->where, expected->name,
                       safetensors_dtype_name(t->dtype), safetensors_dtype_name(stored));
    bool same = t->rank == expected->rank;
    for (int32_t i = 0; same && i < t->rank; i++) same = t->dims[i] == expected->dims[i];
    if (!same)
        return f5_fail(
            m->error, F5_E_FORMAT,
            "%s: tensor \"%s\" has another shape than the configuration gives it, [%lld,%lld,%lld] of rank %d",
            m->where, expected->name, (long long)expected->dims[0], (long long)expected->dims[1],
            (long long)expected->dims[2], (int)expected->rank);
    return F5_OK;
}

/* A model that spells Chinese may carry the tables for it. What is in them is for their reader to check. */
static f5_status find_pinyin(const matcher *m, const model_config *config, tensor_match *match) {
    if (config->tokenizer != TOKENIZER_PINYIN && config->tokenizer != TOKENIZER_CUSTOM) return F5_OK;
    const safetensors_tensor *t = safetensors_find(m->file, MATCH_PINYIN);
    if (t && (t->dtype != ST_U8 || t->rank != 1))
        return f5_fail(m->error, F5_E_FORMAT, "%s: tensor \"%s\" is %s of rank %d, U8 of rank 1 expected", m->where,
                       MATCH_PINYIN, safetensors_dtype_name(t->dtype), (int)t->rank);
    match->pinyin = t;
    return F5_OK;
}

/* Every tensor expected is there; if the file has more, one of them is not in the list. */
static f5_status check_unknown(const matcher *m, const tensor_match *match) {
    if (m->file->count == match->count + (match->pinyin != NULL)) return F5_OK;
    bool *known = calloc((size_t)m->file->count, sizeof *known);
    if (!known) return f5_fail(m->error, F5_E_MEMORY, "%s: out of memory", m->where);
    for (int32_t i = 0; i < match->count; i++) known[match->found[i] - m->file->tensors] = true;
    if (match->pinyin) known[match->pinyin - m->file->tensors] = true;
    int32_t stranger = 0;
    while (known[stranger]) stranger++;
    free(known);
    char shown[100];
    const char *name = m->file->tensors[stranger].name;
    json_escape(shown, sizeof shown, name, strlen(name));
    return f5_fail(m->error, F5_E_FORMAT, "%s: tensor \"%s\" has no place in the model", m->where, shown);
}

/* Which of the matrices that may lie in 8 bits are stored so? Where one is, those in the others' type are wide. */
static f5_status find_int8(const matcher *m, const model_config *config, manifest_types *types) {
    manifest_tensor *list;
    int32_t count;
    F5_TRY(manifest_list(config, *types, &list, &count, m->error));
    manifest_types mixed = *types;
    for (int32_t i = 0; i < count; i++) {
        if (list[i].number < 0) continue;
        const safetensors_tensor *t = safetensors_find(m->file, list[i].name);
        if (!t) continue; /* it is missed later */
        mixed.int8 |= t->dtype == ST_I8;
        if (t->dtype == safetensors_dtype_of(types->matrices)) (void)manifest_set_wide(&mixed, list[i].number);
    }
    if (mixed.int8) *types = mixed;
    free(list);
    return F5_OK;
}

static f5_status match_all(const matcher *m, const model_config *config, tensor_match *match) {
    F5_TRY(find_type(m, manifest_witness(config->part[PART_BACKBONE]), &match->types.matrices));
    F5_TRY(find_type(m, manifest_witness(config->part[PART_VOCODER]), &match->types.vocoder));
    F5_TRY(find_int8(m, config, &match->types));
    F5_TRY(manifest_list(config, match->types, &match->list, &match->count, m->error));
    match->found = calloc((size_t)match->count, sizeof *match->found);
    if (!match->found) return f5_fail(m->error, F5_E_MEMORY, "%s: out of memory", m->where);
    for (int32_t i = 0; i < match->count; i++) {
        match->found[i] = safetensors_find(m->file, match->list[i].name);
        F5_TRY(check_tensor(m, &match->list[i], match->found[i]));
    }
    F5_TRY(find_pinyin(m, config, match));
    return check_unknown(m, match);
}

f5_status match_tensors(tensor_match *match, const model_config *config, const safetensors *file, const char *where,
                        f5_error *error) {
    *match = (tensor_match){0};
    matcher m = {file, where, error};
    f5_status status = match_all(&m, config, match);
    if (status != F5_OK) match_free(match);
    return status;
}

void match_free(tensor_match *match) {
    free(match->list);
    free(match->found);
    *match = (tensor_match){0};
}
