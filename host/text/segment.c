/* segment.c — the likeliest path through the dictionary's words, the hidden Markov model where it knows none. */
#include "host/text/segment.h"

#include <string.h>

#include "weights/utf8.h"

enum { BEGIN, END, MIDDLE, SINGLE };
#define NEVER (-3.14e100)

/* ---- runs ------------------------------------------------------------------------------------------------------- */

static bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_latin(uint32_t c) {
    return c < 0x80 && (is_alphanumeric((char)c) || (c != 0 && strchr("+#&._%-", (int)c) != NULL));
}

static bool is_chinese(uint32_t c) {
    return (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2EBEF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

segment_run segment_find_run(const char *text, size_t bytes) {
    segment_run run = {0};
    bool chinese = false;
    for (uint32_t c; run.bytes < bytes; run.characters++) {
        size_t n = utf8_decode(text + run.bytes, bytes - run.bytes, &c);
        if (n == 0 || (!is_latin(c) && !is_chinese(c))) break;
        if (n > 1 && !chinese) run.chinese = run.bytes, chinese = true;
        run.bytes += n;
    }
    if (!chinese) run.chinese = run.bytes;
    return run;
}

/* ---- Latin ------------------------------------------------------------------------------------------------------ */

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

/* What the dictionary and the hidden Markov model leave: matches, and what lies between them. */
static void cut_by_expression(const char *text, size_t bytes, segment_fn emit, void *user) {
    size_t gap = 0; /* bytes since the last match */
    for (size_t at = 0; at < bytes;) {
        size_t n = match_word(text + at, bytes - at);
        if (n == 0) {
            gap++;
            at++;
            continue;
        }
        if (gap > 0) emit(user, text + at - gap, gap);
        emit(user, text + at, n);
        gap = 0;
        at += n;
    }
    if (gap > 0) emit(user, text + bytes - gap, gap);
}

/* Length of the dictionary word at text[0], 0 if there is none. These are all of jieba's words in ASCII; none of them
 * can overlap another, and each is likelier than its letters, so the first one found is in the best path. */
static size_t match_latin(const char *text, size_t bytes) {
    static const char *const words[] = {"AT&T", "C++", "c++", "C#", "c#"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        if (n <= bytes && memcmp(text, words[i], n) == 0) return n;
    }
    return 0;
}

void segment_latin(const char *run, size_t bytes, segment_fn emit, void *user) {
    size_t start = 0;
    for (size_t at = 0; at < bytes;) {
        size_t n = match_latin(run + at, bytes - at);
        if (n == 0) {
            at++;
            continue;
        }
        cut_by_expression(run + start, at - start, emit, user);
        emit(user, run + at, n);
        at += n;
        start = at;
    }
    cut_by_expression(run + start, bytes - start, emit, user);
}

/* ---- Chinese ---------------------------------------------------------------------------------------------------- */

/* A run being cut; its arrays are the scratch. */
typedef struct {
    const pinyin_table *table;
    double *score;    /* [n+1] of the best path from a character to the end */
    uint32_t *code;   /* [n] */
    uint8_t *length;  /* [n] characters of the word with which that path begins */
    uint8_t *state;   /* [n] of the hidden Markov model */
    const char *text; /* what is not handed out yet */
    segment_fn emit;
    void *user;
} cutter;

static size_t utf8_bytes(uint32_t code) {
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static size_t bytes_of(const cutter *c, size_t from, size_t to) {
    size_t bytes = 0;
    for (size_t i = from; i < to; i++) bytes += utf8_bytes(c->code[i]);
    return bytes;
}

static void put(cutter *c, size_t from, size_t to) {
    size_t bytes = bytes_of(c, from, to);
    c->emit(c->user, c->text, bytes);
    c->text += bytes;
}

/* From right to left: the best path from each character to the end. Of equal ones the longer word is taken. */
static void find_path(cutter *c, size_t n) {
    const pinyin_table *t = c->table;
    c->score[n] = 0;
    for (size_t at = n; at-- > 0;) {
        uint32_t group = 0;
        uint16_t value;
        double best = 0;
        uint8_t length = 0;
        for (size_t end = at; end < n && pinyin_step(&t->words, &group, c->code[end], &value);) {
            end++;
            double score = t->log_frequency[value] + c->score[end];
            if (value && (length == 0 || score >= best)) best = score, length = (uint8_t)(end - at);
            if (group == 0) break;
        }
        c->score[at] = length ? best : t->log_frequency[0] + c->score[at + 1];
        c->length[at] = length ? length : 1;
    }
}

static bool is_word(const cutter *c, size_t from, size_t to) {
    uint32_t group = 0;
    uint16_t value = 0;
    for (size_t i = from; i < to; i++)
        if ((i > from && group == 0) || !pinyin_step(&c->table->words, &group, c->code[i], &value)) return false;
    return value != 0;
}

static double emission(const pinyin_table *t, uint32_t code, int state) {
    int32_t millionths = t->emission[PINYIN_STATES * t->emission_row[code - PINYIN_HMM_FIRST] + state];
    return millionths ? millionths / 1e6 : NEVER;
}

/* The likeliest states of the characters [from,to). A state has two before it; of equal ones the later is taken. */
static void find_states(cutter *c, size_t from, size_t to) {
    static const uint8_t before[PINYIN_STATES][2] = {{END, SINGLE}, {BEGIN, MIDDLE}, {BEGIN, MIDDLE}, {END, SINGLE}};
    const pinyin_table *t = c->table;
    const double *chain = t->chain + PINYIN_STATES;
    double score[PINYIN_STATES], next[PINYIN_STATES];
    for (int s = 0; s < PINYIN_STATES; s++) score[s] = t->chain[s] + emission(t, c->code[from], s);
    for (size_t i = from + 1; i < to; i++) {
        uint8_t choices = 0; /* a bit a state: the second one? */
        for (int s = 0; s < PINYIN_STATES; s++) {
            const double e = emission(t, c->code[i], s);
            const int a = before[s][0], b = before[s][1];
            const double first = score[a] + chain[PINYIN_STATES * a + s] + e;
            const double second = score[b] + chain[PINYIN_STATES * b + s] + e;
            next[s] = second >= first ? second : first;
            choices |= (uint8_t)((second >= first) << s);
        }
        c->state[i] = choices;
        memcpy(score, next, sizeof score);
    }
    uint8_t state = score[SINGLE] >= score[END] ? SINGLE : END;
    for (size_t i = to - 1; i > from; i--) {
        uint8_t choices = c->state[i];
        c->state[i] = state;
        state = before[state][choices >> state & 1];
    }
    c->state[from] = state;
}

/* Words of the characters [from,to), which the model may know. */
static void cut_by_model(cutter *c, size_t from, size_t to) {
    if (to - from == 1) {
        put(c, from, to);
        return;
    }
    find_states(c, from, to);
    size_t start = from;
    for (size_t i = from; i < to; i++) {
        if (c->state[i] != END && c->state[i] != SINGLE) continue;
        put(c, start, i + 1);
        start = i + 1;
    }
    if (start < to) put(c, start, to);
}

static bool in_model(uint32_t code) {
    return code >= PINYIN_HMM_FIRST && code <= PINYIN_HMM_LAST;
}

/* Characters that the best path leaves single. */
static void cut_singles(cutter *c, size_t from, size_t to) {
    if (to - from == 1 || is_word(c, from, to)) {
        for (size_t i = from; i < to; i++) put(c, i, i + 1);
        return;
    }
    for (size_t end; from < to; from = end) {
        const bool model = in_model(c->code[from]);
        for (end = from; end < to && in_model(c->code[end]) == model; end++) {
        }
        if (model) {
            cut_by_model(c, from, end);
        } else {
            size_t bytes = bytes_of(c, from, end);
            cut_by_expression(c->text, bytes, c->emit, c->user);
            c->text += bytes;
        }
    }
}

void segment_chinese(const pinyin_table *t, const char *text, segment_run run, void *scratch, segment_fn emit,
                     void *user) {
    cutter c = {.table = t, .text = text, .emit = emit, .user = user, .score = scratch};
    size_t n = 0;
    c.code = (uint32_t *)(void *)(c.score + run.characters + 1);
    c.length = (uint8_t *)(c.code + run.characters);
    c.state = c.length + run.characters;
    for (size_t at = 0; at < run.bytes && n < run.characters; n++) {
        size_t bytes = utf8_decode(text + at, run.bytes - at, &c.code[n]);
        if (bytes == 0) break;
        at += bytes;
    }
    find_path(&c, n);
    size_t singles = 0; /* where those begin that are not handed out */
    for (size_t at = 0; at < n;) {
        size_t end = at + c.length[at];
        if (end - at > 1) {
            if (singles < at) cut_singles(&c, singles, at);
            put(&c, at, end);
            singles = end;
        }
        at = end;
    }
    if (singles < n) cut_singles(&c, singles, n);
}
