/* test_sentences.c — sentences, cuts and tags of random scraps and random bytes, each text in memory of just its size,
 * for the sanitizers. What the right answers are is in tests/test_sentences.py and tests/test_script.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/text/script.h"
#include "host/text/sentence.h"
#include "tests/c/seed.h"

#define TEXTS 3000
#define MAX_TEXT 6000

static uint64_t rng;

static const char *const scraps[] = {"Hello",
                                     ". ",
                                     ".",
                                     "! ",
                                     "?",
                                     "...",
                                     "\xE2\x80\xA6",
                                     "\n",
                                     "\n\n",
                                     "\r\n",
                                     " ",
                                     "  ",
                                     "\xE3\x80\x80",
                                     "\xE3\x80\x82",
                                     "\xE3\x80\x8D",
                                     "\xE3\x81\xA8",
                                     "\"",
                                     "'",
                                     ")",
                                     "[1]",
                                     "[",
                                     "Mr",
                                     "U.S",
                                     "5 p.m",
                                     "No",
                                     "I",
                                     "J",
                                     "the",
                                     "The",
                                     "\xC3\x89",
                                     "\xE4\xBD\xA0",
                                     "5",
                                     "# ",
                                     "- ",
                                     "1. ",
                                     "word ",
                                     "e\xCC\x81",
                                     "\xF0\x9F\x91\x8D",
                                     "https://a.b/c?",
                                     "CHAPTER",
                                     "iP",
                                     ":",
                                     ", ",
                                     "\xE2\x80\x94",
                                     "\xE4\xBD",
                                     "\xFF",
                                     "\x80",
                                     "[name]",
                                     "[pause 1]",
                                     "[pause ",
                                     "\xE7\xAC\xAC",
                                     "Chapter ",
                                     "0123456789"};

/* A text of scraps or of bytes; its length. Now and then one scrap fills it. */
static size_t make_text(char *text) {
    size_t bytes = 0, most = (size_t)random_below(&rng, random_below(&rng, 20) ? 200 : MAX_TEXT);
    int kind = random_below(&rng, 8), scrap = random_below(&rng, sizeof(scraps) / sizeof(scraps[0]));
    while (bytes < most) {
        char one[2] = {(char)random_next(&rng)};
        const char *from = kind == 0 ? one : scraps[scrap];
        size_t n = kind == 0 ? 1 : strlen(from);
        if (bytes + n > MAX_TEXT) break;
        memcpy(text + bytes, from, n);
        bytes += n;
        if (kind > 1) scrap = random_below(&rng, sizeof(scraps) / sizeof(scraps[0]));
    }
    return bytes;
}

/* The same bytes, with nothing readable after them. */
static char *exactly(const char *text, size_t bytes) {
    char *copy = malloc(bytes + (bytes == 0));
    memcpy(copy, text, bytes);
    return copy;
}

static void sentences(void **state) {
    (void)state;
    char text[MAX_TEXT];
    for (int i = 0; i < TEXTS; i++) {
        size_t bytes = make_text(text);
        for (size_t at = 0; at < bytes;) {
            char *whole = exactly(text + at, bytes - at);
            sentence_span all, some;
            assert_true(sentence_next(whole, bytes - at, true, &all));
            assert_true(all.next > 0 && all.next <= bytes - at && all.bytes <= all.next);
            assert_true(all.bytes <= SENTENCE_MAX_BYTES);
            free(whole);
            size_t n = (size_t)random_below(&rng, (int32_t)(bytes - at) + 1);
            char *part = exactly(text + at, n);
            bool answered = sentence_next(part, n, false, &some);
            free(part);
            if (answered) {
                assert_int_equal(some.bytes, all.bytes);
                assert_int_equal(some.next, all.next);
                assert_int_equal(some.paragraph, all.paragraph);
            } else {
                assert_true(n < SENTENCE_WAIT_BYTES);
            }
            at += all.next;
        }
    }
}

static void cuts(void **state) {
    (void)state;
    char text[MAX_TEXT];
    for (int i = 0; i < TEXTS; i++) {
        size_t bytes = make_text(text), most = (size_t)random_below(&rng, 300);
        for (size_t at = 0; at < bytes;) {
            char *rest = exactly(text + at, bytes - at);
            size_t n = sentence_cut(rest, bytes - at, most);
            assert_true(n > 0 && n <= bytes - at && (n <= most || n <= 4));
            free(rest);
            at += n;
        }
    }
}

static void tags(void **state) {
    (void)state;
    char text[MAX_TEXT];
    for (int i = 0; i < TEXTS; i++) {
        size_t bytes = make_text(text);
        for (size_t at = 0; at < bytes;) {
            script_tag all, some;
            char *whole = exactly(text + at, bytes - at);
            size_t before = script_find(whole, bytes - at, true, &all);
            assert_true(before + all.bytes <= bytes - at && all.kind != SCRIPT_PENDING);
            assert_true((all.bytes > 0) == (all.kind != SCRIPT_TEXT_ONLY));
            free(whole);
            size_t n = (size_t)random_below(&rng, (int32_t)(bytes - at) + 1);
            char *part = exactly(text + at, n);
            size_t found = script_find(part, n, false, &some);
            free(part);
            if (some.kind == SCRIPT_PENDING) {
                assert_true(found <= before && n - found <= SCRIPT_MAX_PENDING);
            } else if (some.kind == SCRIPT_TEXT_ONLY) {
                assert_true(found == n && n <= before);
            } else {
                assert_int_equal(found, before);
                assert_int_equal(some.kind, all.kind);
                assert_int_equal(some.bytes, all.bytes);
            }
            at += before + all.bytes;
        }
    }
}

int main(void) {
    rng = random_seed();
    const struct CMUnitTest tests[] = {cmocka_unit_test(sentences), cmocka_unit_test(cuts), cmocka_unit_test(tags)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
