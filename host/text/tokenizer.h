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

#include "weights/model.h"

/* Receives the tokens in order. `token` points into the text or at a constant. */
typedef void (*tokenizer_token_fn)(void *user, const char *token, size_t bytes);

f5_status tokenizer_split(tokenizer_kind kind, const char *text, size_t bytes, tokenizer_token_fn emit, void *user,
                          f5_error *error);

/* Writes the first `capacity` ids into ids [capacity]; *n is how many there are, which may be more than that. A token
 * that the vocabulary lacks has id 0. v may be NULL for `byte`. */
f5_status tokenizer_run(tokenizer_kind kind, const vocab *v, const char *text, size_t bytes, int32_t *ids,
                        int32_t capacity, int32_t *n, f5_error *error);

#endif
