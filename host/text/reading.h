/* reading.h — one sentence while it is normalised: the place in it, what was said, and looks at what lies around. */
#ifndef F5_READING_H
#define F5_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/text/lexicon.h"
#include "host/text/spellout.h"
#include "host/text/text_buffer.h"

typedef struct {
    const char *code; /* "en" */
    spellout *numbers;
    int cardinal, ordinal, year;
    bool unspaced; /* written without spaces between words */
} language;

typedef struct {
    const language *language;
    const lexicon *words;
    const char *text; /* [bytes] */
    size_t bytes, at;
    size_t number_end; /* where the last number that was said ends in the text; SIZE_MAX: none yet */
    text_buffer *out;
    size_t start;  /* of this sentence in out */
    bool said;     /* the last thing in out are words that were not copied: a letter needs a space before it */
    bool shouting; /* the sentence has capitals only */
    bool equation; /* it has an = */
} reading;

/* A rule: says what begins at r->at and returns the bytes that it has read; 0, having said nothing, if nothing of its
 * kind begins there. */
typedef size_t (*reading_rule)(reading *r);

/* The byte at an offset; 0 outside the text. */
static inline char peek(const reading *r, size_t at) {
    return at < r->bytes ? r->text[at] : 0;
}

/* The first byte of the character before the place; 0 at the beginning. */
static inline char before(const reading *r) {
    size_t at = r->at;
    while (at > 0 && r->at - at < 4 && ((uint8_t)r->text[at - 1] & 0xc0) == 0x80) at--;
    return at > 0 ? r->text[at - 1] : 0;
}

static inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static inline bool is_capital(char c) {
    return c >= 'A' && c <= 'Z';
}

static inline bool is_small(char c) {
    return c >= 'a' && c <= 'z';
}

static inline bool is_ascii_letter(char c) {
    return is_capital(c) || is_small(c);
}

/* The first byte of a letter or digit; other scripts count, but not what begins with C2 or E2: signs and punctuation.
 */
static inline bool is_word(char c) {
    return is_ascii_letter(c) || is_digit(c) || ((c & 0x80) && c != '\xc2' && c != '\xe2');
}

static inline char to_small(char c) {
    return is_capital(c) ? (char)(c + 32) : c;
}

static inline char to_capital(char c) {
    return is_small(c) ? (char)(c - 32) : c;
}

/* Whether the text goes on with `what` at an offset. */
bool reads(const reading *r, size_t at, const char *what);
bool reads_any_case(const reading *r, size_t at, const char *what); /* `what` in small letters */
/* The same where neither a letter nor a digit follows. */
bool reads_word(const reading *r, size_t at, const char *word);

size_t count_digits(const reading *r, size_t at);
size_t count_letters(const reading *r, size_t at);             /* a .. z, A .. Z */
uint64_t value_of(const reading *r, size_t at, size_t digits); /* up to 18 of them */

/* Whether nothing but spaces, quotes and brackets follows. */
bool ends_sentence(const reading *r, size_t at);
/* The word of letters before an offset, with a space or nothing between; its bytes, 0 if there is none. */
size_t word_before(const reading *r, size_t at, const char **word);

/* Appends words, with a space before them where they would touch others. */
void say(reading *r, const char *words);
void say_bytes(reading *r, const char *words, size_t bytes);
/* Appends to the last word. */
void say_on(reading *r, const char *words);
/* Appends text as it stands. */
void copy(reading *r, size_t at, size_t bytes);
void copy_character(reading *r); /* the one at the place, which moves behind it */

/* Numbers, by the language's rules; digits one by one where there are too many. */
void say_cardinal(reading *r, uint64_t value);
void say_ordinal(reading *r, uint64_t value);
void say_year(reading *r, uint64_t value);
void say_digits(reading *r, size_t at, size_t bytes); /* what is no digit in there is passed over */

/* A word among sorted ones. */
bool in_list(const char *const *sorted, size_t n, const char *word, size_t bytes);
#define IN_LIST(list, word, bytes) in_list(list, sizeof(list) / sizeof((list)[0]), word, bytes)

#endif
