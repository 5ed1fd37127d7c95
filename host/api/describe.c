/* describe.c — a model file described: its header is read and checked, as f5_open does, its weights are not. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/api/params.h"
#include "kernels/dtype.h"
#include "runtime/engine.h"
#include "runtime/models/backbone.h"
#include "runtime/models/models.h"
#include "runtime/models/vocoder.h"
#include "weights/config.h"
#include "weights/json.h"
#include "weights/match.h"
#include "weights/safetensors.h"

enum { MAX_SETTINGS = 128 };

typedef struct {
    char name[32]; /* "dit" of "dit.time.0.weight" */
    int32_t tensors;
    int64_t parameters, bytes;
} part;

typedef struct {
    char name[64]; /* "backbone.dim" */
    const json_node *node;
} setting;

struct f5_model_file {
    safetensors file;
    int version;
    model_config config;
    vocab vocab;
    manifest_types types;
    part parts[PARTS];
    json_document document; /* what model_config_write writes */
    setting settings[MAX_SETTINGS];
    int32_t n_settings;
    int64_t parameters, bytes, pinyin_bytes;
    int32_t int8_matrices, wide_matrices;
};

/* Every tensor belongs to a part, but for the tables for Chinese. Scales are no parameters: a model has as many in 8
 * bits as in 32. */
static void count_tensors(f5_model_file *f, const tensor_match *match) {
    for (int32_t i = 0; i < match->count; i++) {
        const manifest_tensor *t = &match->list[i];
        part *p = &f->parts[t->part];
        p->tensors++;
        p->parameters += t->class == SCALE ? 0 : t->elements;
        p->bytes += (int64_t)t->bytes;
        f->int8_matrices += t->type == F5_I8;
        f->wide_matrices += t->class == MATRIX && t->wide;
    }
    for (int k = 0; k < PARTS; k++) {
        part *p = &f->parts[k];
        const char *prefix = f->config.part[k]->prefix;
        snprintf(p->name, sizeof p->name, "%.*s", (int)strcspn(prefix, "."), prefix);
        f->parameters += p->parameters;
        f->bytes += p->bytes;
    }
}

static f5_status add_setting(f5_model_file *f, const char *group, const json_node *node, const char *path,
                             f5_error *error) {
    if (f->n_settings == MAX_SETTINGS)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: has more than %d settings", path, MAX_SETTINGS);
    setting *s = &f->settings[f->n_settings++];
    s->node = node;
    snprintf(s->name, sizeof s->name, "%s%s%s", group, *group ? "." : "", node->key);
    return F5_OK;
}

/* The configuration as a list: the settings of a part are an object of their own in it. */
static f5_status list_settings(f5_model_file *f, const char *path, f5_error *error) {
    char text[MODEL_CONFIG_TEXT];
    model_config_write(&f->config, text);
    const json_document *d = &f->document;
    F5_TRY(json_parse(&f->document, text, strlen(text), path, error));
    for (const json_node *n = json_first(d, &d->nodes[0]); n; n = json_next(d, n)) {
        if (n->type != JSON_OBJECT) F5_TRY(add_setting(f, "", n, path, error));
        for (const json_node *m = n->type == JSON_OBJECT ? json_first(d, n) : NULL; m; m = json_next(d, m))
            F5_TRY(add_setting(f, n->key, m, path, error));
    }
    return F5_OK;
}

static f5_status read_file(f5_model_file *f, const char *path, f5_error *error) {
    F5_TRY(safetensors_open(&f->file, path, error));
    F5_TRY(model_metadata_read(&f->file, &models_catalogue, &f->config, &f->vocab, &f->version, path, error));
    tensor_match match;
    F5_TRY(match_tensors(&match, &f->config, &f->file, path, error));
    f->types = match.types;
    f->pinyin_bytes = match.pinyin ? (int64_t)match.pinyin->bytes : 0;
    f->bytes = f->pinyin_bytes;
    count_tensors(f, &match);
    match_free(&match);
    return list_settings(f, path, error);
}

f5_status f5_describe(const char *path, f5_model_file **described, f5_error *error) {
    if (!described) return f5_fail(error, F5_E_ARGUMENT, "file is NULL: pass where to put the handle");
    *described = NULL;
    if (!path) return f5_fail(error, F5_E_ARGUMENT, "path is NULL: give a .f5 file");
    f5_model_file *f = calloc(1, sizeof *f);
    if (!f) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    f5_status status = read_file(f, path, error);
    if (status != F5_OK) {
        f5_model_file_close(f);
        return status;
    }
    *described = f;
    return F5_OK;
}

void f5_model_file_close(f5_model_file *f) {
    if (!f) return;
    json_free(&f->document);
    vocab_free(&f->vocab);
    safetensors_close(&f->file);
    free(f);
}

/* ---- what is asked of it */

f5_status f5_model_file_info(const f5_model_file *f, f5_model_info *info, f5_error *error) {
    if (!f) return f5_fail(error, F5_E_ARGUMENT, "f5_model_file_info: file is NULL");
    f5_model_info i = {.name = f->config.name,
                       .backbone = f->config.part[PART_BACKBONE]->kind,
                       .vocoder = f->config.part[PART_VOCODER]->kind,
                       .tokenizer = tokenizer_name(f->config.tokenizer),
                       .precision = dtype(f->types.int8 ? F5_I8 : f->types.matrices)->name,
                       .vocoder_precision = dtype(f->types.vocoder)->name,
                       .format_version = f->version,
                       .settings = f->n_settings,
                       .parts = PARTS,
                       .tensors = f->file.count,
                       .tokens = f->vocab.size,
                       .parameters = f->parameters,
                       .bytes = f->bytes,
                       .pinyin_bytes = f->pinyin_bytes,
                       .default_precision = f->config.speech.precision == SPEECH_INT8   ? "int8"
                                            : f->config.speech.precision == SPEECH_FP32 ? "fp32"
                                                                                        : NULL,
                       .default_method = f->config.speech.method,
                       .default_nfe = f->config.speech.steps,
                       .sample_rate = model_sample_rate(&f->config),
                       .mel_bands = model_mel_bands(&f->config),
                       .one_voice = backbone_of(&f->config)->own != NULL,
                       .reads_phonemes = f->config.part[PART_TEXT]->symbols != NULL,
                       .int8_matrices = f->int8_matrices,
                       .wide_matrices = f->wide_matrices,
                       .license = f->config.rights.license,
                       .credit = f->config.rights.credit};
    return params_write(info, &i, sizeof i, "f5_model_info", error);
}

f5_status f5_model_file_check(const f5_model_file *f, const char *device, const char *precision,
                              const char *vocoder_precision, f5_error *error) {
    if (!f) return f5_fail(error, F5_E_ARGUMENT, "f5_model_file_check: file is NULL");
    const engine_options options = {.device = device, .precision = precision, .vocoder = vocoder_precision};
    return engine_check_precision(&f->config, f->config.name, &options, error);
}

static f5_status check_index(int32_t i, int32_t count, const char *what, f5_error *error) {
    if (i >= 0 && i < count) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s %d: the file has %d", what, i, count);
}

f5_status f5_model_file_setting(const f5_model_file *f, int32_t i, f5_model_setting *described, f5_error *error) {
    if (!f) return f5_fail(error, F5_E_ARGUMENT, "f5_model_file_setting: file is NULL");
    F5_TRY(check_index(i, f->n_settings, "setting", error));
    const json_node *node = f->settings[i].node;
    const char *value = node->type == JSON_TRUE ? "true" : node->type == JSON_FALSE ? "false" : node->text;
    f5_model_setting s = {.name = f->settings[i].name, .value = value, .is_text = node->type == JSON_STRING};
    return params_write(described, &s, sizeof s, "f5_model_setting", error);
}

f5_status f5_model_file_part(const f5_model_file *f, int32_t i, f5_model_part *described, f5_error *error) {
    if (!f) return f5_fail(error, F5_E_ARGUMENT, "f5_model_file_part: file is NULL");
    F5_TRY(check_index(i, PARTS, "part", error));
    const part *p = &f->parts[i];
    f5_model_part d = {.name = p->name,
                       .title = f->config.part[i]->title,
                       .tensors = p->tensors,
                       .parameters = p->parameters,
                       .bytes = p->bytes};
    return params_write(described, &d, sizeof d, "f5_model_part", error);
}

f5_status f5_model_file_tensor(const f5_model_file *f, int32_t i, f5_model_tensor *tensor, f5_error *error) {
    if (!f) return f5_fail(error, F5_E_ARGUMENT, "f5_model_file_tensor: file is NULL");
    F5_TRY(check_index(i, f->file.count, "tensor", error));
    const safetensors_tensor *t = &f->file.tensors[i];
    f5_model_tensor d = {.name = t->name,
                         .type = safetensors_dtype_name(t->dtype),
                         .rank = t->rank,
                         .elements = t->elements,
                         .bytes = (int64_t)t->bytes};
    static_assert(sizeof d.dims == sizeof t->dims, "a rank of the file fits in the public struct");
    memcpy(d.dims, t->dims, (size_t)t->rank * sizeof *d.dims);
    return params_write(tensor, &d, sizeof d, "f5_model_tensor", error);
}

f5_status f5_model_file_token(const f5_model_file *f, int32_t id, f5_model_token *token, f5_error *error) {
    if (!f) return f5_fail(error, F5_E_ARGUMENT, "f5_model_file_token: file is NULL");
    F5_TRY(check_index(id, f->vocab.size, "token", error));
    f5_model_token t = {.text = f->vocab.token[id], .bytes = f->vocab.length[id]};
    return params_write(token, &t, sizeof t, "f5_model_token", error);
}
