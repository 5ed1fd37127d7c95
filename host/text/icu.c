/* icu.c — takes the spell-out rules of a language out of ICU's data. */
#include "host/text/icu.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/error.h"

f5_status icu_builtin(const char *language, icu_rules *rules, f5_error *error) {
    *rules = (icu_rules){0};
    const icu_builtin_rules *known = icu_builtin_languages;
    while (known->language && strcmp(known->language, language) != 0) known++;
    if (!known->language) return F5_OK;
    rules->bytes = strlen(known->text);
    rules->text = malloc(rules->bytes + 1);
    if (!rules->text) return f5_fail(error, F5_E_MEMORY, "no memory for the rules of '%s'", language);
    memcpy(rules->text, known->text, rules->bytes + 1);
    rules->decimal_point = known->decimal_point;
    for (int i = 0; i < ICU_PLURAL_NUMBERS; i++) rules->plural[i] = (uint8_t)(known->plural[i] - '0');
    return F5_OK;
}

#ifdef F5_ICU_VERSION

#include <dlfcn.h>

#include <unicode/unum.h>
#include <unicode/upluralrules.h>
#include <unicode/ures.h>

#include "weights/utf8.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
#define VERSION TEXT_OF(F5_ICU_VERSION)

/* ICU's functions carry its version in their names, and its headers rename each call: unum_open is unum_open_72. */
#define FUNCTIONS(X)                                                                                                   \
    X(ures_open)                                                                                                       \
    X(ures_close)                                                                                                      \
    X(ures_getByKey)                                                                                                   \
    X(ures_getSize)                                                                                                    \
    X(ures_getStringByIndex)                                                                                           \
    X(unum_open) X(unum_close) X(unum_getSymbol) X(uplrules_open) X(uplrules_select) X(uplrules_close)

typedef struct {
#define X(name) __typeof__(&(name)) p_##name;
    FUNCTIONS(X)
#undef X
} icu_functions;

static f5_status load(icu_functions *icu, f5_error *error) {
    void *common = dlopen("libicuuc.so." VERSION, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *i18n = common ? dlopen("libicui18n.so." VERSION, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) : NULL;
    if (!i18n)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "spelling of numbers needs ICU: install libicu" VERSION
                       ", the version that this library was built with (%s)",
                       dlerror());
    void *function;
    /* a function lies in one library or the other, and i18n's handle finds those of the library that it needs */
#define X(name)                                                                                                        \
    function = dlsym(i18n, TEXT_OF(name));                                                                             \
    memcpy(&icu->p_##name, &function, sizeof function);                                                                \
    if (!function)                                                                                                     \
        return f5_fail(error, F5_E_UNSUPPORTED, "libicui18n.so." VERSION " lacks " TEXT_OF(name) ": reinstall it");
    FUNCTIONS(X)
#undef X
    return F5_OK;
}

/* The array of lines, as UTF-8 joined by newlines. */
static f5_status copy_lines(const icu_functions *icu, const UResourceBundle *lines, const char *language,
                            icu_rules *rules, f5_error *error) {
    size_t capacity = 0;
    for (int32_t i = 0; i < icu->p_ures_getSize(lines); i++) {
        UErrorCode code = U_ZERO_ERROR;
        int32_t units = 0;
        const UChar *line = icu->p_ures_getStringByIndex(lines, i, &units, &code);
        if (U_FAILURE(code)) return f5_fail(error, F5_E_FORMAT, "ICU's rules for '%s' cannot be read", language);
        size_t need = rules->bytes + 3 * (size_t)units + 1;
        if (need > capacity) {
            capacity = 2 * need;
            char *grown = realloc(rules->text, capacity);
            if (!grown) return f5_fail(error, F5_E_MEMORY, "out of memory: ICU's rules for '%s'", language);
            rules->text = grown;
        }
        for (int32_t u = 0; u < units; u++) {
            uint32_t c = line[u];
            if (c >= 0xd800 && c < 0xdc00 && u + 1 < units) c = 0x10000 + ((c - 0xd800) << 10) + (line[++u] - 0xdc00u);
            rules->bytes += utf8_encode(rules->text + rules->bytes, c);
        }
        rules->text[rules->bytes++] = '\n';
    }
    return F5_OK;
}

static f5_status read_lines(const icu_functions *icu, const char *language, icu_rules *rules, f5_error *error) {
    UErrorCode code = U_ZERO_ERROR;
    UResourceBundle *bundle = icu->p_ures_open(U_ICUDATA_NAME "-rbnf", language, &code);
    /* a language that ICU lacks gets the rules of the user's own */
    bool there = U_SUCCESS(code) && code != U_USING_DEFAULT_WARNING;
    UResourceBundle *groups = there ? icu->p_ures_getByKey(bundle, "RBNFRules", NULL, &code) : NULL;
    UResourceBundle *lines = groups ? icu->p_ures_getByKey(groups, "SpelloutRules", NULL, &code) : NULL;
    f5_status status = there && U_SUCCESS(code) && lines
                           ? copy_lines(icu, lines, language, rules, error)
                           : f5_fail(error, F5_E_ARGUMENT, "ICU has no rules to spell numbers in '%s'", language);
    if (lines) icu->p_ures_close(lines);
    if (groups) icu->p_ures_close(groups);
    if (bundle) icu->p_ures_close(bundle);
    return status;
}

static f5_status read_plurals(const icu_functions *icu, const char *language, icu_rules *rules, f5_error *error) {
    static const char *const names[] = ICU_PLURALS;
    UErrorCode code = U_ZERO_ERROR;
    UPluralRules *plurals = icu->p_uplrules_open(language, &code);
    for (int n = 0; n < ICU_PLURAL_NUMBERS && U_SUCCESS(code); n++) {
        UChar word[16] = {0};
        icu->p_uplrules_select(plurals, n, word, 15, &code);
        rules->plural[n] = sizeof names / sizeof names[0] - 1;
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            size_t i = 0;
            while (names[k][i] && word[i] == (UChar)names[k][i]) i++;
            if (!names[k][i] && !word[i]) rules->plural[n] = (uint8_t)k;
        }
    }
    if (plurals) icu->p_uplrules_close(plurals);
    return U_SUCCESS(code) ? F5_OK : f5_fail(error, F5_E_FORMAT, "ICU has no plural forms of '%s'", language);
}

static f5_status read_decimal_point(const icu_functions *icu, const char *language, icu_rules *rules, f5_error *error) {
    UErrorCode code = U_ZERO_ERROR;
    UChar symbol[8] = {0};
    UNumberFormat *format = icu->p_unum_open(UNUM_DECIMAL, NULL, 0, language, NULL, &code);
    if (U_SUCCESS(code)) icu->p_unum_getSymbol(format, UNUM_DECIMAL_SEPARATOR_SYMBOL, symbol, 8, &code);
    if (format) icu->p_unum_close(format);
    if (U_FAILURE(code)) return f5_fail(error, F5_E_FORMAT, "ICU has no decimal point of '%s'", language);
    rules->decimal_point = symbol[0] == ',' ? ',' : '.';
    return F5_OK;
}

int icu_version(void) {
    return F5_ICU_VERSION;
}

f5_status icu_read(const char *language, icu_rules *rules, f5_error *error) {
    *rules = (icu_rules){0};
    icu_functions icu = {0};
    F5_TRY(load(&icu, error));
    f5_status status = read_lines(&icu, language, rules, error);
    if (status == F5_OK) status = read_plurals(&icu, language, rules, error);
    if (status == F5_OK) status = read_decimal_point(&icu, language, rules, error);
    if (status != F5_OK) {
        free(rules->text);
        *rules = (icu_rules){0};
    }
    return status;
}

#else

int icu_version(void) {
    return 0;
}

f5_status icu_read(const char *language, icu_rules *rules, f5_error *error) {
    *rules = (icu_rules){0};
    return f5_fail(error, F5_E_UNSUPPORTED,
                   "spelling of numbers in '%s' needs ICU, which this library was built without: install "
                   "libicu-dev and build the library again",
                   language);
}

#endif
