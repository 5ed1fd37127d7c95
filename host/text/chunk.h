/* chunk.h — cuts a text into pieces the model speaks in one go, as upstream's chunk_text (f5_tts/infer/utils_infer.py).
 *
 * Sentences end at `(?<=[;:,.!?])\s+` (the white space is dropped) and after ；：，。！？. They are packed greedily
 * while the bytes held and the next sentence's stay within max_bytes; a sentence that ends in a one-byte character gets
 * a space; a chunk is stripped of white space at both ends. A single sentence longer than max_bytes is a chunk all the
 * same. So even a text of one chunk changes: line breaks and doubled spaces after punctuation become one space. */
#ifndef F5_CHUNK_H
#define F5_CHUNK_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/error.h"

/* Writes the next chunk of the text into out (room for `bytes` + 1) and moves *at, 0 at first, past it. *out_bytes is 0
 * when nothing is left. text is valid UTF-8 (F5_E_FORMAT otherwise); max_bytes may be negative: one sentence a chunk.
 */
f5_status chunk_next(const char *text, size_t bytes, size_t *at, int64_t max_bytes, char *out, size_t *out_bytes,
                     f5_error *error);

/* Nothing but white space (Python's str.isspace), or nothing at all. */
bool chunk_is_blank(const char *text, size_t bytes);

#endif
