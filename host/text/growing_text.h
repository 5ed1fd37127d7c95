/* growing_text.h — a text that may go on: who reads past its end learns so, and answers when more has come.
 *
 * An answer that was found without reading past the end depends on nothing that comes later. So a function that reads
 * only through growing_peek is the same for every way in which its text arrives. */
#ifndef F5_GROWING_TEXT_H
#define F5_GROWING_TEXT_H

#include <stdbool.h>

#include "weights/utf8.h"

typedef struct {
    const char *text;
    size_t bytes;
    bool last;     /* nothing follows */
    bool read_out; /* something was read that is not there yet: the answer found is none */
} growing_text;

/* The bytes of the character at `at`, 0 at the end of the text; its code point in *code (0 at the end). A byte that is
 * not well-formed UTF-8 is a character of its own, U+FFFD. */
static inline size_t growing_peek(growing_text *t, size_t at, uint32_t *code) {
    *code = 0;
    if (at < t->bytes) {
        size_t n = utf8_decode(t->text + at, t->bytes - at, code);
        if (n > 0) return n;
        const unsigned char *u = (const unsigned char *)t->text + at;
        size_t length = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
        bool cut = !t->last && u[0] >= 0xc2 && u[0] <= 0xf4 && t->bytes - at < length;
        *code = 0xFFFD;
        if (!cut) return 1;
    }
    t->read_out = t->read_out || !t->last;
    return 0;
}

#endif
