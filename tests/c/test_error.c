/* test_error.c — messages: what is cut, what is shown in another way, and that printf would say the same of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/error.h"
#include "weights/utf8.h"

static const char *said(const char *format, ...) {
    static f5_error error;
    va_list args;
    va_start(args, format);
    f5_format(error.message, sizeof error.message, format, args);
    va_end(args);
    return error.message;
}

/* Of what needs no care every conversion is printf's. */
static void test_as_printf(void **state) {
    (void)state;
    char wanted[512];
#define SAME(...)                                                                                                      \
    do {                                                                                                               \
        snprintf(wanted, sizeof wanted, __VA_ARGS__);                                                                  \
        assert_string_equal(said(__VA_ARGS__), wanted);                                                                \
    } while (0)
    SAME("plain, 100 %%, %%");
    SAME("%d %5d|%-5d|%05d %i %u %x %X %c", -7, 42, 42, 42, -1, 7u, 255u, 255u, 'c');
    SAME("%ld %lu %lld %llu %zu %td", -7L, 7UL, -9000000000LL, 18446744073709551615ULL, (size_t)5, (ptrdiff_t)-3);
    SAME("%hd %hhu %jd", (short)-3, (unsigned char)200, (intmax_t)-5);
    SAME("%f %.2f %g %.3g %e %8.3f|", 1.5, 2.25, 0.15, 1234.5, 1e-9, 3.14159);
    SAME("%s %.3s %.*s|%s", "text", "precision", 2, "abc", "");
    SAME("%.0f", -1e300);
#undef SAME
}

static void test_what_a_terminal_would_act_on(void **state) {
    (void)state;
    assert_string_equal(said("%s", "a\nb\r\t\x1b[31m\x7f"), "a\\nb\\r\\t\\x1b[31m\\x7f");
    assert_string_equal(said("%s", "\xc2\x9b"
                                   "31m"),
                        "\\u009b31m"); /* CSI, one character of C1 */
    assert_string_equal(said("%s", "a\xe2\x80\xae"
                                   "b\xe2\x81\xa6"),
                        "a\\u202eb\\u2066");
    assert_string_equal(said("%s", "\xff\xc3(\xe2\x82"), "\\xff\\xc3(\\xe2\\x82");
    assert_string_equal(said("%s", "Müller 你好 🙂"), "Müller 你好 🙂");
    assert_string_equal(said("%s", said("%s", "a\n")), "a\\n"); /* a message in a message stays as it is */
}

/* The reason behind a long path is read, the path's ends are, and what is short is whole. */
static void test_the_middle_is_cut(void **state) {
    (void)state;
    char path[5000] = "/first", other[5000];
    for (size_t i = strlen(path); i < sizeof path - 10; i++) path[i] = 'x';
    strcpy(path + sizeof path - 10, "/last.wav");
    const char *s = said("%s: cannot be opened: %s", path, "No such file or directory");
    assert_int_equal(strlen(s), 511);
    assert_non_null(strstr(s, "/firstxxx"));
    assert_non_null(strstr(s, "x...x"));
    assert_non_null(strstr(s, "/last.wav: cannot be opened: No such file or directory"));
    memcpy(other, path, sizeof path);
    s = said("%s would overwrite %s: %d", path, other, 12);
    assert_non_null(strstr(s, "/last.wav would overwrite /firstxxx"));
    assert_non_null(strstr(s, "/last.wav: 12"));
    char exact[512];
    memset(exact, 'a', 511);
    exact[511] = '\0';
    assert_string_equal(said("%s", exact), exact);
    memset(path, '\x1b', 4000);
    path[4000] = '\0';
    assert_true(strlen(said("%s: reason", path)) < 512);
    assert_non_null(strstr(said("%s: reason", path), "\\x1b: reason"));
}

/* At any room, of any characters: no character is cut in two, nothing is written beyond. */
static void format_into(char *to, size_t room, const char *format, ...) {
    va_list args;
    va_start(args, format);
    f5_format(to, room, format, args);
    va_end(args);
}

static void test_whole_characters(void **state) {
    (void)state;
    static const char *const letters[] = {"a", "ü", "你", "🙂", "\x1b", "\xff"};
    srand(7);
    for (int round = 0; round < 3000; round++) {
        char text[2][400], to[300];
        for (int k = 0; k < 2; k++) {
            *text[k] = '\0';
            for (int n = rand() % 90; n > 0; n--) strcat(text[k], letters[rand() % 6]);
        }
        size_t room = 1 + (size_t)rand() % (sizeof to - 1);
        memset(to, '#', sizeof to);
        format_into(to, room, "ü%s: %d: %s", text[0], 7, text[1]);
        size_t length = strlen(to);
        assert_true(length < room);
        assert_int_equal(utf8_valid_prefix(to, length), length);
        for (size_t i = room; i < sizeof to; i++) assert_int_equal(to[i], '#');
    }
}

static void test_fail(void **state) {
    (void)state;
    f5_error error;
    assert_int_equal(f5_fail(&error, F5_E_IO, "one"), F5_E_IO);
    assert_int_equal(f5_fail(&error, F5_E_FORMAT, "%s: %s", "file", error.message), F5_E_FORMAT);
    assert_string_equal(error.message, "file: one");
    assert_int_equal(f5_fail(NULL, F5_E_MEMORY, "x"), F5_E_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_printf),
        cmocka_unit_test(test_what_a_terminal_would_act_on),
        cmocka_unit_test(test_the_middle_is_cut),
        cmocka_unit_test(test_whole_characters),
        cmocka_unit_test(test_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
