/* toml_scan.c — strings of four kinds, numbers of four bases, and what lies between values. */
#include "host/files/toml_scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/utf8.h"

/* ---- between values ---------------------------------------------------------------------------------------------- */

static bool is_control(char c) {
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

void toml_skip_blanks(toml_scan *s) {
    while (*s->at == ' ' || *s->at == '\t') s->at++;
}

/* A comment, up to the end of its line. */
static f5_status skip_comment(toml_scan *s) {
    if (*s->at != '#') return F5_OK;
    while (s->at < s->end && *s->at != '\n') {
        if (is_control(*s->at)) return toml_refuse(s, F5_E_FORMAT, "a control character in a comment");
        s->at++;
    }
    return F5_OK;
}

f5_status toml_end_line(toml_scan *s) {
    toml_skip_blanks(s);
    F5_TRY(skip_comment(s));
    if (s->at == s->end) return F5_OK;
    if (*s->at != '\n') {
        size_t word = strcspn(s->at, " \t\n#");
        return toml_refuse(s, F5_E_FORMAT, "'%.*s' where the line should end", word < 40 ? (int)word : 40, s->at);
    }
    s->at++, s->line++;
    return F5_OK;
}

f5_status toml_skip_lines(toml_scan *s) {
    for (;;) {
        toml_skip_blanks(s);
        F5_TRY(skip_comment(s));
        if (*s->at != '\n') return F5_OK;
        s->at++, s->line++;
    }
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* `digits` hexadecimal digits at s->at as a character. */
static f5_status take_code(toml_scan *s, int digits, char *out, size_t *n) {
    uint32_t code = 0;
    for (int i = 0; i < digits; i++) {
        char c = s->at[i];
        if (!isxdigit((unsigned char)c)) return toml_refuse(s, F5_E_FORMAT, "\\u needs 4 hexadecimal digits, \\U 8");
        code = code << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    if (code == 0) return toml_refuse(s, F5_E_UNSUPPORTED, "a NUL character in a string");
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return toml_refuse(s, F5_E_FORMAT, "U+%04X is no character", (unsigned)code);
    s->at += digits;
    *n += utf8_encode(out + *n, code);
    return F5_OK;
}

/* What follows a backslash. A string never grows by its escapes. */
static f5_status take_escape(toml_scan *s, bool many_lines, char *out, size_t *n) {
    static const char letter[] = "btnfr\"\\", meant[] = "\b\t\n\f\r\"\\";
    char c = *s->at;
    const char *found = c ? strchr(letter, c) : NULL;
    if (found) {
        out[(*n)++] = meant[found - letter];
        s->at++;
        return F5_OK;
    }
    if (c == 'u' || c == 'U') {
        s->at++;
        return take_code(s, c == 'u' ? 4 : 8, out, n);
    }
    const char *after = s->at + strspn(s->at, " \t");
    if (!many_lines || *after != '\n') return toml_refuse(s, F5_E_FORMAT, "an escape that TOML does not have");
    for (s->at = after; *s->at == ' ' || *s->at == '\t' || *s->at == '\n'; s->at++) s->line += *s->at == '\n';
    return F5_OK;
}

/* Quotes that follow each other at `at`, at most `most`. */
static int count_quotes(const char *at, char quote, int most) {
    int n = 0;
    while (n < most && at[n] == quote) n++;
    return n;
}

f5_status toml_take_string(toml_scan *s, bool lines_allowed, char **value, size_t *bytes) {
    char quote = *s->at;
    bool basic = quote == '"', many_lines = count_quotes(s->at, quote, 3) == 3;
    int first_line = s->line;
    if (many_lines && !lines_allowed) return toml_refuse(s, F5_E_FORMAT, "a key of several lines");
    s->at += many_lines ? 3 : 1;
    if (many_lines && *s->at == '\n') s->at++, s->line++;
    char *out = *value = malloc((size_t)(s->end - s->at) + 1);
    if (!out) return toml_refuse(s, F5_E_MEMORY, "no memory for a string");
    size_t n = 0;
    f5_status status = F5_OK;
    for (bool closed = false; !closed && status == F5_OK;) {
        char c = *s->at;
        if (s->at == s->end || (c == '\n' && !many_lines)) {
            s->line = first_line;
            status = toml_refuse(s, F5_E_FORMAT, "a string that is not closed");
        } else if (c == quote) {
            int quotes = count_quotes(s->at, quote, many_lines ? 5 : 1); /* two of them may belong to the text */
            closed = quotes >= (many_lines ? 3 : 1);
            int inside = closed ? quotes - (many_lines ? 3 : 1) : quotes;
            for (int i = 0; i < inside; i++) out[n++] = quote;
            s->at += quotes;
        } else if (c == '\\' && basic) {
            s->at++;
            status = take_escape(s, many_lines, out, &n);
        } else if (is_control(c) && c != '\n') {
            status = toml_refuse(s, F5_E_FORMAT, "a control character (0x%02x) in a string", (unsigned char)c);
        } else {
            s->line += c == '\n';
            out[n++] = c;
            s->at++;
        }
    }
    if (status != F5_OK) {
        free(out);
        *value = NULL;
        return status;
    }
    out[n] = '\0';
    *bytes = n;
    char *fitting = realloc(out, n + 1);
    *value = fitting ? fitting : out;
    return F5_OK;
}

/* ---- numbers and booleans ---------------------------------------------------------------------------------------- */

/* Digits of a base with single underscores between them, copied without these. Bytes taken; 0: none, or misplaced. */
static size_t take_digits(const char *text, int base, char *out, size_t *n) {
    size_t at = 0;
    for (;; at++) {
        int c = tolower((unsigned char)text[at]);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (digit < base)
            out[(*n)++] = text[at];
        else if (c != '_' || at == 0 || text[at - 1] == '_')
            break;
    }
    return at > 0 && text[at - 1] != '_' ? at : 0;
}

/* The text of a float into out, which has room for it; false if it is none. */
static bool clean_float(const char *word, char *out, size_t *n) {
    const char *at = word;
    if (*at == '+' || *at == '-') out[(*n)++] = *at++;
    if (strcmp(at, "inf") == 0 || strcmp(at, "nan") == 0) {
        memcpy(out + *n, at, 3);
        *n += 3;
        return true;
    }
    if (*at == '0' && isdigit((unsigned char)at[1])) return false;
    size_t taken = take_digits(at, 10, out, n);
    if (taken == 0) return false;
    at += taken;
    bool fraction = *at == '.', exponent = false;
    if (fraction) {
        out[(*n)++] = *at++;
        if ((taken = take_digits(at, 10, out, n)) == 0) return false;
        at += taken;
    }
    if (*at == 'e' || *at == 'E') {
        exponent = true;
        out[(*n)++] = *at++;
        if (*at == '+' || *at == '-') out[(*n)++] = *at++;
        if ((taken = take_digits(at, 10, out, n)) == 0) return false;
        at += taken;
    }
    return *at == '\0' && (fraction || exponent);
}

/* The text of a whole number into digits; its base, or 0 if it is none. */
static int clean_integer(const char *word, char *digits, size_t *n) {
    int base = 10;
    if (word[0] == '0' && word[1]) base = word[1] == 'x' ? 16 : word[1] == 'o' ? 8 : word[1] == 'b' ? 2 : 0;
    const char *at = word + (base == 10 ? 0 : 2);
    if (base == 10 && (*at == '+' || *at == '-')) digits[(*n)++] = *at++;
    if (base == 0 || (base == 10 && *at == '0' && at[1])) return 0;
    size_t taken = take_digits(at, base, digits, n);
    return taken > 0 && at[taken] == '\0' ? base : 0;
}

f5_status toml_take_plain(toml_scan *s, toml_type *type, char **value) {
    char word[64], clean[64];
    size_t length = strcspn(s->at, " \t\n,]}#="), n = 0;
    if (length == 0) return toml_refuse(s, F5_E_FORMAT, "a value is missing");
    if (length >= sizeof word - 1)
        return toml_refuse(s, F5_E_FORMAT, "%.40s... is no value: a text stands in quotes", s->at);
    memcpy(word, s->at, length);
    word[length] = '\0';
    int base;
    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        *type = TOML_BOOLEAN;
        memcpy(clean, word, length + 1);
    } else if ((base = clean_integer(word, clean, &n)) != 0) {
        *type = TOML_INTEGER;
        clean[n] = '\0';
        errno = 0;
        long long number = strtoll(clean, NULL, base);
        if (errno) return toml_refuse(s, F5_E_UNSUPPORTED, "%s: a whole number of at most 64 bits is wanted", word);
        snprintf(clean, sizeof clean, "%lld", number);
    } else if (n = 0, clean_float(word, clean, &n)) {
        *type = TOML_FLOAT;
        clean[n] = '\0';
    } else if (isdigit((unsigned char)word[0]) && strpbrk(word, "-:")) {
        return toml_refuse(s, F5_E_UNSUPPORTED, "%s: dates and times are not read: write it in quotes", word);
    } else {
        return toml_refuse(s, F5_E_FORMAT, "%s is no value: a text stands in quotes", word);
    }
    s->at += length;
    *value = strdup(clean);
    return *value ? F5_OK : toml_refuse(s, F5_E_MEMORY, "no memory for a value");
}
