/* spellout.h — numbers as words: an interpreter of the spell-out rules that ICU has for a language.
 *
 * The rules are those of ICU's RuleBasedNumberFormat (icu.h): sets of rules, each with a base value, a text and up to
 * two substitutions, which format a part of the number by a set again. Numbers are exact: an integer below 10^18 and
 * any decimals after it. Soft hyphens, which some languages put between the parts of a word, are left out.
 * Opening allocates. A spellout is never written to afterwards: any thread may use it. */
#ifndef F5_SPELLOUT_H
#define F5_SPELLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/text/icu.h"
#include "host/text/text_buffer.h"
#include "kernels/f5_status.h"

#define SPELLOUT_LIMIT 1000000000000000000u /* no integer from here on has words */

typedef struct spellout spellout;

typedef struct {
    bool negative;
    uint64_t whole;     /* < SPELLOUT_LIMIT */
    const char *digits; /* [n_digits] '0' .. '9' after the decimal point */
    size_t n_digits;
} spellout_number;

/* Takes the rules over, text included. A rule that this interpreter lacks is F5_E_UNSUPPORTED and named. */
f5_status spellout_open(const char *language, icu_rules *rules, spellout **out, f5_error *error);
void spellout_close(spellout *s); /* NULL does nothing */

/* A set of rules by its name ("%spellout-cardinal"); -1 if the language has none of that name. */
int spellout_set(const spellout *s, const char *name);
const char *spellout_set_name(const spellout *s, int set); /* NULL past the last one */

char spellout_decimal_point(const spellout *s); /* '.' or ',' */

/* Appends the number as that set says it. false: nothing was written, the set has no words for such a number. When the
 * buffer does not hold it the buffer is `full`. */
bool spellout_write(const spellout *s, int set, spellout_number number, text_buffer *out);

#endif
