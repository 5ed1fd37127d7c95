/* subtitle_lines.c — greedy lines: characters are taken as long as they fit, then the line ends where it last could. */
#include "host/files/subtitle_lines.h"

#include <stdbool.h>
#include <stdint.h>

#include "weights/utf8.h"

/* A stray byte is a character of its own. */
static size_t take(const subtitle_text *t, const char *at, uint32_t *code) {
    size_t n = utf8_decode(at, (size_t)(t->end - at), code);
    if (n > 0) return n;
    *code = 0xfffd;
    return 1;
}

static bool is_space(uint32_t c) {
    return c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x1680 || (c >= 0x2000 && c <= 0x200b) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000 || c == 0xfeff;
}

/* Scripts whose characters are as wide as high, and which break lines between any two of them. */
static bool is_wide(uint32_t c) {
    return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
           (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1f64f) || (c >= 0x1f900 && c <= 0x1f9ff) ||
           (c >= 0x20000 && c <= 0x3fffd);
}

/* Wide punctuation that stands at no line's start. */
static bool is_closing(uint32_t c) {
    static const uint16_t closing[] = {0x3001, 0x3002, 0xff01, 0xff0c, 0xff0e, 0xff1a, 0xff1b, 0xff1f,
                                       0x300d, 0x300f, 0x3009, 0x300b, 0xff09, 0x3011, 0x3015, 0x30fc};
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++)
        if (c == closing[i]) return true;
    return false;
}

size_t subtitle_next_line(subtitle_text *t, const char **line, size_t *bytes) {
    uint32_t code;
    for (size_t n; t->at < t->end && (n = take(t, t->at, &code), is_space(code));) t->at += n;
    const char *at = t->at, *good = NULL; /* good: the line may end here, in front of what follows */
    size_t columns = 0, good_columns = 0;
    bool after_space = false, after_wide = false;
    for (size_t n; at < t->end; at += n) {
        n = take(t, at, &code);
        if (is_space(code)) {
            if (!after_space) good = at, good_columns = columns;
            after_space = true;
            continue;
        }
        bool wide = is_wide(code);
        if (!after_space && columns > 0 && (wide || after_wide) && !is_closing(code)) good = at, good_columns = columns;
        size_t width = (wide ? 2u : 1u) + (after_space ? 1u : 0u);
        if (columns + width > SUBTITLE_COLUMNS) break;
        columns += width;
        after_space = false, after_wide = wide;
    }
    if (at == t->end) {
        if (!after_space) good = at, good_columns = columns;
    } else if (!good) {
        good = at, good_columns = columns;
    }
    *line = t->at;
    *bytes = columns ? (size_t)(good - t->at) : 0;
    t->at = columns ? good : t->end;
    return good_columns;
}
