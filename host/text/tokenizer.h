/* tokenizer.h — text -> tokens -> ids of the vocabulary.
 *
 * pinyin, custom   upstream's convert_char_to_pinyin (f5_tts/model/utils.py). The text is cut into segments as rjieba
 *                  does; a segment of several ASCII characters is preceded by a space unless the token before it is a
 *                  space, a colon or a quote; then every character is a token. `;` and typographic quotes become `,`
 *                  and plain quotes. Chinese characters need a dictionary: F5_E_UNSUPPORTED for now.
 * char             every character is a token, nothing is replaced: how upstream trains and evaluates such models. (Its
 *                  command line converts to pinyin whatever the model says; that puts spaces where training had none.)
 * byte             every byte of the UTF-8 text is a token and its own id; there is no vocabulary.
 *
 * Malformed UTF-8 is F5_E_FORMAT, named by its byte offset. Pure functions; nothing is allocated. */
#ifndef F5_TOKENIZER_H
#define F5_TOKENIZER_H

#include "weights/config.h"

/* Receives the tokens in order. `token` points into the text or at a constant. */
typedef void (*tokenizer_token_fn)(void *user, const char *token, size_t bytes);

f5_status tokenizer_split(tokenizer_kind kind, const char *text, size_t bytes, tokenizer_token_fn emit, void *user,
                          f5_error *error);

/* Ids of a text that comes in pieces. A piece begins and ends where no run of ASCII letters and no CR LF is cut. */
typedef struct {
    tokenizer_kind kind;
    const vocab *v; /* may be NULL for `byte` */
    int32_t *ids;   /* [capacity] the first ids; a token that the vocabulary lacks has id 0 */
    int32_t capacity;
    int32_t n;         /* ids so far, which may be more than capacity */
    bool space_wanted; /* private */
} tokenizer;

/* Adds a piece. `offset` is where it begins in the caller's text: messages count bytes from there. After an error n is
 * what it was before. */
f5_status tokenizer_put(tokenizer *t, const char *text, size_t bytes, size_t offset, f5_error *error);

/* The same of a text in one piece: *n ids, of which the first `capacity` are written. */
f5_status tokenizer_run(tokenizer_kind kind, const vocab *v, const char *text, size_t bytes, int32_t *ids,
                        int32_t capacity, int32_t *n, f5_error *error);

/* No text of so many bytes has more tokens: each byte is one, and a space comes before segments of two and more. */
static inline size_t tokenizer_max_tokens(size_t bytes) {
    return bytes + bytes / 2;
}

#endif
