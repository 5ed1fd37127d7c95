/* base64.c — three bytes are four characters of six bits. */
#include "host/server/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *data, size_t bytes, char *text) {
    const uint8_t *in = data;
    char *out = text;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t n = bytes - i < 3 ? bytes - i : 3;
        uint32_t bits = (uint32_t)in[i] << 16;
        if (n > 1) bits |= (uint32_t)in[i + 1] << 8;
        if (n > 2) bits |= in[i + 2];
        for (size_t c = 0; c < 4; c++) *out++ = c <= n ? alphabet[bits >> (18 - 6 * c) & 63] : '=';
    }
    *out = 0;
    return (size_t)(out - text);
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t length, uint8_t *data, size_t *bytes) {
    *bytes = 0;
    if (length % 4 != 0) return false;
    for (size_t i = 0; i < length; i += 4) {
        size_t n = 4; /* characters before the padding */
        if (i + 4 == length)
            while (n > 2 && text[i + n - 1] == '=') n--;
        uint32_t bits = 0;
        for (size_t c = 0; c < 4; c++) {
            int value = c < n ? value_of(text[i + c]) : 0;
            if (value < 0) return false;
            bits = bits << 6 | (uint32_t)value;
        }
        if (n < 4 && (bits & ((1u << (8 * (4 - n))) - 1))) return false;
        for (size_t b = 0; b < n - 1; b++) data[(*bytes)++] = (uint8_t)(bits >> (16 - 8 * b));
    }
    return true;
}
