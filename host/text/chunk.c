/* chunk.c — see chunk.h. */
#include "host/text/chunk.h"

#include <stdbool.h>
#include <string.h>

#include "weights/utf8.h"

/* White space in the sense of Python's str.isspace and \s. */
static bool is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_full_width_stop(uint32_t c) {
    return c == 0xFF1B || c == 0xFF1A || c == 0xFF0C || c == 0x3002 || c == 0xFF01 || c == 0xFF1F;
}

static size_t space_run(const char *text, size_t bytes) {
    size_t at = 0;
    for (uint32_t c; at < bytes;) {
        int n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0 || !is_space(c)) break;
        at += (size_t)n;
    }
    return at;
}

bool chunk_is_blank(const char *text, size_t bytes) {
    return space_run(text, bytes) == bytes;
}

/* Finds the sentence at the start of the text: its length, and in *next where the one after it begins. 0: malformed. */
static size_t find_sentence(const char *text, size_t bytes, size_t *next) {
    for (size_t at = 0; at < bytes;) {
        uint32_t c;
        int n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) return 0;
        at += (size_t)n;
        if (is_full_width_stop(c)) {
            *next = at;
            return at;
        }
        size_t spaces = c < 0x80 && c != 0 && strchr(";:,.!?", (int)c) ? space_run(text + at, bytes - at) : 0;
        if (spaces > 0) {
            *next = at + spaces;
            return at;
        }
    }
    *next = bytes;
    return bytes;
}

static void strip(char *text, size_t *bytes) {
    size_t start = space_run(text, *bytes), end = start;
    for (size_t at = start; at < *bytes;) {
        uint32_t c = 0;
        at += (size_t)utf8_decode(text + at, *bytes - at, &c);
        if (!is_space(c)) end = at;
    }
    memmove(text, text + start, end - start);
    *bytes = end - start;
}

f5_status chunk_next(const char *text, size_t bytes, size_t *at, int64_t max_bytes, char *out, size_t *out_bytes,
                     f5_error *error) {
    size_t held = 0;
    *out_bytes = 0;
    while (*at < bytes) {
        size_t next, length = find_sentence(text + *at, bytes - *at, &next);
        if (length == 0) return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 after byte %zu", *at);
        if (held > 0 && (int64_t)(held + length) > max_bytes) {
            strip(out, &held);
            if (held > 0) break; /* a chunk of nothing but white space is none */
        }
        memcpy(out + held, text + *at, length);
        held += length;
        *at += next;
        if ((unsigned char)out[held - 1] < 0x80) out[held++] = ' ';
    }
    strip(out, &held);
    *out_bytes = held;
    return F5_OK;
}
