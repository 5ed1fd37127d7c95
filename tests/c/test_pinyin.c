/* test_pinyin.c — tables for Chinese that are damaged on purpose: they are refused, or used without leaving them, under
 * whatever the build checks. What the tokens must be is in tests/test_pinyin.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/text/tokenizer.h"
#include "tests/c/seed.h"

enum { LONGEST = 96 };

static const char *const texts[] = {
    "他来到了网易杭研大厦，我们一起去北京大学看一看。不是不好，是一定要好好老鼠展览馆。",
    "T恤和γ射线，C++好。小李买好酒，重庆银行行长长大了",
    "百花齐放百花齐",
    "研厦网易他不一好",
    "\xF0\xA0\x80\x80\xF0\xA0\x80\x81㐀a\xF0\xA0\x80\x80\xF0\xA0\x80\x81〇ㄅ",
    "abc不def.5%中"};

static uint64_t rng;
static char *table; /* [table_bytes] */
static size_t table_bytes;

static int read_table(void **state) {
    (void)state;
    rng = random_seed();
    FILE *f = fopen(F5_TEST_DATA "/pinyin_small.bin", "rb");
    if (!f) return -1;
    table = aligned_alloc(64, 1 << 20);
    table_bytes = table ? fread(table, 1, 1 << 20, f) : 0;
    fclose(f);
    return table_bytes > 10000 && table_bytes < 1 << 20 ? 0 : -1;
}

static int free_table(void **state) {
    (void)state;
    free(table);
    return 0;
}

static void count_bytes(void *user, const char *token, size_t bytes) {
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++) sum += (unsigned char)token[i]; /* every byte is touched */
    *(size_t *)user += bytes + (sum == 0x7fffffff);
}

/* Opens the bytes and, if they pass, makes tokens of every text. Returns whether they passed. The block ends where the
 * table ends, so that the sanitizer sees a step past it. */
static bool use(const char *data, size_t bytes) {
    static const size_t granule = 64;
    char *copy = aligned_alloc(granule, bytes ? (bytes + granule - 1) / granule * granule : granule);
    uint64_t scratch[TOKENIZER_SCRATCH_BYTES(LONGEST) / 8];
    assert_non_null(copy);
    memcpy(copy, data, bytes);
    pinyin_table t;
    f5_error error = {0};
    f5_status status = pinyin_table_open(&t, copy, bytes, "x.bin", &error);
    if (status == F5_OK) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            tokenizer k = {.kind = TOKENIZER_PINYIN, .pinyin = &t, .scratch = scratch, .scratch_bytes = sizeof scratch};
            size_t said = 0;
            assert_int_equal(tokenizer_put_tokens(&k, texts[i], strlen(texts[i]), 0, count_bytes, &said, NULL), F5_OK);
            assert_true(said > 0 && said <= PINYIN_MAX_SYLLABLE * 2 * strlen(texts[i]));
        }
    } else {
        assert_int_equal(status, F5_E_FORMAT);
        assert_memory_equal(error.message, "x.bin: not a table for Chinese, or a damaged one: ", 50);
        assert_null(t.reading);
    }
    free(copy);
    return status == F5_OK;
}

static void the_table_itself(void **state) {
    (void)state;
    assert_true(use(table, table_bytes));
}

static void cut_off(void **state) {
    (void)state;
    for (size_t bytes = 0; bytes < 1024; bytes++) assert_false(use(table, bytes));
    for (int round = 0; round < 300; round++)
        assert_false(use(table, (size_t)random_below(&rng, (int32_t)(table_bytes / 64)) * 64));
}

static void not_aligned(void **state) {
    (void)state;
    char *moved = malloc(table_bytes + 8);
    f5_error error = {0};
    pinyin_table t;
    assert_non_null(moved);
    memcpy(moved + 4, table, table_bytes);
    assert_int_equal(pinyin_table_open(&t, moved + 4, table_bytes, "x.bin", &error), F5_E_FORMAT);
    free(moved);
}

/* One to four bytes changed anywhere, more often near the head, where the places of the sections stand. */
static void bytes_changed(void **state) {
    (void)state;
    int passed = 0;
    char *damaged = malloc(table_bytes);
    assert_non_null(damaged);
    memcpy(damaged, table, table_bytes);
    for (int round = 0; round < 6000; round++) {
        size_t at[4];
        int changes = 1 + random_below(&rng, 4);
        for (int i = 0; i < changes; i++) {
            size_t within = random_below(&rng, 3) ? table_bytes : 512;
            at[i] = (size_t)random_below(&rng, (int32_t)within);
            damaged[at[i]] =
                (char)(random_below(&rng, 2) ? damaged[at[i]] ^ (1 << random_below(&rng, 8)) : random_below(&rng, 256));
        }
        passed += use(damaged, table_bytes);
        for (int i = 0; i < changes; i++) damaged[at[i]] = table[at[i]];
    }
    free(damaged);
    assert_true(passed > 50); /* a word of other letters is a table too */
    assert_true(passed < 5000);
}

/* A section's place or count is replaced by one that is likely to be wrong in the worst way. */
static void sections_changed(void **state) {
    (void)state;
    char *damaged = malloc(table_bytes);
    assert_non_null(damaged);
    memcpy(damaged, table, table_bytes);
    uint32_t sections;
    memcpy(&sections, table + 12, sizeof sections);
    for (uint32_t field = 0; field < 2 * sections; field++) {
        char *place = damaged + 16 + 8 * (size_t)field;
        uint64_t is;
        memcpy(&is, place, sizeof is);
        const uint64_t worse[] = {0,
                                  1,
                                  is + 1,
                                  is - 1,
                                  is + 8,
                                  is - 8,
                                  is * 2,
                                  UINT64_MAX,
                                  INT64_MAX,
                                  UINT32_MAX,
                                  (uint64_t)1 << 61,
                                  table_bytes,
                                  table_bytes - 8};
        for (size_t i = 0; i < sizeof worse / sizeof *worse; i++) {
            memcpy(place, &worse[i], sizeof is);
            use(damaged, table_bytes);
        }
        memcpy(place, &is, sizeof is);
    }
    assert_true(use(damaged, table_bytes));
    free(damaged);
}

/* A run that the scratch does not hold is an error by name, one that it just holds is not. */
static void long_runs(void **state) {
    (void)state;
    pinyin_table t;
    assert_int_equal(pinyin_table_open(&t, table, table_bytes, "x.bin", NULL), F5_OK);
    char text[3 * LONGEST + 8];
    for (int i = 0; i <= LONGEST; i++) memcpy(text + 3 * i, "好", 3);
    for (int characters = LONGEST - 1; characters <= LONGEST + 1; characters++) {
        void *scratch = malloc(TOKENIZER_SCRATCH_BYTES(LONGEST)); /* ends where it ends */
        tokenizer k = {.kind = TOKENIZER_PINYIN,
                       .pinyin = &t,
                       .scratch = scratch,
                       .scratch_bytes = TOKENIZER_SCRATCH_BYTES(LONGEST)};
        size_t said = 0;
        f5_error error = {0};
        f5_status status = tokenizer_put_tokens(&k, text, 3 * (size_t)characters, 10, count_bytes, &said, &error);
        free(scratch);
        assert_int_equal(status, characters <= LONGEST ? F5_OK : F5_E_LIMIT);
        if (status != F5_OK)
            assert_string_equal(error.message, "97 characters in a row at byte 10, the limit is 96: put punctuation or "
                                               "spaces between them");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_table_itself), cmocka_unit_test(cut_off),
                                       cmocka_unit_test(not_aligned),      cmocka_unit_test(bytes_changed),
                                       cmocka_unit_test(sections_changed), cmocka_unit_test(long_runs)};
    return cmocka_run_group_tests(tests, read_table, free_table);
}
