/* normalize.h — text as it is written becomes text as it is spoken: "Dr. Lee paid $3.50 at 10:30." ->
 * "Doctor Lee paid three dollars and fifty cents at ten thirty."
 *
 * English (en) reads numbers, ordinals, years, times, dates, money, units, percent, phone numbers, e-mail, URLs,
 * abbreviations, acronyms, Roman numerals, symbols, markdown and words in capitals. Chinese (zh) reads numbers, dates,
 * times, money, percent, fractions, phone numbers, ranges, temperatures and units. Every other language that ICU spells
 * numbers of (de, fr, es, ...) reads cardinals, decimals, times of the day and, where it marks them by a dot or a
 * letter, ordinals. Text that needs no rule stays as it is, byte for byte; a text that was normalised stays as it is
 * too. The words of numbers are ICU's (spellout.h); English and Chinese need none for them. */
#ifndef F5_NORMALIZE_H
#define F5_NORMALIZE_H

#include <stddef.h>

#include "host/text/lexicon.h"
#include "host/text/text_buffer.h"
#include "kernels/f5_status.h"

/* A sentence of n bytes becomes at most n * NORMALIZE_GROWTH + NORMALIZE_EXTRA bytes, what a lexicon says not counted.
 */
#define NORMALIZE_GROWTH 24
#define NORMALIZE_EXTRA 64

typedef struct normalizer normalizer;

/* For the languages named, "en,zh". Allocates; afterwards any thread may use it and nothing allocates. An unknown
 * language is F5_E_ARGUMENT; one but en and zh is F5_E_UNSUPPORTED where there is no ICU. */
f5_status normalizer_open(const char *languages, normalizer **out, f5_error *error);
void normalizer_close(normalizer *n); /* NULL does nothing */

/* Appends the words of a sentence, as sentence.h cuts it. language: one of those opened; a region after it
 * ("en-US") is not looked at. words may be NULL. F5_E_LIMIT if the buffer is too small for them. */
f5_status normalize_text(const normalizer *n, const char *language, const lexicon *words, const char *text,
                         size_t bytes, text_buffer *out, f5_error *error);

/* Appends a text as SSML's <say-as interpret-as="..." format="..."> asks: cardinal, ordinal, characters, spell-out,
 * digits, date (format "mdy", "dmy", "ymd", "ym", "my", "md", "dm", "y", "m", "d"), time, telephone, fraction, unit,
 * currency, verbatim, expletive. format may be NULL. Anything else is F5_E_UNSUPPORTED and named; a text that does not
 * fit, as a cardinal without a number, F5_E_FORMAT. */
f5_status normalize_say_as(const normalizer *n, const char *language, const char *interpret_as, size_t interpret_bytes,
                           const char *format, size_t format_bytes, const char *text, size_t bytes, text_buffer *out,
                           f5_error *error);

#endif
