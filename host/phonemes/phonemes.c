/* phonemes.c — a text's punctuation stays where it is, and what stands between goes to espeak-ng piece by piece.
 *
 * The rules are phonemizer 3.4's (punctuation.py), two of its oddities included. A mark with the white space around it
 * is one run. A comma or full stop between two digits is no mark. The text is cut at the first place where a run's
 * characters occur, which may be before the run itself: of "2.5 up." the first piece is "2". A piece that is left over
 * when the last run has been used stands at the end, a space apart. */
#include "host/phonemes/phonemes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

/* Where the IPA goes. */
typedef struct {
    espeak *espeak;
    char *out;
    size_t capacity, n;
    f5_error *error;
} writer;

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static bool is_digit(const char *text, size_t bytes, size_t at) {
    return at < bytes && text[at] >= '0' && text[at] <= '9';
}

/* Is the character at `at` punctuation? What is not ASCII never reaches espeak-ng, and so counts as it. */
static bool is_mark(const char *text, size_t bytes, size_t at) {
    const char c = text[at];
    if (c == ',' || c == '.') return !(at > 0 && is_digit(text, bytes, at - 1) && is_digit(text, bytes, at + 1));
    return (unsigned char)c >= 0x80 || (c && strchr(";:!?\"(){}[]", c));
}

/* The next run of marks and white space that has a mark, from `at` on: [*from,*to). */
static bool find_run(const char *text, size_t bytes, size_t at, size_t *from, size_t *to) {
    while (at < bytes) {
        size_t end = at;
        bool marked = false;
        while (end < bytes && (is_space(text[end]) || is_mark(text, bytes, end))) marked |= !is_space(text[end++]);
        if (marked) {
            *from = at;
            *to = end;
            return true;
        }
        at = end > at ? end : at + 1;
    }
    return false;
}

/* Where `what` [n] occurs in text first; bytes: nowhere. */
static size_t find_first(const char *text, size_t bytes, const char *what, size_t n) {
    for (size_t at = 0; at + n <= bytes; at++)
        if (memcmp(text + at, what, n) == 0) return at;
    return bytes;
}

/* White space becomes one space, however it comes. */
static f5_status put(writer *w, const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        const bool space = is_space(text[i]);
        if (space && w->n > 0 && w->out[w->n - 1] == ' ') continue;
        if (w->n >= w->capacity)
            return f5_fail(w->error, F5_E_LIMIT, "the phonemes take more than %zu bytes", w->capacity);
        w->out[w->n++] = space ? ' ' : text[i];
    }
    return F5_OK;
}

/* A piece without punctuation. The text's bytes behind it are put back. */
static f5_status say(writer *w, char *piece, size_t bytes) {
    const char behind = piece[bytes];
    size_t n = 0;
    piece[bytes] = '\0';
    f5_status status = espeak_say(w->espeak, piece, w->out + w->n, w->capacity - w->n, &n, w->error);
    piece[bytes] = behind;
    w->n += n;
    return status;
}

/* One line, which is not blank: text [bytes], and room for one byte more. */
static f5_status say_line(writer *w, char *text, size_t bytes) {
    size_t rest = 0, from, to = 0; /* rest: where what is not cut yet begins */
    for (size_t at = 0; find_run(text, bytes, at, &from, &to); at = to) {
        const size_t n = to - from, piece = find_first(text + rest, bytes - rest, text + from, n);
        if (piece > 0) F5_TRY(say(w, text + rest, piece));
        F5_TRY(put(w, text + from, n));
        rest = piece + n < bytes - rest ? rest + piece + n : bytes;
    }
    if (rest == bytes) return F5_OK;
    if (to == bytes) F5_TRY(put(w, " ", 1)); /* the last run ended the line, and something is left over */
    return say(w, text + rest, bytes - rest);
}

static bool is_blank(const char *text, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (!is_space(text[i])) return false;
    return true;
}

f5_status phonemes_of(espeak *e, const char *text, size_t bytes, char *out, size_t capacity, size_t *n,
                      f5_error *error) {
    const size_t valid = utf8_valid_prefix(text, bytes);
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %zu", valid);
    char *clean = malloc(PHONEMES_CLEAN_BYTES(bytes) + 1);
    if (!clean) return f5_fail(error, F5_E_MEMORY, "no memory for a text of %zu bytes", bytes);
    const size_t length = phonemes_clean(text, bytes, clean);
    writer w = {.espeak = e, .out = out, .capacity = capacity, .error = error};
    f5_status status = F5_OK;
    for (size_t at = 0; at < length && status == F5_OK;) {
        const char *end = memchr(clean + at, '\n', length - at);
        const size_t line = end ? (size_t)(end - clean) - at : length - at;
        if (!is_blank(clean + at, line)) {
            if (w.n > 0) status = put(&w, " ", 1);
            if (status == F5_OK) status = say_line(&w, clean + at, line);
        }
        at += line + 1;
    }
    free(clean);
    *n = w.n;
    return status;
}
