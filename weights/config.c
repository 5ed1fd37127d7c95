/* config.c — a configuration as JSON and back, by the tables of its parts. */
#include "weights/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

#define BYTE_TOKENS 256

static const char *const tokenizers[] = {
    [TOKENIZER_PINYIN] = "pinyin", [TOKENIZER_CHAR] = "char", [TOKENIZER_BYTE] = "byte", [TOKENIZER_CUSTOM] = "custom"};

/* The objects that hold the parts' settings in a version 2 configuration. */
static const char *const part_keys[PARTS] = {
    [PART_BACKBONE] = "backbone", [PART_TEXT] = "text", [PART_VOCODER] = "vocoder"};

static const part_field vocab_size_field = {.name = "vocab_size", .min = 1, .max = 1000000};

/* The object "speech": upstream's rules where a file lacks a field. */
static const part_field speech_fields[] = {
    {"short_bytes", NULL, offsetof(model_speech, short_bytes), FIELD_INTEGER, 0, 1000, 10},
    {"short_speed", NULL, offsetof(model_speech, short_speed), FIELD_INTEGER, 1, 10000, 30},
    {"slowest", NULL, offsetof(model_speech, slowest), FIELD_INTEGER, 1, 100, 50},
    {"fastest", NULL, offsetof(model_speech, fastest), FIELD_INTEGER, 100, 10000, 200},
    {"chunking", NULL, offsetof(model_speech, chunking), FIELD_INTEGER, 0, 2, 0},
    {"precision", NULL, offsetof(model_speech, precision), FIELD_INTEGER, SPEECH_ANY_PRECISION, SPEECH_INT8, 0},
    {"method", NULL, offsetof(model_speech, method), FIELD_INTEGER, 0, 2, 0},
    {"steps", NULL, offsetof(model_speech, steps), FIELD_INTEGER, 0, 64, 0},
};
enum { SPEECH_FIELDS = sizeof speech_fields / sizeof *speech_fields };

const char *tokenizer_name(tokenizer_kind kind) {
    return tokenizers[kind];
}

bool tokenizer_from_name(tokenizer_kind *kind, const char *name) {
    for (int i = TOKENIZER_PINYIN; i <= TOKENIZER_CUSTOM; i++)
        if (strcmp(name, tokenizers[i]) == 0) {
            *kind = (tokenizer_kind)i;
            return true;
        }
    return false;
}

/* ---- settings by name ------------------------------------------------------------------------------------------- */

static int32_t field_get(const void *settings, const part_field *field) {
    const char *at = (const char *)settings + field->offset;
    return field->kind == FIELD_FLAG ? *(const bool *)at : *(const int32_t *)(const void *)at;
}

static void field_set(void *settings, const part_field *field, int32_t value) {
    char *at = (char *)settings + field->offset;
    if (field->kind == FIELD_FLAG)
        *(bool *)at = value != 0;
    else
        *(int32_t *)(void *)at = value;
}

static const part_field *find_field(const model_part *part, const char *name) {
    for (int32_t i = 0; i < part->n_fields; i++)
        if (strcmp(part->fields[i].name, name) == 0) return &part->fields[i];
    return NULL;
}

/* The field of a version 1 configuration, and the part that has it. */
static const part_field *find_flat(const model_config *config, const char *name, int *owner) {
    for (int p = 0; p < PARTS; p++)
        for (int32_t i = 0; i < config->part[p]->n_fields; i++) {
            const part_field *field = &config->part[p]->fields[i];
            if (!field->flat || strcmp(field->flat, name) != 0) continue;
            *owner = p;
            return field;
        }
    return NULL;
}

int32_t model_config_get(const model_config *config, int part, const char *name, int32_t missing) {
    const part_field *field = find_field(config->part[part], name);
    return field ? field_get(config_of(config, part), field) : missing;
}

bool model_config_set(model_config *config, int part, const char *name, int32_t value) {
    const part_field *field = find_field(config->part[part], name);
    if (field) field_set(config->settings[part].bytes, field, value);
    return field != NULL;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static const model_part *find_kind(const model_part *const *parts, const char *kind) {
    while (*parts && strcmp((*parts)->kind, kind) != 0) parts++;
    return *parts;
}

static f5_status no_such_kind(const char *key, const char *kind, const model_part *const *parts, const char *where,
                              f5_error *error) {
    char known[128] = "", shown[64];
    size_t used = 0;
    for (int i = 0; parts[i] && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", parts[i]->kind);
    json_escape(shown, sizeof shown, kind, strlen(kind));
    return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: %s \"%s\" is not one that this build has (%s)", where,
                   key, shown, known);
}

f5_status model_config_parts(model_config *config, const part_catalogue *parts, const char *backbone,
                             const char *vocoder, const char *where, f5_error *error) {
    const model_part *b = find_kind(parts->backbones, backbone), *v = find_kind(parts->vocoders, vocoder);
    if (!b) return no_such_kind("backbone", backbone, parts->backbones, where, error);
    if (!v) return no_such_kind("vocoder", vocoder, parts->vocoders, where, error);
    config->part[PART_BACKBONE] = b;
    config->part[PART_TEXT] = b->text;
    config->part[PART_VOCODER] = v;
    memset(config->settings, 0, sizeof config->settings);
    config->speech = (model_speech){.normalize = "none"};
    for (int i = 0; i < SPEECH_FIELDS; i++) field_set(&config->speech, &speech_fields[i], speech_fields[i].missing);
    for (int p = 0; p < PARTS; p++)
        for (int32_t i = 0; i < config->part[p]->n_fields; i++)
            field_set(config->settings[p].bytes, &config->part[p]->fields[i], config->part[p]->fields[i].missing);
    return F5_OK;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* A name is shown and stored as it is: terminated, UTF-8, free of control characters, quotes and backslashes. */
static bool name_is_plain(const model_config *c) {
    size_t bytes = strnlen(c->name, sizeof c->name);
    return bytes < sizeof c->name && json_escape(NULL, 0, c->name, bytes) == bytes &&
           utf8_valid_prefix(c->name, bytes) == bytes;
}

static f5_status check_range(const char *part, const part_field *field, int32_t value, const char *where,
                             f5_error *error) {
    if (value >= field->min && value <= field->max) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: %s%s%s is %d, not in %d .. %d", where, part,
                   *part ? "." : "", field->name, (int)value, (int)field->min, (int)field->max);
}

/* A language is a short word of lower-case letters. */
static bool normalize_is_plain(const char *name, size_t room) {
    size_t n = 0;
    while (n < room && name[n] >= 'a' && name[n] <= 'z') n++;
    return n >= 2 && n < room && name[n] == '\0';
}

f5_status model_config_check(const model_config *c, const char *where, f5_error *error) {
    if (!name_is_plain(c))
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: name is not plain UTF-8 text", where);
    if (c->tokenizer < TOKENIZER_PINYIN || c->tokenizer > TOKENIZER_CUSTOM)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: no such tokenizer: %d", where, (int)c->tokenizer);
    F5_TRY(check_range("", &vocab_size_field, c->vocab_size, where, error));
    if (c->tokenizer == TOKENIZER_BYTE && c->vocab_size != BYTE_TOKENS)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: vocab_size is %d, the byte tokenizer has %d", where,
                       (int)c->vocab_size, BYTE_TOKENS);
    for (int p = 0; p < PARTS; p++)
        for (int32_t i = 0; i < c->part[p]->n_fields; i++) {
            const part_field *field = &c->part[p]->fields[i];
            F5_TRY(check_range(part_keys[p], field, field_get(config_of(c, p), field), where, error));
        }
    if (!normalize_is_plain(c->speech.normalize, sizeof c->speech.normalize))
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: speech.normalize is not a language or \"none\"",
                       where);
    for (int i = 0; i < SPEECH_FIELDS; i++)
        F5_TRY(check_range("speech", &speech_fields[i], field_get(&c->speech, &speech_fields[i]), where, error));
    for (int p = 0; p < PARTS; p++)
        if (c->part[p]->check) F5_TRY(c->part[p]->check(c, where, error));
    return F5_OK;
}

/* ---- from JSON --------------------------------------------------------------------------------------------------- */

typedef struct {
    model_config *config;
    const part_catalogue *parts;
    const json_document *json;
    const char *where;
    f5_error *error;
} reader;

static f5_status read_name(const reader *r, const json_node *node) {
    if (node->text_bytes >= sizeof r->config->name)
        return f5_fail(r->error, F5_E_UNSUPPORTED, "%s: configuration: name is over %zu bytes", r->where,
                       sizeof r->config->name - 1);
    memcpy(r->config->name, node->text, node->text_bytes + 1);
    return F5_OK;
}

/* The members that stand at the top in every version. */
static f5_status read_top(const reader *r, const json_node *root) {
    static const char *const strings[] = {"name", "tokenizer"};
    for (int i = 0; i < 2; i++) {
        const json_node *node = json_member(r->json, root, strings[i]);
        if (!node) return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: name or tokenizer is missing", r->where);
        if (node->type != JSON_STRING)
            return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: %s is not a string", r->where, node->key);
    }
    F5_TRY(read_name(r, json_member(r->json, root, "name")));
    if (!tokenizer_from_name(&r->config->tokenizer, json_member(r->json, root, "tokenizer")->text))
        return f5_fail(r->error, F5_E_UNSUPPORTED, "%s: configuration: tokenizer is none of pinyin, char, byte, custom",
                       r->where);
    return F5_OK;
}

static f5_status unknown_field(const reader *r, const char *part, const json_node *node) {
    char shown[64];
    json_escape(shown, sizeof shown, node->key, node->key_bytes);
    return f5_fail(r->error, F5_E_FORMAT,
                   "%s: configuration: unknown field \"%s%s%s\": the file may be of a newer f5tts convert", r->where,
                   part, *part ? "." : "", shown);
}

static f5_status read_number(const reader *r, const json_node *node, field_kind kind, int32_t *value) {
    int64_t number = node->type == JSON_TRUE;
    bool right_type =
        kind == FIELD_FLAG ? node->type == JSON_TRUE || node->type == JSON_FALSE : json_int64(node, &number);
    if (!right_type)
        return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: %s is not %s", r->where, node->key,
                       kind == FIELD_FLAG ? "true or false" : "an integer");
    if (number < INT32_MIN || number > INT32_MAX)
        return f5_fail(r->error, F5_E_UNSUPPORTED, "%s: configuration: %s is out of range", r->where, node->key);
    *value = (int32_t)number;
    return F5_OK;
}

static bool is_one_of(const char *key, const char *const *names) {
    while (*names && strcmp(key, *names) != 0) names++;
    return *names != NULL;
}

/* Version 1: every field of a DiT with Vocos in one object, none missing. */
static f5_status read_flat(const reader *r, const json_node *root) {
    static const char *const top[] = {"name", "tokenizer", "vocab_size", NULL};
    model_config *c = r->config;
    F5_TRY(model_config_parts(c, r->parts, "DiT", "Vocos", r->where, r->error));
    for (const json_node *n = json_first(r->json, root); n; n = json_next(r->json, n)) {
        if (is_one_of(n->key, top)) continue;
        int owner = 0;
        int32_t value;
        const part_field *field = find_flat(c, n->key, &owner);
        if (!field) return unknown_field(r, "", n);
        F5_TRY(read_number(r, n, field->kind, &value));
        field_set(c->settings[owner].bytes, field, value);
    }
    /* none is unknown and none is there twice (json.h), so only what is missing remains */
    for (int p = 0; p < PARTS; p++)
        for (int32_t i = 0; i < c->part[p]->n_fields; i++) {
            const char *flat = c->part[p]->fields[i].flat;
            if (flat && !json_member(r->json, root, flat))
                return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: %s is missing", r->where, flat);
        }
    return F5_OK;
}

/* The kind that a part's object names. */
static f5_status read_kind(const reader *r, const json_node *root, int part, const char **kind) {
    const json_node *object = json_member(r->json, root, part_keys[part]), *node = NULL;
    if (object && object->type == JSON_OBJECT) node = json_member(r->json, object, "kind");
    if (!node || node->type != JSON_STRING)
        return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: %s is missing, or has no kind", r->where,
                       part_keys[part]);
    *kind = node->text;
    return F5_OK;
}

static f5_status read_part(const reader *r, int part, const json_node *object) {
    if (object->type != JSON_OBJECT)
        return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: %s is not an object", r->where, part_keys[part]);
    for (const json_node *n = json_first(r->json, object); n; n = json_next(r->json, n)) {
        if (part != PART_TEXT && strcmp(n->key, "kind") == 0) continue;
        int32_t value;
        const part_field *field = find_field(r->config->part[part], n->key);
        if (!field) return unknown_field(r, part_keys[part], n);
        F5_TRY(read_number(r, n, field->kind, &value));
        field_set(r->config->settings[part].bytes, field, value);
    }
    return F5_OK;
}

static f5_status read_speech(const reader *r, const json_node *object) {
    model_speech *speech = &r->config->speech;
    if (object->type != JSON_OBJECT)
        return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: speech is not an object", r->where);
    for (const json_node *n = json_first(r->json, object); n; n = json_next(r->json, n)) {
        if (strcmp(n->key, "normalize") == 0) {
            if (n->type != JSON_STRING || n->text_bytes >= sizeof speech->normalize)
                return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: speech.normalize is not a language",
                               r->where);
            memcpy(speech->normalize, n->text, n->text_bytes + 1);
            continue;
        }
        int i = 0;
        while (i < SPEECH_FIELDS && strcmp(speech_fields[i].name, n->key) != 0) i++;
        if (i == SPEECH_FIELDS) return unknown_field(r, "speech", n);
        int32_t value = 0;
        F5_TRY(read_number(r, n, FIELD_INTEGER, &value));
        field_set(speech, &speech_fields[i], value);
    }
    return F5_OK;
}

/* Version 2: an object a part; a field that is absent has its default. */
static f5_status read_nested(const reader *r, const json_node *root) {
    static const char *const top[] = {"name", "tokenizer", "vocab_size", NULL};
    const char *backbone = NULL, *vocoder = NULL;
    F5_TRY(read_kind(r, root, PART_BACKBONE, &backbone));
    F5_TRY(read_kind(r, root, PART_VOCODER, &vocoder));
    F5_TRY(model_config_parts(r->config, r->parts, backbone, vocoder, r->where, r->error));
    for (const json_node *n = json_first(r->json, root); n; n = json_next(r->json, n)) {
        if (is_one_of(n->key, top)) continue;
        if (strcmp(n->key, "speech") == 0) {
            F5_TRY(read_speech(r, n));
            continue;
        }
        int part = 0;
        while (part < PARTS && strcmp(n->key, part_keys[part]) != 0) part++;
        if (part == PARTS) return unknown_field(r, "", n);
        F5_TRY(read_part(r, part, n));
    }
    return F5_OK;
}

static f5_status read_object(const reader *r, int version) {
    const json_node *root = &r->json->nodes[0];
    if (root->type != JSON_OBJECT)
        return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: not a JSON object", r->where);
    F5_TRY(version == 1 ? read_flat(r, root) : read_nested(r, root));
    F5_TRY(read_top(r, root));
    const json_node *vocab_size = json_member(r->json, root, vocab_size_field.name);
    if (!vocab_size)
        return f5_fail(r->error, F5_E_FORMAT, "%s: configuration: %s is missing", r->where, vocab_size_field.name);
    F5_TRY(read_number(r, vocab_size, FIELD_INTEGER, &r->config->vocab_size));
    return model_config_check(r->config, r->where, r->error);
}

f5_status model_config_read(model_config *config, const part_catalogue *parts, int version, const char *text,
                            size_t bytes, const char *where, f5_error *error) {
    char what[512];
    snprintf(what, sizeof what, "%s: configuration", where);
    json_document d;
    *config = (model_config){0};
    F5_TRY(json_parse(&d, text, bytes, what, error));
    reader r = {.config = config, .parts = parts, .json = &d, .where = where, .error = error};
    f5_status status = read_object(&r, version);
    json_free(&d);
    return status;
}

/* ---- to JSON ----------------------------------------------------------------------------------------------------- */

/* Appends to a text of MODEL_CONFIG_TEXT bytes, as far as there is room. */
static void put(char *text, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, MODEL_CONFIG_TEXT - used, format, args);
    va_end(args);
}

/* What differs from the defaults: files that ask for nothing open in older versions too. */
static void write_speech(const model_speech *speech, char *text) {
    bool begun = strcmp(speech->normalize, "none") != 0;
    if (begun) put(text, ",\"speech\":{\"normalize\":\"%s\"", speech->normalize);
    for (int i = 0; i < SPEECH_FIELDS; i++) {
        int32_t value = field_get(speech, &speech_fields[i]);
        if (value == speech_fields[i].missing) continue;
        put(text, "%s\"%s\":%d", begun ? "," : ",\"speech\":{", speech_fields[i].name, (int)value);
        begun = true;
    }
    if (begun) put(text, "}");
}

/* A field that a part got after version 1 is left out where it has its default: older versions open such files. */
void model_config_write(const model_config *config, char text[MODEL_CONFIG_TEXT]) {
    text[0] = '\0';
    put(text, "{\"name\":\"%s\",\"tokenizer\":\"%s\",\"vocab_size\":%d", config->name,
        tokenizer_name(config->tokenizer), (int)config->vocab_size);
    for (int p = 0; p < PARTS; p++) {
        const model_part *part = config->part[p];
        put(text, ",\"%s\":{", part_keys[p]);
        if (p != PART_TEXT) put(text, "\"kind\":\"%s\"", part->kind);
        for (int32_t i = 0; i < part->n_fields; i++) {
            const part_field *field = &part->fields[i];
            int32_t value = field_get(config_of(config, p), field);
            if (part->fields[0].flat && !field->flat && value == field->missing) continue;
            put(text, "%s\"%s\":", p == PART_TEXT && i == 0 ? "" : ",", field->name);
            if (field->kind == FIELD_FLAG)
                put(text, "%s", value ? "true" : "false");
            else
                put(text, "%d", (int)value);
        }
        put(text, "}");
    }
    write_speech(&config->speech, text);
    put(text, "}");
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

/* The tokens by id, each followed by a line feed; the caller frees it. NULL: out of memory. */
static char *vocab_text(const vocab *v, size_t *bytes) {
    *bytes = 0;
    for (int32_t i = 0; i < v->size; i++) *bytes += v->length[i] + 1;
    char *text = malloc(*bytes + 1), *to = text;
    for (int32_t i = 0; text && i < v->size; i++) {
        memcpy(to, v->token[i], v->length[i]);
        to += v->length[i];
        *to++ = '\n';
    }
    return text;
}

f5_status model_metadata_write(safetensors_writer *w, const model_config *config, const vocab *v, f5_error *error) {
    char text[MODEL_CONFIG_TEXT];
    model_config_write(config, text);
    F5_TRY(safetensors_writer_metadata(w, "format", MODEL_FORMAT, strlen(MODEL_FORMAT), error));
    F5_TRY(safetensors_writer_metadata(w, "format_version", MODEL_FORMAT_VERSION, strlen(MODEL_FORMAT_VERSION), error));
    F5_TRY(safetensors_writer_metadata(w, "config", text, strlen(text), error));
    F5_TRY(model_rights_write(w, &config->rights, error));
    if (config->tokenizer == TOKENIZER_BYTE) return F5_OK;
    size_t bytes;
    char *lines = vocab_text(v, &bytes);
    if (!lines) return f5_fail(error, F5_E_MEMORY, "out of memory for the vocabulary's text");
    f5_status status = safetensors_writer_metadata(w, "vocab", lines, bytes, error);
    free(lines);
    return status;
}

f5_status model_metadata_copy_others(safetensors_writer *w, const safetensors *from, f5_error *error) {
    static const char *const ours[] = {"format", "format_version", "config", "vocab", "license", "credit"};
    for (int32_t i = 0; i < from->metadata_count; i++) {
        const safetensors_text *t = &from->metadata[i];
        size_t k = 0;
        while (k < sizeof ours / sizeof *ours && strcmp(t->key, ours[k]) != 0) k++;
        if (k < sizeof ours / sizeof *ours) continue;
        F5_TRY(safetensors_writer_metadata(w, t->key, t->value, t->value_bytes, error));
    }
    return F5_OK;
}

f5_status model_metadata_read(const safetensors *st, const part_catalogue *parts, model_config *config, vocab *v,
                              int *version, const char *where, f5_error *error) {
    static const char *const versions[] = {[1] = "1", [2] = MODEL_FORMAT_VERSION};
    *v = (vocab){0};
    *version = 0;
    const safetensors_text *format = safetensors_metadata(st, "format"),
                           *stated = safetensors_metadata(st, "format_version"),
                           *text = safetensors_metadata(st, "config"), *tokens = safetensors_metadata(st, "vocab");
    if (!format || strcmp(format->value, MODEL_FORMAT) != 0)
        return f5_fail(error, F5_E_FORMAT,
                       "%s: not a .f5 model (metadata has no format \"%s\"): make one by f5tts convert", where,
                       MODEL_FORMAT);
    for (int i = 1; stated && i <= 2; i++)
        if (strcmp(stated->value, versions[i]) == 0) *version = i;
    if (*version == 0)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s: format_version is not 1 or %s: use a newer f5tts, or convert the checkpoint again", where,
                       MODEL_FORMAT_VERSION);
    if (!text) return f5_fail(error, F5_E_FORMAT, "%s: metadata has no config", where);
    F5_TRY(model_config_read(config, parts, *version, text->value, text->value_bytes, where, error));
    F5_TRY(model_rights_read(&config->rights, st, where, error));
    if (config->tokenizer == TOKENIZER_BYTE) {
        if (tokens) return f5_fail(error, F5_E_FORMAT, "%s: a vocabulary with the byte tokenizer", where);
        return F5_OK;
    }
    if (!tokens) return f5_fail(error, F5_E_FORMAT, "%s: metadata has no vocab", where);
    F5_TRY(vocab_parse(v, tokens->value, tokens->value_bytes, where, error));
    if (v->size == config->vocab_size) return F5_OK;
    int32_t size = v->size;
    vocab_free(v);
    return f5_fail(error, F5_E_FORMAT, "%s: the vocabulary has %d tokens, the configuration says %d", where, (int)size,
                   (int)config->vocab_size);
}
