/* test_multipart.c — bodies of multipart/form-data: what they hold, however they are cut, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/server/multipart.h"
#include "tests/c/seed.h"

#define TYPE "multipart/form-data; boundary=b-1"
#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

/* What the calls told: "name/file/type{data}" a part. */
typedef struct {
    char text[8192];
    size_t n;
    bool refuse;
} told;

static void put(told *t, const char *bytes, size_t n) {
    assert_true(t->n + n < sizeof t->text);
    memcpy(t->text + t->n, bytes, n);
    t->n += n;
    t->text[t->n] = '\0';
}

static f5_status on_part(void *user, const multipart_part *part, f5_error *error) {
    told *t = user;
    char head[512];
    if (t->refuse) return f5_fail(error, F5_E_MEMORY, "no room");
    put(t, head,
        (size_t)snprintf(head, sizeof head, "%s%s%s/%s{", part->name, part->is_file ? "/" : "", part->file,
                         part->type));
    return F5_OK;
}

static f5_status on_data(void *user, const char *bytes, size_t n, f5_error *error) {
    (void)error;
    assert_true(n > 0);
    put(user, bytes, n);
    return F5_OK;
}

static f5_status on_end(void *user, f5_error *error) {
    (void)error;
    put(user, "}", 1);
    return F5_OK;
}

/* Reads the body in two bites, the first of them `cut` bytes, or byte by byte where that is past its end. */
static f5_status read_body(const char *type, const char *body, size_t n, size_t cut, told *t, f5_error *error) {
    multipart m;
    const multipart_calls calls = {on_part, on_data, on_end, t};
    t->n = 0;
    t->text[0] = '\0';
    F5_TRY(multipart_begin(&m, type, &calls, error));
    if (cut <= n) {
        F5_TRY(multipart_push(&m, body, cut, error));
        F5_TRY(multipart_push(&m, body + cut, n - cut, error));
    } else {
        for (size_t i = 0; i < n; i++) F5_TRY(multipart_push(&m, body + i, 1, error));
    }
    return multipart_finish(&m, error);
}

static void test_good_bodies(void **state) {
    (void)state;
    static const struct {
        const char *body, *told;
    } cases[] = {
        {"--b-1--", ""},
        {"\r\n--b-1--\r\nepilogue --b-1 \r\n--b-1\r\n", ""},
        {"--b-1\r\n" FIELD("a") "\r\n--b-1--\r\n", "a/{}"},
        {"--b-1\r\n" FIELD("a") "one\r\n--b-1\r\n" FIELD("b") "two\r\n--b-1--", "a/{one}b/{two}"},
        {"--b-1 \t \r\n" FIELD("a") "x\r\n--b-1--", "a/{x}"},
        {"--b-1\r\n" FIELD("a") "\r\n--b-\r\n-\r\r\n--b\r\n--b-1--", "a/{\r\n--b-\r\n-\r\r\n--b}"},
        {"--b-1\r\n" FIELD("a") "--b-1\r\r\r\n\r\n--b-1--", "a/{--b-1\r\r\r\n}"},
        {"--b-1\r\ncontent-disposition: FORM-DATA; filename=\"C:\\x\\a \\\"b\\\".wav\"; NAME=sample\r\n"
         "Content-Type:  audio/wav \r\nX-Other: y\r\n\r\nRIFF\r\n--b-1--",
         "sample/C:\\x\\a \"b\".wav/audio/wav {RIFF}"},
        {"--b-1\r\nContent-Disposition: form-data; name=\"\xc3\xa9\"; filename=\"\"\r\n\r\nx\r\n--b-1--",
         "\xc3\xa9//{x}"},
        {"--b-1\r\nContent-Disposition: form-data; name=\"a\"; filename*=UTF-8''x\r\n"
         "Content-Transfer-Encoding: Binary\r\n\r\nx\r\n--b-1--",
         "a/{x}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].body);
        for (size_t cut = 0; cut <= n + 1; cut++) {
            told t = {0};
            f5_error error = {0};
            if (read_body(TYPE, cases[i].body, n, cut, &t, &error) != F5_OK)
                fail_msg("body %zu cut at %zu: %s", i, cut, error.message);
            assert_string_equal(t.text, cases[i].told);
        }
    }
}

static void test_bad_bodies(void **state) {
    (void)state;
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"", "cut off"},
        {"x--b-1--", "does not begin with the boundary"},
        {"\r\n\r\n--b-1--", "does not begin with the boundary"},
        {"--b-2--", "does not begin with the boundary"},
        {"--b-1x\r\n", "something behind it"},
        {"--b-1-x", "something behind it"},
        {"--b-1\n" FIELD("a") "x\r\n--b-1--", "something behind it"},
        {"--b-1\rx", "something behind it"},
        {"--b-1\r\n" FIELD("a") "x\r\n--b-1", "cut off"},
        {"--b-1\r\n" FIELD("a") "x\r\n--b-1-", "cut off"},
        {"--b-1\r\n" FIELD("a") "x\n--b-1--", "cut off"},
        {"--b-1\r\n\r\nx\r\n--b-1--", "has no Content-Disposition"},
        {"--b-1\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b-1--", "has no name"},
        {"--b-1\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n--b-1--", "has no name"},
        {"--b-1\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--b-1--", "is no form-data"},
        {"--b-1\r\nContent-Disposition: form-datax; name=a\r\n\r\nx\r\n--b-1--", "cannot be read"},
        {"--b-1\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--b-1--", "cannot be read"},
        {"--b-1\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\nx\r\n--b-1--", "given twice"},
        {"--b-1\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b\r\n\r\nx", "two"},
        {"--b-1\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\nx", "cannot be read"},
        {"--b-1\r\nX: y\r\n folded\r\n", "no header"},
        {"--b-1\r\nX : y\r\n", "no header"},
        {"--b-1\r\nno header\r\n", "no header"},
        {"--b-1\r\nX: y\n", "without CR"},
        {"--b-1\r\n\n", "without CR"},
        {"--b-1\r\nX: \x01\r\n", "control character"},
        {"--b-1\r\nX: a\rb\r\n", "control character"},
        {"--b-1\r\nContent-Disposition: form-data; name=\"\xff\"\r\n", "malformed UTF-8"},
        {"--b-1\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n", "two Content-Type"},
        {"--b-1\r\nContent-Transfer-Encoding: base64\r\n", "send it binary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = strlen(cases[i].body);
        for (size_t cut = 0; cut <= n + 1; cut++) {
            told t = {0};
            f5_error error = {0};
            f5_status status = read_body(TYPE, cases[i].body, n, cut, &t, &error);
            if (status == F5_OK || !strstr(error.message, cases[i].says))
                fail_msg("body %zu cut at %zu: status %d, \"%s\"", i, cut, (int)status, error.message);
        }
    }
}

static void test_types(void **state) {
    (void)state;
    static const char *const good[] = {"multipart/form-data; boundary=b-1", "Multipart/Form-Data;boundary=\"b-1\"",
                                       " multipart/form-data ; charset=utf-8 ; BOUNDARY=b-1 "};
    static const char *const bad[] = {NULL,
                                      "",
                                      "multipart/mixed; boundary=b-1",
                                      "multipart/form-data",
                                      "multipart/form-data; boundary=",
                                      "multipart/form-data; boundary=\"\"",
                                      "multipart/form-data; boundary=a; boundary=b",
                                      "multipart/form-data; boundary=a b",
                                      "multipart/form-data; boundary=\"a \"",
                                      "multipart/form-data; boundary=\"a\x01\"",
                                      "multipart/form-data; boundary=\"a\xc3\xa9\"",
                                      "multipart/form-data boundary=a",
                                      "multipart/form-datax; boundary=a",
                                      "multipart/form-data; boundary=\"a"};
    told t = {0};
    f5_error error = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(read_body(good[i], "--b-1--", 7, 7, &t, &error), F5_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(read_body(bad[i], "--b-1--", 7, 7, &t, &error), F5_E_ARGUMENT);
    char longest[128] = "multipart/form-data; boundary=";
    size_t n = strlen(longest);
    memset(longest + n, 'x', MULTIPART_MAX_BOUNDARY);
    multipart m;
    const multipart_calls calls = {on_part, on_data, on_end, &t};
    assert_int_equal(multipart_begin(&m, longest, &calls, &error), F5_OK);
    longest[n + MULTIPART_MAX_BOUNDARY] = 'x';
    assert_int_equal(multipart_begin(&m, longest, &calls, &error), F5_E_ARGUMENT);
    assert_int_equal(multipart_push(&m, "x", 1, &error), F5_E_ARGUMENT); /* and it stays failed */
}

/* Bombs: each is refused at its limit, whatever follows. */
static void test_limits(void **state) {
    (void)state;
    static char body[65536];
    told t = {0};
    f5_error error = {0};
    multipart m;
    const multipart_calls calls = {on_part, on_data, on_end, &t};
    size_t n = 0;
    for (int i = 0; i < MULTIPART_MAX_PARTS + 1; i++) n += (size_t)sprintf(body + n, "--b-1\r\n" FIELD("a") "x\r\n");
    strcpy(body + n - 2, "\r\n--b-1--");
    assert_int_equal(read_body(TYPE, body, strlen(body), 0, &t, &error), F5_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "more than 32 parts"));
    n = (size_t)sprintf(body, "--b-1\r\n");
    for (int i = 0; i < MULTIPART_MAX_HEADERS + 1; i++) n += (size_t)sprintf(body + n, "X: y\r\n");
    assert_int_equal(read_body(TYPE, body, n, 0, &t, &error), F5_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "more than 16 headers"));
    n = (size_t)sprintf(body, "--b-1\r\nX: ");
    memset(body + n, 'y', 60000);
    assert_int_equal(read_body(TYPE, body, n + 60000, 0, &t, &error), F5_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "more than 2048 bytes"));
    sprintf(body, "--b-1\r\nContent-Disposition: form-data; name=\"%0200d\"\r\n\r\n", 7);
    assert_int_equal(read_body(TYPE, body, strlen(body), 0, &t, &error), F5_E_FORMAT);
    sprintf(body, "--b-1\r\nContent-Type: %0200d\r\n\r\n", 7);
    assert_int_equal(read_body(TYPE, body, strlen(body), 0, &t, &error), F5_E_UNSUPPORTED);
    sprintf(body, "--b-1%100s\r\n", "");
    assert_int_equal(read_body(TYPE, body, strlen(body), 0, &t, &error), F5_E_FORMAT);
    t.refuse = true;
    assert_int_equal(multipart_begin(&m, TYPE, &calls, &error), F5_OK);
    assert_int_equal(multipart_push(&m, "--b-1\r\n" FIELD("a"), strlen("--b-1\r\n" FIELD("a")), &error), F5_E_MEMORY);
    assert_string_equal(error.message, "no room");
    assert_int_equal(multipart_push(&m, "x", 1, &error), F5_E_MEMORY);
    assert_int_equal(multipart_finish(&m, &error), F5_E_MEMORY);
}

/* Random data of the delimiter's own bytes, in random bites, comes out as it went in. */
static void test_random_data(void **state) {
    (void)state;
    uint64_t random = random_seed();
    static const char alphabet[] = "\r\n-b1x";
    for (int round = 0; round < 3000; round++) {
        char data[64], body[256], wanted[96];
        size_t n_data = (size_t)random_below(&random, 40);
        for (size_t i = 0; i < n_data; i++) data[i] = alphabet[random_below(&random, 6)];
        data[n_data] = '\0';
        if (strstr(data, "\r\n--b-1")) continue;
        int n = snprintf(body, sizeof body, "--b-1\r\n" FIELD("a") "%s\r\n--b-1--", data);
        snprintf(wanted, sizeof wanted, "a/{%s}", data);
        told t = {0};
        f5_error error = {0};
        multipart m;
        const multipart_calls calls = {on_part, on_data, on_end, &t};
        assert_int_equal(multipart_begin(&m, TYPE, &calls, &error), F5_OK);
        for (int at = 0; at < n;) {
            int bite = 1 + random_below(&random, 9);
            if (bite > n - at) bite = n - at;
            assert_int_equal(multipart_push(&m, body + at, (size_t)bite, &error), F5_OK);
            at += bite;
        }
        assert_int_equal(multipart_finish(&m, &error), F5_OK);
        assert_string_equal(t.text, wanted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_bodies), cmocka_unit_test(test_bad_bodies),  cmocka_unit_test(test_types),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_random_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
