/* icu.h — what is taken from ICU when a normalizer is opened: the rules by which a language spells numbers.
 *
 * The library does not link ICU. icu_read loads the version that it was built with (libicuuc, libicui18n, by dlopen),
 * copies the rules and never calls it again, so nothing allocates while the engine speaks. ICU stays loaded: it keeps
 * tables of its own, and a host program may use it too.
 * English and Chinese need no ICU: their rules are in the library (icu_builtin.c), the same everywhere. */
#ifndef F5_ICU_H
#define F5_ICU_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/f5_status.h"

/* The keywords of plural forms, in the order of icu_rules.plural's numbers. */
#define ICU_PLURALS                                                                                                    \
    { "zero", "one", "two", "few", "many", "other" }

enum { ICU_PLURAL_NUMBERS = 200 };

typedef struct {
    char *text; /* rule sets and rules as RuleBasedNumberFormat has them, UTF-8, one a line; the caller frees it */
    size_t bytes;
    char decimal_point;                 /* '.' or ',' */
    uint8_t plural[ICU_PLURAL_NUMBERS]; /* plural form of every number 0 .. 199; it repeats from 100 on */
} icu_rules;

/* The rules of a language that are in the library. */
typedef struct {
    const char *language; /* NULL ends the table */
    char decimal_point;
    const char *plural; /* [ICU_PLURAL_NUMBERS] digits: the plural forms of icu_rules */
    const char *text;
} icu_builtin_rules;
extern const icu_builtin_rules icu_builtin_languages[];

/* The library's own rules, copied; rules->text is NULL where it has none of the language. F5_E_MEMORY. */
f5_status icu_builtin(const char *language, icu_rules *rules, f5_error *error);

/* The version of ICU that the library was built with, 72; 0: without. */
int icu_version(void);

/* F5_E_UNSUPPORTED where the build has no ICU or it cannot be loaded; F5_E_ARGUMENT where it lacks the language. */
f5_status icu_read(const char *language, icu_rules *rules, f5_error *error);

#endif
