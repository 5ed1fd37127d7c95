/* upstream.c — typed questions to a configuration, and which parts a model is made of. */
#include "weights/convert/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/convert/decimal.h"
#include "weights/convert/quote.h"

static const setting *find(const settings *from, const char *path) {
    for (int32_t i = 0; i < from->count; i++)
        if (strcmp(from->item[i].path, path) == 0) return &from->item[i];
    return NULL;
}

void upstream_fail(upstream *r, f5_status status, const char *key, const char *value, const char *what) {
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
static const setting *scalar(upstream *r, const char *key) {
    const setting *node = find(r->from, key);
    if (!node || is_null(node)) return NULL;
    if (!node->value) upstream_fail(r, F5_E_FORMAT, key, NULL, "expected one value");
    return node->value ? node : NULL;
}

const char *upstream_text(upstream *r, const char *key, const char *missing) {
    const setting *node = scalar(r, key);
    if (!node && !missing && r->status == F5_OK)
        r->status = f5_fail(r->error, F5_E_FORMAT, "%s: %s is missing; is this the right configuration file?",
                            r->from->file, key);
    if (node && strstr(node->value, "${")) upstream_fail(r, F5_E_UNSUPPORTED, key, node->value, "write the value out");
    return node ? node->value : missing ? missing : "";
}

/* A whole number of 0 to 1e6; limits of the model are model_config_check's. */
int32_t upstream_int(upstream *r, const char *key, int32_t missing) {
    const setting *node = scalar(r, key);
    if (!node) return missing;
    const char *digits = node->value + (node->value[0] == '+');
    size_t length = strlen(digits);
    if (node->quoted || length < 1 || length > 7 || strspn(digits, "0123456789") != length ||
        (length > 1 && digits[0] == '0') || atoi(digits) > 1000000) { /* a leading 0 means octal in YAML 1.1 */
        upstream_fail(r, F5_E_FORMAT, key, node->value, "expected a whole number from 0 to 1000000");
        return missing;
    }
    return atoi(digits);
}

/* As upstream has it, which multiplies in double and drops what is behind the point. */
int32_t upstream_times(upstream *r, const char *key, int32_t missing, int32_t width) {
    const setting *node = scalar(r, key);
    decimal factor = {.digits = missing, .ten = 1};
    const char *text = node ? node->value + (node->value[0] == '+') : "";
    int64_t whole;
    bool octal = text[0] == '0' && text[1] >= '0' && text[1] <= '9'; /* in YAML 1.1 */
    if (node && (node->quoted || octal || !decimal_read(&factor, text) || factor.digits / factor.ten > 1000000)) {
        upstream_fail(r, F5_E_FORMAT, key, node->value, "expected a number from 0 to 1000000");
        return 0;
    }
    if (__builtin_mul_overflow(factor.digits, (int64_t)width, &whole) || whole % factor.ten) {
        char what[80];
        snprintf(what, sizeof what, "times the width %d it is not a whole number", (int)width);
        upstream_fail(r, F5_E_UNSUPPORTED, key, node ? node->value : "the default", what);
        return 0;
    }
    double product = width * decimal_value(factor);
    return product < INT32_MAX ? (int32_t)product : INT32_MAX;
}

bool upstream_bool(upstream *r, const char *key, bool missing) {
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};
    const setting *node = scalar(r, key);
    if (!node) return missing;
    if (!node->quoted && one_of(node->value, yes)) return true;
    if (node->quoted || !one_of(node->value, no))
        upstream_fail(r, F5_E_FORMAT, key, node->value, "expected true or false");
    return false;
}

void upstream_require_int(upstream *r, const char *key, int32_t missing, int32_t only) {
    int32_t value = upstream_int(r, key, missing);
    if (value != only && r->status == F5_OK)
        r->status = f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %s is %d; only %d is supported", r->from->file, key,
                            (int)value, (int)only);
}

void upstream_require_text(upstream *r, const char *key, const char *missing, const char *only) {
    const char *value = upstream_text(r, key, missing);
    if (r->status == F5_OK && strcmp(value, only) != 0)
        r->status = f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %s is '%s'; only '%s' is supported", r->from->file, key,
                            quote(value, strlen(value)).text, only);
}

/* Every key below `prefix` must be a known one: upstream's constructor would refuse it too. */
void upstream_require_known(upstream *r, const char *prefix, const char *const *names) {
    size_t length = strlen(prefix);
    for (int i = 0; i < r->from->count && r->status == F5_OK; i++) {
        const char *path = r->from->item[i].path;
        if (strncmp(path, prefix, length) == 0 && !one_of(path + length, names))
            r->status = f5_fail(r->error, F5_E_UNSUPPORTED, "%s: %s is not an option of this model that is known here",
                                r->from->file, quote(path, strlen(path)).text);
    }
}

bool upstream_has(upstream *r, const char *key) {
    return scalar(r, key) != NULL;
}

/* ---- which parts ------------------------------------------------------------------------------------------------- */

/* The part that upstream calls by this word. */
static const model_part *part_named(const model_part *const *parts, const char *word) {
    while (*parts && !((*parts)->upstream && strcmp((*parts)->upstream, word) == 0)) parts++;
    return *parts;
}

static const model_part *choose_part(upstream *r, const char *key, const char *missing, const model_part *const *parts,
                                     const char *const *known) {
    const char *word = upstream_text(r, key, missing);
    const model_part *part = part_named(parts, word);
    char kinds[128] = "", what[200];
    for (int i = 0; parts[i]; i++) {
        size_t used = strlen(kinds);
        if (parts[i]->upstream)
            snprintf(kinds + used, sizeof kinds - used, "%s%s", used ? ", " : "", parts[i]->upstream);
    }
    if (one_of(word, known))
        snprintf(what, sizeof what, "it is not supported yet, only %s is", kinds);
    else
        snprintf(what, sizeof what, "only %s is supported", kinds);
    if (!part) upstream_fail(r, F5_E_UNSUPPORTED, key, word, what);
    return part;
}

static void read_names(upstream *r, model_config *c) {
    const char *tokenizer = upstream_text(r, "model.tokenizer", NULL),
               *name = upstream_text(r, "model.name", "unnamed");
    if (!tokenizer_from_name(&c->tokenizer, tokenizer))
        upstream_fail(r, F5_E_UNSUPPORTED, "model.tokenizer", tokenizer, "known are pinyin, char, byte and custom");
    if (strlen(name) >= sizeof c->name)
        upstream_fail(r, F5_E_FORMAT, "model.name", name, "a name has at most 63 bytes");
    else
        memcpy(c->name, name, strlen(name) + 1);
}

static void read_mel(upstream *r) {
    upstream_require_int(r, "model.mel_spec.target_sample_rate", 24000, 24000);
    upstream_require_int(r, "model.mel_spec.n_mel_channels", 100, 100);
    upstream_require_int(r, "model.mel_spec.hop_length", 256, 256);
    upstream_require_int(r, "model.mel_spec.win_length", 1024, 1024);
    upstream_require_int(r, "model.mel_spec.n_fft", 1024, 1024);
}

static void read_part(upstream *r, const model_part *part, model_config *config) {
    if (r->status != F5_OK) return;
    if (part->read_upstream)
        part->read_upstream(r, config);
    else
        r->status = f5_fail(r->error, F5_E_UNSUPPORTED,
                            "%s: asks for a %s of kind %s, which upstream does not have: it cannot be converted",
                            r->from->file, part->title, part->kind);
}

/* Flow-Matching-TTS's JSON has words of its own, and its vocoder's settings too. */
static f5_status read_fm_tts(upstream *a, const part_catalogue *parts, model_config *config) {
    F5_TRY(model_config_parts(config, parts, "FM_TTS", "MB-iSTFT", a->from->file, a->error));
    config->tokenizer = TOKENIZER_CHAR;
    strcpy(config->name, "FM_TTS");
    config->speech.steps = 20; /* of upstream's inference */
    read_part(a, config->part[PART_BACKBONE], config);
    read_part(a, config->part[PART_TEXT], config);
    read_part(a, config->part[PART_VOCODER], config);
    upstream_require_int(a, "data.sampling_rate", 22050, 22050);
    upstream_require_int(a, "data.n_mel_channels", 80, 80);
    upstream_require_int(a, "data.hop_length", 256, 256);
    upstream_require_int(a, "data.n_speakers", 0, 0);
    return a->status;
}

f5_status upstream_read_config(model_config *config, const part_catalogue *parts, const settings *acoustic,
                               const settings *vocoder, f5_error *error) {
    static const char *const backbones[] = {"DiT", "UNetT", "MMDiT", NULL}, *const vocoders[] = {"vocos", "bigvgan",
                                                                                                 NULL};
    upstream a = {.from = acoustic, .error = error}, v = {.from = vocoder, .error = error};
    if (find(acoustic, "model.flow_d_model") || find(acoustic, "model.n_text_vocab"))
        return read_fm_tts(&a, parts, config);
    const model_part *b = choose_part(&a, "model.backbone", NULL, parts->backbones, backbones);
    const model_part *w = choose_part(&a, "model.mel_spec.mel_spec_type", "vocos", parts->vocoders, vocoders);
    F5_TRY(a.status);
    F5_TRY(model_config_parts(config, parts, b->kind, w->kind, acoustic->file, error));
    read_names(&a, config);
    read_part(&a, b, config);
    read_mel(&a);
    read_part(&a, b->text, config);
    F5_TRY(a.status);
    read_part(&v, w, config);
    return v.status;
}
