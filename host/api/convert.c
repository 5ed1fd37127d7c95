/* convert.c — f5_convert: the caller's struct, checked, handed to the converter. */
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/api/params.h"
#include "host/text/pinyin_table.h"
#include "kernels/dtype.h"
#include "runtime/models/models.h"
#include "weights/convert/convert.h"
#include "weights/convert/quote.h"

#define MAX_SETTINGS 65536

/* The caller's settings as the converter has them; the caller frees *list. They point to the same strings. */
static f5_status read_settings(settings *to, setting **list, const f5_setting *from, int32_t n, const char *path,
                               f5_error *error) {
    if (!path && n == 0) { /* no vocoder's, where the model brings its own or has none */
        *to = (settings){.file = "the vocoder's configuration"};
        return F5_OK;
    }
    if (!path) return f5_fail(error, F5_E_ARGUMENT, "config_path or vocoder_config_path is NULL: name the file");
    if (n < 0 || n > MAX_SETTINGS || (n > 0 && !from))
        return f5_fail(error, F5_E_ARGUMENT, "%s: %d settings, or NULL: must be 0 to %d", path, n, MAX_SETTINGS);
    *list = calloc((size_t)n + 1, sizeof **list);
    if (!*list) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", path);
    for (int32_t i = 0; i < n; i++) {
        if (!from[i].path) return f5_fail(error, F5_E_ARGUMENT, "%s: setting %d has no path", path, i);
        (*list)[i] = (setting){.path = from[i].path, .value = from[i].value, .quoted = from[i].quoted != 0};
    }
    *to = (settings){.item = *list, .count = n, .file = path};
    return F5_OK;
}

static f5_status read_type(f5_dtype *type, const char *name, const char *field, const char *known, f5_error *error) {
    if (name && dtype_from_name(type, name)) return F5_OK;
    const char *shown = name ? name : "NULL";
    return f5_fail(error, F5_E_ARGUMENT, "%s is %s: known are %s", field, quote(shown, strlen(shown)).text, known);
}

/* Whole numbers are for matrices that may lie in 8 bits; the others are then of 16. */
static f5_status read_types(manifest_types *types, const f5_convert_params *p, f5_error *error) {
    F5_TRY(read_type(&types->matrices, p->matrices, "matrices", "fp32, fp16, bf16 and int8", error));
    types->int8 = types->matrices == F5_I8;
    if (types->int8) types->matrices = F5_F16;
    F5_TRY(read_type(&types->vocoder, p->vocoder_matrices, "vocoder_matrices", "fp32, fp16 and bf16", error));
    if (types->vocoder != F5_I8) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "vocoder_matrices is int8: known are fp32, fp16 and bf16");
}

static f5_status read_weights(bool *plain, const char *name, f5_error *error) {
    const char *shown = name ? name : "NULL";
    *plain = strcmp(shown, "model") == 0;
    if (*plain || strcmp(shown, "ema") == 0) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "weights is %s: known are ema and model", quote(shown, strlen(shown)).text);
}

static f5_status check_paths(const f5_convert_params *p, f5_error *error) {
    const char *missing = !p->config_path       ? "config_path"
                          : !p->checkpoint_path ? "checkpoint_path"
                          : !p->output_path     ? "output_path"
                                                : NULL;
    return missing ? f5_fail(error, F5_E_ARGUMENT, "f5_convert_params.%s is NULL: name the file", missing) : F5_OK;
}

static f5_status check_pinyin(const void *data, size_t bytes, const char *where, f5_error *error) {
    pinyin_table table;
    return pinyin_table_open(&table, data, bytes, where, error);
}

static f5_status convert(const f5_convert_params *p, convert_options *o, setting *list[2], convert_summary *made,
                         f5_error *error) {
    F5_TRY(check_paths(p, error));
    F5_TRY(read_types(&o->types, p, error));
    F5_TRY(read_weights(&o->plain_weights, p->weights, error));
    F5_TRY(read_settings(&o->config, &list[0], p->config, p->n_config, p->config_path, error));
    F5_TRY(read_settings(&o->vocos_config, &list[1], p->vocoder_config, p->n_vocoder_config, p->vocoder_config_path,
                         error));
    return convert_run(o, made, error);
}

static convert_options options_of(const f5_convert_params *p) {
    return (convert_options){.parts = &models_catalogue,
                             .config.file = p->config_path,
                             .checkpoint_path = p->checkpoint_path,
                             .vocab_path = p->vocab_path,
                             .vocos_config.file = p->vocoder_config_path,
                             .vocos_path = p->vocoder_path,
                             .output_path = p->output_path,
                             .name = p->name,
                             .normalize = p->normalize,
                             .license = p->license,
                             .credit = p->credit,
                             .short_speed = p->short_speed,
                             .progress = p->progress,
                             .progress_user = p->progress_user,
                             .pinyin_path = p->pinyin_path,
                             .lora_path = p->lora_path,
                             .lora_scale = p->lora_scale,
                             .stored_rotary = p->stored_rotary != 0,
                             .pinyin_check = check_pinyin};
}

static f5_convert_summary summary_of(const convert_summary *made) {
    static const char *const weights[] = {[WEIGHTS_UNSAID] = "", [WEIGHTS_AVERAGED] = "ema", [WEIGHTS_PLAIN] = "model"};
    f5_convert_summary s = {.tensors = made->tensors,
                            .parameters = made->parameters,
                            .bytes = (int64_t)made->bytes,
                            .other_weights = made->other_weights,
                            .merged = made->merged,
                            .repeated_tokens = made->repeats.repeated,
                            .unspoken_tokens = made->repeats.unspoken};
    memcpy(s.checkpoint_types, made->checkpoint_types, sizeof s.checkpoint_types);
    memcpy(s.vocoder_types, made->vocos_types, sizeof s.vocoder_types);
    memcpy(s.unspoken, made->repeats.examples, sizeof s.unspoken);
    strcpy(s.weights, weights[made->weights]);
    return s;
}

f5_status f5_convert(const f5_convert_params *params, f5_convert_summary *summary, f5_error *error) {
    f5_convert_params p;
    f5_convert_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_convert_params", error));
    f5_convert_summary s = {0};
    if (summary) F5_TRY(params_write(summary, &s, sizeof s, "f5_convert_summary", error)); /* refused before the work */
    convert_options options = options_of(&p);
    setting *list[2] = {NULL};
    convert_summary made;
    f5_status status = convert(&p, &options, list, &made, error);
    free(list[0]);
    free(list[1]);
    if (status != F5_OK || !summary) return status;
    s = summary_of(&made);
    return params_write(summary, &s, sizeof s, "f5_convert_summary", error);
}

f5_status f5_convert_check_output(const f5_convert_params *params, f5_error *error) {
    f5_convert_params p;
    f5_convert_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_convert_params", error));
    F5_TRY(check_paths(&p, error));
    const convert_options options = options_of(&p);
    return convert_check_output(&options, error);
}
