/* upstream_config.c — see upstream_config.h. */
#include "weights/convert/upstream_config.h"

#include <stdlib.h>
#include <string.h>

#include "weights/config.h"
#include "weights/convert/quote.h"

/* Asks the settings for typed values. The first failure sticks, so that the questions read as a list. */
typedef struct {
    const settings *from;
    f5_status status;
    f5_error *error;
} reader;

static const setting *find(const settings *from, const char *path) {
    for (int32_t i = 0; i < from->count; i++)
        if (strcmp(from->item[i].path, path) == 0) return &from->item[i];
    return NULL;
}

static void fail_key(reader *r, f5_status status, const char *key, const char *value, const char *what) {
    if (r->status != F5_OK) return;
    const char *shown = value ? value : "a mapping or list";
    r->status =
        f5_fail(r->error, status, "%s: %s is '%s'; %s", r->from->file, key, quote(shown, strlen(shown)).text, what);
}

static bool one_of(const char *value, const char *const *words) {
    for (; *words; words++)
        if (strcmp(value, *words) == 0) return true;
    return false;
}

static bool is_null(const setting *node) {
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return node->value && !node->quoted && one_of(node->value, words);
}

/* The scalar under a key; NULL when it is missing, null, or (a failure) not a scalar. */
static const setting *scalar(reader *r, const char *key) {
    const setting *node = find(r->from, key);
    if (!node || is_null(node)) return NULL;
    if (!node->value) fail_key(r, F5_E_FORMAT, key, NULL, "expected one value");
    return node->value ? node : NULL;
}

static const char *get_text(reader *r, const char *key, const char *missing) {
    const setting *node = scalar(r, key);
    if (!node && !missing && r->status == F5_OK)
        r->status = f5_fail(r->error, F5_E_FORMAT, "%s: %s is missing; is this the right configuration file?",
                            r->from->file, key);
    if (node && strstr(node->value, "${")) fail_key(r, F5_E_UNSUPPORTED, key, node->value, "write the value out");
    return node ? node->value : missing ? missing : "";
}

/* A whole number of 0 to 1e6; limits of the model are model_config_check's. */
static int32_t get_int(reader *r, const char *key, int32_t missing) {
    const setting *node = scalar(r, key);
    if (!node) return missing;
    const char *digits = node->value + (node->value[0] == '+');
    size_t length = strlen(digits);
    if (node->quoted || length < 1 || length > 7 || strspn(digits, "0123456789") != length ||
        (length > 1 && digits[0] == '0') || atoi(digits) > 1000000) { /* a leading 0 means octal in YAML 1.1 */
        fail_key(r, F5_E_FORMAT, key, node->value, "expected a whole number from 0 to 1000000");
        return missing;
    }
    return atoi(digits);
}

static bool get_bool(reader *r, const char *key, bool missing) {
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};
    const setting *node = scalar(r, key);
    if (!node) return missing;
    if (!node->quoted && one_of(node->value, yes)) return true;
    if (node->quoted || !one_of(node->value, no)) fail_key(r, F5_E_FORMAT, key, node->value, "expected true or false");
    return false;
}

static void require_int(reader *r, const char *key, int32_t missing, int32_t only) {
    int32_t value = get_int(r, key, missing);
    if (value != only && r->status == F5_OK)
        r->status = f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %s is %d; only %d is supported", r->from->file, key,
                            (int)value, (int)only);
}

static void require_text(reader *r, const char *key, const char *missing, const char *only) {
    const char *value = get_text(r, key, missing);
    if (r->status == F5_OK && strcmp(value, only) != 0)
        r->status = f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %s is '%s'; only '%s' is supported", r->from->file, key,
                            quote(value, strlen(value)).text, only);
}

/* Every key below `prefix` must be a known one: upstream's constructor would refuse it too. */
static void require_known(reader *r, const char *prefix, const char *const *names) {
    size_t length = strlen(prefix);
    for (int i = 0; i < r->from->count && r->status == F5_OK; i++) {
        const char *path = r->from->item[i].path;
        if (strncmp(path, prefix, length) == 0 && !one_of(path + length, names))
            r->status = f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %s is not an option of this model that is known here",
                                r->from->file, quote(path, strlen(path)).text);
    }
}

/* ---- F5-TTS */

static void read_backbone(reader *r) {
    const char *backbone = get_text(r, "model.backbone", NULL);
    if (r->status != F5_OK || strcmp(backbone, "DiT") == 0) return;
    bool known = strcmp(backbone, "UNetT") == 0 || strcmp(backbone, "MMDiT") == 0;
    fail_key(r, F5_E_UNSUPPORTED, "model.backbone", backbone,
             known ? "this backbone is not supported yet, only DiT is" : "only DiT is supported");
}

static void read_arch(reader *r, model_config *c) {
    static const char *const names[] = {"dim",
                                        "depth",
                                        "heads",
                                        "dim_head",
                                        "ff_mult",
                                        "mel_dim",
                                        "text_dim",
                                        "text_mask_padding",
                                        "text_embedding_average_upsampling",
                                        "qk_norm",
                                        "conv_layers",
                                        "pe_attn_head",
                                        "long_skip_connection",
                                        "dropout",
                                        "attn_backend",
                                        "attn_mask_enabled",
                                        "checkpoint_activations",
                                        NULL};
    require_known(r, "model.arch.", names);
    get_text(r, "model.arch.dim", NULL); /* the one that has no default */
    c->dim = get_int(r, "model.arch.dim", 0);
    c->depth = get_int(r, "model.arch.depth", 8);
    c->heads = get_int(r, "model.arch.heads", 8);
    require_int(r, "model.arch.dim_head", 64, 64);
    require_int(r, "model.arch.mel_dim", 100, 100);
    int64_t ff_dim = (int64_t)c->dim * get_int(r, "model.arch.ff_mult", 4);
    c->ff_dim = ff_dim < INT32_MAX ? (int32_t)ff_dim : INT32_MAX;
    c->text_dim = get_int(r, "model.arch.text_dim", 100);
    c->text_blocks = get_int(r, "model.arch.conv_layers", 0);
    c->pe_attn_head = get_int(r, "model.arch.pe_attn_head", -1);
    c->text_mask_padding = get_bool(r, "model.arch.text_mask_padding", true);
    c->text_average_upsampling = get_bool(r, "model.arch.text_embedding_average_upsampling", false);
    c->long_skip = get_bool(r, "model.arch.long_skip_connection", false);
    c->qk_norm = scalar(r, "model.arch.qk_norm") != NULL;
    if (c->qk_norm) require_text(r, "model.arch.qk_norm", "", "rms_norm");
}

static void read_mel(reader *r) {
    require_int(r, "model.mel_spec.target_sample_rate", 24000, 24000);
    require_int(r, "model.mel_spec.n_mel_channels", 100, 100);
    require_int(r, "model.mel_spec.hop_length", 256, 256);
    require_int(r, "model.mel_spec.win_length", 1024, 1024);
    require_int(r, "model.mel_spec.n_fft", 1024, 1024);
    require_text(r, "model.mel_spec.mel_spec_type", "vocos", "vocos");
}

static void read_names(reader *r, model_config *c) {
    const char *tokenizer = get_text(r, "model.tokenizer", NULL), *name = get_text(r, "model.name", "unnamed");
    if (!tokenizer_from_name(&c->tokenizer, tokenizer))
        fail_key(r, F5_E_UNSUPPORTED, "model.tokenizer", tokenizer, "known are pinyin, char, byte and custom");
    if (strlen(name) >= sizeof c->name)
        fail_key(r, F5_E_FORMAT, "model.name", name, "a name has at most 63 bytes");
    else
        memcpy(c->name, name, strlen(name) + 1);
}

f5_status upstream_read_model(model_config *config, const settings *from, f5_error *error) {
    reader r = {.from = from, .error = error};
    read_backbone(&r);
    read_names(&r, config);
    read_arch(&r, config);
    read_mel(&r);
    return r.status;
}

/* ---- Vocos */

static void read_vocos_backbone(reader *r, model_config *c) {
    static const char *const names[] = {
        "input_channels",         "dim", "intermediate_dim", "num_layers", "layer_scale_init_value",
        "adanorm_num_embeddings", NULL};
    require_text(r, "backbone.class_path", NULL, "vocos.models.VocosBackbone");
    require_known(r, "backbone.init_args.", names);
    require_int(r, "backbone.init_args.input_channels", -1, 100);
    if (scalar(r, "backbone.init_args.adanorm_num_embeddings"))
        fail_key(r, F5_E_UNSUPPORTED, "backbone.init_args.adanorm_num_embeddings", "set",
                 "a Vocos conditioned on bandwidth is not supported");
    get_text(r, "backbone.init_args.dim", NULL); /* these three have no default */
    get_text(r, "backbone.init_args.intermediate_dim", NULL);
    get_text(r, "backbone.init_args.num_layers", NULL);
    c->vocos_dim = get_int(r, "backbone.init_args.dim", 0);
    c->vocos_ff_dim = get_int(r, "backbone.init_args.intermediate_dim", 0);
    c->vocos_layers = get_int(r, "backbone.init_args.num_layers", 0);
}

static void read_vocos_head(reader *r, model_config *c) {
    static const char *const names[] = {"dim", "n_fft", "hop_length", "padding", NULL};
    require_text(r, "head.class_path", NULL, "vocos.heads.ISTFTHead");
    require_known(r, "head.init_args.", names);
    require_int(r, "head.init_args.dim", -1, c->vocos_dim);
    require_int(r, "head.init_args.n_fft", -1, 1024);
    require_int(r, "head.init_args.hop_length", -1, 256);
    const char *padding = get_text(r, "head.init_args.padding", "same");
    c->vocos_same_padding = strcmp(padding, "same") == 0;
    if (!c->vocos_same_padding && strcmp(padding, "center") != 0)
        fail_key(r, F5_E_UNSUPPORTED, "head.init_args.padding", padding, "known are center and same");
}

f5_status upstream_read_vocos(model_config *config, const settings *from, f5_error *error) {
    reader r = {.from = from, .error = error};
    require_text(&r, "feature_extractor.class_path", NULL, "vocos.feature_extractors.MelSpectrogramFeatures");
    require_int(&r, "feature_extractor.init_args.sample_rate", 24000, 24000);
    require_int(&r, "feature_extractor.init_args.n_fft", 1024, 1024);
    require_int(&r, "feature_extractor.init_args.hop_length", 256, 256);
    require_int(&r, "feature_extractor.init_args.n_mels", 100, 100);
    read_vocos_backbone(&r, config);
    read_vocos_head(&r, config);
    return r.status;
}
