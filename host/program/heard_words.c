/* heard_words.c — line after line: a time stamp in front of it goes, and of a text with time stamps only lines that
 * have one are words. */
#include "host/program/heard_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "weights/utf8.h"

/* Bytes of "[00:00:00.000 --> 00:00:02.000]" at the beginning of the line, blanks around it included; 0: there is none.
 */
static size_t stamp_bytes(const char *line, size_t bytes) {
    size_t at = 0;
    while (at < bytes && (line[at] == ' ' || line[at] == '\t')) at++;
    if (at == bytes || line[at++] != '[') return 0;
    size_t digits = 0;
    bool arrow = false;
    for (; at < bytes && line[at] != ']'; at++) {
        if (bytes - at > 3 && memcmp(line + at, "-->", 3) == 0) {
            arrow = true;
            at += 2;
        } else if (line[at] >= '0' && line[at] <= '9') {
            digits++;
        } else if (!strchr(":., ", line[at])) {
            return 0;
        }
    }
    return at < bytes && arrow && digits >= 6 ? at + 1 : 0;
}

/* Calls take for every line that counts. */
static size_t join_lines(const char *printed, size_t bytes, bool stamped, char *to) {
    size_t n = 0;
    for (size_t at = 0, next; at < bytes; at = next) {
        const char *end = memchr(printed + at, '\n', bytes - at);
        next = end ? (size_t)(end - printed) + 1 : bytes;
        size_t stamp = stamp_bytes(printed + at, next - at);
        if (stamped && stamp == 0) continue;
        if (n > 0) to[n++] = ' ';
        for (at += stamp; at < next;) {
            uint32_t code;
            size_t length = utf8_decode(printed + at, next - at, &code);
            if (length == 0) break;                                        /* it was found to be UTF-8 before */
            if (code == 0x1b && at + 1 < next && printed[at + 1] == '[') { /* a colour: ESC [ 1 m */
                for (at += 2; at < next && (printed[at] < 0x40 || printed[at] > 0x7e);) at++;
                at += at < next;
                continue;
            }
            bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
            if (control || code == ' ') {
                if (n > 0 && to[n - 1] != ' ') to[n++] = ' ';
            } else {
                memcpy(to + n, printed + at, length);
                n += length;
            }
            at += length;
        }
        while (n > 0 && to[n - 1] == ' ') n--;
    }
    to[n] = '\0';
    return n;
}

static bool has_stamps(const char *printed, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        if (stamp_bytes(printed + at, bytes - at)) return true;
        const char *end = memchr(printed + at, '\n', bytes - at);
        at = end ? (size_t)(end - printed) + 1 : bytes;
    }
    return false;
}

/* Are there words outside of brackets? */
static bool says_something(const char *words) {
    for (; *words; words++) {
        const char *close = *words == '[' ? strchr(words, ']') : *words == '(' ? strchr(words, ')') : NULL;
        if (close)
            words = close;
        else if (!strchr(" .,!?-", *words))
            return true;
    }
    return false;
}

f5_status heard_words(const char *printed, size_t bytes, const char *program, char **words, f5_error *error) {
    *words = NULL;
    size_t valid = utf8_valid_prefix(printed, bytes);
    if (valid < bytes || strlen(printed) < bytes)
        return f5_fail(error, F5_E_FORMAT, "%s: what it printed is no UTF-8 text: byte %zu", program,
                       valid < bytes ? valid : strlen(printed));
    char *text = malloc(bytes + 2);
    if (!text) return f5_fail(error, F5_E_MEMORY, "no memory for a transcript");
    join_lines(printed, bytes, has_stamps(printed, bytes), text);
    if (f5_text_is_blank(text) || !says_something(text)) {
        f5_status status = f5_fail(error, F5_E_FORMAT, "%s: it heard no words%s%s", program, *text ? ": " : "", text);
        free(text);
        return status;
    }
    *words = text;
    return F5_OK;
}
