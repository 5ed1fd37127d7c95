/* test_json.c — the JSON reader: what it takes, what it refuses and why, escaping, damaged text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/c/seed.h"
#include "weights/json.h"
#include "weights/utf8.h"

/* A copy that ends where the text ends, so that a sanitizer sees any byte read past it. */
static f5_status parse(json_document *d, const char *text, size_t bytes, f5_error *error) {
    char *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, text, bytes);
    f5_status status = json_parse(d, copy, bytes, "test", error);
    free(copy);
    return status;
}

static void test_accepts(void **state) {
    (void)state;
    static const char *const texts[] = {"null",
                                        " true ",
                                        "\t\r\nfalse\n",
                                        "0",
                                        "-0",
                                        "10",
                                        "-1.5e+10",
                                        "1E2",
                                        "0.25e-3",
                                        "\"\"",
                                        "[]",
                                        "[ ]",
                                        "{}",
                                        "{ }",
                                        "[[],{},[[]]]",
                                        "{\"\":1}",
                                        "{\"a\":{\"a\":{\"a\":0}}}",
                                        "[1 , 2\n,3]",
                                        "\"\xf0\x9f\x98\x80\"",
                                        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_document d;
        f5_error error = {0};
        if (parse(&d, texts[i], strlen(texts[i]), &error) != F5_OK) fail_msg("%s refused: %s", texts[i], error.message);
        json_free(&d);
    }
}

static void test_refuses(void **state) {
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "ends where a value"},
        {"   ", "ends where a value"},
        {"nul", "expected a value"},
        {"nulL", "expected a value"},
        {"nullnull", "something follows"},
        {"[1]x", "something follows"},
        {"{} {}", "something follows"},
        {"01", "something follows"},
        {"-", "expected a value"},
        {"+1", "expected a value"},
        {".5", "expected a value"},
        {"1.", "expected a digit"},
        {"1e", "expected a digit"},
        {"1e+", "expected a digit"},
        {"NaN", "expected a value"},
        {"Infinity", "expected a value"},
        {"[1,]", "expected a value"},
        {"[,1]", "expected a value"},
        {"[1 2]", "expected ','"},
        {"[1", "ends too early"},
        {"[", "ends where a value"},
        {"[1}", "expected ','"},
        {"{\"a\":1]", "expected ','"},
        {"]", "expected a value"},
        {"{\"a\"}", "expected ':'"},
        {"{\"a\":}", "expected a value"},
        {"{\"a\":1,}", "expected a key"},
        {"{a:1}", "expected a key"},
        {"{1:1}", "expected a key"},
        {"{'a':1}", "expected a key"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "twice"},
        {"{\"a\":1,\"\\u0061\":3}", "twice"},
        {"[{\"x\":{\"k\":1,\"k\":1}}]", "twice"},
        {"\"", "ends inside a string"},
        {"\"abc", "ends inside a string"},
        {"\"abc\\", "ends inside a string"},
        {"\"\\", "ends inside a string"},
        {"\"\\x\"", "not an escape"},
        {"\"\\u12\"", "not an escape"},
        {"\"\\u12g4\"", "not an escape"},
        {"\"\\u", "not an escape"},
        {"\"\\u0000\"", "NUL"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\ud800\\n\"", "surrogate"},
        {"\"\\ud800\\ud800\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"\\ud83d\\u", "surrogate"},
        {"\"a\nb\"", "control"},
        {"\"\x01\"", "control"},
        {"\"\x80\"", "UTF-8"},
        {"\"\xc0\x80\"", "UTF-8"},
        {"\"\xe0\x80\x80\"", "UTF-8"},
        {"\"\xed\xa0\x80\"", "UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "UTF-8"},
        {"\"\xff\"", "UTF-8"},
        {"\"\xe2\x82", "UTF-8"},
        {"\xef\xbb\xbf{}", "expected a value"},
        {"// no\n1", "expected a value"},
        {"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "too deeply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_document d;
        f5_error error = {0};
        if (parse(&d, cases[i].text, strlen(cases[i].text), &error) != F5_E_FORMAT) fail_msg("%s taken", cases[i].text);
        if (!strstr(error.message, cases[i].reason))
            fail_msg("%s refused for another reason: %s", cases[i].text, error.message);
        assert_null(d.nodes);
    }
    json_document d;
    assert_int_equal(parse(&d, "\"a\0b\"", 5, NULL), F5_E_FORMAT); /* a NUL byte in the text */
    assert_int_equal(parse(&d, "1\0", 2, NULL), F5_E_FORMAT);
}

static void test_values(void **state) {
    (void)state;
    static const char text[] =
        "{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00z\",\"n\":-12,\"l\":[1,[2],{}],\"t\":true}";
    json_document d;
    assert_int_equal(parse(&d, text, strlen(text), NULL), F5_OK);
    const json_node *root = &d.nodes[0], *s = json_member(&d, root, "s"), *l = json_member(&d, root, "l");
    assert_int_equal(root->count, 4);
    assert_string_equal(s->text, "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    assert_int_equal(s->text_bytes, strlen(s->text));
    assert_string_equal(s->key, "s");
    int64_t value = 0;
    assert_true(json_int64(json_member(&d, root, "n"), &value));
    assert_int_equal(value, -12);
    assert_int_equal(l->count, 3);
    const json_node *first = json_first(&d, l), *second = json_next(&d, first), *third = json_next(&d, second);
    assert_int_equal(first->type, JSON_NUMBER);
    assert_int_equal(second->type, JSON_ARRAY);
    assert_string_equal(json_first(&d, second)->text, "2");
    assert_int_equal(third->type, JSON_OBJECT);
    assert_null(json_next(&d, third));
    assert_null(json_first(&d, third));
    assert_null(json_member(&d, root, "x"));
    json_free(&d);
    json_free(&d);
}

static void test_integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } cases[] = {{"0", true, 0},
                 {"-0", true, 0},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"99999999999999999999999999", false, 0},
                 {"1.0", false, 0},
                 {"1e3", false, 0},
                 {"\"1\"", false, 0},
                 {"true", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_document d;
        int64_t value = 77;
        assert_int_equal(parse(&d, cases[i].text, strlen(cases[i].text), NULL), F5_OK);
        if (json_int64(&d.nodes[0], &value) != cases[i].fits) fail_msg("%s", cases[i].text);
        assert_true(value == (cases[i].fits ? cases[i].value : 77));
        json_free(&d);
    }
}

/* "[0,0,...]" with as many values as are allowed, the array itself among them, and with one more. */
static void test_node_limit(void **state) {
    (void)state;
    size_t bytes = 2 * (size_t)JSON_MAX_NODES + 1;
    char *text = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) text[i] = i % 2 ? '0' : ',';
    text[0] = '[';
    json_document d;
    text[bytes - 3] = ']'; /* JSON_MAX_NODES - 1 zeros */
    assert_int_equal(json_parse(&d, text, bytes - 2, "test", NULL), F5_OK);
    assert_int_equal(d.count, JSON_MAX_NODES);
    json_free(&d);
    text[bytes - 3] = ',';
    text[bytes - 1] = ']';
    assert_int_equal(json_parse(&d, text, bytes, "test", NULL), F5_E_FORMAT);
    free(text);
}

static void test_escape(void **state) {
    (void)state;
    char out[64];
    assert_int_equal(json_escape(out, sizeof out, "a\"\\\n\x01\x7f\xc2\x85\xc3\xa9\xff", 11),
                     1 + 2 + 2 + 2 + 6 + 6 + 6 + 2 + 6);
    assert_string_equal(out, "a\\\"\\\\\\n\\u0001\\u007f\\u0085\xc3\xa9\\ufffd");
    for (size_t size = 1; size < sizeof out; size++) { /* never half a character, always terminated */
        memset(out, 'x', sizeof out);
        json_escape(out, size, "\xe2\x82\xac\n\xe2\x82\xac", 7);
        assert_true(strlen(out) < size);
        assert_int_equal(utf8_valid_prefix(out, strlen(out)), strlen(out));
        assert_true(strlen(out) == 0 || strlen(out) == 3 || strlen(out) == 5 || strlen(out) == 8);
    }
    assert_int_equal(json_escape(NULL, 0, "\n", 1), 2);
}

/* Any text: escaped, parsed, the same. Any character: encoded, decoded, the same. */
static void test_round_trip(void **state) {
    uint64_t *random = *state;
    for (int round = 0; round < 2000; round++) {
        char text[256], escaped[6 * sizeof text + 3];
        size_t bytes = 0;
        while (bytes < (size_t)random_below(random, 250)) {
            uint32_t code = (uint32_t)random_next(random) >> (random_below(random, 25) + 7);
            uint32_t decoded = 0;
            if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) continue;
            size_t length = utf8_encode(text + bytes, code);
            assert_int_equal(utf8_decode(text + bytes, length, &decoded), length);
            assert_int_equal(utf8_decode(text + bytes, length - 1, &decoded), 0);
            assert_int_equal(utf8_decode(text + bytes, length, &decoded), length);
            assert_int_equal(decoded, code);
            bytes += length;
        }
        size_t length = json_escape(escaped + 1, sizeof escaped - 2, text, bytes);
        escaped[0] = escaped[length + 1] = '"';
        json_document d;
        f5_error error = {0};
        if (parse(&d, escaped, length + 2, &error) != F5_OK) fail_msg("%s", error.message);
        assert_int_equal(d.nodes[0].text_bytes, bytes);
        assert_memory_equal(d.nodes[0].text, text, bytes);
        json_free(&d);
    }
}

/* Damaged text is taken or refused, with no read or write outside (the sanitizers watch). */
static void test_damage(void **state) {
    uint64_t *random = *state;
    static const char good[] =
        "{\"__metadata__\":{\"a\":\"\\u00e9\\ud83d\\ude00\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,-3.5e1],"
        "\"data_offsets\":[0,24]},\"n\":[null,true,false,[],{}]}";
    static const char likely[] = "{}[]\",:\\u0123456789abcdefntr-+.eE \n\xc3\xa9\xff";
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t bytes = (size_t)random_below(random, sizeof good);
        if (round % 2) bytes = sizeof good - 1;
        for (int edits = random_below(random, 4); edits >= 0; edits--)
            text[random_below(random, sizeof good - 1)] = likely[random_below(random, sizeof likely)];
        json_document d;
        f5_error error = {0};
        if (parse(&d, text, bytes, &error) != F5_OK) assert_true(strncmp(error.message, "test: ", 6) == 0);
        json_free(&d);
    }
}

int main(void) {
    uint64_t random = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_node_limit),
        cmocka_unit_test(test_escape),
        cmocka_unit_test_prestate(test_round_trip, &random),
        cmocka_unit_test_prestate(test_damage, &random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
