/* english_addresses.c — what is dialled or typed: phone numbers, e-mail, URLs, file names, versions, hashtags, @names.
 */
#include <string.h>

#include "host/text/english.h"

/* ---- phone numbers */

enum { MAX_GROUPS = 8 };

/* Digits in groups, each after one of - . space ( ): how long the groups are. Bytes of all. */
static size_t parse_groups(const reading *r, size_t at, size_t lengths[MAX_GROUPS], size_t *n, bool *spaces) {
    size_t start = at;
    *n = 0;
    *spaces = false;
    for (;;) {
        size_t open = peek(r, at) == '(', digits = count_digits(r, at + open);
        bool closed = open && peek(r, at + open + digits) == ')';
        if (digits == 0 || *n == MAX_GROUPS || (open && !closed)) break;
        lengths[(*n)++] = digits;
        at += open + digits + closed;
        if (is_digit(peek(r, at)) && closed) continue;
        size_t next = at;
        while (next < at + 2 && (peek(r, next) == ' ' || peek(r, next) == '-' || peek(r, next) == '.')) next++;
        if (next == at + 2 && peek(r, at) == peek(r, at + 1)) break;
        if (!(is_digit(peek(r, next)) || (peek(r, next) == '(' && is_digit(peek(r, next + 1))))) break;
        *spaces |= peek(r, at) == ' ';
        if (next == at) break;
        at = next;
    }
    return at - start;
}

static bool is_shape(const size_t *lengths, size_t n, const char *shape) {
    if (strlen(shape) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (lengths[i] != (size_t)(shape[i] - '0')) return false;
    return true;
}

static void say_groups(reading *r, size_t at, size_t bytes) {
    bool first = true;
    for (size_t end = at + bytes; at < end;) {
        size_t digits = count_digits(r, at);
        if (digits == 0) {
            at++;
            continue;
        }
        if (!first) say_on(r, ",");
        first = false;
        bool hundreds = digits == 3 && peek(r, at) != '0' && peek(r, at + 1) == '0' && peek(r, at + 2) == '0';
        if (hundreds)
            say_cardinal(r, value_of(r, at, 3));
        else
            say_digits(r, at, digits);
        at += digits;
    }
}

size_t english_phone(reading *r) {
    size_t lengths[MAX_GROUPS], n, plus = peek(r, r->at) == '+';
    bool spaces;
    if (is_word(before(r)) || before(r) == '-') return 0;
    size_t bytes = parse_groups(r, r->at + plus, lengths, &n, &spaces);
    if (bytes == 0 || is_word(peek(r, r->at + plus + bytes))) return 0;
    bool bracket = peek(r, r->at) == '(';
    size_t digits = 0;
    for (size_t i = 0; i < n; i++) digits += lengths[i];
    bool known = is_shape(lengths, n, "334") || is_shape(lengths, n, "1334") ||
                 (bracket && is_shape(lengths, n, "34")) ||
                 (!spaces && peek(r, r->at + 3) == '-' && is_shape(lengths, n, "34")) ||
                 (!spaces && is_shape(lengths, n, "324")) || (plus && digits >= 8 && digits <= 15) ||
                 (!plus && peek(r, r->at) == '0' && n >= 2 && digits >= 9 && digits <= 12);
    if (!known) return 0;
    if (plus) say(r, "plus");
    say_groups(r, r->at + plus, bytes);
    return plus + bytes;
}

/* ---- e-mail, URLs, file names */

static const char *const domains[] = {"ai",  "app", "at", "au", "be",  "biz", "ca", "ch", "cn",   "co", "com", "de",
                                      "dev", "edu", "es", "eu", "fr",  "gov", "ie", "in", "info", "io", "it",  "jp",
                                      "me",  "net", "nl", "nz", "org", "pl",  "ru", "se", "tv",   "uk", "us"};
static const char *const endings[] = {
    "avi",  "bin", "bmp", "c",    "cfg",  "conf", "cpp",  "css", "csv",  "doc",  "docx", "exe",  "f5",
    "flac", "gif", "gz",  "h",    "htm",  "html", "ini",  "iso", "java", "jpeg", "jpg",  "js",   "json",
    "log",  "md",  "mkv", "mov",  "mp3",  "mp4",  "odt",  "ogg", "pdf",  "php",  "png",  "ppt",  "pptx",
    "ps",   "py",  "rar", "rb",   "rs",   "rtf",  "sh",   "sql", "svg",  "tar",  "tiff", "toml", "ts",
    "tsv",  "txt", "wav", "webm", "webp", "xls",  "xlsx", "xml", "yaml", "yml",  "zip"};
/* Of both, those that are said as words. */
static const char *const spoken[] = {"app",  "bin", "biz", "co",  "com", "dev", "doc",  "flac", "gov", "info",
                                     "java", "log", "me",  "net", "org", "tar", "toml", "wav",  "zip"};

static bool in_small(const char *const *list, size_t n, const reading *r, size_t at, size_t bytes) {
    char small[8];
    if (bytes == 0 || bytes >= sizeof small) return false;
    for (size_t i = 0; i < bytes; i++) small[i] = to_small(peek(r, at + i));
    return in_list(list, n, small, bytes);
}
#define IN_SMALL(list, r, at, bytes) in_small(list, sizeof(list) / sizeof((list)[0]), r, at, bytes)

static bool is_address_byte(char c) {
    return is_ascii_letter(c) || is_digit(c) || (c && strchr("-._~:/?#[]@!$&'()*+,;=%", c));
}

static const char *symbol_name(char c) {
    switch (c) {
    case '.':
        return "dot";
    case '/':
        return "slash";
    case '-':
        return "dash";
    case '_':
        return "underscore";
    case '@':
        return "at";
    case ':':
        return "colon";
    case '?':
        return "question mark";
    case '=':
        return "equals";
    case '&':
        return "and";
    case '#':
        return "hash";
    case '%':
        return "percent";
    case '+':
        return "plus";
    case '~':
        return "tilde";
    default:
        return NULL;
    }
}

/* A short name that nobody can pronounce, or an acronym. */
static bool is_unspeakable(const char *text, size_t bytes) {
    char capitals[6];
    if (bytes < 2 || bytes > sizeof capitals) return false;
    bool all = true;
    for (size_t i = 0; i < bytes; i++) {
        capitals[i] = to_capital(text[i]);
        all &= is_capital(text[i]);
    }
    return all ? english_is_spelled(capitals, bytes) : !english_is_pronounceable(capitals, bytes);
}

/* Letters and digits of an address, one run at a time. ending: the last part of a name or domain. */
static void say_run(reading *r, size_t at, size_t bytes, bool ending) {
    for (size_t end = at + bytes; at < end;) {
        size_t n = is_digit(peek(r, at)) ? count_digits(r, at) : count_letters(r, at);
        if (n > end - at) n = end - at;
        if (n == 0) break;
        const char *text = r->text + at;
        if (is_digit(text[0])) {
            if (n <= 2 && text[0] != '0')
                say_cardinal(r, value_of(r, at, n));
            else
                say_digits(r, at, n);
        } else if ((n == 3 && memcmp(text, "www", 3) == 0) || n == 1 ||
                   (ending && n <= 4 && !IN_SMALL(spoken, r, at, n)) || is_unspeakable(text, n)) {
            english_say_letters(r, text, n);
        } else {
            char small[64];
            bool capitals = n < sizeof small && is_capital(text[0]) && is_capital(text[n - 1]);
            for (size_t i = 0; capitals && i < n; i++) small[i] = to_small(text[i]);
            say_bytes(r, capitals ? small : text, n);
        }
        at += n;
    }
}

static size_t run_bytes(const reading *r, size_t at, size_t end) {
    size_t n = 0;
    while (at + n < end && (is_ascii_letter(peek(r, at + n)) || is_digit(peek(r, at + n)))) n++;
    return n;
}

static void say_address(reading *r, size_t at, size_t end) {
    size_t last_dot = SIZE_MAX; /* of the host or the file name, whose ending is spelled */
    for (size_t i = at; i < end && (peek(r, i) != '/' || last_dot == SIZE_MAX); i++)
        if (peek(r, i) == '.') last_dot = i;
    bool slash = false;
    for (size_t i = at; i < end && !r->out->full;) {
        size_t n = run_bytes(r, i, end);
        if (n > 0) {
            size_t dot = i > at && peek(r, i - 1) == '.';
            bool ending = dot && (i - 1 == last_dot || (slash && i + n == end) ||
                                  (IN_SMALL(domains, r, i, n) && !IN_SMALL(spoken, r, i, n)));
            say_run(r, i, n, ending);
            i += n;
            continue;
        }
        const char *name = symbol_name(peek(r, i));
        slash |= peek(r, i) == '/';
        if (name) say(r, name);
        i++;
    }
}

/* Bytes of the token at `at`, without punctuation that ends a sentence or closes a bracket. */
static size_t token_bytes(const reading *r, size_t at) {
    size_t n = 0;
    while (is_address_byte(peek(r, at + n)) && n < 400) n++;
    while (n > 0 && strchr(".,;:!?)]'*_", r->text[at + n - 1])) n--;
    return n;
}

size_t english_address(reading *r) {
    size_t start = r->at, n = count_letters(r, start);
    char next = peek(r, start + n);
    if (is_small(next) || next == ' ' || next == 0 || next == ',') return 0; /* most words end here */
    if (next == '.' && !(is_word(peek(r, start + n + 1)))) return 0;
    static const char *const schemes[] = {"https://", "http://", "ftp://", "mailto:"};
    size_t scheme = 0, bytes = token_bytes(r, start);
    for (size_t i = 0; i < 4; i++)
        if (reads_any_case(r, start, schemes[i])) scheme = strlen(schemes[i]);
    size_t at = start + scheme, end = start + bytes;
    if (end <= at) return 0;
    if (scheme > 0 || reads_any_case(r, start, "www.")) {
        if (r->text[end - 1] == '/') {
            say_address(r, at, end - 1);
            return bytes;
        }
        say_address(r, at, end);
        return bytes;
    }
    /* e-mail, or a name whose last part is a known one */
    size_t at_sign = 0, last = at, slash = end;
    for (size_t i = at; i < end; i++) {
        char c = r->text[i];
        if (c == '@') at_sign++;
        if (c == '/' && slash == end) slash = i;
        if (c == '.' && slash == end) last = i + 1;
        if (!(is_ascii_letter(c) || is_digit(c) || strchr("-._@+", c)) && slash == end) return 0;
    }
    if (last == at || peek(r, last - 2) == '.') return 0;
    size_t ending = slash - last;
    if (run_bytes(r, last, slash) != ending) return 0;
    bool small = is_small(peek(r, last)) || is_capital(peek(r, last + ending - 1));
    bool domain = small && IN_SMALL(domains, r, last, ending), file = small && IN_SMALL(endings, r, last, ending);
    if (at_sign == 1 && ending >= 2) domain = true;
    if (at_sign > 1 || !(domain || (file && slash == end))) return 0;
    if (!at_sign && !is_ascii_letter(peek(r, at)) && !is_digit(peek(r, at))) return 0;
    if (slash + 1 == end) {
        say_address(r, at, slash);
        return bytes;
    }
    say_address(r, at, end);
    return bytes;
}

size_t english_version(reading *r) {
    if (to_small(peek(r, r->at)) != 'v' || !is_digit(peek(r, r->at + 1))) return 0;
    size_t at = r->at + 1, first = count_digits(r, at);
    bool dotted = peek(r, at + first) == '.' && is_digit(peek(r, at + first + 1));
    if (is_ascii_letter(peek(r, at + first)) || (!dotted && (peek(r, r->at) == 'V' || first > 2))) return 0;
    const char *word;
    size_t n = word_before(r, r->at, &word);
    if (n != 7 || !reads_any_case(r, (size_t)(word - r->text), "version")) say(r, "version");
    for (;;) {
        size_t digits = count_digits(r, at);
        if (digits > 4)
            say_digits(r, at, digits);
        else
            say_cardinal(r, value_of(r, at, digits));
        at += digits;
        if (peek(r, at) != '.' || !is_digit(peek(r, at + 1))) break;
        say(r, "point");
        at++;
    }
    return at - r->at;
}

/* ---- names with a mark */

/* "BlackFriday2024": a word at each capital. */
static size_t say_camel(reading *r, size_t at) {
    size_t start = at;
    for (;;) {
        char c = peek(r, at);
        size_t n = 0;
        if (is_digit(c)) {
            n = count_digits(r, at);
            if (n == 4 && english_year_like(r, at))
                say_year(r, value_of(r, at, 4));
            else if (n <= 2)
                say_cardinal(r, value_of(r, at, n));
            else
                say_digits(r, at, n);
        } else if (is_capital(c) && is_capital(peek(r, at + 1))) {
            while (is_capital(peek(r, at + n)) && !is_small(peek(r, at + n + 1))) n++;
            if (n == 0) n = 1;
            if (n == 1 || english_is_spelled(r->text + at, n)) {
                english_say_letters(r, r->text + at, n);
            } else {
                say_bytes(r, r->text + at, 1);
                for (size_t i = 1; i < n; i++) {
                    char small[2] = {to_small(r->text[at + i])};
                    say_on(r, small);
                }
            }
        } else if (is_ascii_letter(c)) {
            n = 1;
            while (is_small(peek(r, at + n))) n++;
            say_bytes(r, r->text + at, n);
        } else if (c == '_' && is_word(peek(r, at + 1)) && at > start) {
            n = 1;
        } else {
            return at - start;
        }
        at += n;
    }
}

size_t english_hashtag(reading *r) {
    if (peek(r, r->at) != '#' || !is_ascii_letter(peek(r, r->at + 1)) || is_word(before(r))) return 0;
    say(r, "hashtag");
    return 1 + say_camel(r, r->at + 1);
}

size_t english_handle(reading *r) {
    if (peek(r, r->at) != '@' || !is_ascii_letter(peek(r, r->at + 1)) || is_word(before(r))) return 0;
    say(r, "at");
    return 1 + say_camel(r, r->at + 1);
}
