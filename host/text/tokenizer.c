/* tokenizer.c — one scan cuts a text into segments and these into tokens, which point into the text or into the table:
 * nothing is copied. */
#include "host/text/tokenizer.h"

#include <assert.h>
#include <string.h>

#include "host/text/char_class.h"
#include "host/text/pinyin.h"
#include "host/text/segment.h"
#include "weights/utf8.h"

static_assert(TOKENIZER_SCRATCH_BYTES(7) == SEGMENT_SCRATCH_BYTES(7), "a run's scratch is what segmentation needs");

/* Characters outside of runs whose spelling needs the table: those upstream calls Chinese, and the few others that
 * pypinyin spells. (Runs take most of these.) */
static bool needs_table(uint32_t c) {
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

/* ---- segments to tokens ------------------------------------------------------------------------------------------ */

typedef struct {
    tokenizer_token_fn emit;
    void *user;
    const pinyin_table *pinyin;
    bool space_wanted; /* a longer segment that comes next is set off by a space */
} token_sink;

static void put_token(void *user, const char *token, size_t bytes) {
    token_sink *sink = user;
    sink->emit(sink->user, token, bytes);
    sink->space_wanted = !(bytes == 1 && strchr(" :'\"", token[0]) != NULL && token[0] != '\0');
}

static void put_ascii_segment(void *user, const char *segment, size_t bytes) {
    token_sink *sink = user;
    if (bytes > 1 && sink->space_wanted) put_token(sink, " ", 1);
    for (size_t i = 0; i < bytes; i++) put_token(sink, segment + i, 1);
}

static void put_segment(void *user, const char *segment, size_t bytes) {
    token_sink *sink = user;
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)segment[i] < 0x80) continue;
        pinyin_spell(sink->pinyin, segment, bytes, put_token, sink);
        return;
    }
    put_ascii_segment(sink, segment, bytes);
}

static f5_status refuse_chinese(const char *character, size_t bytes, size_t offset, f5_error *error) {
    uint32_t c = 0;
    size_t n = utf8_decode(character, bytes, &c);
    return f5_fail(error, F5_E_UNSUPPORTED,
                   "Chinese text needs tables that this model does not carry: '%.*s' (U+%04X) at byte %zu; convert "
                   "the model again: f5tts convert puts them in",
                   (int)n, character, (unsigned)c, offset);
}

static f5_status put_run(const tokenizer *t, token_sink *sink, const char *text, segment_run run, size_t offset,
                         f5_error *error) {
    if (run.chinese == run.bytes) {
        segment_latin(text, run.bytes, put_ascii_segment, sink);
        return F5_OK;
    }
    if (!t->pinyin) return refuse_chinese(text + run.chinese, run.bytes - run.chinese, offset + run.chinese, error);
    if (!t->scratch || t->scratch_bytes < TOKENIZER_SCRATCH_BYTES(run.characters))
        return f5_fail(error, F5_E_LIMIT,
                       "%zu characters in a row at byte %zu, the limit is %zu: put punctuation or spaces between them",
                       run.characters, offset, t->scratch_bytes / 16 > 0 ? t->scratch_bytes / 16 - 1 : 0);
    segment_chinese(t->pinyin, text, run, t->scratch, put_segment, sink);
    return F5_OK;
}

static f5_status split_pinyin(const tokenizer *t, token_sink *sink, const char *text, size_t bytes, size_t offset,
                              f5_error *error) {
    for (size_t at = 0; at < bytes;) {
        segment_run run = segment_find_run(text + at, bytes - at);
        if (run.bytes > 0) {
            F5_TRY(put_run(t, sink, text + at, run, offset + at, error));
            at += run.bytes;
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
        const char *other = replacement(c);
        if (needs_table(c)) {
            if (!t->pinyin) return refuse_chinese(text + at, n, offset + at, error);
            pinyin_spell(t->pinyin, text + at, n, put_token, sink);
        } else if (other) {
            put_token(sink, other, 1);
        } else {
            put_token(sink, text + at, n);
        }
        at += n;
    }
    return F5_OK;
}

/* Passes the tokens of a piece to the sink, which remembers what the next piece must know of this one. */
static f5_status split(const tokenizer *t, token_sink *sink, const char *text, size_t bytes, size_t offset,
                       f5_error *error) {
    size_t valid = utf8_valid_prefix(text, bytes);
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %zu", offset + valid);
    switch (t->kind) {
    case TOKENIZER_PINYIN:
    case TOKENIZER_CUSTOM:
        return split_pinyin(t, sink, text, bytes, offset, error);
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
    return f5_fail(error, F5_E_ARGUMENT, "tokenizer %d does not exist", (int)t->kind);
}

f5_status tokenizer_put_tokens(tokenizer *t, const char *text, size_t bytes, size_t offset, tokenizer_token_fn emit,
                               void *user, f5_error *error) {
    token_sink sink = {.emit = emit, .user = user, .pinyin = t->pinyin, .space_wanted = t->space_wanted};
    F5_TRY(split(t, &sink, text, bytes, offset, error));
    t->space_wanted = sink.space_wanted;
    return F5_OK;
}

f5_status tokenizer_split(tokenizer_kind kind, const char *text, size_t bytes, tokenizer_token_fn emit, void *user,
                          f5_error *error) {
    tokenizer t = {.kind = kind};
    return tokenizer_put_tokens(&t, text, bytes, 0, emit, user, error);
}

/* ---- ids --------------------------------------------------------------------------------------------------------- */

static int32_t find_id(const tokenizer *t, const char *token, size_t bytes) {
    if (t->kind == TOKENIZER_BYTE) return (unsigned char)token[0];
    int32_t id = vocab_find(t->v, token, bytes);
    if (id < 0 && t->kind == TOKENIZER_CHAR) {
        uint32_t c = 0;
        utf8_decode(token, bytes, &c);
        const char *other = char_is_space(c) ? " " : replacement(c);
        if (other) id = vocab_find(t->v, other, 1);
    }
    return id < 0 ? 0 : id;
}

static void put_id(tokenizer *t, int32_t id) {
    if (t->n < t->capacity) t->ids[t->n] = id;
    t->n++;
}

static void write_id(void *user, const char *token, size_t bytes) {
    tokenizer *t = user;
    if (t->blanks) put_id(t, 0);
    put_id(t, find_id(t, token, bytes));
}

void tokenizer_end(tokenizer *t) {
    if (t->blanks) put_id(t, 0);
}

f5_status tokenizer_put(tokenizer *t, const char *text, size_t bytes, size_t offset, f5_error *error) {
    const size_t most = t->blanks ? 2 * bytes + 1 : tokenizer_max_tokens(bytes);
    if (t->n < 0 || bytes > INT32_MAX / 2 || most > (size_t)(INT32_MAX - t->n))
        return f5_fail(error, F5_E_ARGUMENT, "text of %zu bytes is too long", bytes);
    if (t->kind != TOKENIZER_BYTE && !t->v) return f5_fail(error, F5_E_ARGUMENT, "no vocabulary given");
    int32_t before = t->n;
    f5_status status = tokenizer_put_tokens(t, text, bytes, offset, write_id, t, error);
    if (status != F5_OK) t->n = before;
    return status;
}

f5_status tokenizer_run(tokenizer_kind kind, const vocab *v, const char *text, size_t bytes, int32_t *ids,
                        int32_t capacity, int32_t *n, f5_error *error) {
    tokenizer t = {.kind = kind, .v = v, .ids = ids, .capacity = capacity};
    f5_status status = tokenizer_put(&t, text, bytes, 0, error);
    *n = t.n;
    return status;
}
