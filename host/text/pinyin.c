/* pinyin.c — forward maximum matching over pypinyin's phrases. */
#include "host/text/pinyin.h"

#include "weights/utf8.h"

typedef struct {
    const pinyin_table *table;
    pinyin_token_fn emit;
    void *user;
} speller;

/* Characters that upstream sets off by a space. */
static bool is_set_off(uint32_t c) {
    return c >= 0x3100 && c <= 0x9FFF;
}

static void put_syllable(const speller *s, uint32_t character, uint16_t syllable) {
    const pinyin_table *t = s->table;
    size_t from = t->syllable_start[syllable], to = t->syllable_start[syllable + 1];
    if (is_set_off(character)) s->emit(s->user, " ", 1);
    s->emit(s->user, t->syllable_text + from, to - from);
}

/* A character by itself; `text` is where it stands. */
static void put_character(const speller *s, const char *text, size_t bytes, uint32_t character) {
    uint16_t reading = pinyin_reading(s->table, character);
    if (reading >= 2) {
        put_syllable(s, character, (uint16_t)(reading - 2));
    } else {
        if (is_set_off(character)) s->emit(s->user, " ", 1);
        s->emit(s->user, text, bytes);
    }
}

/* Spells the first `characters` of them one by one; returns their bytes. */
static size_t put_characters(const speller *s, const char *text, size_t bytes, size_t characters) {
    size_t at = 0;
    for (uint32_t c; characters > 0; characters--) {
        size_t n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) break;
        put_character(s, text + at, n, c);
        at += n;
    }
    return at;
}

typedef struct {
    uint16_t value;    /* 0: no phrase */
    uint32_t length;   /* characters */
    bool only_a_start; /* all that is left begins a phrase, but no phrase begins it */
} match;

static match find_phrase(const pinyin_trie *phrases, const char *text, size_t bytes) {
    match m = {0};
    uint32_t group = 0, length = 0, c;
    uint16_t value;
    size_t at = 0;
    for (size_t n; at < bytes && (length == 0 || group != 0); at += n) {
        n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0 || !pinyin_step(phrases, &group, c, &value)) break;
        length++;
        if (value) m.value = value, m.length = length;
    }
    m.only_a_start = at == bytes && m.value == 0;
    return m;
}

/* Characters that are all to be spelled. */
static void put_group(const speller *s, const char *text, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        match m = find_phrase(&s->table->phrases, text + at, bytes - at);
        if (m.value == 0) {
            size_t n = put_characters(s, text + at, bytes - at, m.only_a_start ? bytes : 1);
            if (n == 0) return; /* someone changes the text while it is read */
            at += n;
            continue;
        }
        const uint16_t *syllable = pinyin_phrase(s->table, m.value, m.length);
        for (uint32_t i = 0, c; i < m.length; i++) {
            size_t n = utf8_decode(text + at, bytes - at, &c);
            if (n == 0) return;
            put_syllable(s, c, syllable[i]);
            at += n;
        }
    }
}

/* Bytes of the characters at the start that are all spelled, or all not. */
static size_t group_bytes(const pinyin_table *t, const char *text, size_t bytes, bool *spelled) {
    size_t at = 0;
    for (uint32_t c; at < bytes;) {
        size_t n = utf8_decode(text + at, bytes - at, &c);
        bool is_spelled = n > 0 && pinyin_reading(t, c) > 0;
        if (n == 0 || (at > 0 && is_spelled != *spelled)) break;
        *spelled = is_spelled;
        at += n;
    }
    return at;
}

static void put_mixed(const speller *s, const char *text, size_t bytes) {
    for (size_t at = 0, n; at < bytes; at += n) {
        uint32_t c;
        n = utf8_decode(text + at, bytes - at, &c);
        if (n == 0) return;
        if (is_set_off(c))
            put_character(s, text + at, n, c);
        else
            s->emit(s->user, text + at, n);
    }
}

void pinyin_spell(const pinyin_table *t, const char *segment, size_t bytes, pinyin_token_fn emit, void *user) {
    const speller s = {t, emit, user};
    size_t characters = 0;
    for (size_t i = 0; i < bytes; i++) characters += (segment[i] & 0xC0) != 0x80;
    if (bytes != 3 * characters) { /* upstream's test, which a letter beside two characters of four bytes passes too */
        put_mixed(&s, segment, bytes);
        return;
    }
    bool spelled = false;
    for (size_t at = 0, n; at < bytes; at += n) {
        n = group_bytes(t, segment + at, bytes - at, &spelled);
        if (n == 0) return;
        if (spelled)
            put_group(&s, segment + at, n);
        else
            put_characters(&s, segment + at, n, n);
    }
}
