/* test_parts.c — what part.h and backbone.h ask of every part that is listed, and parts that upstream does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/models/backbone.h"
#include "runtime/models/models.h"
#include "runtime/models/vocoder.h"
#include "weights/convert/upstream.h"
#include "weights/manifest.h"

enum { MAX_PARTS = 64 };

static int32_t list_parts(const model_part *list[MAX_PARTS]) {
    int32_t n = 0;
    for (const model_part *const *b = models_catalogue.backbones; *b; b++) {
        if (!(*b)->text) fail_msg("%s: no text encoder", (*b)->kind);
        bool known = false;
        for (int32_t i = 0; i < n; i++) known |= list[i] == (*b)->text;
        list[n++] = *b;
        if (!known) list[n++] = (*b)->text;
        assert_true(n < MAX_PARTS - 1);
    }
    for (const model_part *const *v = models_catalogue.vocoders; *v; v++) {
        assert_true(n < MAX_PARTS);
        list[n++] = *v;
    }
    return n;
}

static bool has_matrix(const model_part *part) {
    for (int32_t i = 0; i < part->n_lines; i++)
        if (part->lines[i].class == MATRIX) return true;
    return false;
}

static void test_every_part(void **state) {
    (void)state;
    const model_part *list[MAX_PARTS];
    int32_t n = list_parts(list);
    assert_true(n >= 3);
    for (int32_t i = 0; i < n; i++) {
        const model_part *part = list[i];
        size_t length = strlen(part->prefix);
        if (length < 2 || part->prefix[length - 1] != '.') fail_msg("%s: prefix \"%s\"", part->kind, part->prefix);
        for (int32_t j = 0; j < i; j++)
            if (strcmp(list[j]->prefix, part->prefix) == 0) fail_msg("two parts with prefix %s", part->prefix);
        for (int32_t j = 0; j < part->n_lines; j++)
            if (strncmp(part->lines[j].name, part->prefix, length) != 0)
                fail_msg("%s does not begin with %s", part->lines[j].name, part->prefix);
        assert_true(part->title && part->weights_bytes > 0);
        assert_true(part->n_lines > 0 && part->dimension && part->count);
    }
}

static void test_every_backbone(void **state) {
    (void)state;
    for (const model_part *const *part = models_catalogue.backbones; *part; part++) {
        const backbone *b = (const backbone *)*part;
        if (!has_matrix(*part)) fail_msg("%s: no MATRIX line", (*part)->kind);
        assert_in_range(b->n_tables, 0, STAGE_MAX_TABLES);
        assert_in_range(b->n_packs, 0, BACKBONE_MAX_PACKS);
        assert_true(b->n_packs == 0 || (b->pack_length && b->pack_rows));
    }
}

static void test_every_vocoder(void **state) {
    (void)state;
    for (const model_part *const *part = models_catalogue.vocoders; *part; part++) {
        if (!has_matrix(*part)) fail_msg("%s: no MATRIX line", (*part)->kind);
        if ((*part)->text) fail_msg("%s: a vocoder with a text encoder", (*part)->kind);
        assert_in_range(((const vocoder *)*part)->n_tables, 0, STAGE_MAX_TABLES);
    }
}

/* An unknown kind is answered with those that there are, however many. */
static void test_unknown_kind(void **state) {
    (void)state;
    model_config c;
    f5_error error = {0};
    assert_int_equal(model_config_parts(&c, &models_catalogue, "Mamba", "Vocos", "x.f5", &error), F5_E_UNSUPPORTED);
    for (const model_part *const *part = models_catalogue.backbones; *part; part++)
        if (!strstr(error.message, (*part)->kind)) fail_msg("%s is not in: %s", (*part)->kind, error.message);
}

/* ---- a backbone of our own --------------------------------------------------------------------------------------- */

static int64_t own_dimension(const model_config *config, int16_t symbol) {
    (void)config, (void)symbol;
    return 4;
}

static int32_t own_count(const model_config *config, int16_t repeat) {
    (void)config, (void)repeat;
    return 2;
}

static const part_line own_lines[] = {{.name = "own.blocks.%d.weight", .dims = {-1, 3}, .class = MATRIX, .repeat = 1}};

static void test_without_upstream(void **state) {
    (void)state;
    const model_part own = {.kind = "Own",
                            .upstream = "Own",
                            .prefix = "own.",
                            .title = "experiment",
                            PART_LINES(own_lines),
                            .text = models_catalogue.backbones[0]->text,
                            .dimension = own_dimension,
                            .count = own_count};
    const model_part *const backbones[] = {&own, NULL};
    const part_catalogue parts = {backbones, models_catalogue.vocoders};
    const setting words[] = {{.path = "model.backbone", .value = "Own"}, {.path = "model.tokenizer", .value = "char"}};
    const settings acoustic = {words, 2, "own.yaml"}, vocoder_words = {.file = "vocoder.yaml"};
    model_config c = {.vocab_size = 3};
    f5_error error = {0};
    assert_int_equal(upstream_read_config(&c, &parts, &acoustic, &vocoder_words, &error), F5_E_UNSUPPORTED);
    if (!strstr(error.message, "own.yaml: ") || !strstr(error.message, "experiment of kind Own"))
        fail_msg("says %s", error.message);

    /* and without keys of upstream's, a tensor's source has the tensor's name and shape */
    manifest_tensor *list;
    int32_t count, seen = 0;
    assert_int_equal(model_config_parts(&c, &parts, "Own", "Vocos", "test", &error), F5_OK);
    assert_int_equal(manifest_list(&c, (manifest_types){.matrices = F5_F32, .vocoder = F5_F32}, &list, &count, &error),
                     F5_OK);
    for (int32_t i = 0; i < count; i++) {
        if (list[i].part != PART_BACKBONE) continue;
        manifest_source source;
        manifest_source_at(&c, &list[i], 0, &source);
        assert_int_equal(list[i].sources, 1);
        assert_string_equal(source.key, list[i].name);
        assert_int_equal(source.elements, 12);
        assert_string_equal(source.key, seen++ ? "own.blocks.1.weight" : "own.blocks.0.weight");
    }
    free(list);
    assert_int_equal(seen, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part),       cmocka_unit_test(test_every_backbone),
        cmocka_unit_test(test_every_vocoder),    cmocka_unit_test(test_unknown_kind),
        cmocka_unit_test(test_without_upstream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
