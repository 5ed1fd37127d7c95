/* utf8.h — one character at a time from bytes that may be anything. */
#ifndef F5_UTF8_H
#define F5_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 character at s (1 .. 4), its code point in *code; 0 if there is none within `bytes`
 * (truncated, overlong, a surrogate, past U+10FFFF). */
static inline size_t utf8_decode(const char *s, size_t bytes, uint32_t *code) {
    const uint8_t *u = (const uint8_t *)s;
    if (bytes == 0) return 0;
    if (u[0] < 0x80) {
        *code = u[0];
        return 1;
    }
    size_t length = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || bytes < length) return 0;
    uint32_t value = u[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((u[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (u[i] & 0x3fu);
    }
    uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
    *code = value;
    return length;
}

/* Offset of the first byte that is not well-formed UTF-8; `bytes` if all of it is. */
static inline size_t utf8_valid_prefix(const char *s, size_t bytes) {
    size_t at = 0;
    for (uint32_t code; at < bytes;) {
        size_t length = utf8_decode(s + at, bytes - at, &code);
        if (length == 0) break;
        at += length;
    }
    return at;
}

/* Would a terminal act on it instead of showing it? Control characters, line separators, and what turns the direction
 * of writing. */
static inline int utf8_is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* Writes the character at out (room for 4) and returns its bytes. code is a valid scalar value. */
static inline size_t utf8_encode(char *out, uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00 >> length & 0xff) | code);
    return length;
}

#endif
