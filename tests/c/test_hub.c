/* test_hub.c — what a hub answers and what a user types, value by value (host/hub/). tests/fuzz_hub.py throws
 * everything else at them, tests/hub/ runs the program against a hub. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if F5_HAVE_FILES
#include "host/hub/hub_answer.h"
#include "host/hub/hub_cache.h"
#include "host/hub/model_names.h"
#include "host/hub/model_sources.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define GIT "0123456789abcdef0123456789abcdef01234567"

static void test_hashes(void **state) {
    (void)state;
    const struct {
        const char *etag, *hash; /* NULL: it is none */
    } cases[] = {{SHA, SHA},
                 {"\"" SHA "\"", SHA},
                 {"W/\"" GIT "\"", GIT},
                 {GIT, GIT},
                 {"", NULL},
                 {"\"", NULL},
                 {"\"" SHA, NULL},
                 {SHA "\"", NULL},
                 {SHA "0", NULL},
                 {GIT " ", NULL},
                 {"../" GIT, NULL},
                 {"W/" GIT "/../x", NULL},
                 {"0123456789ABCDEF0123456789ABCDEF01234567", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char hash[HUB_HASH] = "";
        assert_int_equal(hub_etag_hash(cases[i].etag, hash), cases[i].hash != NULL);
        if (cases[i].hash) assert_string_equal(hash, cases[i].hash);
    }
    assert_true(hub_is_commit(GIT));
    assert_false(hub_is_commit(SHA) || hub_is_commit("") || hub_is_commit("main"));
}

static void test_numbers(void **state) {
    (void)state;
    int64_t from, to, size;
    assert_true(hub_size("0", &size) && size == 0);
    assert_true(hub_size("1348434761", &size) && size == 1348434761);
    const char *const no_size[] = {
        "", " 1", "1 ", "-1", "+1", "0x10", "1e9", "9223372036854775808", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof no_size / sizeof *no_size; i++) assert_false(hub_size(no_size[i], &size));
    assert_true(hub_content_range("bytes 5-9/10", &from, &to, &size) && from == 5 && to == 9 && size == 10);
    const char *const no_range[] = {"",           "bytes */10",    "bytes 5-9/*",  "bytes 9-5/10", "bytes 5-10/10",
                                    "bytes 5-9/", "bytes -5-9/10", "items 5-9/10", "bytes 5-9/10 "};
    for (size_t i = 0; i < sizeof no_range / sizeof *no_range; i++)
        assert_false(hub_content_range(no_range[i], &from, &to, &size));
}

static void test_names_of_files(void **state) {
    (void)state;
    hub_file file;
    f5_error error;
    assert_int_equal(hub_file_parse(&file, "hf://SWivid/F5-TTS/F5TTS_v1_Base/vocab.txt", &error), F5_OK);
    assert_string_equal(file.repository, "SWivid/F5-TTS");
    assert_string_equal(file.revision, "main");
    assert_string_equal(file.path, "F5TTS_v1_Base/vocab.txt");
    char *path = hub_cache_path("/c", &file, "refs/main");
    assert_string_equal(path, "/c/models--SWivid--F5-TTS/refs/main");
    free(path);
    assert_int_equal(hub_file_parse(&file, "hf://a/b@v1.0/x y", &error), F5_OK);
    assert_string_equal(file.revision, "v1.0");
    assert_string_equal(file.path, "x y");
    char *url = hub_file_url(&file, GIT);
    assert_string_equal(url, "hf://a/b@" GIT "/x y");
    free(url);
    const char *const bad[] = {"hf://",          "hf:///b/c",     "hf://a",        "hf://a/b",       "hf://a/b/",
                               "hf://a/b//c",    "hf://a/b/../c", "hf://a/b/c/..", "hf://a/b/./c",   "hf://../b/c",
                               "hf://a/../c",    "hf://a/b@../c", "hf://a/b@/c",   "hf://a--b/c/d",  "hf://a/b--c/d",
                               "hf://a/b/c\x01", "hf://a/b/c\\d", "hf://.a/b/c",   "hf://a/b@x@y/c", "hf://a b/c/d"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hub_file_parse(&file, bad[i], &error) != F5_E_ARGUMENT) fail_msg("%s is taken", bad[i]);
}

static void test_kinds_of_models(void **state) {
    (void)state;
    const struct {
        const char *path, *name;
    } cases[] = {{"ckpts/F5TTS_Base/model_1200000.pt", "F5TTS_Base"},
                 {"F5TTS_v1_Base/model.safetensors", "F5TTS_v1_Base"},
                 {"F5TTS_v1_Base_no_zero_init/model_1250000.safetensors", "F5TTS_v1_Base"},
                 {"/a/F5TTS_Small.pt", "F5TTS_Small"},
                 {"/a/F5TTS_Basement/model.pt", NULL},
                 {"model_last.pt", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const model_kind *kind = model_kind_of_path(cases[i].path);
        if (!cases[i].name)
            assert_null(kind);
        else
            assert_string_equal(kind->name, cases[i].name);
    }
    f5_setting setting[MODEL_SETTINGS];
    for (int i = 0; model_kind_at(i); i++) {
        int32_t n = model_kind_settings(model_kind_at(i), setting);
        assert_in_range(n, 12, MODEL_SETTINGS);
        for (int32_t k = 0; k < n; k++) assert_true(setting[k].path && strncmp(setting[k].path, "model", 5) == 0);
    }
    assert_null(model_kind_named("F5TTS"));
    assert_true(model_is_checkpoint("a/b.pt") && model_is_checkpoint("b.safetensors") &&
                model_is_checkpoint("hf://a/b/c"));
    assert_false(model_is_checkpoint("a.pt/b") || model_is_checkpoint("m.f5") || model_is_checkpoint("F5TTS_Base"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hashes), cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_names_of_files), cmocka_unit_test(test_kinds_of_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) {
    return 0;
}
#endif
