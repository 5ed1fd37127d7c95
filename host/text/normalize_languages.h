/* normalize_languages.h — what each language does with a sentence, and with a text that SSML says how to read. */
#ifndef F5_NORMALIZE_LANGUAGES_H
#define F5_NORMALIZE_LANGUAGES_H

#include "host/text/reading.h"

typedef enum {
    SAY_CARDINAL,
    SAY_ORDINAL,
    SAY_CHARACTERS,
    SAY_DIGITS,
    SAY_DATE,
    SAY_TIME,
    SAY_TELEPHONE,
    SAY_FRACTION,
    SAY_UNIT,
    SAY_CURRENCY,
    SAY_EXPLETIVE
} say_as_kind;

void normalize_english(reading *r);
void normalize_chinese(reading *r);
void normalize_numbers_only(reading *r); /* every other language */

/* false: the text is not of that kind. format is terminated, "" where none was given. */
bool say_as_english(reading *r, say_as_kind kind, const char *format);
bool say_as_chinese(reading *r, say_as_kind kind, const char *format);
bool say_as_numbers_only(reading *r, say_as_kind kind, const char *format);

/* Says what the lexicon has for the place, and goes on behind it. */
bool say_lexicon(reading *r);
/* The first rule that fits. */
bool say_by_rules(reading *r, const reading_rule *rules, size_t n);
#define SAY_BY(r, rules) say_by_rules(r, rules, sizeof(rules) / sizeof((rules)[0]))

#endif
