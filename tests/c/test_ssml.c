/* test_ssml.c — SSML documents, good and bad, broken at every byte, mutated, and built to exhaust the reader. Under
 * sanitizers in the asan build: each document lies in memory of just its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "host/text/ssml.h"
#include "tests/c/seed.h"
#include "tests/c/ssml_documents.h"
#include "weights/utf8.h"

#define MUTATIONS 20000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t rng;
static ssml_reader reader;

/* The events of a document, written down. */
typedef struct {
    char text[1 << 16];
    size_t bytes, events;
    f5_status status;
    f5_error error;
} outcome;

static outcome got;

static void put(const char *text, size_t bytes) {
    if (bytes == 0) return;
    if (bytes > sizeof(got.text) - 1 - got.bytes) bytes = sizeof(got.text) - 1 - got.bytes;
    memcpy(got.text + got.bytes, text, bytes);
    got.bytes += bytes;
    got.text[got.bytes] = '\0';
}

static void put_string(const char *text) {
    put(text, strlen(text));
}

static void put_event(const ssml_event *e) {
    char number[64] = "";
    static const char *const open[] = {
        [SSML_SUB] = "{sub ", [SSML_BREAK] = "{B ", [SSML_SENTENCE_END] = "{S",    [SSML_PARAGRAPH_END] = "{P",
        [SSML_VOICE] = "{V ", [SSML_RATE] = "{R ",  [SSML_SAY_AS_BEGIN] = "{say ", [SSML_SAY_AS_END] = "{/say"};
    if (e->kind != SSML_TEXT) put_string(open[e->kind]);
    if (e->kind == SSML_BREAK) snprintf(number, sizeof(number), "%.6g", e->seconds);
    if (e->kind == SSML_RATE) snprintf(number, sizeof(number), "%.6g", e->rate);
    put_string(number);
    put(e->text, e->bytes);
    if (e->kind == SSML_SAY_AS_BEGIN) {
        put_string("|");
        put(e->format, e->format_bytes);
        put_string("|");
        put(e->detail, e->detail_bytes);
    }
    if (e->kind != SSML_TEXT) put_string("}");
}

/* What holds for every event of any document. */
static void check_event(const ssml_event *e) {
    assert_int_equal(utf8_valid_prefix(e->text, e->bytes), e->bytes);
    for (size_t i = 0; i < e->bytes; i++) assert_null(strchr("\n\r\t", e->text[i]));
    assert_true(e->bytes > 0 || (e->kind != SSML_TEXT && e->kind != SSML_SUB));
    if (e->kind == SSML_BREAK) assert_true(e->seconds >= 0 && e->seconds <= 60);
    if (e->kind == SSML_RATE) assert_true(e->rate >= 0.1 && e->rate <= 10);
}

/* Reads a document to its end or its error into `got`. */
static void read_document(const char *document, size_t bytes) {
    char *exact = malloc(bytes + (bytes == 0));
    memcpy(exact, document, bytes);
    memset(&got.error, 0, sizeof(got.error));
    got.bytes = got.events = 0;
    got.text[0] = '\0';
    ssml_event event = {0};
    memset(&reader, 0xA5, sizeof(reader));
    got.status = ssml_open(&reader, exact, bytes, &got.error);
    while (got.status == F5_OK) {
        got.status = ssml_next(&reader, &event, &got.error);
        if (got.status != F5_OK || event.kind == SSML_END) break;
        check_event(&event);
        put_event(&event);
        assert_true(++got.events <= 2 * bytes);
    }
    if (got.status == F5_OK) {
        assert_int_equal(ssml_next(&reader, &event, &got.error), F5_OK); /* and so it stays */
        assert_int_equal(event.kind, SSML_END);
    } else {
        const char *message = got.error.message;
        assert_true(got.status == F5_E_FORMAT || got.status == F5_E_UNSUPPORTED);
        assert_int_equal(strncmp(message, "SSML, line ", 11), 0);
        assert_null(strchr(message, '\n'));
        assert_int_equal(utf8_valid_prefix(message, strlen(message)), strlen(message));
    }
    free(exact);
}

static void good_documents(void **state) {
    (void)state;
    assert_true(COUNT(ssml_good) >= 60);
    for (size_t i = 0; i < COUNT(ssml_good); i++) {
        read_document(ssml_good[i].document, strlen(ssml_good[i].document));
        if (got.status != F5_OK) fail_msg("%s\n%s", ssml_good[i].document, got.error.message);
        if (strcmp(got.text, ssml_good[i].expected) != 0)
            fail_msg("%s\n  gives    %s\n  expected %s", ssml_good[i].document, got.text, ssml_good[i].expected);
    }
}

static void bad_documents(void **state) {
    (void)state;
    assert_true(COUNT(ssml_bad) >= 60);
    for (size_t i = 0; i < COUNT(ssml_bad); i++) {
        read_document(ssml_bad[i].document, strlen(ssml_bad[i].document));
        if (got.status == F5_OK) fail_msg("%s\n  was read: %s", ssml_bad[i].document, got.text);
        if (!strstr(got.error.message, ssml_bad[i].expected))
            fail_msg("%s\n  says     %s\n  expected %s", ssml_bad[i].document, got.error.message, ssml_bad[i].expected);
    }
    read_document("<speak>\0</speak>", 16);
    assert_non_null(strstr(got.error.message, "U+0000"));
}

/* Every beginning of every good document but those that end after the root is an error. */
static void truncations(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ssml_good); i++) {
        const char *document = ssml_good[i].document;
        size_t bytes = strlen(document), root = bytes; /* where the root has ended */
        while (root > 0 && strncmp(document + root - 1, "</speak", 7) != 0) root--;
        for (size_t n = 0; n < bytes; n++) {
            read_document(document, n);
            if (n < root) assert_int_not_equal(got.status, F5_OK);
        }
    }
}

/* Good documents with one to four bytes changed, dropped or doubled. */
static void mutations(void **state) {
    (void)state;
    static const char likely[] = "<>&;/!?-[]'\"= \n#xps0919\xC3\xA9\x80";
    size_t passed = 0;
    for (int i = 0; i < MUTATIONS; i++) {
        char document[1024];
        const char *from = ssml_good[random_below(&rng, (int32_t)COUNT(ssml_good))].document;
        size_t bytes = strlen(from);
        assert_true(bytes + 8 < sizeof(document));
        memcpy(document, from, bytes);
        for (int k = random_below(&rng, 4); k >= 0; k--) {
            size_t at = (size_t)random_below(&rng, (int32_t)bytes);
            char c = random_below(&rng, 3) ? likely[random_below(&rng, sizeof(likely) - 1)] : (char)random_next(&rng);
            int how = random_below(&rng, 3);
            if (how == 0) document[at] = c;
            if (how == 1) memmove(document + at, document + at + 1, --bytes - at);
            if (how == 2) {
                memmove(document + at + 1, document + at, bytes++ - at);
                document[at] = c;
            }
            if (bytes == 0) break;
        }
        read_document(document, bytes);
        passed += got.status == F5_OK;
    }
    assert_true(passed > MUTATIONS / 100 && passed < MUTATIONS * 9 / 10);
}

/* A document made of a head, a part many times over, and a tail. */
static void read_repeated(const char *head, const char *part, size_t times, const char *tail) {
    size_t n = strlen(part), bytes = strlen(head) + n * times + strlen(tail);
    char *document = malloc(bytes + 1), *to = document;
    memcpy(to, head, strlen(head));
    to += strlen(head);
    for (size_t i = 0; i < times; i++, to += n) memcpy(to, part, n);
    memcpy(to, tail, strlen(tail));
    read_document(document, bytes);
    free(document);
}

static void expect_error(const char *part) {
    assert_int_not_equal(got.status, F5_OK);
    if (!strstr(got.error.message, part)) fail_msg("says %s\n  expected %s", got.error.message, part);
}

static void bombs(void **state) {
    (void)state;
    clock_t start = clock();
    read_repeated("<!DOCTYPE lolz [<!ENTITY lol \"lol\">", "<!ENTITY lol1 \"&lol;&lol;&lol;&lol;&lol;&lol;&lol;\">", 9,
                  "]><speak>&lol9;</speak>");
    expect_error("a DOCTYPE");
    read_repeated("<speak>", "<voice name='a'>", 31, "x");
    expect_error("the document ends before </voice>");
    read_repeated("<speak>", "<voice name='a'>", 32, "x");
    expect_error("elements are nested more than 32 deep");
    read_repeated("<speak>", "<prosody rate='1'>", 1000000, "x");
    expect_error("elements are nested more than 32 deep");
    read_repeated("<speak><voice name='", "a", 1024, "'/></speak>");
    assert_int_equal(got.status, F5_OK);
    read_repeated("<speak><voice name='", "a", 1025, "'/></speak>");
    expect_error("an attribute's value is longer than 1024 bytes");
    read_repeated("<speak><voice name='", "&#233;", 512, "'/></speak>");
    assert_int_equal(got.status, F5_OK);
    read_repeated("<speak><voice name='", "&#x1F600;", 1000000, "'/></speak>");
    expect_error("an attribute's value is longer than 1024 bytes");
    read_repeated("<", "a", 1000000, ">");
    expect_error("the name of an element is longer than 64 bytes");
    read_repeated("<speak ", "a", 65, "=''/>");
    expect_error("the name of an attribute is longer than 64 bytes");
    read_repeated("<speak>&", "a", 1000000, ";</speak>");
    expect_error("a lone &");
    read_repeated("<speak>&#", "0", 1000000, "65;</speak>");
    assert_string_equal(got.text, "A");
    read_repeated("<speak><!--", " ", 1 << 20, "-->a</speak>");
    assert_string_equal(got.text, "a");
    read_repeated("<speak><!--", "- ", 1 << 20, "");
    expect_error("a comment does not end");
    read_repeated("<speak>a", " \n", 1 << 20, "b</speak>");
    assert_string_equal(got.text, "a b");
    read_repeated("<speak>", "]]", 1 << 19, "</speak>");
    assert_int_equal(got.status, F5_OK);
    read_repeated("<speak>", "<p>a</p>", 100000, "</speak>");
    assert_int_equal(got.events, 200000);
    read_repeated("<speak ", "version='1.1' ", 1000000, "/>");
    expect_error("stands there twice");
    read_repeated("", "<?pi?>", 1000000, "<speak/>");
    assert_int_equal(got.status, F5_OK);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20); /* 30 MB in well under 2 s; quadratic time is hours */
}

int main(void) {
    rng = random_seed();
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_documents), cmocka_unit_test(bad_documents),
                                       cmocka_unit_test(truncations), cmocka_unit_test(mutations),
                                       cmocka_unit_test(bombs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
