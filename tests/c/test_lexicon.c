/* test_lexicon.c — files of words that are damaged, and which entry fits where. How they sound is in test_normalize.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/text/lexicon.h"
#include "tests/c/seed.h"

static void lexicon_errors(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        const char *message;
    } cases[] = {
        {"tomato\n", 7, "words.tsv:1: no TAB"},
        {"a\tb\n#\nword said\n", 16, "words.tsv:3: no TAB"},
        {"a\tb\na\tc\n", 8, "words.tsv:2: 'a' is there already, in line 1"},
        {"a\t \n", 4, "words.tsv:1: nothing to say for 'a'"},
        {" \tb\n", 4, "words.tsv:1: no word before"},
        {"a\tb\tc\n", 6, "words.tsv:1: more than one TAB"},
        {"a\tb\n\xff\tc\n", 8, "words.tsv:2: malformed UTF-8 at byte 4"},
        {"a\tb\0c\n", 6, "words.tsv: holds a zero byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lexicon *l = NULL;
        f5_error error = {0};
        assert_int_equal(lexicon_open(cases[i].text, cases[i].bytes, "words.tsv", &l, &error), F5_E_FORMAT);
        assert_null(l);
        if (!strstr(error.message, cases[i].message)) fail_msg("'%s' has no '%s'", error.message, cases[i].message);
    }
}

/* Any bytes are a lexicon or an error; a lexicon finds in any bytes. */
static void random_bytes(void **state) {
    (void)state;
    static const char letters[] = "aA1\t\n #\r\\.\xe4\xb8\xad\xc3";
    uint64_t rng = random_seed();
    int opened = 0;
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)random_below(&rng, 40);
        char *text = malloc(bytes + 1); /* ends where the text ends, for the sanitizer */
        for (size_t i = 0; i < bytes; i++) text[i] = letters[random_below(&rng, sizeof letters - 1)];
        char *exact = malloc(bytes ? bytes : 1);
        memcpy(exact, text, bytes);
        lexicon *l = NULL;
        f5_error error = {0};
        if (lexicon_open(exact, bytes, "random", &l, &error) == F5_OK) {
            opened++;
            for (size_t at = 0; at <= bytes; at++) {
                const char *said;
                size_t said_bytes, n = lexicon_find(l, exact, bytes, at, &said, &said_bytes);
                assert_true(n <= bytes - at && (n == 0 || said_bytes > 0));
            }
        }
        lexicon_close(l);
        free(exact);
        free(text);
    }
    assert_true(opened > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lexicon_errors), cmocka_unit_test(random_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
