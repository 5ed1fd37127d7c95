/* test_weights.c — safetensors files, the vocabulary, the manifest, and a small model written and opened again.
 * Files made to be refused are tests/hostile/test_f5_files.py's. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/models/models.h"
#include "runtime/models/text_encoder.h"
#include "tests/c/seed.h"
#include "weights/config.h"
#include "weights/manifest.h"
#include "weights/safetensors.h"

typedef struct {
    char folder[64], path[96];
    uint64_t random;
} fixture;

static int make_folder(void **state) {
    static fixture f;
    f.random = random_seed();
    strcpy(f.folder, "/tmp/f5_test_XXXXXX");
    if (!mkdtemp(f.folder)) return -1;
    snprintf(f.path, sizeof f.path, "%s/model.f5", f.folder);
    *state = &f;
    return 0;
}

static int remove_folder(void **state) {
    fixture *f = *state;
    unlink(f->path);
    return rmdir(f->folder);
}

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != F5_OK) fail_msg("%s: %s", #call, error.message);                                                 \
    } while (0)

/* ---- safetensors ------------------------------------------------------------------------------------------------ */

static void test_safetensors_round_trip(void **state) {
    fixture *f = *state;
    f5_error error = {0};
    safetensors_writer *w;
    static const int64_t dims[] = {2, 3};
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint8_t b[3] = {7, 8, 9};
    OK(safetensors_writer_open(&w, f->path, &error));
    OK(safetensors_writer_metadata(w, "say \"it\"", "two\nlines \xe2\x82\xac", 13, &error));
    OK(safetensors_writer_declare(w, "z", ST_F32, 2, dims, &error));
    OK(safetensors_writer_declare(w, "empty", ST_I64, 2, (int64_t[]){0, 5}, &error));
    OK(safetensors_writer_declare(w, "a", ST_U8, 1, (int64_t[]){3}, &error));
    OK(safetensors_writer_declare(w, "scalar", ST_F64, 0, NULL, &error));
    OK(safetensors_writer_begin(w, &error));
    OK(safetensors_writer_data(w, a, 10, &error)); /* in pieces that fit no tensor */
    OK(safetensors_writer_data(w, (const char *)a + 10, sizeof a - 10, &error));
    OK(safetensors_writer_data(w, b, sizeof b, &error));
    OK(safetensors_writer_data(w, &(double){0.5}, sizeof(double), &error));
    assert_int_equal(safetensors_writer_data(w, b, 1, NULL), F5_E_ARGUMENT);
    assert_int_equal(access(f->path, F_OK), -1); /* not before finish */
    OK(safetensors_writer_finish(w, &error));
    safetensors_writer_close(w);

    safetensors st;
    OK(safetensors_open(&st, f->path, &error));
    assert_int_equal(st.count, 4);
    const safetensors_tensor *z = safetensors_find(&st, "z"), *t = safetensors_find(&st, "a");
    assert_non_null(z);
    assert_int_equal(z->rank, 2);
    assert_int_equal(z->dims[1], 3);
    assert_int_equal(z->elements, 6);
    assert_memory_equal(z->data, a, sizeof a);
    assert_int_equal((uintptr_t)z->data % 64, 0);
    assert_memory_equal(t->data, b, sizeof b);
    assert_int_equal(t->dtype, ST_U8);
    assert_int_equal(safetensors_find(&st, "empty")->elements, 0);
    assert_int_equal(safetensors_find(&st, "scalar")->elements, 1);
    double half;
    memcpy(&half, safetensors_find(&st, "scalar")->data, sizeof half);
    assert_true(half == 0.5);
    assert_null(safetensors_find(&st, "zz"));
    assert_string_equal(safetensors_metadata(&st, "say \"it\"")->value, "two\nlines \xe2\x82\xac");
    assert_null(safetensors_metadata(&st, "say"));
    safetensors_close(&st);
    safetensors_close(&st);
}

static int count_files(const char *folder) {
    int files = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(d));) files += entry->d_name[0] != '.';
    closedir(d);
    return files;
}

/* What fails or is given up leaves the old file as it was, and nothing else. */
static void test_writer_gives_up(void **state) {
    fixture *f = *state;
    f5_error error = {0};
    struct stat before, after;
    assert_int_equal(stat(f->path, &before), 0);
    safetensors_writer *w;
    OK(safetensors_writer_open(&w, f->path, &error));
    OK(safetensors_writer_declare(w, "a", ST_F32, 1, (int64_t[]){8}, &error));
    assert_int_equal(safetensors_writer_declare(w, "b", ST_F32, 1, (int64_t[]){-1}, NULL), F5_E_ARGUMENT);
    assert_int_equal(safetensors_writer_declare(w, "b", ST_F32, 2, (int64_t[]){INT64_MAX, 3}, NULL), F5_E_ARGUMENT);
    assert_int_equal(safetensors_writer_finish(w, NULL), F5_E_ARGUMENT);
    OK(safetensors_writer_begin(w, &error));
    assert_int_equal(safetensors_writer_finish(w, NULL), F5_E_ARGUMENT); /* data is missing */
    safetensors_writer_close(w);
    assert_int_equal(count_files(f->folder), 1); /* the temporary is gone */
    assert_int_equal(stat(f->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(safetensors_writer_open(&w, f->folder, &error), F5_E_IO);
    assert_int_equal(safetensors_writer_open(&w, "/nonexistent/model.f5", &error), F5_E_IO);
    assert_non_null(strstr(error.message, "/nonexistent/model.f5"));
    assert_null(w);
    safetensors_writer_close(w);
}

/* ---- vocabulary ------------------------------------------------------------------------------------------------- */

static void test_vocab(void **state) {
    (void)state;
    f5_error error = {0};
    vocab v;
    static const char text[] = " \r\na\nn\xc7\x90\n\nni3\rb\na\nlast";
    OK(vocab_parse(&v, text, strlen(text), "test", &error));
    assert_int_equal(v.size, 8);
    assert_int_equal(vocab_find(&v, " ", 1), 0);
    assert_int_equal(vocab_find(&v, "n\xc7\x90", 3), 2);
    assert_int_equal(vocab_find(&v, "", 0), 3);
    assert_int_equal(vocab_find(&v, "ni3", 3), 4); /* a lone CR ends a line in text mode */
    assert_int_equal(vocab_find(&v, "b", 1), 5);
    assert_int_equal(vocab_find(&v, "a", 1), 6); /* the last of two */
    assert_int_equal(v.length[1], 1);
    assert_memory_equal(v.token[1], "a", 1);
    assert_int_equal(vocab_find(&v, "last", 4), 7);
    assert_int_equal(vocab_find(&v, "las", 3), -1);
    vocab_free(&v);
    assert_int_equal(vocab_find(&v, "a", 1), -1);
    vocab_free(&v);
    static const struct {
        const char *text;
        size_t bytes;
        const char *reason;
    } bad[] = {{"", 0, "empty"}, {"a\0b", 3, "NUL"}, {"a\n\xff\n", 4, "byte 2"}, {"\xe2\x82", 2, "UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vocab_parse(&v, bad[i].text, bad[i].bytes, "vocab.txt", &error), F5_E_FORMAT);
        assert_non_null(strstr(error.message, bad[i].reason));
        assert_non_null(strstr(error.message, "vocab.txt"));
    }
}

static void test_vocab_large(void **state) {
    (void)state;
    f5_error error = {0};
    size_t lines = 1000001, bytes = 0;
    char *text = malloc(lines * 8);
    for (size_t i = 0; i < lines; i++) bytes += (size_t)sprintf(text + bytes, "%zu\n", i);
    vocab v;
    assert_int_equal(vocab_parse(&v, text, bytes, "test", NULL), F5_E_FORMAT); /* a line too many */
    bytes -= strlen("1000000\n");
    OK(vocab_parse(&v, text, bytes, "test", &error));
    for (int32_t i = 0; i < v.size; i += 997) assert_int_equal(vocab_find(&v, v.token[i], v.length[i]), i);
    assert_int_equal(vocab_find(&v, "1000000", 7), -1);
    vocab_free(&v);
    free(text);
}

/* The released vocabulary, where its copy lies beside the checkout. */
static void test_vocab_released(void **state) {
    (void)state;
    f5_error error = {0};
    char path[512], text[16384];
    snprintf(path, sizeof path, "%.*s../../../shared/data/emilia_zh_en_pinyin_vocab.txt",
             (int)(strrchr(__FILE__, '/') ? strrchr(__FILE__, '/') - __FILE__ + 1 : 0), __FILE__);
    FILE *file = fopen(path, "rb");
    if (!file) skip();
    size_t bytes = fread(text, 1, sizeof text, file);
    fclose(file);
    vocab v;
    OK(vocab_parse(&v, text, bytes, path, &error));
    assert_int_equal(v.size, 2545);
    assert_int_equal(vocab_find(&v, " ", 1), 0);
    for (int32_t i = 0; i < v.size; i++) assert_int_equal(vocab_find(&v, v.token[i], v.length[i]), i);
    vocab_free(&v);
}

/* ---- manifest --------------------------------------------------------------------------------------------------- */

static void set(model_config *c, int part, const char *field, int32_t value) {
    if (!model_config_set(c, part, field, value)) fail_msg("no field %s", field);
}

static int32_t get(const model_config *c, int part, const char *field) {
    int32_t value = model_config_get(c, part, field, INT32_MIN);
    if (value == INT32_MIN) fail_msg("no field %s", field);
    return value;
}

static void set_parts(model_config *c) {
    f5_error error = {0};
    OK(model_config_parts(c, &models_catalogue, "DiT", "Vocos", "test", &error));
}

static model_config random_config(uint64_t *random) {
    model_config c = {.tokenizer = random_below(random, 5) ? TOKENIZER_PINYIN : TOKENIZER_BYTE,
                      .vocab_size = 1 + random_below(random, 30)};
    set_parts(&c);
    int32_t heads = 1 + random_below(random, 2), rotated = random_below(random, 3) - 1;
    set(&c, PART_BACKBONE, "dim", 16 * (1 + random_below(random, 4)));
    set(&c, PART_BACKBONE, "depth", 1 + random_below(random, 3));
    set(&c, PART_BACKBONE, "heads", heads);
    set(&c, PART_BACKBONE, "ff_dim", 1 + random_below(random, 99));
    set(&c, PART_BACKBONE, "pe_attn_head", rotated > heads ? heads : rotated);
    set(&c, PART_BACKBONE, "qk_norm", random_below(random, 2));
    set(&c, PART_BACKBONE, "long_skip", random_below(random, 2));
    set(&c, PART_TEXT, "dim", 2 * (1 + random_below(random, 20)));
    set(&c, PART_TEXT, "blocks", random_below(random, 3));
    set(&c, PART_TEXT, "mask_padding", true);
    set(&c, PART_TEXT, "average_upsampling", random_below(random, 2));
    set(&c, PART_VOCODER, "dim", 1 + random_below(random, 40));
    set(&c, PART_VOCODER, "ff_dim", 1 + random_below(random, 40));
    set(&c, PART_VOCODER, "layers", 1 + random_below(random, 3));
    set(&c, PART_VOCODER, "same_padding", random_below(random, 2));
    if (c.tokenizer == TOKENIZER_BYTE) c.vocab_size = 256;
    strcpy(c.name, "tiny \xe2\x82\xac");
    return c;
}

static void test_manifest(void **state) {
    fixture *f = *state;
    f5_error error = {0};
    model_config c = random_config(&f->random);
    manifest_tensor *list;
    int32_t count;
    set(&c, PART_BACKBONE, "depth", 2);
    OK(manifest_list(&c, (manifest_types){F5_F16, F5_BF16}, &list, &count, &error));
    for (int32_t i = 0; i < count; i++) {
        const manifest_tensor *t = &list[i];
        int64_t elements = 0;
        manifest_source source;
        for (int32_t s = 0; s < t->sources; s++) {
            manifest_source_at(&c, t, s, &source);
            elements += source.elements;
            assert_null(strpbrk(source.key, "%*|"));
        }
        if (t->packing != PACK_COLUMNS)
            assert_int_equal(elements, t->elements);
        else
            assert_true(t->first_column + t->dims[1] <= source.dims[1]);
        assert_true(t->address % sizeof(void *) == 0 && t->address < c.part[t->part]->weights_bytes);
        assert_null(strpbrk(t->name, "%*|"));
        for (int32_t j = 0; j < i; j++)
            if ((list[j].part == t->part && list[j].address == t->address) || strcmp(list[j].name, t->name) == 0)
                fail_msg("%s twice", t->name);
        if (strcmp(t->name, "dit.modulation.weight") == 0) {
            assert_int_equal(t->sources, 3);
            assert_int_equal(source.dims[0], 2 * get(&c, PART_BACKBONE, "dim")); /* the last: the exit's */
            assert_string_equal(source.key, "transformer.norm_out.linear.weight");
            manifest_source_at(&c, t, 1, &source);
            assert_string_equal(source.key, "transformer.transformer_blocks.1.attn_norm.linear.weight");
            assert_int_equal(source.dims[0], 6 * get(&c, PART_BACKBONE, "dim"));
        }
        if (strcmp(t->name, "dit.blocks.1.qkv.bias") == 0) {
            assert_int_equal(t->sources, 3);
            assert_string_equal(source.key, "transformer.transformer_blocks.1.attn.to_v.bias");
            assert_int_equal(source.rank, 1);
        }
        if (i && list[i - 1].bytes % 16) assert_true(t->bytes % 16 != 0); /* file order */
    }
    free(list);
    assert_true(manifest_ignores(&c, ORIGIN_ACOUSTIC, "initted") &&
                manifest_ignores(&c, ORIGIN_ACOUSTIC, "mel_spec.x"));
    assert_false(manifest_ignores(&c, ORIGIN_ACOUSTIC, "steps") ||
                 manifest_ignores(&c, ORIGIN_VOCODER, "head.out.weight"));
}

/* The whole size of the released model, counted by upstream: 337.1 M and 13.5 M. */
static void test_released_size(void **state) {
    (void)state;
    f5_error error = {0};
    model_config c = {.vocab_size = 2545};
    set_parts(&c);
    set(&c, PART_BACKBONE, "dim", 1024);
    set(&c, PART_BACKBONE, "depth", 22);
    set(&c, PART_BACKBONE, "heads", 16);
    set(&c, PART_BACKBONE, "ff_dim", 2048);
    set(&c, PART_TEXT, "dim", 512);
    set(&c, PART_TEXT, "blocks", 4);
    manifest_tensor *list;
    int32_t count, sources = 1; /* and rotary_embed.inv_freq, which is not read */
    int64_t elements[2] = {32, 0};
    OK(model_config_check(&c, "test", &error));
    OK(manifest_list(&c, (manifest_types){F5_F32, F5_F32}, &list, &count, &error));
    for (int32_t i = 0; i < count; i++) {
        elements[manifest_origin_of(list[i].part)] += list[i].elements;
        if (manifest_origin_of(list[i].part) == ORIGIN_ACOUSTIC) sources += list[i].sources;
    }
    free(list);
    assert_int_equal(sources - 2, 364); /* one projection is read three times */
    assert_int_equal((elements[ORIGIN_ACOUSTIC] + 50000) / 100000, 3371);
    assert_int_equal((elements[ORIGIN_VOCODER] + 50000) / 100000, 135);
}

/* ---- model ------------------------------------------------------------------------------------------------------ */

/* What the test writes for element i of a tensor: exact in every type, different in each tensor. */
static float value_at(const char *name, int64_t i) {
    uint32_t h = 0;
    while (*name) h = h * 31 + (uint8_t)*name++;
    return (float)((int32_t)((h + (uint32_t)i * 7) % 251) - 125);
}

static void write_model(const fixture *f, const model_config *c, const vocab *v, manifest_types types) {
    f5_error error = {0};
    safetensors_writer *w;
    manifest_tensor *list;
    int32_t count;
    OK(manifest_list(c, types, &list, &count, &error));
    OK(safetensors_writer_open(&w, f->path, &error));
    OK(model_metadata_write(w, c, v, &error));
    for (int32_t i = 0; i < count; i++)
        OK(safetensors_writer_declare(w, list[i].name, safetensors_dtype_of(list[i].type), list[i].rank, list[i].dims,
                                      &error));
    OK(safetensors_writer_begin(w, &error));
    for (int32_t i = 0; i < count; i++) {
        char *data = malloc(list[i].bytes);
        for (int64_t e = 0; e < list[i].elements; e++) {
            float value = value_at(list[i].name, e);
            dtype(list[i].type)->narrow(data + e * f5_dtype_bytes(list[i].type), &value, 1);
        }
        OK(safetensors_writer_data(w, data, list[i].bytes, &error));
        free(data);
    }
    OK(safetensors_writer_finish(w, &error));
    safetensors_writer_close(w);
    free(list);
}

static void check_tensor(const void *at, const char *name, int64_t elements) {
    if (!at) fail_msg("%s is NULL", name);
    if ((uintptr_t)at % 16) fail_msg("%s is not aligned", name);
    const float *values = at;
    for (int64_t i = 0; i < elements; i++)
        if (values[i] != value_at(name, i)) fail_msg("%s[%lld] is %g", name, (long long)i, (double)values[i]);
}

/* What the model points to for this tensor. */
static const void *pointer_to(const model *m, const manifest_tensor *t) {
    const char *at = (const char *)m->weights[t->part] + t->address;
    return t->class == MATRIX ? ((const f5_matrix *)(const void *)at)->data : *(const float *const *)(const void *)at;
}

static const void *pointer_by_name(const model *m, manifest_types types, const char *name) {
    f5_error error = {0};
    manifest_tensor *list;
    int32_t count, i = 0;
    OK(manifest_list(&m->config, types, &list, &count, &error));
    while (i < count && strcmp(list[i].name, name) != 0) i++;
    if (i == count) fail_msg("no tensor %s", name);
    const void *at = pointer_to(m, &list[i]);
    free(list);
    return at;
}

/* The text encoder's pointers by name, so that addresses are not only checked against themselves. */
static void check_by_name(const model *m) {
    const model_config *c = &m->config;
    const text_weights *text = m->weights[PART_TEXT];
    int32_t dim = get(c, PART_TEXT, "dim"), last = get(c, PART_TEXT, "blocks") - 1;
    char name[64];
    check_tensor(text->embedding, "text.embedding", (int64_t)(c->vocab_size + 1) * dim);
    if (last >= 0) {
        snprintf(name, sizeof name, "text.blocks.%d.grn.beta", last);
        check_tensor(text->block[last].grn_beta, name, 2 * dim);
        snprintf(name, sizeof name, "text.blocks.%d.pw2.weight", last);
        check_tensor(text->block[last].pw2.w.data, name, 2 * (int64_t)dim * dim);
        snprintf(name, sizeof name, "text.blocks.%d.norm.bias", last);
        check_tensor(text->block[last].norm.shift, name, dim);
    }
    assert_null(text->block[last + 1].grn_gamma);
    assert_null(text->block[0].layer_scale);
}

static void check_model(const fixture *f, const model_config *c, manifest_types types) {
    f5_error error = {0};
    model m;
    manifest_tensor *list;
    int32_t count;
    OK(model_open(&m, &models_catalogue, f->path, &error));
    char expected[MODEL_CONFIG_TEXT], read[MODEL_CONFIG_TEXT];
    model_config_write(c, expected);
    model_config_write(&m.config, read);
    assert_string_equal(read, expected);
    assert_int_equal(m.file_types.matrices, types.matrices);
    assert_int_equal(m.file_types.vocoder, types.vocoder);
    assert_int_equal(m.held.operands, F5_F32);
    assert_int_equal(m.format_version, 2);
    OK(manifest_list(c, types, &list, &count, &error));
    int64_t parameters = 0;
    for (int32_t i = 0; i < count; i++) {
        check_tensor(pointer_to(&m, &list[i]), list[i].name, list[i].elements);
        parameters += list[i].elements;
    }
    assert_int_equal(m.parameters, parameters);
    assert_int_equal(m.weight_bytes, 4 * parameters);
    check_by_name(&m);
    assert_int_equal(m.vocab.size, c->tokenizer == TOKENIZER_BYTE ? 0 : c->vocab_size);
    free(list);
    model_close(&m);
    model_close(&m);
}

/* For upload: no matrix but the vocoder's is widened, and with sizes that keep the alignment nothing is copied. */
static void check_as_stored(const fixture *f, manifest_types types) {
    f5_error error = {0};
    model m;
    OK(model_open_as_stored(&m, &models_catalogue, f->path, &error));
    assert_int_equal(m.held.operands, types.matrices);
    assert_int_equal(m.held.vocoder, F5_F32);
    const model_config *c = &m.config;
    int32_t dim = get(c, PART_BACKBONE, "dim");
    const char *w = pointer_by_name(&m, types, "dit.blocks.0.ff1.weight");
    for (int64_t i = 0; i < (int64_t)get(c, PART_BACKBONE, "ff_dim") * dim; i++) {
        float value = value_at("dit.blocks.0.ff1.weight", i), held = 0;
        dtype(types.matrices)->widen(&held, w + i * f5_dtype_bytes(types.matrices), 1);
        if (held != value) fail_msg("ff1.weight[%lld] is %g", (long long)i, (double)held);
    }
    check_tensor(pointer_by_name(&m, types, "dit.time.1.bias"), "dit.time.1.bias", dim);
    check_tensor(pointer_by_name(&m, types, "vocos.head.weight"), "vocos.head.weight",
                 (int64_t)1026 * get(c, PART_VOCODER, "dim"));
    /* [D,H*64], D % 16 == 0: aligned in the file */
    const char *in_file = pointer_by_name(&m, types, "dit.blocks.0.out.weight");
    assert_true(in_file > (char *)m.mapping && in_file < (char *)m.mapping + m.mapping_bytes);
    model_close(&m);
}

/* ---- format versions --------------------------------------------------------------------------------------------- */

static f5_status read_text(model_config *c, int version, const char *text, f5_error *error) {
    return model_config_read(c, &models_catalogue, version, text, strlen(text), "test", error);
}

/* Version 1 is flat and complete; version 2 nested, with defaults for what is absent. Both come to the same. */
static void test_versions(void **state) {
    (void)state;
    static const char flat[] =
        "{\"name\":\"n\",\"tokenizer\":\"char\",\"dim\":64,\"depth\":2,\"heads\":1,\"ff_dim\":128,\"text_dim\":32,"
        "\"text_blocks\":1,\"vocab_size\":9,\"pe_attn_head\":-1,\"text_mask_padding\":true,\"qk_norm\":false,"
        "\"long_skip\":false,\"text_average_upsampling\":false,\"vocos_dim\":512,\"vocos_ff_dim\":1536,"
        "\"vocos_layers\":8,\"vocos_same_padding\":false}";
    static const char nested[] =
        "{\"name\":\"n\",\"tokenizer\":\"char\",\"vocab_size\":9,\"vocoder\":{\"kind\":\"Vocos\"},"
        "\"text\":{\"dim\":32,\"blocks\":1},\"backbone\":{\"kind\":\"DiT\",\"dim\":64,\"depth\":2,\"heads\":1,"
        "\"ff_dim\":128}}";
    model_config a, b;
    f5_error error = {0};
    OK(read_text(&a, 1, flat, &error));
    OK(read_text(&b, 2, nested, &error));
    char one[MODEL_CONFIG_TEXT], two[MODEL_CONFIG_TEXT];
    model_config_write(&a, one);
    model_config_write(&b, two);
    assert_string_equal(one, two);
    OK(read_text(&a, 2, one, &error));
    assert_int_not_equal(read_text(&a, 2, flat, &error), F5_OK);
    assert_int_not_equal(read_text(&a, 1, nested, &error), F5_OK);
}

static void test_versions_refused(void **state) {
    (void)state;
#define START "{\"name\":\"n\",\"tokenizer\":\"char\",\"vocab_size\":9,"
#define VOCODER "\"vocoder\":{\"kind\":\"Vocos\"}"
    static const struct {
        const char *text, *says;
    } bad[] = {
        {START VOCODER "}", "backbone is missing"},
        {START VOCODER ",\"backbone\":{}}", "backbone is missing, or has no kind"},
        {START VOCODER ",\"backbone\":7}", "backbone is missing"},
        {START VOCODER ",\"backbone\":{\"kind\":\"Mamba\"}}",
         "backbone \"Mamba\" is not one that this build has (DiT)"},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\",\"colour\":1}}", "unknown field \"backbone.colour\""},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\",\"dim\":true}}", "dim is not an integer"},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\",\"dim\":24}}", "backbone.dim is 24, not a multiple of 16"},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\",\"depth\":65}}", "backbone.depth is 65, not in 1 .. 64"},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\"},\"extra\":1}", "unknown field \"extra\""},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\"},\"text\":[]}", "text is not an object"},
        {START VOCODER ",\"backbone\":{\"kind\":\"DiT\"},\"text\":{\"kind\":\"x\"}}", "unknown field \"text.kind\""},
        {"{\"tokenizer\":\"char\"," VOCODER ",\"backbone\":{\"kind\":\"DiT\"}}", "name or tokenizer is missing"},
        {"{\"name\":\"n\",\"tokenizer\":\"char\"," VOCODER ",\"backbone\":{\"kind\":\"DiT\"}}",
         "vocab_size is missing"},
        {"[]", "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        model_config c;
        f5_error error = {0};
        assert_int_not_equal(read_text(&c, 2, bad[i].text, &error), F5_OK);
        if (!strstr(error.message, bad[i].says)) fail_msg("%s: says %s", bad[i].text, error.message);
    }
}

static void test_model(void **state) {
    fixture *f = *state;
    f5_error error = {0};
    for (int round = 0; round < 6; round++) {
        model_config c = random_config(&f->random);
        char text[4096];
        size_t bytes = 0;
        for (int32_t i = 0; i < c.vocab_size; i++) /* the last token is empty: its line must survive */
            bytes += (size_t)sprintf(text + bytes, i + 1 < c.vocab_size ? "t%d\"\xe2\x82\xac\r\n" : "\n", (int)i);
        vocab v;
        OK(vocab_parse(&v, text, bytes, "test", &error));
        manifest_types types = {.matrices = (f5_dtype)(round % 3), .vocoder = (f5_dtype)(round / 2)};
        write_model(f, &c, &v, types);
        check_model(f, &c, types);
        check_as_stored(f, types);
        vocab_free(&v);
    }
}

/* Bytes of a good file changed at random: opened or refused, nothing read outside (the sanitizers watch). */
static void test_model_damage(void **state) {
    fixture *f = *state;
    static uint8_t good[4 << 20], bad[4 << 20];
    FILE *file = fopen(f->path, "rb");
    size_t bytes = fread(good, 1, sizeof good, file), refused = 0;
    fclose(file);
    assert_true(bytes < sizeof good);
    for (int round = 0; round < 300; round++) {
        memcpy(bad, good, bytes);
        uint64_t header;
        memcpy(&header, good, sizeof header);
        for (int edits = random_below(&f->random, 3); edits >= 0; edits--)
            bad[random_below(&f->random, (int32_t)header + 8)] =
                (uint8_t) "0123456789{}[]\",:\\u\xff "[random_below(&f->random, 21)];
        size_t length = round % 4 ? bytes : (size_t)random_below(&f->random, (int32_t)bytes);
        file = fopen(f->path, "wb");
        assert_int_equal(fwrite(bad, 1, length, file), length);
        fclose(file);
        model m;
        f5_error error = {0};
        if (model_open(&m, &models_catalogue, f->path, &error) != F5_OK) {
            refused++;
            assert_true(strncmp(error.message, f->path, strlen(f->path)) == 0);
        }
        model_close(&m);
    }
    assert_true(refused > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_round_trip),
        cmocka_unit_test(test_writer_gives_up),
        cmocka_unit_test(test_vocab),
        cmocka_unit_test(test_vocab_large),
        cmocka_unit_test(test_vocab_released),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_released_size),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_versions_refused),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_model_damage),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
