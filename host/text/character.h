/* character.h — what folding asks of a character: is it seen and heard, what are its other case and its composed form?
 * Unicode 14; planes 0 to 2 and the ideographs after them. char_class.h has the kinds that Python tells apart. */
#ifndef F5_CHARACTER_H
#define F5_CHARACTER_H

#include <stdbool.h>
#include <stdint.h>

static inline bool character_within(uint32_t code, uint32_t first, uint32_t last) {
    return code >= first && code <= last;
}

/* Hangul syllables are composed by counting: leads, vowels and tails; HANGUL_TAIL itself stands for none. */
enum {
    HANGUL_SYLLABLE = 0xAC00,
    HANGUL_LEAD = 0x1100,
    HANGUL_VOWEL = 0x1161,
    HANGUL_TAIL = 0x11A7,
    HANGUL_LEADS = 19,
    HANGUL_VOWELS = 21,
    HANGUL_TAILS = 28,
    HANGUL_SYLLABLES = HANGUL_LEADS * HANGUL_VOWELS * HANGUL_TAILS
};

/* Index of the last of the sorted code points of fold_tables.h that is not above `code`, -1 if its plane has none. */
int character_find(const uint16_t *planes, const uint16_t *codes, uint32_t code);

bool character_is_mark(uint32_t code);   /* combines with the character before it */
bool character_is_word(uint32_t code);   /* a letter, a digit, an ideograph, or one of their marks */
bool character_is_spaced(uint32_t code); /* the same, in a script that puts spaces between words */
bool character_is_white(uint32_t code);

/* Controls that are no white space, Unicode's Default_Ignorable_Code_Point, and the marks of annotations. */
bool character_is_invisible(uint32_t code);

/* The letter in the other case; `code` itself if there is none. */
uint32_t character_other_case(uint32_t code);

/* The one character that the base and the mark are, 0 if there is none; letters of Hangul compose too. */
uint32_t character_compose(uint32_t base, uint32_t mark);

/* The base of a composed character below U+10000, and its mark; 0 if it is none. Hangul stays whole. */
uint32_t character_take_apart(uint32_t code, uint32_t *mark);

#endif
