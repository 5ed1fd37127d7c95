/* json_text.c — one character at a time, each as itself or as its escape. */
#include "host/files/json_text.h"

#include <stdint.h>

#include "weights/json_escape.h"

void json_write_escaped(FILE *to, const char *text, size_t bytes, size_t limit) {
    size_t written = 0;
    for (size_t at = 0; at < bytes;) {
        char escape[8];
        const char *piece;
        size_t length, taken = json_escape_one(text + at, bytes - at, escape, &piece, &length);
        if (length > limit - written) return;
        fwrite(piece, 1, length, to);
        written += length;
        at += taken;
    }
}

void json_write_string(FILE *to, const char *text, size_t bytes) {
    putc('"', to);
    json_write_escaped(to, text, bytes, SIZE_MAX);
    putc('"', to);
}
