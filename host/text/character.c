/* character.c — kinds by char_class.h, case and composition by the tables of make_fold.py. */
#include "host/text/character.h"

#include <string.h>

#include "host/text/char_class.h"
#include "host/text/fold_tables.h"
#include "weights/utf8.h"

/* ---- kinds of characters ----------------------------------------------------------------------------------------- */

int character_find(const uint16_t *planes, const uint16_t *codes, uint32_t code) {
    if (code >> 16 >= FOLD_PLANES) return -1;
    int low = planes[code >> 16], high = planes[(code >> 16) + 1];
    int start = low;
    while (low < high) {
        int middle = (low + high) / 2;
        if (codes[middle] <= (code & 0xFFFF))
            low = middle + 1;
        else
            high = middle;
    }
    return low > start ? low - 1 : -1;
}

/* Joiners, and emoji's skin tones and tags, combine with nothing here. */
bool character_is_mark(uint32_t code) {
    return char_is_mark(code) && code != 0x200C && code != 0x200D && !character_within(code, 0x1F3FB, 0x1F3FF) &&
           code < 0xE0000;
}

bool character_is_word(uint32_t code) {
    return (code != '_' && char_is_word(code)) || character_is_mark(code);
}

bool character_is_spaced(uint32_t code) {
    if (code < 0x80) return character_is_word(code);
    bool unspaced = character_within(code, 0x0E00, 0x0EFF) || character_within(code, 0x1000, 0x109F) ||
                    character_within(code, 0x1780, 0x17FF) || character_within(code, 0x2E80, 0xA4CF) ||
                    character_within(code, 0xF900, 0xFAFF) || character_within(code, 0xFF66, 0xFF9F) || code >= 0x1B000;
    return !unspaced && character_is_word(code);
}

bool character_is_white(uint32_t code) {
    return code == ' ' || character_within(code, '\t', '\r') || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           character_within(code, 0x2000, 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
           code == 0x205F || code == 0x3000;
}

bool character_is_invisible(uint32_t code) {
    if (code < 0xA0) return (code < 0x20 || code >= 0x7F) && !character_is_white(code);
    if (code < 0x2000)
        return code == 0xAD || code == 0x34F || code == 0x61C || character_within(code, 0x115F, 0x1160) ||
               character_within(code, 0x17B4, 0x17B5) || character_within(code, 0x180B, 0x180F);
    return character_within(code, 0x200B, 0x200F) || character_within(code, 0x202A, 0x202E) ||
           character_within(code, 0x2060, 0x206F) || code == 0x3164 || character_within(code, 0xFE00, 0xFE0F) ||
           code == 0xFEFF || code == 0xFFA0 || character_within(code, 0xFFF0, 0xFFFB) ||
           character_within(code, 0x1BCA0, 0x1BCA3) || character_within(code, 0x1D173, 0x1D17A) ||
           character_within(code, 0xE0000, 0xE0FFF);
}

uint32_t character_other_case(uint32_t code) {
    int i = character_find(fold_case_planes, fold_case_first, code);
    uint32_t low = code & 0xFFFF;
    if (i < 0 || low > fold_case_last[i]) return code;
    if (fold_case_delta[i] != 0) return (code & ~0xFFFFu) | ((low + fold_case_delta[i]) & 0xFFFF);
    return (low - fold_case_first[i]) % 2 == 0 ? code + 1 : code - 1;
}

/* ---- composition ------------------------------------------------------------------------------------------------- */

/* The base and the mark of an entry that has a composition. */
static uint32_t parts_of(int entry, uint32_t *mark) {
    const char *text = (const char *)fold_text_pool + fold_entry_text[entry];
    size_t bytes = strlen(text);
    uint32_t base = 0;
    size_t n = utf8_decode(text, bytes, &base);
    utf8_decode(text + n, bytes - n, mark);
    return base;
}

uint32_t character_compose(uint32_t base, uint32_t mark) {
    if (character_within(base, HANGUL_LEAD, HANGUL_LEAD + HANGUL_LEADS - 1) &&
        character_within(mark, HANGUL_VOWEL, HANGUL_VOWEL + HANGUL_VOWELS - 1))
        return HANGUL_SYLLABLE + ((base - HANGUL_LEAD) * HANGUL_VOWELS + mark - HANGUL_VOWEL) * HANGUL_TAILS;
    if (character_within(base, HANGUL_SYLLABLE, HANGUL_SYLLABLE + HANGUL_SYLLABLES - 1) &&
        (base - HANGUL_SYLLABLE) % HANGUL_TAILS == 0 &&
        character_within(mark, HANGUL_TAIL + 1, HANGUL_TAIL + HANGUL_TAILS - 1))
        return base + mark - HANGUL_TAIL;
    for (int low = 0, high = fold_compositions; low < high;) {
        int middle = (low + high) / 2;
        uint32_t b, m = 0;
        b = parts_of(fold_composed[middle], &m);
        if (b == base && m == mark) return fold_entry_code[fold_composed[middle]];
        if (b < base || (b == base && m < mark))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

uint32_t character_take_apart(uint32_t code, uint32_t *mark) {
    int entry = code > 0xFFFF ? -1 : character_find(fold_entry_planes, fold_entry_code, code);
    if (entry < 0 || fold_entry_code[entry] != code) return 0;
    uint32_t base = parts_of(entry, mark);
    return character_compose(base, *mark) == code ? base : 0;
}
