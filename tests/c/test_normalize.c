/* test_normalize.c — text as it is spoken: tables of sentences in English and Chinese, SSML's say-as, lexicons, plain
 * text, hostile text, small buffers, speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "host/text/normalize.h"
#include "tests/c/seed.h"
#include "weights/utf8.h"

#ifdef F5_HAVE_ICU

static uint64_t rng;

static normalizer *open_languages(const char *languages) {
    normalizer *n = NULL;
    f5_error error = {0};
    if (normalizer_open(languages, &n, &error)) fail_msg("%s", error.message);
    return n;
}

/* The words, in memory that ends where the buffer ends; the caller frees them. */
static f5_status run(const normalizer *n, const char *language, const lexicon *words, const char *text, size_t bytes,
                     text_buffer *out, f5_error *error) {
    char *copy = malloc(bytes + 1);
    memcpy(copy, text, bytes);
    *out = (text_buffer){.capacity = bytes * NORMALIZE_GROWTH + NORMALIZE_EXTRA};
    out->text = malloc(out->capacity);
    assert_non_null(out->text);
    f5_status status = normalize_text(n, language, words, copy, bytes, out, error);
    free(copy);
    return status;
}

static void check(const normalizer *n, const char *language, const lexicon *words, const char *text,
                  const char *expected) {
    text_buffer out;
    f5_error error = {0};
    if (run(n, language, words, text, strlen(text), &out, &error)) fail_msg("%s: %s", text, error.message);
    if (out.bytes != strlen(expected) || memcmp(out.text, expected, out.bytes) != 0)
        fail_msg("'%s'\n is said   '%.*s'\n should be '%s'", text, (int)out.bytes, out.text, expected);
    free(out.text);
}

static char *read_file(const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing", path);
    static char text[1 << 17];
    size_t n = fread(text, 1, sizeof text - 1, file);
    assert_true(n > 0 && n < sizeof text - 1);
    text[n] = 0;
    fclose(file);
    return text;
}

/* Every sentence as the table has it; what is said stays as it is; no digit is left. */
static int check_table(const char *language, const char *name) {
    normalizer *n = open_languages(language);
    int cases = 0;
    for (char *line = strtok(read_file(F5_TEST_DATA, name), "\n"); line; line = strtok(NULL, "\n")) {
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = 0;
        check(n, language, NULL, line, tab + 1);
        check(n, language, NULL, tab + 1, tab + 1);
        if (strpbrk(tab + 1, "0123456789")) fail_msg("%s: digits are left: %s", line, tab + 1);
        cases++;
    }
    normalizer_close(n);
    return cases;
}

static void english(void **state) {
    (void)state;
    assert_true(check_table("en", "normalize_en.tsv") >= 400);
}

static void chinese(void **state) {
    (void)state;
    assert_true(check_table("zh", "normalize_zh.tsv") >= 100);
}

static void plain_text_stays(void **state) {
    (void)state;
    normalizer *n = open_languages("en,zh,de");
    static const char *const files[] = {"lengths.txt", "long.txt", "sentences.txt"};
    static const char *const languages[] = {"en", "zh", "de"};
    for (size_t i = 0; i < 3; i++)
        for (char *line = strtok(read_file(F5_TEST_VOICE, files[i]), "\n"); line; line = strtok(NULL, "\n"))
            for (size_t k = 0; k < 3; k++) check(n, languages[k], NULL, line, line);
    check(n, "en", NULL, "", "");
    check(n, "en", NULL, "  \t\n ", "  \t\n ");
    check(n, "en", NULL, "\xe2\x80\x9cHello,\xe2\x80\x9d she said \xe2\x80\x94 na\xc3\xafvely\xe2\x80\xa6",
          "\xe2\x80\x9cHello,\xe2\x80\x9d she said \xe2\x80\x94 na\xc3\xafvely\xe2\x80\xa6");
    normalizer_close(n);
}

static void other_languages(void **state) {
    (void)state;
    normalizer *n = open_languages("de,fr,es,it,ja");
    check(n, "de", NULL, "Es sind 1.234 Leute, 3,5 Meter und -7 Grad.",
          "Es sind eintausendzweihundertvierunddrei\xc3\x9fig Leute, drei Komma f\xc3\xbcnf Meter und minus sieben "
          "Grad.");
    check(n, "de", NULL, "Der 3. Mann.", "Der dritte Mann.");
    check(n, "de", NULL, "Er hat 3.", "Er hat drei.");
    check(n, "de", NULL, "Am 3. Mai um 14:30 Uhr, im 19. Jahrhundert, 9:05.",
          "Am dritten Mai um vierzehn Uhr dreißig, im neunzehnten Jahrhundert, neun fünf.");
    check(n, "de-AT", NULL, "007", "null null sieben");
    check(n, "fr", NULL, "Le 1er et le 2e de 80.", "Le premier et le deuxi\xc3\xa8me de quatre-vingts.");
    check(n, "es", NULL, "El 3\xc2\xba de 21.", "El tercero de veintiuno.");
    check(n, "it", NULL, "28 giorni.", "ventotto giorni.");
    check(n, "ja", NULL, "25\xe4\xba\xba", "\xe4\xba\x8c\xe5\x8d\x81\xe4\xba\x94\xe4\xba\xba");
    normalizer_close(n);
}

static void languages_by_name(void **state) {
    (void)state;
    normalizer *n = NULL;
    f5_error error = {0};
    assert_int_equal(normalizer_open("en,xx", &n, &error), F5_E_ARGUMENT);
    assert_non_null(strstr(error.message, "'xx'"));
    assert_null(n);
    assert_int_equal(normalizer_open("", &n, &error), F5_E_ARGUMENT);
    assert_int_equal(normalizer_open("English", &n, &error), F5_E_ARGUMENT);
    assert_non_null(strstr(error.message, "English"));
    assert_int_equal(normalizer_open("none", &n, &error), F5_E_ARGUMENT);
    n = open_languages("en, zh,en");
    text_buffer out;
    assert_int_equal(run(n, "de", NULL, "x", 1, &out, &error), F5_E_ARGUMENT);
    assert_non_null(strstr(error.message, "there are en, zh"));
    free(out.text);
    normalizer_close(n);
    normalizer_close(NULL);
}

/* ---- say-as */

static void say_as(void **state) {
    (void)state;
    static const struct {
        const char *language, *kind, *format, *text, *expected; /* NULL: an error */
    } cases[] = {
        {"en", "cardinal", "", "42", "forty-two"},
        {"en", "cardinal", "", " -1,234.5 ", "minus one thousand two hundred thirty-four point five"},
        {"en", "number", "", "7", "seven"},
        {"en", "cardinal", "", "seven", NULL},
        {"en", "cardinal", "", "7 up", NULL},
        {"en", "cardinal", "", "", NULL},
        {"en", "ordinal", "", "42", "forty-second"},
        {"en", "ordinal", "", "3rd", "third"},
        {"en", "ordinal", "", "3.5", NULL},
        {"en", "ordinal", "", "x", NULL},
        {"en", "characters", "", "F5tts", "F five T T S"},
        {"en", "spell-out", "", "a-1", "A dash one"},
        {"en", "verbatim", "", "USA", "U S A"},
        {"en", "digits", "", "2024", "two zero two four"},
        {"en", "digits", "", "none", NULL},
        {"en", "date", "mdy", "12/31/2024", "December thirty-first, twenty twenty-four"},
        {"en", "date", "dmy", "31.12.2024", "December thirty-first, twenty twenty-four"},
        {"en", "date", "ymd", "2024-12-31", "December thirty-first, twenty twenty-four"},
        {"en", "date", "ymd", "20241231", "December thirty-first, twenty twenty-four"},
        {"en", "date", "md", "12/31", "December thirty-first"},
        {"en", "date", "my", "12/2024", "December twenty twenty-four"},
        {"en", "date", "y", "1905", "nineteen oh-five"},
        {"en", "date", "", "1/5/2024", "January fifth, twenty twenty-four"},
        {"en", "date", "mdy", "13/31/2024", NULL},
        {"en", "date", "xyz", "1/2/3", NULL},
        {"en", "date", "mdy", "12", NULL},
        {"en", "date", "", "tomorrow", NULL},
        {"en", "time", "hms12", "3:05pm", "three oh five P M"},
        {"en", "time", "hms24", "15:45", "fifteen forty-five"},
        {"en", "time", "", "noon", NULL},
        {"en", "telephone", "", "(212) 555-1234", "two one two, five five five, one two three four"},
        {"en", "telephone", "1", "+44 20", "plus four four, two zero"},
        {"en", "fraction", "", "3/4", "three quarters"},
        {"en", "fraction", "", "2 1/2", "two and a half"},
        {"en", "unit", "", "5'11\"", "five feet eleven inches"},
        {"en", "unit", "", "10 km", "ten kilometers"},
        {"en", "unit", "",
         "-4\xc2\xb0"
         "C",
         "minus four degrees Celsius"},
        {"en", "currency", "", "$3.50", "three dollars and fifty cents"},
        {"en", "currency", "", "USD 5", "five U S dollars"},
        {"en", "currency", "", "money", NULL},
        {"en", "expletive", "", "damn", "beep"},
        {"en", "emphasis", "", "x", NULL},
        {"en", "", "", "x", NULL},
        {"zh", "cardinal", "", "-42", "\xe8\xb4\x9f\xe5\x9b\x9b\xe5\x8d\x81\xe4\xba\x8c"},
        {"zh", "ordinal", "", "3", "\xe7\xac\xac\xe4\xb8\x89"},
        {"zh", "telephone", "", "110", "\xe5\xb9\xba\xe5\xb9\xba\xe9\x9b\xb6"},
        {"zh", "time", "", "10:30", "\xe5\x8d\x81\xe7\x82\xb9\xe4\xb8\x89\xe5\x8d\x81\xe5\x88\x86"},
        {"zh", "fraction", "", "2/3", "\xe4\xb8\x89\xe5\x88\x86\xe4\xb9\x8b\xe4\xba\x8c"},
        {"zh", "cardinal", "", "x", NULL},
        {"de", "cardinal", "", "42", "zweiundvierzig"},
        {"de", "ordinal", "", "3", "dritte"},
        {"de", "digits", "", "12", "eins zwei"},
        {"de", "characters", "", "A1", "A eins"},
        {"de", "time", "", "10:30", NULL},
    };
    normalizer *n = open_languages("en,zh,de");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char room[512];
        text_buffer out = {.text = room, .capacity = sizeof room};
        f5_error error = {0};
        f5_status status =
            normalize_say_as(n, cases[i].language, cases[i].kind, strlen(cases[i].kind), cases[i].format,
                             strlen(cases[i].format), cases[i].text, strlen(cases[i].text), &out, &error);
        if (!cases[i].expected) {
            if (status == F5_OK) fail_msg("%s '%s' is said '%.*s'", cases[i].kind, cases[i].text, (int)out.bytes, room);
            assert_int_equal(out.bytes, 0);
            assert_true(error.message[0] != 0);
            continue;
        }
        if (status) fail_msg("%s", error.message);
        if (out.bytes != strlen(cases[i].expected) || memcmp(room, cases[i].expected, out.bytes) != 0)
            fail_msg("%s '%s' is said '%.*s', not '%s'", cases[i].kind, cases[i].text, (int)out.bytes, room,
                     cases[i].expected);
    }
    normalizer_close(n);
}

/* ---- lexicons */

static lexicon *open_lexicon(const char *text) {
    lexicon *l = NULL;
    f5_error error = {0};
    if (lexicon_open(text, strlen(text), "words.tsv", &l, &error)) fail_msg("%s", error.message);
    return l;
}

static void lexicon_words(void **state) {
    (void)state;
    normalizer *n = open_languages("en,zh");
    lexicon *l = open_lexicon("\xef\xbb\xbf# words of ours\r\n"
                              "tomato\ttuh mah toe\r\n"
                              "SQL\tsequel\n"
                              "St Pauls\tSaint Paul's\n"
                              "St\tsaint\n"
                              "C++\tsee plus plus\n"
                              "\n"
                              "   \n"
                              "\\#one\thash one\n"
                              "2nd\tnumber two\n"
                              " padded \t with spaces \n"
                              ":-)\tsmile\n"
                              "\xe4\xb8\xad\xe5\x9b\xbd\tzhong guo\n"
                              "last\tno newline");
    check(n, "en", l, "A tomato and TOMATO, Tomato.", "A tuh mah toe and tuh mah toe, tuh mah toe.");
    check(n, "en", l, "tomatoes", "tomatoes");
    check(n, "en", l, "cherrytomato", "cherrytomato");
    check(n, "en", l, "SQL and sql", "sequel and sql");
    check(n, "en", l, "St Pauls, St Paul", "Saint Paul's, saint Paul");
    check(n, "en", l, "Use C++.", "Use see plus plus.");
    check(n, "en", l, "#one #two", "hash one hashtag two");
    check(n, "en", l, "The 2nd, the 3rd.", "The number two, the third.");
    check(n, "en", l, "padded last :-)", "with spaces no newline smile");
    check(n, "zh", l, "\xe6\x88\x91\xe7\x88\xb1\xe4\xb8\xad\xe5\x9b\xbd\xe4\xba\xba",
          "\xe6\x88\x91\xe7\x88\xb1zhong guo\xe4\xba\xba");
    lexicon_close(l);
    l = open_lexicon("");
    check(n, "en", l, "A tomato.", "A tomato.");
    lexicon_close(l);
    l = open_lexicon("us\twe\nUS\tthe states\n"); /* exact before any case */
    check(n, "en", l, "us US Us", "we the states we");
    lexicon_close(l);
    lexicon_close(NULL);
    normalizer_close(n);
}

/* ---- hostile text */

static void hostile(void **state) {
    (void)state;
    normalizer *n = open_languages("en,zh,fr");
    lexicon *l = open_lexicon("a\tb\n1\tone\n");
    static const char *const pieces[] = {"1",
                                         "23",
                                         ",",
                                         ".",
                                         "/",
                                         "-",
                                         ":",
                                         "$",
                                         "%",
                                         "'",
                                         "\"",
                                         " ",
                                         "a.m.",
                                         "Jan.",
                                         "X",
                                         "km",
                                         "@",
                                         "#",
                                         "www.",
                                         ".com",
                                         "http://",
                                         "NASA",
                                         "VIII",
                                         "st",
                                         "s",
                                         "v",
                                         "(",
                                         ")",
                                         "+",
                                         "x",
                                         "^",
                                         "*",
                                         "_",
                                         "`",
                                         "[",
                                         "](",
                                         "<",
                                         ">",
                                         "b",
                                         "Dr.",
                                         "St.",
                                         "5'",
                                         "\xc2\xbd",
                                         "\xc2\xb0",
                                         "\xe2\x82\xac",
                                         "\xe2\x80\x93",
                                         "\xe5\xb9\xb4",
                                         "\xef\xbc\x85",
                                         "\xe2",
                                         "\xff",
                                         "e.g.",
                                         "USD",
                                         "00",
                                         "999",
                                         "12:30",
                                         "DON'T",
                                         "CDs",
                                         "=",
                                         "~",
                                         "|",
                                         "\\",
                                         "\n",
                                         "I",
                                         "and",
                                         "the",
                                         "million",
                                         "k"};
    static const char *const languages[] = {"en", "zh", "fr"};
    for (int round = 0; round < 20000; round++) {
        char text[200];
        size_t bytes = 0;
        int count = random_below(&rng, 12);
        for (int i = 0; i < count; i++) {
            if (round % 4 == 0) {
                text[bytes++] = (char)random_below(&rng, 256);
                continue;
            }
            const char *piece = pieces[random_below(&rng, (int32_t)(sizeof pieces / sizeof pieces[0]))];
            memcpy(text + bytes, piece, strlen(piece));
            bytes += strlen(piece);
        }
        text_buffer out;
        f5_error error = {0};
        const char *language = languages[round % 3];
        if (run(n, language, round % 7 ? NULL : l, text, bytes, &out, &error))
            fail_msg("'%.*s' in %s: %s", (int)bytes, text, language, error.message);
        assert_true(utf8_valid_prefix(text, bytes) < bytes || utf8_valid_prefix(out.text, out.bytes) == out.bytes);
        /* a buffer that is too small is an error, and nothing is written past it */
        size_t least = out.bytes;
        free(out.text);
        out = (text_buffer){.capacity = least > 0 ? (size_t)random_below(&rng, (int32_t)least) : 0};
        out.text = malloc(out.capacity + 1);
        if (least > 0)
            assert_int_equal(normalize_text(n, language, round % 7 ? NULL : l, text, bytes, &out, &error), F5_E_LIMIT);
        assert_true(out.bytes <= out.capacity);
        free(out.text);
    }
    lexicon_close(l);
    normalizer_close(n);
}

/* A megabyte of one piece, or of pieces in turn: done in a time that grows with the length, within the bound. */
static void long_texts(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "7",  "7 ", "1,000", "a",      "A",  "AB ",   "1-", "1.", "1:", "$1 ",  "a.",   "'", "\"1",
        "<b", "[",  "](",    "x.com/", "@a", "5 km ", "=",  "- ", "((", "1/2 ", "St. ", "_"};
    normalizer *n = open_languages("en,zh,de");
    static const char *const languages[] = {"en", "zh", "de"};
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        for (size_t k = 0; k < 3; k++) {
            size_t bytes = i == 0 && k == 0 ? BYTES : BYTES / 8, piece = strlen(pieces[i]);
            for (size_t at = 0; at < bytes; at++) text[at] = pieces[i][at % piece];
            clock_t begin = clock();
            text_buffer out;
            f5_error error = {0};
            if (run(n, languages[k], NULL, text, bytes, &out, &error)) fail_msg("%s: %s", pieces[i], error.message);
            free(out.text);
            double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
            /* a square of the length would take minutes; a sanitizer takes ten times as long as without */
            if (seconds > 5) fail_msg("%zu bytes of '%s' in %s take %.1f s", bytes, pieces[i], languages[k], seconds);
            if (getenv("F5_TEST_TIMES")) printf("%s %s %.3f\n", pieces[i], languages[k], seconds);
        }
    free(text);
    normalizer_close(n);
}

static void speed(void **state) {
    (void)state;
    normalizer *n = open_languages("en");
    char *table = read_file(F5_TEST_DATA, "normalize_en.tsv");
    char plain[] = "The children are playing in the garden, and nobody knew why the light was still on.";
    const char *texts[] = {plain, table};
    double rates[2];
    for (int k = 0; k < 2; k++) {
        size_t bytes = strlen(texts[k]), done = 0;
        text_buffer out = {.capacity = bytes * NORMALIZE_GROWTH + NORMALIZE_EXTRA};
        out.text = malloc(out.capacity);
        f5_error error = {0};
        clock_t begin = clock();
        while (clock() - begin < CLOCKS_PER_SEC / 5) {
            /* a line at a time, as sentences come */
            for (const char *line = texts[k], *end; *line; line = *end ? end + 1 : end) {
                end = strchr(line, '\n') ? strchr(line, '\n') : line + strlen(line);
                out.bytes = 0;
                assert_int_equal(normalize_text(n, "en", NULL, line, (size_t)(end - line), &out, &error), F5_OK);
            }
            done += bytes;
        }
        rates[k] = (double)done / 1e6 / ((double)(clock() - begin) / CLOCKS_PER_SEC);
        free(out.text);
    }
    printf("plain text %.1f MB/s, a text of numbers and abbreviations %.1f MB/s\n", rates[0], rates[1]);
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
    assert_true(rates[0] >= 5); /* what an engine that speaks 1000 times as fast as people do takes is 0.02 */
#endif
    normalizer_close(n);
}

int main(void) {
    rng = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(english),         cmocka_unit_test(chinese),           cmocka_unit_test(plain_text_stays),
        cmocka_unit_test(other_languages), cmocka_unit_test(languages_by_name), cmocka_unit_test(say_as),
        cmocka_unit_test(lexicon_words),   cmocka_unit_test(hostile),           cmocka_unit_test(long_texts),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

/* Without ICU there are English and Chinese. */
static void without_icu(void **state) {
    (void)state;
    normalizer *n = NULL;
    f5_error error = {0};
    char room[256];
    text_buffer out = {.text = room, .capacity = sizeof room};
    assert_int_equal(normalizer_open("en,zh", &n, &error), F5_OK);
    assert_int_equal(normalize_text(n, "en", NULL, "Dr. Lee MUST go.", 16, &out, &error), F5_OK);
    assert_int_equal(out.bytes, strlen("Doctor Lee must go."));
    out.bytes = 0;
    assert_int_equal(normalize_text(n, "en", NULL, "I am 5.", 7, &out, &error), F5_OK);
    assert_memory_equal(room, "I am five.", 10);
    normalizer_close(n);
    assert_int_equal(normalizer_open("de", &n, &error), F5_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "libicu-dev"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_icu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
