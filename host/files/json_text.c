/* json_text.c — one character at a time, each as itself or as its escape. */
#include "host/files/json_text.h"

#include "weights/utf8.h"

void json_write_escaped(FILE *to, const char *text, size_t bytes, size_t limit) {
    size_t written = 0;
    for (size_t at = 0; at < bytes;) {
        char escape[8];
        const char *piece = escape;
        uint32_t code = 0;
        size_t taken = utf8_decode(text + at, bytes - at, &code), length;
        if (taken == 0)
            length = (size_t)snprintf(escape, sizeof escape, "\\ufffd");
        else if (code == '"' || code == '\\')
            length = (size_t)snprintf(escape, sizeof escape, "\\%c", (char)code);
        else if (code == '\n')
            length = (size_t)snprintf(escape, sizeof escape, "\\n");
        else if (code < 0x20 || (code >= 0x7f && code < 0xa0))
            length = (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code);
        else
            piece = text + at, length = taken;
        if (length > limit - written) return;
        fwrite(piece, 1, length, to);
        written += length;
        at += taken ? taken : 1;
    }
}

void json_write_string(FILE *to, const char *text, size_t bytes) {
    putc('"', to);
    json_write_escaped(to, text, bytes, SIZE_MAX);
    putc('"', to);
}
