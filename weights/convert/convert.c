/* convert.c — streams a checkpoint through, one source tensor in memory at a time. */
#include "weights/convert/convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernels/whole.h"
#include "weights/config.h"
#include "weights/convert/adapter.h"
#include "weights/convert/key_names.h"
#include "weights/convert/packing.h"
#include "weights/convert/quote.h"
#include "weights/convert/read_file.h"
#include "weights/convert/rotary.h"
#include "weights/convert/upstream.h"
#include "weights/manifest.h"
#include "weights/match.h"

#define TEXT_TABLE "transformer.text_embed.text_embed.weight"
#define PINYIN_FILE_MAX_BYTES (64 << 20)
#define BYTE_TOKENIZER_TOKENS 256

/* Everything a conversion holds; convert_close frees it whatever state it is in. */
typedef struct {
    const convert_options *options;
    f5_error *error;
    model_config config;
    vocab vocab;
    vocab_repeats repeats;
    source origin[ORIGINS]; /* by manifest_origin */
    manifest_source *keys;  /* [n_keys] that are wanted of the checkpoint, sorted */
    size_t n_keys;
    adapter adapter;
    manifest_tensor *list; /* [count] */
    int32_t count;
    float *values, *packed; /* [largest source tensor, or what is made of one] */
    char *pinyin;           /* tables for Chinese, or NULL */
    size_t pinyin_bytes;
    safetensors_writer *writer;
} conversion;

/* ---- configuration and vocabulary */

static f5_status out_of_memory(const conversion *c) {
    return f5_fail(c->error, F5_E_MEMORY, "%s: out of memory", c->options->output_path);
}

static f5_status read_vocab(conversion *c) {
    const char *path = c->options->vocab_path;
    if (c->config.tokenizer == TOKENIZER_BYTE) {
        c->config.vocab_size = BYTE_TOKENIZER_TOKENS;
        return F5_OK;
    }
    const char *symbols = c->config.part[PART_TEXT]->symbols;
    if (!path && symbols)
        return vocab_file_of_symbols(&c->vocab, symbols, c->config.vocab_size, c->options->config.file, c->error);
    if (!path)
        return f5_fail(c->error, F5_E_ARGUMENT, "%s: tokenizer '%s' needs a vocabulary: give --vocab vocab.txt",
                       c->options->config.file, tokenizer_name(c->config.tokenizer));
    F5_TRY(vocab_file_read(&c->vocab, path, c->error));
    c->config.vocab_size = c->vocab.size;
    return F5_OK;
}

static f5_status read_pinyin(conversion *c) {
    const convert_options *o = c->options;
    const bool spells = c->config.tokenizer == TOKENIZER_PINYIN || c->config.tokenizer == TOKENIZER_CUSTOM;
    if (!o->pinyin_path || !spells) return F5_OK;
    F5_TRY(read_file(o->pinyin_path, PINYIN_FILE_MAX_BYTES, &c->pinyin, &c->pinyin_bytes, c->error));
    return o->pinyin_check(c->pinyin, c->pinyin_bytes, o->pinyin_path, c->error);
}

/* What the configuration of upstream's has no word for. */
static f5_status read_speech(conversion *c) {
    const convert_options *o = c->options;
    model_speech *speech = &c->config.speech;
    if (o->normalize) {
        if (strlen(o->normalize) >= sizeof speech->normalize)
            return f5_fail(c->error, F5_E_ARGUMENT, "normalize '%s': a language is a short word, as \"en\"",
                           quote(o->normalize, strlen(o->normalize)).text);
        strcpy(speech->normalize, o->normalize);
    }
    if (o->short_speed != 0 && !(o->short_speed >= 0.01f && o->short_speed <= 100))
        return f5_fail(c->error, F5_E_ARGUMENT, "short_speed %g: must be 0.01 to 100", (double)o->short_speed);
    if (o->short_speed != 0) speech->short_speed = (int32_t)lroundf(100 * o->short_speed);
    return F5_OK;
}

static f5_status read_config(conversion *c) {
    const convert_options *o = c->options;
    F5_TRY(upstream_read_config(&c->config, o->parts, &o->config, &o->vocos_config, c->error));
    F5_TRY(read_speech(c));
    F5_TRY(model_rights_set(&c->config.rights, o->license, o->credit, c->error));
    F5_TRY(read_vocab(c));
    F5_TRY(read_pinyin(c));
    F5_TRY(model_config_check(&c->config, o->config.file, c->error));
    if (o->types.int8) F5_TRY(manifest_check_int8(&c->config, o->config.file, c->error));
    if (!o->name) return F5_OK;
    if (!*o->name || strlen(o->name) >= sizeof c->config.name)
        return f5_fail(c->error, F5_E_ARGUMENT, "name '%s': a name has 1 to %zu bytes",
                       quote(o->name, strlen(o->name)).text, sizeof c->config.name - 1);
    memcpy(c->config.name, o->name, strlen(o->name) + 1);
    return model_config_check(&c->config, "--name", c->error);
}

/* ---- do the checkpoints hold what the configuration asks for, and nothing else? */

/* "a, b, c and 4 more" in a bounded buffer. */
typedef struct {
    char text[160];
    int count, shown;
} name_list;

static void list_add(name_list *list, const char *name) {
    size_t used = strlen(list->text);
    quoted_name q = quote(name, strlen(name));
    list->count++;
    if (list->shown + 1 < list->count || used + strlen(q.text) + 3 > sizeof list->text) return;
    snprintf(list->text + used, sizeof list->text - used, "%s%s", used ? ", " : "", q.text);
    list->shown++;
}

static void shape_text(const int64_t *dims, int32_t rank, char text[96]) {
    size_t used = 1;
    strcpy(text, "[");
    for (int32_t i = 0; i < rank && used < 80; i++) {
        int n = snprintf(text + used, 96 - used, "%s%lld", i ? "," : "", (long long)dims[i]);
        used += (size_t)n < 96 - used ? (size_t)n : 95 - used;
    }
    if (used < 95) strcpy(text + used, "]");
}

static f5_status check_tensor(const conversion *c, const source *from, const source_tensor *t,
                              const manifest_source *wanted) {
    quoted_name q = quote(t->key, strlen(t->key));
    if (t->rank != wanted->rank || memcmp(t->dims, wanted->dims, sizeof *t->dims * (size_t)t->rank) != 0) {
        char is[96], should[96], hint[96] = "does the configuration fit the checkpoint?";
        shape_text(t->dims, t->rank, is);
        shape_text(wanted->dims, wanted->rank, should);
        if (strcmp(t->key, TEXT_TABLE) == 0)
            snprintf(hint, sizeof hint, "rows are tokens + 1: is %d the vocabulary's size?", (int)c->config.vocab_size);
        return f5_fail(c->error, F5_E_SHAPE, "%s: '%s' has shape %s where %s was expected; %s", from->path, q.text, is,
                       should, hint);
    }
    if (!t->number)
        return f5_fail(c->error, F5_E_UNSUPPORTED, "%s: '%s' is %s; float16, bfloat16, float32 and float64 are read",
                       from->path, q.text, t->type_name);
    return F5_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(a, b);
}

/* All keys the manifest takes from one origin, sorted; `key` is the first member of manifest_source. */
static f5_status wanted_keys(const conversion *c, manifest_origin origin, manifest_source **keys, size_t *count) {
    size_t capacity = 0;
    *count = 0;
    for (int32_t i = 0; i < c->count; i++) capacity += (size_t)c->list[i].sources;
    *keys = calloc(capacity + 1, sizeof **keys);
    if (!*keys) return out_of_memory(c);
    for (int32_t i = 0; i < c->count; i++)
        for (int32_t s = 0; s < c->list[i].sources && manifest_origin_of(c->list[i].part) == origin; s++)
            manifest_source_at(&c->config, &c->list[i], s, &(*keys)[(*count)++]);
    qsort(*keys, *count, sizeof **keys, by_text);
    return F5_OK;
}

static f5_status check_keys(const conversion *c, manifest_origin origin, const manifest_source *keys, size_t count) {
    const source *from = &c->origin[origin];
    name_list missing = {.count = 0}, unknown = {.count = 0};
    for (size_t i = 0; i < count; i++)
        if ((i == 0 || strcmp(keys[i].key, keys[i - 1].key) != 0) && !source_find(from, keys[i].key))
            list_add(&missing, keys[i].key);
    for (int32_t i = 0; i < from->count; i++)
        if (!bsearch(from->tensor[i].key, keys, count, sizeof *keys, by_text) &&
            !manifest_ignores(&c->config, origin, from->tensor[i].key))
            list_add(&unknown, from->tensor[i].key);
    if (missing.count || unknown.count)
        return f5_fail(
            c->error, F5_E_FORMAT,
            "%s does not fit the configuration: %d keys missing%s%s%s; %d unknown%s%s%s; tried without " KEY_WRAPPERS
            " too",
            from->path, missing.count, missing.count ? " (" : "", missing.text,
            missing.count > missing.shown ? ", ...)"
            : missing.count               ? ")"
                                          : "",
            unknown.count, unknown.count ? " (" : "", unknown.text,
            unknown.count > unknown.shown ? ", ...)"
            : unknown.count               ? ")"
                                          : "");
    for (size_t i = 0; i < count; i++) F5_TRY(check_tensor(c, from, source_find(from, keys[i].key), &keys[i]));
    return F5_OK;
}

/* The prefix that all wanted keys have, up to and with a dot; "": none. */
static void common_prefix(const manifest_source *keys, size_t count, char prefix[sizeof keys->key]) {
    size_t n = 0, length = 0;
    const char *first = count ? keys[0].key : "", *last = count ? keys[count - 1].key : ""; /* sorted: of all */
    for (; first[n] && first[n] == last[n]; n++)
        if (first[n] == '.') length = n + 1;
    memcpy(prefix, first, length);
    prefix[length] = '\0';
}

typedef struct {
    const conversion *c;
    manifest_origin origin;
    const manifest_source *keys; /* [count] wanted */
    size_t count;
    char prefix[sizeof((manifest_source *)NULL)->key];
} naming;

/* With the prefix the key's first word begins a wanted key. */
static bool fits_prefixed(const void *user, const char *key) {
    const naming *n = user;
    const size_t prefix = strlen(n->prefix), word = strcspn(key, ".");
    for (size_t i = 0; i < n->count; i++)
        if (strncmp(n->keys[i].key + prefix, key, word) == 0 && n->keys[i].key[prefix + word] == '.') return true;
    return false;
}

static bool is_bare(const void *user, const char *key) {
    const naming *n = user;
    return manifest_ignores(&n->c->config, n->origin, key);
}

static source_wish wish_of(const conversion *c, manifest_origin origin, naming *n, const manifest_source *keys,
                           size_t count) {
    *n = (naming){.c = c, .origin = origin, .keys = keys, .count = count};
    common_prefix(keys, count, n->prefix);
    return (source_wish){
        .plain = c->options->plain_weights, .prefix = n->prefix, .fits = fits_prefixed, .bare = is_bare, .user = n};
}

/* A vocabulary with a line twice may be longer than its embedding. */
static f5_status fit_vocab(conversion *c) {
    const source_tensor *table = source_find(&c->origin[ORIGIN_ACOUSTIC], TEXT_TABLE);
    if (c->config.tokenizer == TOKENIZER_BYTE || !table || table->rank != 2) return F5_OK;
    F5_TRY(vocab_file_fit(&c->vocab, &c->repeats, table->dims[0], c->options->vocab_path, c->error));
    if (c->vocab.size == c->config.vocab_size) return F5_OK;
    c->config.vocab_size = c->vocab.size;
    F5_TRY(model_config_check(&c->config, c->options->config.file, c->error));
    free(c->list);
    free(c->keys);
    c->list = NULL;
    c->keys = NULL;
    F5_TRY(manifest_list(&c->config, c->options->types, &c->list, &c->count, c->error));
    return wanted_keys(c, ORIGIN_ACOUSTIC, &c->keys, &c->n_keys);
}

static f5_status open_acoustic(conversion *c) {
    naming n;
    F5_TRY(wanted_keys(c, ORIGIN_ACOUSTIC, &c->keys, &c->n_keys));
    source_wish wish = wish_of(c, ORIGIN_ACOUSTIC, &n, c->keys, c->n_keys);
    F5_TRY(source_open(&c->origin[ORIGIN_ACOUSTIC], c->options->checkpoint_path, &wish, c->error));
    F5_TRY(fit_vocab(c));
    F5_TRY(check_keys(c, ORIGIN_ACOUSTIC, c->keys, c->n_keys));
    if (!c->options->lora_path) return F5_OK;
    wish = wish_of(c, ORIGIN_ACOUSTIC, &n, c->keys, c->n_keys); /* fit_vocab may have made the keys anew */
    return adapter_open(&c->adapter, c->options->lora_path, c->options->lora_scale, &wish, c->keys, c->n_keys,
                        c->error);
}

/* The file that the vocoder is in. */
static f5_status vocoder_path(const conversion *c, const char **path) {
    const convert_options *o = c->options;
    const model_part *part = c->config.part[PART_VOCODER];
    *path = part->in_checkpoint ? o->checkpoint_path : o->vocos_path;
    if (part->in_checkpoint && o->vocos_path)
        return f5_fail(c->error, F5_E_ARGUMENT, "%s: a vocoder of its own is given: that of %s is in its checkpoint",
                       o->vocos_path, c->config.part[PART_BACKBONE]->kind);
    if (!*path)
        return f5_fail(c->error, F5_E_ARGUMENT, "%s: asks for the vocoder %s: name its file", o->config.file,
                       part->kind);
    return F5_OK;
}

static bool has_key(const void *user, const char *key) {
    return source_find(user, key) != NULL;
}

/* Settings that the file alone tells change the list of tensors, and with it what is wanted of the file. */
static f5_status settle_vocoder(conversion *c, manifest_source **keys, size_t *count) {
    const model_part *part = c->config.part[PART_VOCODER];
    if (!part->read_keys) return F5_OK;
    part->read_keys(&c->config, has_key, &c->origin[ORIGIN_VOCODER]);
    F5_TRY(model_config_check(&c->config, c->options->config.file, c->error));
    free(c->list);
    free(*keys);
    c->list = NULL;
    *keys = NULL;
    F5_TRY(manifest_list(&c->config, c->options->types, &c->list, &c->count, c->error));
    return wanted_keys(c, ORIGIN_VOCODER, keys, count);
}

static f5_status open_vocoder(conversion *c) {
    manifest_source *keys = NULL;
    size_t count;
    naming n;
    const char *path;
    F5_TRY(vocoder_path(c, &path));
    F5_TRY(wanted_keys(c, ORIGIN_VOCODER, &keys, &count));
    const source_wish wish = wish_of(c, ORIGIN_VOCODER, &n, keys, count);
    f5_status status = source_open(&c->origin[ORIGIN_VOCODER], path, &wish, c->error);
    if (status == F5_OK) status = settle_vocoder(c, &keys, &count);
    if (status == F5_OK) status = check_keys(c, ORIGIN_VOCODER, keys, count);
    free(keys);
    return status;
}

static f5_status open_origins(conversion *c) {
    F5_TRY(manifest_list(&c->config, c->options->types, &c->list, &c->count, c->error));
    F5_TRY(open_acoustic(c));
    F5_TRY(open_vocoder(c));
    F5_TRY(rotary_check(&c->origin[ORIGIN_ACOUSTIC], c->error));
    if (c->options->stored_rotary) F5_TRY(rotary_keep(&c->origin[ORIGIN_ACOUSTIC], &c->config, c->error));
    int64_t largest = 0;
    for (int32_t i = 0; i < c->count; i++) {
        if (c->list[i].elements > largest && c->list[i].sources == 1)
            largest = c->list[i].elements; /* UPSAMPLE, BANK */
        for (int32_t s = 0; s < c->list[i].sources; s++) {
            manifest_source from;
            manifest_source_at(&c->config, &c->list[i], s, &from);
            if (from.elements > largest) largest = from.elements;
        }
    }
    c->values = malloc((size_t)largest * sizeof *c->values);
    c->packed = malloc((size_t)largest * sizeof *c->packed);
    return c->values && c->packed ? F5_OK : out_of_memory(c);
}

/* ---- one tensor: read, check, pack, narrow, write */

static f5_status check_finite(const conversion *c, const source *from, const manifest_source *key) {
    for (int64_t i = 0; i < key->elements; i++)
        if (!isfinite(c->values[i]))
            return f5_fail(c->error, F5_E_FORMAT, "%s: '%s' holds a value that is not finite (element %lld)",
                           from->path, key->key, (long long)i);
    return F5_OK;
}

/* c->packed [n] to the tensor's type, in the memory of c->values. */
static f5_status narrow(const conversion *c, const manifest_tensor *to, const manifest_source *key, int64_t n) {
    const dtype_info *type = dtype(to->type);
    int64_t bad = type->narrow(c->values, c->packed, n);
    if (bad < 0) return F5_OK;
    return f5_fail(c->error, F5_E_FORMAT, "%s: '%s' holds %g, too large for %s; convert with --dtype %s",
                   c->origin[manifest_origin_of(to->part)].path, key->key, (double)c->packed[bad], type->name,
                   dtype(to->type == F5_F16 ? F5_BF16 : F5_F32)->name);
}

/* c->packed [n] as rows of whole numbers, in the memory of c->values, and behind these their scales. Writes either. */
static f5_status write_int8(const conversion *c, const manifest_tensor *to, int64_t n, int64_t columns) {
    const int64_t rows = n / columns;
    int8_t *whole = (int8_t *)c->values;
    float *scale = c->values + (n + 3) / 4; /* n / columns of them fit: rows have 64 numbers and more */
    for (int64_t r = 0; r < rows; r++)
        scale[r] = whole_row(c->packed + r * columns, (int32_t)columns, whole + r * columns);
    if (to->class == SCALE) return safetensors_writer_data(c->writer, scale, (size_t)rows * sizeof *scale, c->error);
    return safetensors_writer_data(c->writer, whole, (size_t)n, c->error);
}

static f5_status write_tensor(const conversion *c, const manifest_tensor *to) {
    const source *from = &c->origin[manifest_origin_of(to->part)];
    for (int32_t s = 0; s < to->sources; s++) {
        manifest_source key;
        manifest_source_at(&c->config, to, s, &key);
        source_read(source_find(from, key.key), c->values);
        if (from == &c->origin[ORIGIN_ACOUSTIC]) adapter_apply(&c->adapter, &key, c->values);
        F5_TRY(check_finite(c, from, &key));
        int64_t n = packing_apply(c->packed, c->values, to, &key);
        if (to->class == SCALE || to->type == F5_I8) {
            F5_TRY(write_int8(c, to, n, key.dims[1]));
            continue;
        }
        F5_TRY(narrow(c, to, &key, n));
        F5_TRY(safetensors_writer_data(c->writer, c->values, (size_t)n * f5_dtype_bytes(to->type), c->error));
    }
    return F5_OK;
}

/* ---- the file */

static f5_status begin_file(conversion *c) {
    F5_TRY(safetensors_writer_open(&c->writer, c->options->output_path, c->error));
    F5_TRY(model_metadata_write(c->writer, &c->config, &c->vocab, c->error));
    /* its size is a multiple of 64 bytes, so all others stay aligned behind it */
    const int64_t pinyin_bytes = (int64_t)c->pinyin_bytes;
    if (c->pinyin) F5_TRY(safetensors_writer_declare(c->writer, MATCH_PINYIN, ST_U8, 1, &pinyin_bytes, c->error));
    for (int32_t i = 0; i < c->count; i++) {
        const manifest_tensor *t = &c->list[i];
        F5_TRY(
            safetensors_writer_declare(c->writer, t->name, safetensors_dtype_of(t->type), t->rank, t->dims, c->error));
    }
    return safetensors_writer_begin(c->writer, c->error);
}

static f5_status write_file(conversion *c) {
    const convert_options *o = c->options;
    F5_TRY(begin_file(c));
    if (c->pinyin) F5_TRY(safetensors_writer_data(c->writer, c->pinyin, c->pinyin_bytes, c->error));
    for (int32_t i = 0; i < c->count; i++) {
        F5_TRY(write_tensor(c, &c->list[i]));
        if (o->progress && o->progress(o->progress_user, i + 1, c->count))
            return f5_fail(c->error, F5_E_CANCELLED, "%s: cancelled", o->output_path);
    }
    return safetensors_writer_finish(c->writer, c->error);
}

static f5_status check_distinct(const char *output, const struct stat *out, const char *input, f5_error *error) {
    struct stat in;
    if (!input || stat(input, &in) != 0 || in.st_dev != out->st_dev || in.st_ino != out->st_ino) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s: the output would overwrite an input", output);
}

f5_status convert_check_output(const convert_options *o, f5_error *error) {
    const char *inputs[] = {o->config.file,       o->checkpoint_path, o->vocab_path,
                            o->vocos_config.file, o->vocos_path,      o->pinyin_path};
    struct stat out;
    if (stat(o->output_path, &out) != 0) return F5_OK;
    if (!S_ISREG(out.st_mode)) return f5_fail(error, F5_E_IO, "%s: exists and is not a regular file", o->output_path);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        F5_TRY(check_distinct(o->output_path, &out, inputs[i], error));
    if (!o->lora_path) return F5_OK;
    char *config, *model;
    F5_TRY(adapter_paths(o->lora_path, &config, &model, error));
    f5_status status = check_distinct(o->output_path, &out, config, error);
    if (status == F5_OK) status = check_distinct(o->output_path, &out, model, error);
    free(config);
    free(model);
    return status;
}

/* "float32, float16": each once, in the order of their first tensor. */
static void list_types(const source *s, char text[64]) {
    const source_number *seen[8];
    int n = 0;
    text[0] = '\0';
    for (int32_t i = 0; i < s->count; i++) {
        const source_number *number = s->tensor[i].number;
        int at = 0;
        while (at < n && seen[at] != number) at++;
        if (!number || at < n || n == 8) continue;
        seen[n++] = number;
        size_t used = strlen(text);
        snprintf(text + used, 64 - used, "%s%s", used ? ", " : "", number->name);
    }
}

static void summarise(const conversion *c, convert_summary *summary) {
    *summary =
        (convert_summary){.config = c->config, .tensors = c->count + (c->pinyin != NULL), .bytes = c->pinyin_bytes};
    for (int32_t i = 0; i < c->count; i++) {
        if (c->list[i].class != SCALE) summary->parameters += c->list[i].elements;
        summary->bytes += c->list[i].bytes;
    }
    const source *acoustic = &c->origin[ORIGIN_ACOUSTIC];
    summary->weights = acoustic->weights;
    summary->other_weights = acoustic->both;
    summary->merged = c->adapter.count;
    summary->repeats = c->repeats;
    list_types(acoustic, summary->checkpoint_types);
    list_types(&c->origin[ORIGIN_VOCODER], summary->vocos_types);
}

static void convert_close(conversion *c) {
    safetensors_writer_close(c->writer);
    adapter_close(&c->adapter);
    free(c->keys);
    source_close(&c->origin[ORIGIN_ACOUSTIC]);
    source_close(&c->origin[ORIGIN_VOCODER]);
    vocab_free(&c->vocab);
    free(c->pinyin);
    free(c->list);
    free(c->values);
    free(c->packed);
}

f5_status convert_run(const convert_options *options, convert_summary *summary, f5_error *error) {
    conversion c = {.options = options, .error = error};
    f5_status status = convert_check_output(options, error);
    if (status == F5_OK) status = read_config(&c);
    if (status == F5_OK) status = open_origins(&c);
    if (status == F5_OK) status = write_file(&c);
    if (status == F5_OK) summarise(&c, summary);
    convert_close(&c);
    return status;
}
