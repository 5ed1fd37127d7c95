/* text_buffer.h — text that grows inside memory of a fixed size: the caller's, taken when an engine is opened. */
#ifndef F5_TEXT_BUFFER_H
#define F5_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct {
    char *text; /* [capacity], not terminated */
    size_t bytes, capacity;
    bool full; /* something did not fit, and all that came after it was left out */
} text_buffer;

/* Appends bytes of text, all or none of them. false: the buffer is full, now or before. */
static inline bool text_put(text_buffer *b, const char *text, size_t bytes) {
    if (b->full || bytes > b->capacity - b->bytes) {
        b->full = true;
        return false;
    }
    memcpy(b->text + b->bytes, text, bytes);
    b->bytes += bytes;
    return true;
}

static inline bool text_put_string(text_buffer *b, const char *text) {
    return text_put(b, text, strlen(text));
}

#endif
