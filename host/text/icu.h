/* icu.h — what is taken from ICU when a normalizer is opened: the rules by which a language spells numbers.
 *
 * The library does not link ICU. icu_read loads the version that it was built with (libicuuc, libicui18n, by dlopen),
 * copies the rules and never calls it again, so nothing allocates while the engine speaks. ICU stays loaded: it keeps
 * tables of its own, and a host program may use it too. */
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

/* F5_E_UNSUPPORTED where the build has no ICU or it cannot be loaded; F5_E_ARGUMENT where it lacks the language. */
f5_status icu_read(const char *language, icu_rules *rules, f5_error *error);

#endif
