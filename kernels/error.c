/* error.c — writes the message of a failure, and names the status codes. */
#include "kernels/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "weights/utf8.h"

/* ---- a text, shown on one line ----------------------------------------------------------------------------------- */

#define SHOWN_MAX 8 /* bytes of one character as it is shown */

/* How the character at s is shown: writes it into shown and returns its bytes; *taken of s are passed. bytes > 0. */
static size_t show_character(const char *s, size_t bytes, char shown[SHOWN_MAX], size_t *taken) {
    uint32_t code;
    *taken = utf8_decode(s, bytes, &code);
    if (*taken == 0) {
        *taken = 1;
        return (size_t)snprintf(shown, SHOWN_MAX, "\\x%02x", (unsigned)(uint8_t)*s);
    }
    if (!utf8_is_control(code)) {
        memcpy(shown, s, *taken);
        return *taken;
    }
    if (code == '\n' || code == '\r' || code == '\t')
        return (size_t)snprintf(shown, SHOWN_MAX, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
    return (size_t)snprintf(shown, SHOWN_MAX, code < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)code);
}

static size_t shown_bytes(const char *s, size_t bytes) {
    char shown[SHOWN_MAX];
    size_t sum = 0;
    for (size_t at = 0, taken; at < bytes; at += taken) sum += show_character(s + at, bytes - at, shown, &taken);
    return sum;
}

/* ---- the message so far ------------------------------------------------------------------------------------------ */

typedef struct {
    char *to;
    size_t room, used; /* used < room */
    size_t fixed;      /* bytes that are no text's */
    size_t text[16];   /* [texts] bytes of each text as it is shown */
    size_t texts;
    size_t limit; /* bytes that one text may take */
} message;

/* Appends a character or a number, whole or not at all. */
static void append(message *m, const char *bytes, size_t n) {
    if (m->used + n >= m->room) {
        m->room = m->used + 1; /* nothing more */
        return;
    }
    memcpy(m->to + m->used, bytes, n);
    m->used += n;
}

/* Appends a text, its middle left out where it takes more than the limit. */
static void append_text(message *m, const char *s, size_t bytes) {
    static const char gap[] = "...";
    char shown[SHOWN_MAX];
    size_t total = shown_bytes(s, bytes), kept = total;
    if (total > m->limit) kept = m->limit > sizeof gap ? m->limit - (sizeof gap - 1) : 0;
    size_t head = kept == total ? total : kept / 2, tail = kept - head, passed = 0;
    bool cut = false;
    for (size_t at = 0, taken, n; at < bytes; at += taken, passed += n) {
        n = show_character(s + at, bytes - at, shown, &taken);
        if (passed + n > head && total - passed > tail) {
            if (!cut) append(m, gap, sizeof gap - 1);
            cut = true, head = 0;
        } else {
            append(m, shown, n);
        }
    }
}

/* The limit at which all texts together take what is left of the room: short ones stay whole. */
static size_t find_limit(const message *m) {
    size_t left = m->room - 1 > m->fixed ? m->room - 1 - m->fixed : 0, sum = 0;
    for (size_t i = 0; i < m->texts; i++) sum += m->text[i];
    if (sum <= left) return SIZE_MAX;
    size_t limit = left / m->texts;
    for (size_t round = 0; round < m->texts; round++) {
        size_t whole = 0, longer = 0;
        for (size_t i = 0; i < m->texts; i++) {
            if (m->text[i] <= limit)
                whole += m->text[i];
            else
                longer++;
        }
        if (longer > 0) limit = (left - whole) / longer;
    }
    return limit;
}

/* ---- formats ----------------------------------------------------------------------------------------------------- */

/* Formats one number or letter: its specification ends with the conversion and has `length` as its modifier. */
static int format_value(char *to, size_t room, const char *spec, const char *length, char conversion, va_list *args) {
    const bool is_long = strcmp(length, "l") == 0, is_signed = conversion == 'd' || conversion == 'i';
    if (strchr("fFeEgG", conversion)) return snprintf(to, room, spec, va_arg(*args, double));
    if (conversion == 'p') return snprintf(to, room, spec, va_arg(*args, void *));
    if (!is_signed && !strchr("uxXc", conversion)) return -1;
    if (strcmp(length, "ll") == 0) return snprintf(to, room, spec, va_arg(*args, long long));
    if (is_long && is_signed) return snprintf(to, room, spec, va_arg(*args, long));
    if (is_long) return snprintf(to, room, spec, va_arg(*args, unsigned long));
    if (*length == 'z') return snprintf(to, room, spec, va_arg(*args, size_t));
    if (*length == 'j') return snprintf(to, room, spec, va_arg(*args, intmax_t));
    if (*length == 't') return snprintf(to, room, spec, va_arg(*args, ptrdiff_t));
    return snprintf(to, room, spec, va_arg(*args, int));
}

/* Goes over the format once: measures where m->to is NULL, else writes. */
static void walk(message *m, const char *format, va_list *args) {
    while (*format) {
        size_t plain = strcspn(format, "%");
        if (plain == 0 && format[1] == '%') plain = 1;
        if (plain > 0) {
            m->fixed += plain;
            for (size_t i = 0, taken; m->to && i < plain; i += taken) {
                uint32_t code;
                taken = utf8_decode(format + i, plain - i, &code);
                if (taken == 0) taken = 1;
                append(m, format + i, taken);
            }
            format += plain + (format[0] == '%');
            continue;
        }
        size_t flags = 1 + strspn(format + 1, "-+ #0123456789.*"), modifier = strspn(format + flags, "hlzjt");
        char conversion = format[flags + modifier], spec[24], length[4] = "", value[352]; /* -1e308 by %f */
        size_t bytes = flags + modifier + 1;
        if (!conversion || bytes >= sizeof spec || modifier >= sizeof length) return;
        memcpy(spec, format, bytes);
        spec[bytes] = '\0';
        memcpy(length, format + flags, modifier);
        format += bytes;
        if (conversion == 's') {
            const char *dot = strchr(spec, '.');
            int most = !dot ? -1 : dot[1] == '*' ? va_arg(*args, int) : 0;
            for (const char *c = dot ? dot + 1 : ""; *c >= '0' && *c <= '9'; c++) most = 10 * most + *c - '0';
            const char *text = va_arg(*args, const char *);
            if (!text) text = "(null)";
            size_t n = most < 0 ? strlen(text) : strnlen(text, (size_t)most);
            if (m->to)
                append_text(m, text, n);
            else if (m->texts < sizeof m->text / sizeof *m->text)
                m->text[m->texts++] = shown_bytes(text, n);
            continue;
        }
        int n = format_value(value, sizeof value, spec, length, conversion, args);
        if (n < 0 || (size_t)n >= sizeof value) return;
        m->fixed += (size_t)n;
        if (m->to) append(m, value, (size_t)n);
    }
}

void f5_format(char *to, size_t room, const char *format, va_list args) {
    message m = {.room = room};
    va_list twice;
    va_copy(twice, args);
    walk(&m, format, &twice);
    va_end(twice);
    m.limit = find_limit(&m);
    m.to = to;
    va_copy(twice, args);
    walk(&m, format, &twice);
    va_end(twice);
    to[m.used] = '\0';
}

f5_status f5_fail(f5_error *error, f5_status status, const char *format, ...) {
    if (!error) return status;
    f5_error made = {.status = status}; /* a text may be the message that *error holds */
    va_list args;
    va_start(args, format);
    f5_format(made.message, sizeof made.message, format, args);
    va_end(args);
    *error = made;
    return status;
}

const char *f5_status_string(f5_status status) {
    switch (status) {
    case F5_OK:
        return "ok";
    case F5_E_ARGUMENT:
        return "bad argument";
    case F5_E_SHAPE:
        return "bad shape";
    case F5_E_IO:
        return "file cannot be read or written";
    case F5_E_FORMAT:
        return "malformed file";
    case F5_E_UNSUPPORTED:
        return "not supported";
    case F5_E_MEMORY:
        return "out of memory";
    case F5_E_DEVICE:
        return "device failure";
    case F5_E_CANCELLED:
        return "cancelled";
    case F5_E_LIMIT:
        return "over a limit";
    }
    return "unknown status";
}
