/* test_fold.c — folding to what a model can say: its laws over random vocabularies and texts, every code point,
 * malformed bytes, buffers of every size. What characters fold to is in tests/test_fold.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/text/fold.h"
#include "tests/c/seed.h"
#include "weights/utf8.h"

typedef struct {
    char *text; /* [capacity], as large as the law says and no larger: a sanitizer sees the byte after it */
    text_buffer buffer;
    fold_report report;
    f5_status status;
} folded;

/* Folds a copy that ends where the text ends. a NULL: fold_compat. */
static folded fold_copy(const fold_alphabet *a, const char *text, size_t bytes, size_t capacity, f5_error *error) {
    folded f = {.text = malloc(capacity ? capacity : 1)};
    char *copy = malloc(bytes ? bytes : 1);
    assert_true(f.text && copy);
    memcpy(copy, text, bytes);
    f.buffer = (text_buffer){.text = f.text, .capacity = capacity};
    f.status = a ? fold_text(a, copy, bytes, &f.buffer, &f.report, error) : fold_compat(copy, bytes, &f.buffer, error);
    free(copy);
    return f;
}

static bool all_can_be_said(const fold_alphabet *a, const char *text, size_t bytes) {
    uint32_t code = 0;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = utf8_decode(text + at, bytes - at, &code);
        if (n == 0 || !fold_can_say(a, code)) return false;
    }
    return true;
}

/* The laws of one text: it fits, its output can be said and folds to itself, and nothing that can be said changes. */
static void check_laws(const fold_alphabet *a, const char *text, size_t bytes) {
    f5_error error = {0};
    folded f = fold_copy(a, text, bytes, fold_max_bytes(bytes), &error);
    if (f.status != F5_OK) fail_msg("%s", error.message);
    assert_true(utf8_valid_prefix(f.text, f.buffer.bytes) == f.buffer.bytes);
    assert_true(f.report.offset == (a ? bytes : 0));
    if (a) {
        assert_true(all_can_be_said(a, f.text, f.buffer.bytes));
        if (all_can_be_said(a, text, bytes)) {
            assert_int_equal(f.buffer.bytes, bytes);
            assert_memory_equal(f.text, text, bytes);
            assert_int_equal(f.report.count, 0);
        }
    }
    folded again = fold_copy(a, f.text, f.buffer.bytes, fold_max_bytes(f.buffer.bytes), &error);
    assert_int_equal(again.status, F5_OK);
    assert_int_equal(again.buffer.bytes, f.buffer.bytes);
    assert_memory_equal(again.text, f.text, f.buffer.bytes);
    assert_int_equal(again.report.count, 0);
    free(f.text);
    free(again.text);
}

/* ---- vocabularies and texts -------------------------------------------------------------------------------------- */

/* A character of the kinds that folding knows, seldom any at all. */
static uint32_t random_character(uint64_t *random) {
    static const struct {
        uint32_t first, count;
    } blocks[] = {{0x20, 95},       {0x20, 95},     {0x20, 1},        {0x61, 26},      {0, 0x100},       {0xC0, 0x240},
                  {0x300, 0x70},    {0x300, 8},     {0x370, 0x190},   {0x1100, 0x100}, {0x1E00, 0x200},  {0x2000, 0x70},
                  {0x2070, 0x30},   {0x2100, 0x90}, {0x2460, 0xA0},   {0x3000, 0x100}, {0xAC00, 0x2BA4}, {0xFE00, 0x10},
                  {0xFB00, 0x50},   {0xFF00, 0xF0}, {0x1D400, 0x400}, {0x1F1E6, 26},   {0x1F3FB, 5},     {0x1F600, 80},
                  {0x4E00, 0x5000}, {0x200B, 5},    {0x3200, 0x200},  {0xF900, 0x600}};
    uint32_t code;
    if (random_below(random, 40) == 0) {
        do code = (uint32_t)random_below(random, 0x110000);
        while (code >= 0xD800 && code <= 0xDFFF);
        return code;
    }
    int32_t b = random_below(random, sizeof blocks / sizeof *blocks);
    return blocks[b].first + (uint32_t)random_below(random, (int32_t)blocks[b].count);
}

static size_t random_text(uint64_t *random, char *text, int32_t characters) {
    size_t bytes = 0;
    for (int32_t i = 0; i < characters; i++) bytes += utf8_encode(text + bytes, random_character(random));
    return bytes;
}

static vocab parse(const char *text, size_t bytes) {
    vocab v;
    f5_error error = {0};
    if (vocab_parse(&v, text, bytes, "test", &error) != F5_OK) fail_msg("%s", error.message);
    return v;
}

/* Some of ASCII, mostly with the space, and up to 400 other characters. */
static vocab random_vocab(uint64_t *random) {
    char text[8192];
    size_t bytes = 0;
    int32_t share = random_below(random, 3); /* of ASCII: all, half, a quarter */
    if (random_below(random, 4) > 0) bytes = (size_t)(strcpy(text, " \n") - text) + 2;
    for (char c = ' '; c < 0x7F; c++)
        if (random_below(random, 1 << share) == 0) {
            text[bytes++] = c;
            text[bytes++] = '\n';
        }
    for (int32_t i = random_below(random, 400); i >= 0; i--) {
        uint32_t code = random_character(random);
        if (code == 0 || code == '\n' || code == '\r') code = 'a';
        bytes += utf8_encode(text + bytes, code);
        text[bytes++] = '\n';
    }
    return parse(text, bytes);
}

static vocab ascii_vocab(void) {
    char text[2 * 95];
    for (int i = 0; i < 95; i++) {
        text[2 * i] = (char)(' ' + i);
        text[2 * i + 1] = '\n';
    }
    return parse(text, sizeof text);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_laws_of_random_texts(void **state) {
    uint64_t *random = *state;
    static fold_alphabet a;
    for (int i = 0; i < 50; i++) {
        vocab v = random_vocab(random);
        fold_alphabet_init(&a, i % 2 ? TOKENIZER_PINYIN : TOKENIZER_CHAR, &v, NULL);
        char sayable[4 * 30];
        size_t bytes = 0, said = 0;
        for (int k = 0; k < 400; k++) {
            char text[4 * 40];
            check_laws(&a, text, random_text(random, text, random_below(random, 40)));
            int32_t id = random_below(random, v.size);
            uint32_t code = 0;
            if (utf8_decode(v.token[id], v.length[id], &code) == 0 || !fold_can_say(&a, code)) continue;
            if (bytes + 4 > sizeof sayable) bytes = 0;
            bytes += utf8_encode(sayable + bytes, code);
            said++;
            check_laws(&a, sayable, bytes);
        }
        assert_true(said > 200); /* so that the law of what can be said was asked of something */
        vocab_free(&v);
    }
}

static void test_every_code_point(void **state) {
    (void)state;
    static fold_alphabet a;
    vocab v = ascii_vocab();
    fold_alphabet_init(&a, TOKENIZER_CHAR, &v, NULL);
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) continue;
        char text[6];
        size_t bytes = utf8_encode(text, code);
        check_laws(&a, text, bytes);
        check_laws(NULL, text, bytes);
        text[bytes] = 'x'; /* and beside a letter */
        memmove(text + 1, text, bytes + 1);
        text[0] = '1';
        check_laws(&a, text, bytes + 2);
    }
    vocab_free(&v);
}

static void test_bytes_say_everything(void **state) {
    uint64_t *random = *state;
    static fold_alphabet a;
    fold_alphabet_init(&a, TOKENIZER_BYTE, NULL, NULL);
    for (int k = 0; k < 200; k++) {
        char text[4 * 40];
        size_t bytes = random_text(random, text, 40);
        assert_true(all_can_be_said(&a, text, bytes));
        check_laws(&a, text, bytes);
    }
}

static void test_malformed(void **state) {
    uint64_t *random = *state;
    static fold_alphabet a;
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc3", "\xe2\x82",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"};
    vocab v = ascii_vocab();
    fold_alphabet_init(&a, TOKENIZER_CHAR, &v, NULL);
    for (int k = 0; k < 20; k++) {
        char text[4 * 20 + 4];
        size_t bytes = 0;
        for (int c = 0; c <= 20; c++) {
            for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
                for (int compat = 0; compat < 2; compat++) {
                    char broken[sizeof text + 4], expected[64];
                    memcpy(broken, text, bytes);
                    strcpy(broken + bytes, bad[b]);
                    f5_error error = {0};
                    folded f = fold_copy(compat ? NULL : &a, broken, bytes + strlen(bad[b]), 2000, &error);
                    snprintf(expected, sizeof expected, "malformed UTF-8 at byte %zu", bytes);
                    assert_int_equal(f.status, F5_E_FORMAT);
                    assert_string_equal(error.message, expected);
                    assert_true(f.buffer.bytes == 0 && f.report.count == 0 && f.report.offset == 0);
                    free(f.text);
                }
            bytes += utf8_encode(text + bytes, random_character(random));
        }
    }
    vocab_free(&v);
}

/* A buffer that is too small is an error at every size, and never written past. */
static void test_full_buffers(void **state) {
    uint64_t *random = *state;
    static fold_alphabet a;
    vocab v = ascii_vocab();
    fold_alphabet_init(&a, TOKENIZER_CHAR, &v, NULL);
    for (int k = 0; k < 300; k++) {
        char text[4 * 20];
        size_t bytes = random_text(random, text, 20);
        f5_error error = {0};
        for (int compat = 0; compat < 2; compat++) {
            const fold_alphabet *with = compat ? NULL : &a;
            folded whole = fold_copy(with, text, bytes, fold_max_bytes(bytes), &error);
            assert_int_equal(whole.status, F5_OK);
            for (size_t capacity = 0; capacity < whole.buffer.bytes; capacity++) {
                folded f = fold_copy(with, text, bytes, capacity, &error);
                assert_true(f.status == F5_E_LIMIT && f.buffer.full && f.buffer.bytes <= capacity);
                free(f.text);
            }
            free(whole.text);
        }
    }
    vocab_free(&v);
}

/* Any report's message at every size: whole UTF-8, one line, terminated. */
static void test_messages_at_every_size(void **state) {
    uint64_t *random = *state;
    static fold_alphabet a;
    vocab v = ascii_vocab();
    fold_alphabet_init(&a, TOKENIZER_CHAR, &v, NULL);
    for (int k = 0; k < 40; k++) {
        char text[4 * 60];
        f5_error error = {0};
        size_t bytes = random_text(random, text, 60);
        folded f = fold_copy(&a, text, bytes, fold_max_bytes(bytes), &error);
        for (size_t size = 0; size < 700; size++) {
            char *message = malloc(size ? size : 1);
            fold_report_message(&f.report, message, size);
            if (size > 0) {
                size_t length = strlen(message);
                assert_true(length < size && utf8_valid_prefix(message, length) == length);
                for (size_t i = 0; i < length; i++) assert_true((unsigned char)message[i] >= ' ' && message[i] != 0x7F);
            }
            free(message);
        }
        free(f.text);
    }
    vocab_free(&v);
}

int main(void) {
    uint64_t random = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_laws_of_random_texts, &random),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test_prestate(test_bytes_say_everything, &random),
        cmocka_unit_test_prestate(test_malformed, &random),
        cmocka_unit_test_prestate(test_full_buffers, &random),
        cmocka_unit_test_prestate(test_messages_at_every_size, &random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
