/* tokenizer.c — one scan cuts a text into segments and these into tokens, which point into the text: nothing is copied.
 * Segments are those of rjieba 0.2.2 (jieba-rs 0.11; the method is jieba's, github.com/fxsjy/jieba) restricted to text
 * without Chinese characters:
 *   a run of ASCII letters, digits and + # & . _ % - is searched for the dictionary's words; what lies between them is
 *   cut by [a-zA-Z0-9]+([._-][a-zA-Z0-9]+)*%? with everything unmatched in between as one segment; outside of runs
 *   every character is a segment of its own, but CR LF are one.
 * Older releases cut words by [a-zA-Z0-9]+(.[0-9]+)?%? instead, so that "co-op" came out as "co- op". */
#include "host/text/tokenizer.h"

#include <string.h>

#include "weights/utf8.h"

/* ---- what a character is ----------------------------------------------------------------------------------------- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_run_character(char c) {
    return is_alphanumeric(c) || (c != '\0' && strchr("+#&._%-", c) != NULL);
}

/* Characters whose segmentation or spelling needs the Chinese dictionaries: those upstream calls Chinese, ideographs
 * elsewhere, and the few others that pypinyin spells. */
static bool needs_dictionary(uint32_t c) {
    return (c >= 0x3100 && c <= 0x9FFF) || c == 0x3007 || (c >= 0xE815 && c <= 0xE864) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

/* Upstream's replacements for characters that its vocabulary lacks; NULL: none. */
static const char *replacement(uint32_t c) {
    switch (c) {
    case ';':
        return ",";
    case 0x201C:
    case 0x201D:
        return "\"";
    case 0x2018:
    case 0x2019:
        return "'";
    default:
        return NULL;
    }
}

/* ---- segments ---------------------------------------------------------------------------------------------------- */

typedef struct {
    tokenizer_token_fn emit;
    void *user;
    bool space_wanted; /* a longer segment that comes next is set off by a space */
} token_sink;

static void put_token(token_sink *sink, const char *token, size_t bytes) {
    sink->emit(sink->user, token, bytes);
    sink->space_wanted = !(bytes == 1 && strchr(" :'\"", token[0]) != NULL && token[0] != '\0');
}

static void put_ascii_segment(token_sink *sink, const char *segment, size_t bytes) {
    if (bytes > 1 && sink->space_wanted) put_token(sink, " ", 1);
    for (size_t i = 0; i < bytes; i++) put_token(sink, segment + i, 1);
}

static size_t alphanumerics(const char *text, size_t bytes) {
    size_t n = 0;
    while (n < bytes && is_alphanumeric(text[n])) n++;
    return n;
}

/* Length of the match of [a-zA-Z0-9]+([._-][a-zA-Z0-9]+)*%? at text[0], 0 if there is none. */
static size_t match_word(const char *text, size_t bytes) {
    size_t n = alphanumerics(text, bytes);
    if (n == 0) return 0;
    while (n < bytes && (text[n] == '.' || text[n] == '_' || text[n] == '-')) {
        size_t more = alphanumerics(text + n + 1, bytes - n - 1);
        if (more == 0) break;
        n += 1 + more;
    }
    return n < bytes && text[n] == '%' ? n + 1 : n;
}

static void put_between_dictionary_words(token_sink *sink, const char *text, size_t bytes) {
    size_t gap = 0; /* characters since the last match */
    for (size_t at = 0; at < bytes;) {
        size_t n = match_word(text + at, bytes - at);
        if (n == 0) {
            gap++;
            at++;
            continue;
        }
        if (gap > 0) put_ascii_segment(sink, text + at - gap, gap);
        put_ascii_segment(sink, text + at, n);
        gap = 0;
        at += n;
    }
    if (gap > 0) put_ascii_segment(sink, text + bytes - gap, gap);
}

/* Length of the dictionary word at text[0], 0 if there is none. These are all of jieba's words in ASCII; none of them
 * can overlap another, and each is likelier than its letters, so the first one found is in the best path. */
static size_t match_dictionary(const char *text, size_t bytes) {
    static const char *const words[] = {"AT&T", "C++", "c++", "C#", "c#"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        if (n <= bytes && memcmp(text, words[i], n) == 0) return n;
    }
    return 0;
}

static void put_run(token_sink *sink, const char *run, size_t bytes) {
    size_t start = 0;
    for (size_t at = 0; at < bytes;) {
        size_t n = match_dictionary(run + at, bytes - at);
        if (n == 0) {
            at++;
            continue;
        }
        put_between_dictionary_words(sink, run + start, at - start);
        put_ascii_segment(sink, run + at, n);
        at += n;
        start = at;
    }
    put_between_dictionary_words(sink, run + start, bytes - start);
}

static f5_status split_pinyin(token_sink *sink, const char *text, size_t bytes, size_t offset, f5_error *error) {
    for (size_t at = 0; at < bytes;) {
        if (is_run_character(text[at])) {
            size_t start = at;
            while (at < bytes && is_run_character(text[at])) at++;
            put_run(sink, text + start, at - start);
            continue;
        }
        if (text[at] == '\r' && at + 1 < bytes && text[at + 1] == '\n') {
            put_ascii_segment(sink, text + at, 2);
            at += 2;
            continue;
        }
        uint32_t c = 0;
        size_t n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) break; /* someone changes the text while it is read */
        if (needs_dictionary(c))
            return f5_fail(
                error, F5_E_UNSUPPORTED,
                "Chinese text is not supported yet: '%.*s' (U+%04X) at byte %zu; use Latin script or another "
                "alphabet",
                (int)n, text + at, (unsigned)c, offset + at);
        const char *other = replacement(c);
        if (other)
            put_token(sink, other, 1);
        else
            put_token(sink, text + at, n);
        at += n;
    }
    return F5_OK;
}

/* Passes the tokens of a piece to the sink, which remembers what the next piece must know of this one. */
static f5_status split(tokenizer_kind kind, token_sink *sink, const char *text, size_t bytes, size_t offset,
                       f5_error *error) {
    size_t valid = utf8_valid_prefix(text, bytes);
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %zu", offset + valid);
    switch (kind) {
    case TOKENIZER_PINYIN:
    case TOKENIZER_CUSTOM:
        return split_pinyin(sink, text, bytes, offset, error);
    case TOKENIZER_CHAR:
        for (size_t at = 0; at < bytes;) {
            uint32_t c;
            size_t n = utf8_decode(text + at, bytes - at, &c);
            if (n == 0) break; /* someone changes the text while it is read */
            sink->emit(sink->user, text + at, n);
            at += n;
        }
        return F5_OK;
    case TOKENIZER_BYTE:
        for (size_t at = 0; at < bytes; at++) sink->emit(sink->user, text + at, 1);
        return F5_OK;
    }
    return f5_fail(error, F5_E_ARGUMENT, "tokenizer %d does not exist", (int)kind);
}

f5_status tokenizer_split(tokenizer_kind kind, const char *text, size_t bytes, tokenizer_token_fn emit, void *user,
                          f5_error *error) {
    token_sink sink = {.emit = emit, .user = user};
    return split(kind, &sink, text, bytes, 0, error);
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */

static void write_id(void *user, const char *token, size_t bytes) {
    tokenizer *t = user;
    if (t->n < t->capacity) {
        int32_t id = t->kind == TOKENIZER_BYTE ? (int32_t)(unsigned char)token[0] : vocab_find(t->v, token, bytes);
        t->ids[t->n] = id < 0 ? 0 : id;
    }
    t->n++;
}

f5_status tokenizer_put(tokenizer *t, const char *text, size_t bytes, size_t offset, f5_error *error) {
    if (t->n < 0 || bytes > INT32_MAX / 2 || tokenizer_max_tokens(bytes) > (size_t)(INT32_MAX - t->n))
        return f5_fail(error, F5_E_ARGUMENT, "text of %zu bytes is too long", bytes);
    if (t->kind != TOKENIZER_BYTE && !t->v) return f5_fail(error, F5_E_ARGUMENT, "no vocabulary given");
    token_sink sink = {.emit = write_id, .user = t, .space_wanted = t->space_wanted};
    int32_t before = t->n;
    f5_status status = split(t->kind, &sink, text, bytes, offset, error);
    if (status == F5_OK)
        t->space_wanted = sink.space_wanted;
    else
        t->n = before;
    return status;
}

f5_status tokenizer_run(tokenizer_kind kind, const vocab *v, const char *text, size_t bytes, int32_t *ids,
                        int32_t capacity, int32_t *n, f5_error *error) {
    tokenizer t = {.kind = kind, .v = v, .ids = ids, .capacity = capacity};
    f5_status status = tokenizer_put(&t, text, bytes, 0, error);
    *n = t.n;
    return status;
}
