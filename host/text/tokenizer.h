/* tokenizer.h — text -> tokens -> ids of the vocabulary.
 *
 * pinyin, custom   upstream's convert_char_to_pinyin (f5_tts/model/utils.py). The text is cut into segments as rjieba
 *                  does (segment.h). In a segment of ASCII every character is a token, and a space comes before one of
 *                  several characters unless the token before it is a space, a colon or a quote. Chinese characters
 *                  become syllables (pinyin.h), for which a table is needed: F5_E_UNSUPPORTED without. Other characters
 *                  are tokens. `;` and typographic quotes become `,` and plain quotes.
 * char             every character is a token: how upstream trains and evaluates such models. (Its command line
 *                  converts to pinyin whatever the model says; that puts spaces where training had none.) `;`,
 *                  typographic quotes and white space are replaced where the vocabulary lacks them and has the
 *                  replacement, of white space the space.
 * byte             every byte of the UTF-8 text is a token and its own id; there is no vocabulary.
 *
 * Malformed UTF-8 is F5_E_FORMAT, named by its byte offset. Pure functions; nothing is allocated. */
#ifndef F5_TOKENIZER_H
#define F5_TOKENIZER_H

#include "host/text/pinyin_table.h"
#include "weights/config.h"

/* Receives the tokens in order. `token` points into the text, the table or at a constant. */
typedef void (*tokenizer_token_fn)(void *user, const char *token, size_t bytes);

/* Ids of a text that comes in pieces. A piece begins and ends where no run is cut, of ASCII letters, digits, + # & . _
 * % - and Chinese characters, and no CR LF. So it is where upstream joins texts: a transcript ends in ". " or a full
 * stop of Chinese, a sentence in a stop of Chinese or before a space. */
typedef struct {
    tokenizer_kind kind;
    const vocab *v; /* may be NULL for `byte` */
    int32_t *ids;   /* [capacity] the first ids; a token that the vocabulary lacks has id 0 */
    int32_t capacity;
    int32_t n;                  /* ids so far, which may be more than capacity */
    const pinyin_table *pinyin; /* for Chinese text; NULL: refused */
    void *scratch;              /* [scratch_bytes] at a multiple of 8: as much as TOKENIZER_SCRATCH_BYTES says for the
                                   longest run with Chinese characters; F5_E_LIMIT names one that does not fit */
    size_t scratch_bytes;
    bool blanks;       /* id 0 stands in front of every token, and behind the last: tokenizer_end puts that one */
    bool space_wanted; /* private */
} tokenizer;

#define TOKENIZER_SCRATCH_BYTES(characters) (16 * ((size_t)(characters) + 1))

/* Adds a piece. `offset` is where it begins in the caller's text: messages count bytes from there. After an error n is
 * what it was before. */
f5_status tokenizer_put(tokenizer *t, const char *text, size_t bytes, size_t offset, f5_error *error);

/* The text has ended. */
void tokenizer_end(tokenizer *t);

/* The tokens of a piece instead of their ids. Of *t the kind, the table, the scratch and what the last piece ended in
 * are used. */
f5_status tokenizer_put_tokens(tokenizer *t, const char *text, size_t bytes, size_t offset, tokenizer_token_fn emit,
                               void *user, f5_error *error);

/* Tokens of a text in one piece, without Chinese. */
f5_status tokenizer_split(tokenizer_kind kind, const char *text, size_t bytes, tokenizer_token_fn emit, void *user,
                          f5_error *error);

/* Ids of a text in one piece, without Chinese: *n, of which the first `capacity` are written. */
f5_status tokenizer_run(tokenizer_kind kind, const vocab *v, const char *text, size_t bytes, int32_t *ids,
                        int32_t capacity, int32_t *n, f5_error *error);

/* No text of so many bytes has more tokens, blanks apart: each byte is one, and a space comes before segments of two
 * and more. */
static inline size_t tokenizer_max_tokens(size_t bytes) {
    return bytes + bytes / 2;
}

#endif
