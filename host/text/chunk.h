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

/* A chunk: a part of the text, as it was given. It is read sentence by sentence, and nothing is copied. */
typedef struct {
    const char *text;    /* stripped of white space at both ends */
    size_t bytes;        /* of text */
    size_t spoken_bytes; /* of all sentences with the spaces between them; 0: nothing is left */
} chunk;

/* Finds the next chunk of the text and moves *at, 0 at first, past it. text is valid UTF-8 (F5_E_FORMAT otherwise, with
 * the byte's offset); max_bytes may be negative: one sentence a chunk. last: no text follows. Where some does and could
 * change the chunk, c->text is NULL and *at stays. */
f5_status chunk_next(const char *text, size_t bytes, bool last, size_t *at, int64_t max_bytes, chunk *c,
                     f5_error *error);

/* The chunk that this text is, whatever its length. */
void chunk_of(const char *text, size_t bytes, chunk *c);

/* Bytes of the sentence, in chunk_next's sense, at the start of the text. *whole: no text that may follow changes them;
 * otherwise it goes on after these bytes. 0: malformed, or nothing is there. */
size_t chunk_piece(const char *text, size_t bytes, bool last, bool *whole);

typedef struct {
    const char *text;
    size_t bytes;
    bool space; /* one space comes before the next sentence */
} chunk_sentence;

/* The sentence at *at, 0 at first, which moves past it. false: the chunk has no more. */
bool chunk_read(const chunk *c, size_t *at, chunk_sentence *sentence);

/* Nothing but white space (Python's str.isspace), or nothing at all. */
bool chunk_is_blank(const char *text, size_t bytes);

#endif
