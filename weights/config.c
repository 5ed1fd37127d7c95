#include "weights/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

#define BYTE_TOKENS 256

typedef enum { INTEGER, FLAG } field_kind;

/* The numbers and flags of a configuration. name and tokenizer, the two strings, are handled by name. */
static const struct {
    const char *name;
    size_t offset; /* of an int32_t or a bool */
    field_kind kind;
    int32_t least, most;
} fields[] = {
    {"dim", offsetof(model_config, dim), INTEGER, 16, 8192},
    {"depth", offsetof(model_config, depth), INTEGER, 1, MODEL_MAX_DEPTH},
    {"heads", offsetof(model_config, heads), INTEGER, 1, 128},
    {"ff_dim", offsetof(model_config, ff_dim), INTEGER, 1, 65536},
    {"text_dim", offsetof(model_config, text_dim), INTEGER, 2, 8192},
    {"text_blocks", offsetof(model_config, text_blocks), INTEGER, 0, MODEL_MAX_TEXT_BLOCKS},
    {"vocab_size", offsetof(model_config, vocab_size), INTEGER, 1, 1000000},
    {"pe_attn_head", offsetof(model_config, pe_attn_head), INTEGER, -1, 128},
    {"text_mask_padding", offsetof(model_config, text_mask_padding), FLAG, 0, 1},
    {"qk_norm", offsetof(model_config, qk_norm), FLAG, 0, 1},
    {"long_skip", offsetof(model_config, long_skip), FLAG, 0, 1},
    {"text_average_upsampling", offsetof(model_config, text_average_upsampling), FLAG, 0, 1},
    {"vocos_dim", offsetof(model_config, vocos_dim), INTEGER, 1, 8192},
    {"vocos_ff_dim", offsetof(model_config, vocos_ff_dim), INTEGER, 1, 65536},
    {"vocos_layers", offsetof(model_config, vocos_layers), INTEGER, 1, MODEL_MAX_VOCOS_LAYERS},
    {"vocos_same_padding", offsetof(model_config, vocos_same_padding), FLAG, 0, 1},
};

#define FIELDS (sizeof fields / sizeof *fields)

static const char *const tokenizers[] = {
    [TOKENIZER_PINYIN] = "pinyin", [TOKENIZER_CHAR] = "char", [TOKENIZER_BYTE] = "byte", [TOKENIZER_CUSTOM] = "custom"};

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

static int32_t field_get(const model_config *config, size_t field) {
    const char *at = (const char *)config + fields[field].offset;
    return fields[field].kind == FLAG ? *(const bool *)at : *(const int32_t *)(const void *)at;
}

static void field_set(model_config *config, size_t field, int32_t value) {
    char *at = (char *)config + fields[field].offset;
    if (fields[field].kind == FLAG)
        *(bool *)at = value != 0;
    else
        *(int32_t *)(void *)at = value;
}

/* ---- limits ----------------------------------------------------------------------------------------------------- */

/* A name is shown and stored as it is: terminated, UTF-8, free of control characters, quotes and backslashes. */
static bool name_is_plain(const model_config *c) {
    size_t bytes = strnlen(c->name, sizeof c->name);
    return bytes < sizeof c->name && json_escape(NULL, 0, c->name, bytes) == bytes &&
           utf8_valid_prefix(c->name, bytes) == bytes;
}

f5_status model_config_check(const model_config *c, const char *where, f5_error *error) {
    if (!name_is_plain(c))
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: name is not plain UTF-8 text", where);
    if (c->tokenizer < TOKENIZER_PINYIN || c->tokenizer > TOKENIZER_CUSTOM)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: no such tokenizer: %d", where, (int)c->tokenizer);
    for (size_t i = 0; i < FIELDS; i++) {
        int32_t value = field_get(c, i);
        if (value < fields[i].least || value > fields[i].most)
            return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: %s is %d, not in %d .. %d", where,
                           fields[i].name, (int)value, (int)fields[i].least, (int)fields[i].most);
    }
    if (c->dim % 16)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: dim is %d, not a multiple of 16", where,
                       (int)c->dim);
    if (c->text_dim % 2)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: text_dim is %d, not even", where, (int)c->text_dim);
    if (c->pe_attn_head > c->heads)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: pe_attn_head is %d of %d heads", where,
                       (int)c->pe_attn_head, (int)c->heads);
    if (c->text_average_upsampling && !c->text_mask_padding)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: text_average_upsampling needs text_mask_padding",
                       where);
    if (c->tokenizer == TOKENIZER_BYTE && c->vocab_size != BYTE_TOKENS)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: vocab_size is %d, the byte tokenizer has %d", where,
                       (int)c->vocab_size, BYTE_TOKENS);
    return F5_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

static f5_status read_string(model_config *config, const json_node *node, const char *where, f5_error *error) {
    if (node->type != JSON_STRING)
        return f5_fail(error, F5_E_FORMAT, "%s: configuration: %s is not a string", where, node->key);
    if (strcmp(node->key, "name") == 0) {
        if (node->text_bytes >= sizeof config->name)
            return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: name is over %zu bytes", where,
                           sizeof config->name - 1);
        memcpy(config->name, node->text, node->text_bytes + 1);
    } else if (!tokenizer_from_name(&config->tokenizer, node->text)) {
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: tokenizer is none of pinyin, char, byte, custom",
                       where);
    }
    return F5_OK;
}

static f5_status read_field(model_config *config, const json_node *node, const char *where, f5_error *error) {
    if (strcmp(node->key, "name") == 0 || strcmp(node->key, "tokenizer") == 0)
        return read_string(config, node, where, error);
    size_t i = 0;
    while (i < FIELDS && strcmp(node->key, fields[i].name) != 0) i++;
    if (i == FIELDS) {
        char shown[64];
        json_escape(shown, sizeof shown, node->key, node->key_bytes);
        return f5_fail(error, F5_E_FORMAT, "%s: configuration: unknown field \"%s\"", where, shown);
    }
    int64_t value = node->type == JSON_TRUE;
    bool right_type =
        fields[i].kind == FLAG ? node->type == JSON_TRUE || node->type == JSON_FALSE : json_integer(node, &value);
    if (!right_type)
        return f5_fail(error, F5_E_FORMAT, "%s: configuration: %s is not %s", where, node->key,
                       fields[i].kind == FLAG ? "true or false" : "an integer");
    if (value < INT32_MIN || value > INT32_MAX)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: %s is out of range", where, node->key);
    field_set(config, i, (int32_t)value);
    return F5_OK;
}

static f5_status read_object(model_config *config, const json_document *d, const char *where, f5_error *error) {
    const json_node *root = &d->nodes[0];
    if (root->type != JSON_OBJECT) return f5_fail(error, F5_E_FORMAT, "%s: configuration: not a JSON object", where);
    for (const json_node *n = json_first(d, root); n; n = json_next(d, n)) F5_TRY(read_field(config, n, where, error));
    /* none unknown and none twice (json.h), so only what is missing remains */
    for (size_t i = 0; i < FIELDS; i++)
        if (!json_member(d, root, fields[i].name))
            return f5_fail(error, F5_E_FORMAT, "%s: configuration: %s is missing", where, fields[i].name);
    if (!json_member(d, root, "name") || !json_member(d, root, "tokenizer"))
        return f5_fail(error, F5_E_FORMAT, "%s: configuration: name or tokenizer is missing", where);
    return model_config_check(config, where, error);
}

f5_status model_config_read(model_config *config, const char *text, size_t bytes, const char *where, f5_error *error) {
    char what[512];
    snprintf(what, sizeof what, "%s: configuration", where);
    json_document d;
    *config = (model_config){0};
    F5_TRY(json_parse(&d, text, bytes, what, error));
    f5_status status = read_object(config, &d, where, error);
    json_free(&d);
    return status;
}

void model_config_write(const model_config *config, char text[MODEL_CONFIG_TEXT]) {
    size_t used = (size_t)snprintf(text, MODEL_CONFIG_TEXT, "{\"name\":\"%s\",\"tokenizer\":\"%s\"", config->name,
                                   tokenizer_name(config->tokenizer));
    for (size_t i = 0; i < FIELDS; i++) {
        int32_t value = field_get(config, i);
        if (fields[i].kind == FLAG)
            used += (size_t)snprintf(text + used, MODEL_CONFIG_TEXT - used, ",\"%s\":%s", fields[i].name,
                                     value ? "true" : "false");
        else
            used += (size_t)snprintf(text + used, MODEL_CONFIG_TEXT - used, ",\"%s\":%d", fields[i].name, (int)value);
    }
    snprintf(text + used, MODEL_CONFIG_TEXT - used, "}");
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
    if (config->tokenizer == TOKENIZER_BYTE) return F5_OK;
    size_t bytes;
    char *lines = vocab_text(v, &bytes);
    if (!lines) return f5_fail(error, F5_E_MEMORY, "out of memory for the vocabulary's text");
    f5_status status = safetensors_writer_metadata(w, "vocab", lines, bytes, error);
    free(lines);
    return status;
}

f5_status model_metadata_read(const safetensors *st, model_config *config, vocab *v, const char *where,
                              f5_error *error) {
    *v = (vocab){0};
    const safetensors_text *format = safetensors_metadata(st, "format"),
                           *version = safetensors_metadata(st, "format_version"),
                           *text = safetensors_metadata(st, "config"), *tokens = safetensors_metadata(st, "vocab");
    if (!format || strcmp(format->value, MODEL_FORMAT) != 0)
        return f5_fail(error, F5_E_FORMAT,
                       "%s: not a .f5 model (metadata has no format \"%s\"): make one by f5tts convert", where,
                       MODEL_FORMAT);
    if (!version || strcmp(version->value, MODEL_FORMAT_VERSION) != 0)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: format_version is not %s: convert the checkpoint again", where,
                       MODEL_FORMAT_VERSION);
    if (!text) return f5_fail(error, F5_E_FORMAT, "%s: metadata has no config", where);
    F5_TRY(model_config_read(config, text->value, text->value_bytes, where, error));
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
