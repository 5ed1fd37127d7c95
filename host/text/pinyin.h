/* pinyin.h — a segment of text with characters beyond ASCII becomes tokens, as upstream's convert_char_to_pinyin has it
 * with pypinyin 0.55.0 (lazy_pinyin, TONE3, tone_sandhi).
 *
 * In a segment of characters of three bytes, phrases of pypinyin's dictionary are found from left to right, the longest
 * first; their readings have the tones as they are spoken together. What is no phrase is spelled character by
 * character. In a segment of mixed characters only those from U+3100 to U+9FFF are spelled, each by itself. A space
 * comes before each of these, spelled or not. What has no reading is its own token. */
#ifndef F5_PINYIN_H
#define F5_PINYIN_H

#include "host/text/pinyin_table.h"

/* Receives the tokens in order; they point into the segment, the table or at a constant. */
typedef void (*pinyin_token_fn)(void *user, const char *token, size_t bytes);

/* `segment` is well-formed UTF-8; what is not is left out. */
void pinyin_spell(const pinyin_table *t, const char *segment, size_t bytes, pinyin_token_fn emit, void *user);

#endif
