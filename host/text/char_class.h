/* char_class.h — what kind of character a code point is: letter, white space, mark, capital. Constant tables. */
#ifndef F5_CHAR_CLASS_H
#define F5_CHAR_CLASS_H

#include <stdbool.h>
#include <stdint.h>

/* Python's \w: letters, numbers of every kind and _. The same for every character that Unicode 14 assigns. */
bool char_is_word(uint32_t c);

/* 0 to 9 alone. */
static inline bool char_is_digit(uint32_t c) {
    return c >= '0' && c <= '9';
}

/* Python's str.isspace and \s. */
bool char_is_space(uint32_t c);

/* Belongs to the character before it: combining marks, joiners, variation selectors, emoji's skin tones and tags. */
bool char_is_mark(uint32_t c);

/* A letter of a script that writes no spaces between words: Chinese characters, kana, Bopomofo. */
bool char_is_unspaced(uint32_t c);

/* Capital and small letters of the Latin, Greek, Cyrillic and Armenian scripts, as far as sentences begin with them:
 * letters of phonetic alphabets and historic ones may be neither. */
bool char_is_upper(uint32_t c);
bool char_is_lower(uint32_t c);

#endif
