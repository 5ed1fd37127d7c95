/* test_spellout.c — spelled numbers equal ICU's own: every rule set of twelve languages and more, integers of all
 * sizes, negative ones, decimals. ICU itself is linked here, and only here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/text/spellout.h"
#include "tests/c/seed.h"

#ifdef F5_HAVE_ICU
#include <unicode/unum.h>
#include <unicode/ustring.h>

enum { INTEGERS = 700, DECIMALS = 150 }; /* of each rule set */

static uint64_t rng;
static long compared, refused, lost;

static spellout *open_language(const char *language) {
    icu_rules rules;
    spellout *s = NULL;
    f5_error error = {0};
    if (icu_read(language, &rules, &error) || spellout_open(language, &rules, &s, &error))
        fail_msg("%s: %s", language, error.message);
    return s;
}

/* ICU's words without soft hyphens. */
static size_t icu_says(UNumberFormat *format, const char *number, char *out, size_t capacity) {
    UErrorCode code = U_ZERO_ERROR;
    UChar words[2048];
    int32_t units, bytes;
    if (strchr(number, '.'))
        units = unum_formatDouble(format, strtod(number, NULL), words, 2048, NULL, &code);
    else
        units = unum_formatInt64(format, strtoll(number, NULL, 10), words, 2048, NULL, &code);
    int32_t kept = 0;
    for (int32_t i = 0; i < units; i++)
        if (words[i] != 0xad) words[kept++] = words[i];
    u_strToUTF8(out, (int32_t)capacity, &bytes, words, kept, &code);
    assert_true(U_SUCCESS(code));
    out[bytes] = 0;
    return (size_t)bytes;
}

/* false: this interpreter has no words for it. */
static bool compare(const spellout *s, int set, UNumberFormat *format, const char *number) {
    char ours[4096], theirs[4096];
    text_buffer out = {.text = ours, .capacity = sizeof ours};
    const char *point = strchr(number, '.');
    spellout_number n = {.negative = number[0] == '-', .whole = strtoull(number + (number[0] == '-'), NULL, 10)};
    if (point) {
        n.digits = point + 1;
        n.n_digits = strlen(point + 1);
    }
    if (!spellout_write(s, set, n, &out)) {
        refused++;
        return false;
    }
    size_t bytes = icu_says(format, number, theirs, sizeof theirs);
    if (strpbrk(theirs, "0123456789")) { /* ICU lost its way in a double's last bits */
        lost++;
        return true;
    }
    if (bytes != out.bytes || memcmp(ours, theirs, bytes) != 0)
        fail_msg("%s of %s: '%.*s', ICU says '%.*s'", number, spellout_set_name(s, set), (int)out.bytes, ours,
                 (int)bytes, theirs);
    compared++;
    return true;
}

static int64_t random_integer(void) {
    int64_t limit = 10;
    for (int digits = (int)(random_next(&rng) % 15); digits > 0; digits--) limit *= 10;
    int64_t value = (int64_t)(random_next(&rng) % (uint64_t)limit);
    if (random_next(&rng) % 4 == 0) value -= value % 1000; /* round numbers have rules of their own */
    return random_next(&rng) % 5 == 0 ? -value : value;
}

/* ICU reads decimals as a double: 15 significant digits, the last no 0. Where it takes the fraction as one number, the
 * bits that subtracting the whole part loses are in its words, so there the decimals are exact in binary. */
static void random_decimal(char *out, size_t capacity, int i, bool exact) {
    static const char *const binary[] = {"5", "25", "75", "125", "375", "0625", "03125", "90625"};
    char digits[16];
    snprintf(digits, sizeof digits, "%0*llu%llu", 1 + i % 5, (unsigned long long)random_below(&rng, 10),
             (unsigned long long)random_below(&rng, 9) + 1);
    snprintf(out, capacity, "%s%d.%s", i % 5 ? "" : "-", i % 3 ? random_below(&rng, 100000) : 0,
             exact ? binary[i % 8] : digits);
}

static void check_language(const char *language) {
    spellout *s = open_language(language);
    UErrorCode code = U_ZERO_ERROR;
    UNumberFormat *format = unum_open(UNUM_SPELLOUT, NULL, 0, language, NULL, &code);
    assert_true(U_SUCCESS(code));
    bool fractions = false;
    const char *name;
    for (int set = 0; (name = spellout_set_name(s, set)) != NULL; set++) fractions |= strstr(name, "fraction") != NULL;
    for (int set = 0; (name = spellout_set_name(s, set)) != NULL; set++) {
        if (strncmp(name, "%%", 2) == 0) continue; /* private: ICU does not format by it */
        UChar wide[128];
        u_charsToUChars(name, wide, (int32_t)strlen(name) + 1);
        unum_setTextAttribute(format, UNUM_DEFAULT_RULESET, wide, -1, &code);
        assert_true(U_SUCCESS(code));
        char number[64];
        for (int i = 0; i < INTEGERS; i++) {
            snprintf(number, sizeof number, "%lld", (long long)(i < 200 ? i : random_integer()));
            bool said = compare(s, set, format, number);
            /* what the normalizer reads must have words for every number; others may have none of large ones */
            if (!said && strcmp(name, "%spellout-numbering") == 0) fail_msg("%s: no words for %s", language, number);
        }
        for (int i = 0; i < DECIMALS; i++) {
            random_decimal(number, sizeof number, i, fractions);
            bool said = compare(s, set, format, number);
            /* Korean has no words for negative decimals, ICU says -0.67 as -1.67 */
            if (!said && (number[0] != '-' || strcmp(language, "ko") != 0) && strcmp(name, "%spellout-numbering") == 0)
                fail_msg("%s: no words for %s", language, number);
        }
    }
    unum_close(format);
    spellout_close(s);
}

static void equal_to_icu(void **state) {
    (void)state;
    static const char *const languages[] = {"en", "zh", "de", "fr", "es", "it", "pt", "nl", "pl", "ru",
                                            "ja", "ko", "cs", "sv", "da", "nb", "fi", "tr", "el", "he",
                                            "ar", "hi", "id", "vi", "th", "uk", "hu", "ro", "ca", "bg",
                                            "hr", "sr", "sk", "sl", "lt", "lv", "et", "fa"};
    for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) check_language(languages[i]);
    printf("%ld numbers equal ICU's, %ld had no words, of %ld ICU had none\n", compared, refused, lost);
    assert_true(compared > 100000);
}

/* The rules in the library are those of the ICU that it was generated from, where that is the one at hand; of another
 * version they spell the same. */
static void builtin_is_icus(void **state) {
    (void)state;
    for (const icu_builtin_rules *l = icu_builtin_languages; l->language; l++) {
        icu_rules ours, icus;
        spellout *a, *b;
        assert_int_equal(icu_builtin(l->language, &ours, NULL), F5_OK);
        assert_int_equal(icu_read(l->language, &icus, NULL), F5_OK);
        assert_int_equal(ours.decimal_point, icus.decimal_point);
        assert_memory_equal(ours.plural, icus.plural, sizeof ours.plural);
        if (icu_version() == 72) {
            assert_int_equal(ours.bytes, icus.bytes);
            assert_memory_equal(ours.text, icus.text, ours.bytes);
        }
        assert_int_equal(spellout_open(l->language, &ours, &a, NULL), F5_OK);
        assert_int_equal(spellout_open(l->language, &icus, &b, NULL), F5_OK);
        int set = spellout_set(a, "%spellout-cardinal");
        for (uint64_t n = 0; n < 1000000; n = n < 3000 ? n + 1 : n * 3 / 2) {
            char one[512], two[512];
            text_buffer x = {.text = one, .capacity = sizeof one}, y = {.text = two, .capacity = sizeof two};
            assert_true(spellout_write(a, set, (spellout_number){.whole = n}, &x));
            assert_true(spellout_write(b, spellout_set(b, "%spellout-cardinal"), (spellout_number){.whole = n}, &y));
            assert_int_equal(x.bytes, y.bytes);
            assert_memory_equal(one, two, x.bytes);
        }
        spellout_close(a);
        spellout_close(b);
    }
    icu_rules none;
    assert_int_equal(icu_builtin("de", &none, NULL), F5_OK);
    assert_null(none.text);
}

static void unknown_language(void **state) {
    (void)state;
    icu_rules rules;
    f5_error error = {0};
    assert_int_equal(icu_read("xx", &rules, &error), F5_E_ARGUMENT);
    assert_non_null(strstr(error.message, "'xx'"));
    assert_null(rules.text);
}

static void full_buffer(void **state) {
    (void)state;
    spellout *s = open_language("en");
    char room[64];
    for (size_t capacity = 0; capacity < 60; capacity++) {
        text_buffer out = {.text = room, .capacity = capacity};
        bool said = spellout_write(s, spellout_set(s, "%spellout-cardinal"), (spellout_number){.whole = 123456}, &out);
        const char *words = "one hundred twenty-three thousand four hundred fifty-six";
        assert_int_equal(said && !out.full, capacity >= strlen(words));
        assert_true(out.bytes <= capacity);
    }
    text_buffer out = {.text = room, .capacity = sizeof room};
    assert_false(spellout_write(s, 0, (spellout_number){.whole = SPELLOUT_LIMIT}, &out));
    assert_int_equal(out.bytes, 0);
    spellout_close(s);
}

int main(void) {
    rng = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_icu),
        cmocka_unit_test(builtin_is_icus),
        cmocka_unit_test(unknown_language),
        cmocka_unit_test(full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void refused_by_name(void **state) {
    (void)state;
    icu_rules rules;
    f5_error error = {0};
    assert_int_equal(icu_read("en", &rules, &error), F5_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "libicu"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
