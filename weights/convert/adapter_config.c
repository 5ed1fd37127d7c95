/* adapter_config.c — reads adapter_config.json strictly: a setting that is not known could change what merging means.
 */
#include "weights/convert/adapter_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weights/convert/quote.h"
#include "weights/convert/read_file.h"

#define CONFIG_MAX_BYTES (1 << 20)

/* Settings that say nothing about merging: where the model came from, how it was trained, what is in the file anyway.
 */
static const char *const harmless[] = {"auto_mapping",      "base_model_name_or_path",
                                       "corda_config",      "ensure_weight_tying",
                                       "eva_config",        "exclude_modules",
                                       "fan_in_fan_out",    "inference_mode",
                                       "layers_pattern",    "layers_to_transform",
                                       "loftq_config",      "lora_dropout",
                                       "lora_ga_config",    "megatron_config",
                                       "megatron_core",     "peft_version",
                                       "qalora_group_size", "revision",
                                       "runtime_config",    "target_modules",
                                       "task_type",         NULL};

/* Settings that are read below. */
static const char *const read_here[] = {
    "peft_type",         "r", "lora_alpha", "use_rslora", "bias", "modules_to_save", "rank_pattern", "alpha_pattern",
    "init_lora_weights", NULL};

static bool one_of(const char *word, const char *const *words) {
    while (*words && strcmp(*words, word) != 0) words++;
    return *words != NULL;
}

static f5_status refuse(const adapter_config *c, const char *key, const json_node *node, const char *what,
                        f5_error *error) {
    const char *value = !node ? "missing" : node->text ? node->text : node->type == JSON_TRUE ? "true" : "set";
    return f5_fail(error, node ? F5_E_UNSUPPORTED : F5_E_FORMAT, "%s: %s is %s: %s", c->path,
                   quote(key, strlen(key)).text, quote(value, strlen(value)).text, what);
}

/* null, false and what is empty ask for nothing. */
static bool asks_nothing(const json_node *node) {
    return !node || node->type == JSON_NULL || node->type == JSON_FALSE ||
           ((node->type == JSON_ARRAY || node->type == JSON_OBJECT) && node->count == 0);
}

static f5_status read_number(const adapter_config *c, const json_node *node, const char *key, decimal *number,
                             f5_error *error) {
    if (node && node->type == JSON_NUMBER && decimal_read(number, node->text) && number->digits > 0) return F5_OK;
    return refuse(c, key, node, "a number above 0 was expected, as 16 or 12.5", error);
}

/* A pattern is the end of a layer's name. PEFT takes it as a regular expression; only plain ones are read. */
static f5_status check_patterns(const adapter_config *c, const json_node *patterns, f5_error *error) {
    for (const json_node *n = patterns ? json_first(&c->json, patterns) : NULL; n; n = json_next(&c->json, n)) {
        decimal ignored;
        if (strpbrk(n->key, "\\^$*+?{}[]|()"))
            return refuse(c, n->key, n, "a pattern with signs of a regular expression is not read", error);
        F5_TRY(read_number(c, n, n->key, &ignored, error));
    }
    return F5_OK;
}

static const json_node *object(const adapter_config *c, const char *key) {
    const json_node *node = json_member(&c->json, &c->json.nodes[0], key);
    return node && node->type == JSON_OBJECT ? node : NULL;
}

/* The initialisations that leave the model's own weights as they are. */
static bool keeps_weights(const json_node *init) {
    static const char *const words[] = {"gaussian", "orthogonal", "eva", NULL};
    return !init || init->type == JSON_TRUE || asks_nothing(init) ||
           (init->type == JSON_STRING && one_of(init->text, words));
}

static f5_status read_settings(adapter_config *c, f5_error *error) {
    const json_node *root = &c->json.nodes[0];
    if (root->type != JSON_OBJECT) return f5_fail(error, F5_E_FORMAT, "%s: not a JSON object", c->path);
    const json_node *type = json_member(&c->json, root, "peft_type"), *bias = json_member(&c->json, root, "bias"),
                    *whole = json_member(&c->json, root, "modules_to_save"),
                    *init = json_member(&c->json, root, "init_lora_weights"),
                    *rslora = json_member(&c->json, root, "use_rslora");
    if (!type || type->type != JSON_STRING || strcmp(type->text, "LORA") != 0)
        return refuse(c, "peft_type", type, "only adapters of type LORA are merged", error);
    for (const json_node *n = json_first(&c->json, root); n; n = json_next(&c->json, n))
        if (!one_of(n->key, harmless) && !one_of(n->key, read_here) && !asks_nothing(n))
            return refuse(c, n->key, n,
                          strcmp(n->key, "use_dora") == 0 ? "DoRA adapters are not merged: merge it with PEFT"
                                                          : "not supported here: merge the adapter with PEFT",
                          error);
    if (bias && !(bias->type == JSON_STRING && strcmp(bias->text, "none") == 0))
        return refuse(c, "bias", bias, "only adapters without trained biases are merged (none)", error);
    if (!keeps_weights(init))
        return refuse(
            c, "init_lora_weights", init,
            "it changes the model's own weights; save the adapter with path_initial_model_for_weight_conversion",
            error);
    F5_TRY(read_number(c, json_member(&c->json, root, "r"), "r", &c->rank, error));
    F5_TRY(read_number(c, json_member(&c->json, root, "lora_alpha"), "lora_alpha", &c->alpha, error));
    c->square_root = rslora && rslora->type == JSON_TRUE;
    c->whole = !asks_nothing(whole);
    c->ranks = object(c, "rank_pattern");
    c->alphas = object(c, "alpha_pattern");
    F5_TRY(check_patterns(c, c->ranks, error));
    return check_patterns(c, c->alphas, error);
}

f5_status adapter_config_read(adapter_config *c, const char *path, f5_error *error) {
    *c = (adapter_config){.path = path};
    char *text;
    size_t bytes;
    F5_TRY(read_file(path, CONFIG_MAX_BYTES, &text, &bytes, error));
    f5_status status = json_parse(&c->json, text, bytes, path, error);
    free(text);
    F5_TRY(status);
    status = read_settings(c, error);
    if (status != F5_OK) adapter_config_close(c);
    return status;
}

void adapter_config_close(adapter_config *c) {
    json_free(&c->json);
    *c = (adapter_config){0};
}

/* The first pattern that the layer's name is or ends in, after a dot. */
static decimal for_layer(const adapter_config *c, const json_node *patterns, const char *layer, decimal otherwise) {
    size_t length = strlen(layer);
    for (const json_node *n = patterns ? json_first(&c->json, patterns) : NULL; n; n = json_next(&c->json, n)) {
        size_t end = n->key_bytes;
        if (end > length || memcmp(layer + length - end, n->key, end) != 0) continue;
        if (end == length || layer[length - end - 1] == '.') {
            decimal_read(&otherwise, n->text); /* check_patterns has */
            break;
        }
    }
    return otherwise;
}

f5_status adapter_config_scale(const adapter_config *c, const char *layer, int64_t rows, double *scale,
                               f5_error *error) {
    double rank = decimal_value(for_layer(c, c->ranks, layer, c->rank));
    double alpha = decimal_value(for_layer(c, c->alphas, layer, c->alpha));
    if (rank != (double)rows)
        return f5_fail(error, F5_E_FORMAT, "%s: layer '%s' should have rank %g, its lora_A has %lld rows", c->path,
                       quote(layer, strlen(layer)).text, rank, (long long)rows);
    *scale = alpha / (c->square_root ? sqrt(rank) : rank);
    return F5_OK;
}
