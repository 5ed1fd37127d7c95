/* model_config.c — the parameters of a configuration, by name. */
#define _GNU_SOURCE /* realpath */
#include "host/triton/model_config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/error.h"
#include "weights/json.h"

_Static_assert(sizeof((model_config *)0)->model_path >= PATH_MAX, "realpath writes so much");

static const struct {
    const char *name;
    size_t at, room;
} texts[] = {
    {"device", offsetof(model_config, device), sizeof((model_config *)0)->device},
    {"precision", offsetof(model_config, precision), sizeof((model_config *)0)->precision},
    {"vocoder_precision", offsetof(model_config, vocoder_precision), sizeof((model_config *)0)->vocoder_precision},
    {"languages", offsetof(model_config, languages), sizeof((model_config *)0)->languages}};

static const struct {
    const char *name;
    size_t at;
    int32_t least, most;
} numbers[] = {
    {"max_frames", offsetof(model_config, max_frames), 64, 1 << 20},
    {"max_batch", offsetof(model_config, max_batch), 1, 64},
    {"threads", offsetof(model_config, threads), 0, 1024},
    {"text_bytes", offsetof(model_config, text_bytes), 1, 1 << 20},
    {"reference_audio_sample_rate", offsetof(model_config, reference_rate), F5_MIN_SAMPLE_RATE, F5_MAX_SAMPLE_RATE}};

static const char *const of_upstream[] = {"vocab_file", "tllm_model_dir", "vocoder"};

/* A relative path of a model starts from the version's folder. */
static f5_status find_model(model_config *c, const char *path, const char *folder, f5_error *error) {
    char joined[2 * PATH_MAX];
    int n = snprintf(joined, sizeof joined, "%s%s%s", *path == '/' ? "" : folder, *path == '/' ? "" : "/", path);
    if (n < 0 || (size_t)n >= sizeof joined || !realpath(joined, c->model_path))
        return f5_fail(error, F5_E_IO, "%s: no such model file: the parameter model_path of config.pbtxt names it",
                       joined);
    return F5_OK;
}

static f5_status set(model_config *c, const char *name, const char *value, const char *folder, f5_error *error) {
    int64_t whole;
    if (strcmp(name, "model_path") == 0) return find_model(c, value, folder, error);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name) != 0) continue;
        if (strlen(value) >= texts[i].room)
            return f5_fail(error, F5_E_ARGUMENT, "the parameter %s of config.pbtxt is too long", name);
        memcpy((char *)c + texts[i].at, value, strlen(value) + 1);
        return F5_OK;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        if (!read_whole(value, numbers[i].least, numbers[i].most, &whole))
            return f5_fail(error, F5_E_ARGUMENT, "the parameter %s of config.pbtxt must be from %d to %d, not %s", name,
                           numbers[i].least, numbers[i].most, value);
        *(int32_t *)((char *)c + numbers[i].at) = (int32_t)whole;
        return F5_OK;
    }
    for (size_t i = 0; i < sizeof of_upstream / sizeof *of_upstream; i++)
        if (strcmp(name, of_upstream[i]) == 0) return F5_OK;
    const setting_value text = {.type = SETTING_TEXT, .text = value};
    bool known;
    F5_TRY(speech_settings_set(&c->speech, name, &text, &known, error));
    if (known) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "config.pbtxt has a parameter %s, which f5tts does not know", name);
}

static f5_status read_document(model_config *c, const json_document *d, const char *folder, f5_error *error) {
    bool has_model = false;
    const json_node *policy = json_member(d, d->nodes, "model_transaction_policy");
    const json_node *decoupled = policy ? json_member(d, policy, "decoupled") : NULL;
    c->decoupled = decoupled && decoupled->type == JSON_TRUE;
    const json_node *parameters = json_member(d, d->nodes, "parameters");
    for (const json_node *n = parameters ? json_first(d, parameters) : NULL; n; n = json_next(d, n)) {
        const json_node *value = json_member(d, n, "string_value");
        if (!n->key || !value || value->type != JSON_STRING)
            return f5_fail(error, F5_E_FORMAT, "config.pbtxt: the parameter %s has no string_value",
                           n->key ? n->key : "");
        if (strcmp(n->key, "model_path") == 0) has_model = true;
        F5_TRY(set(c, n->key, value->text, folder, error));
    }
    return has_model ? F5_OK : find_model(c, "model.f5", folder, error);
}

f5_status model_config_read(model_config *c, const char *json, size_t bytes, const char *folder, f5_error *error) {
    json_document d;
    f5_open_params open;
    f5_open_params_init(&open);
    *c = (model_config){.device = "auto",
                        .max_frames = open.max_frames,
                        .max_batch = open.max_batch,
                        .text_bytes = 16384,
                        .reference_rate = F5_SAMPLE_RATE};
    speech_settings_init(&c->speech);
    F5_TRY(json_parse(&d, json, bytes, "the model's configuration", error));
    f5_status status = d.nodes->type == JSON_OBJECT
                           ? read_document(c, &d, folder, error)
                           : f5_fail(error, F5_E_FORMAT, "the model's configuration is no JSON object");
    if (status == F5_OK) status = speech_settings_of_model(&c->speech, c->model_path, error);
    json_free(&d);
    return status;
}
