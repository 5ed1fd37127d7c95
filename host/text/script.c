/* script.c — at each [ looks whether it opens a tag. */
#include "host/text/script.h"

#include <string.h>

#include "host/text/char_class.h"
#include "host/text/growing_text.h"

static const char pause_start[] = "[pause ";

/* The tag at `at`, where a [ stands: SCRIPT_TEXT_ONLY where there is none. */
static script_tag read_tag(growing_text *t, size_t at) {
    size_t end = at + 1;
    for (uint32_t c;;) {
        size_t n = growing_peek(t, end, &c);
        if (c == ']' && end > at + 1)
            return (script_tag){
                .kind = SCRIPT_TAG, .bytes = end + 1 - at, .name = t->text + at + 1, .name_bytes = end - at - 1};
        if (n == 0 || !char_is_word(c) || end + n - at - 1 > SCRIPT_MAX_NAME) return (script_tag){0};
        end += n;
    }
}

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

/* Skips spaces. */
static size_t skip(const char *text, size_t at, size_t end) {
    while (at < end && text[at] == ' ') at++;
    return at;
}

/* "0.5s", "500 ms", "1" in seconds; -1 for anything else. */
static double read_seconds(const char *text, size_t bytes) {
    size_t at = skip(text, 0, bytes);
    double value = 0, scale = 1;
    bool any = false;
    for (; at < bytes && digit(text[at]); at++, any = true) value = value * 10 + (text[at] - '0');
    if (at < bytes && text[at] == '.')
        for (at++; at < bytes && digit(text[at]); at++, any = true, scale *= 10) value = value * 10 + (text[at] - '0');
    at = skip(text, at, bytes);
    if (bytes - at >= 2 && memcmp(text + at, "ms", 2) == 0) {
        scale *= 1000;
        at += 2;
    } else if (at < bytes && text[at] == 's') {
        at++;
    }
    at = skip(text, at, bytes);
    value /= scale;
    return any && at == bytes && value <= SCRIPT_MAX_PAUSE ? value : -1;
}

/* The pause at `at`, where a [ stands: SCRIPT_TEXT_ONLY where there is none. */
static script_tag read_pause(growing_text *t, size_t at) {
    const size_t begun = sizeof(pause_start) - 1;
    uint32_t c;
    for (size_t i = 0; i < begun; i++)
        if (growing_peek(t, at + i, &c) == 0 || c != (unsigned char)pause_start[i]) return (script_tag){0};
    size_t end = at + begun;
    for (;;) {
        size_t n = growing_peek(t, end, &c);
        if (n == 0 || c == '[' || c == '\n' || end + n - at - 1 > SCRIPT_MAX_NAME)
            return (script_tag){.kind = SCRIPT_BAD_PAUSE, .bytes = begun};
        if (c == ']') break;
        end += n;
    }
    double seconds = read_seconds(t->text + at + begun, end - at - begun);
    return (script_tag){.kind = seconds >= 0 ? SCRIPT_PAUSE : SCRIPT_BAD_PAUSE,
                        .bytes = end + 1 - at,
                        .seconds = seconds >= 0 ? seconds : 0};
}

size_t script_find(const char *text, size_t bytes, bool last, script_tag *tag) {
    for (size_t at = 0; at < bytes; at++) {
        const char *bracket = memchr(text + at, '[', bytes - at);
        if (!bracket) break;
        at = (size_t)(bracket - text);
        growing_text t = {.text = text, .bytes = bytes, .last = last};
        *tag = read_tag(&t, at);
        if (tag->kind == SCRIPT_TEXT_ONLY && !t.read_out) *tag = read_pause(&t, at);
        if (t.read_out) *tag = (script_tag){.kind = SCRIPT_PENDING};
        if (tag->kind != SCRIPT_TEXT_ONLY) return at;
    }
    *tag = (script_tag){.kind = SCRIPT_TEXT_ONLY};
    return bytes;
}
