/* test_weights.c — the manifest, format versions, and a small model written and opened again.
 * Files made to be refused are tests/hostile/test_f5_files.py's. */
#include "runtime/models/layers.h"
#include "runtime/models/models.h"
#include "runtime/models/text_encoder.h"
#include "tests/c/temp_folder.h"
#include "weights/config.h"
#include "weights/manifest.h"
#include "weights/safetensors.h"

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
    int rounded = 0;
    set(&c, PART_BACKBONE, "depth", 2);
    OK(manifest_list(&c, (manifest_types){.matrices = F5_F16, .vocoder = F5_BF16}, &list, &count, &error));
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
        if (t->rounded) /* the copy of a bias belongs to the weights that the bias is of */
            assert_int_equal(t->rounded - t->address,
                             offsetof(linear_weights, b_rounded) - offsetof(linear_weights, b));
        rounded += t->rounded != 0;
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
    assert_int_equal(rounded, 2 * 2); /* of qkv and ff1, a block each */
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
    OK(manifest_list(&c, (manifest_types){.matrices = F5_F32, .vocoder = F5_F32}, &list, &count, &error));
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

/* What stands for a field that a file leaves out (FORMAT.md). With another default old files would be other models. */
static void test_defaults(void **state) {
    (void)state;
    static const char least[] = "{\"name\":\"n\",\"tokenizer\":\"char\",\"vocab_size\":9,"
                                "\"backbone\":{\"kind\":\"DiT\"},\"vocoder\":{\"kind\":\"Vocos\"}}";
    static const char whole[] =
        "{\"name\":\"n\",\"tokenizer\":\"char\",\"vocab_size\":9,"
        "\"backbone\":{\"kind\":\"DiT\",\"dim\":1024,\"depth\":8,\"heads\":8,\"ff_dim\":4096,\"pe_attn_head\":-1,"
        "\"qk_norm\":false,\"long_skip\":false},"
        "\"text\":{\"dim\":100,\"blocks\":0,\"mask_padding\":true,\"average_upsampling\":false},"
        "\"vocoder\":{\"kind\":\"Vocos\",\"dim\":512,\"ff_dim\":1536,\"layers\":8,\"same_padding\":false}}";
    model_config c;
    f5_error error = {0};
    char read[MODEL_CONFIG_TEXT];
    OK(read_text(&c, 2, least, &error));
    model_config_write(&c, read);
    assert_string_equal(read, whole);
}

/* Each flat name means its own field: numbers that differ, and flags in every way that is allowed. */
static void test_flat_names(void **state) {
    (void)state;
    enum { FLAG = -1, MASK = 1 << 2, UPSAMPLE = 1 << 3, FLAGS = 5 }; /* bits of a round, in the order below */
    static const struct {
        const char *flat;
        int part;
        const char *name;
        int32_t value;
    } fields[] = {
        {"dim", PART_BACKBONE, "dim", 64},
        {"depth", PART_BACKBONE, "depth", 3},
        {"heads", PART_BACKBONE, "heads", 5},
        {"ff_dim", PART_BACKBONE, "ff_dim", 96},
        {"pe_attn_head", PART_BACKBONE, "pe_attn_head", 4},
        {"qk_norm", PART_BACKBONE, "qk_norm", FLAG},
        {"long_skip", PART_BACKBONE, "long_skip", FLAG},
        {"text_dim", PART_TEXT, "dim", 34},
        {"text_blocks", PART_TEXT, "blocks", 2},
        {"text_mask_padding", PART_TEXT, "mask_padding", FLAG},
        {"text_average_upsampling", PART_TEXT, "average_upsampling", FLAG},
        {"vocos_dim", PART_VOCODER, "dim", 50},
        {"vocos_ff_dim", PART_VOCODER, "ff_dim", 70},
        {"vocos_layers", PART_VOCODER, "layers", 6},
        {"vocos_same_padding", PART_VOCODER, "same_padding", FLAG},
    };
    enum { FIELDS = sizeof fields / sizeof *fields };
    for (int round = 0; round < 1 << FLAGS; round++) {
        if (round & UPSAMPLE && !(round & MASK)) continue; /* refused */
        char text[1024] = "{\"name\":\"n\",\"tokenizer\":\"char\",\"vocab_size\":9";
        int32_t expected[FIELDS];
        for (int i = 0, flags = 0; i < FIELDS; i++) {
            const size_t used = strlen(text);
            const bool flag = fields[i].value == FLAG;
            char number[16];
            expected[i] = flag ? round >> flags++ & 1 : fields[i].value;
            snprintf(number, sizeof number, "%d", (int)expected[i]);
            snprintf(text + used, sizeof text - used, ",\"%s\":%s", fields[i].flat,
                     !flag         ? number
                     : expected[i] ? "true"
                                   : "false");
        }
        strcat(text, "}");
        model_config c;
        f5_error error = {0};
        OK(read_text(&c, 1, text, &error));
        for (int i = 0; i < FIELDS; i++)
            if (get(&c, fields[i].part, fields[i].name) != expected[i]) fail_msg("%s in %s", fields[i].flat, text);
    }
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
         "backbone \"Mamba\" is not one that this build has ("}, /* test_catalogue: which */
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
        cmocka_unit_test(test_manifest), cmocka_unit_test(test_released_size),
        cmocka_unit_test(test_versions), cmocka_unit_test(test_versions_refused),
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_flat_names),
        cmocka_unit_test(test_model),    cmocka_unit_test(test_model_damage),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
