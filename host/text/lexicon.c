/* lexicon.c — a table of the user's words, found by a hash of the letters that each begins with. */
#include "host/text/lexicon.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/error.h"
#include "weights/utf8.h"

typedef struct {
    const char *word, *said; /* in lexicon.text */
    size_t word_bytes, said_bytes;
    int32_t line, next; /* the next entry of the same slot, shorter or as long; -1 */
    bool any_case;
} entry;

struct lexicon {
    char *text;
    entry *entries;
    int32_t *slots; /* [n_slots] first entry, -1; n_slots is a power of two */
    int32_t n;
    uint32_t n_slots;
};

static char small(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_word_byte(char c) {
    return (c >= '0' && c <= '9') || (small(c) >= 'a' && small(c) <= 'z') || (c & 0x80);
}

/* A script without spaces between words: each of its characters is a word of its own. */
static bool is_ideograph(uint32_t c) {
    return c >= 0x2e80 && c < 0xe0000;
}

/* Bytes of the letters and digits at text[0], which decide the slot; one character where there are none. */
static size_t head_bytes(const char *text, size_t bytes) {
    uint32_t c = 0;
    size_t n = utf8_decode(text, bytes, &c);
    if (n == 0) return 1;
    if (is_ideograph(c) || !is_word_byte(text[0])) return n;
    size_t at = 0;
    while (at < bytes && is_word_byte(text[at])) {
        n = (text[at] & 0x80) ? utf8_decode(text + at, bytes - at, &c) : 1;
        if (n == 0 || (n > 1 && is_ideograph(c))) break;
        at += n;
    }
    return at > 0 ? at : 1;
}

static uint32_t hash(const char *text, size_t bytes) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++) h = (h ^ (uint8_t)small(text[i])) * 16777619u;
    return h;
}

/* Whether a word can begin or end between text[at - 1] and text[at]. */
static bool is_boundary(const char *text, size_t bytes, size_t at) {
    if (at == 0 || at >= bytes || !is_word_byte(text[at - 1]) || !is_word_byte(text[at])) return true;
    uint32_t c = 0;
    size_t before = at - 1;
    while (before > 0 && at - before < 4 && (text[before] & 0xc0) == 0x80) before--;
    if (utf8_decode(text + before, bytes - before, &c) > 0 && is_ideograph(c)) return true;
    return utf8_decode(text + at, bytes - at, &c) > 0 && is_ideograph(c);
}

static bool fits(const entry *e, const char *text, size_t bytes) {
    if (e->word_bytes > bytes) return false;
    if (!e->any_case) return memcmp(e->word, text, e->word_bytes) == 0;
    for (size_t i = 0; i < e->word_bytes; i++)
        if (e->word[i] != small(text[i])) return false;
    return true;
}

size_t lexicon_find(const lexicon *l, const char *text, size_t bytes, size_t at, const char **said,
                    size_t *said_bytes) {
    if (!l || l->n == 0 || at >= bytes || !is_boundary(text, bytes, at)) return 0;
    uint32_t slot = hash(text + at, head_bytes(text + at, bytes - at)) & (l->n_slots - 1);
    for (int32_t i = l->slots[slot]; i >= 0; i = l->entries[i].next) {
        const entry *e = &l->entries[i];
        if (!fits(e, text + at, bytes - at) || !is_boundary(text, bytes, at + e->word_bytes)) continue;
        *said = e->said;
        *said_bytes = e->said_bytes;
        return e->word_bytes;
    }
    return 0;
}

static void trim(const char **text, size_t *bytes) {
    while (*bytes > 0 && (**text == ' ' || **text == '\t')) ++*text, --*bytes;
    while (*bytes > 0 && ((*text)[*bytes - 1] == ' ' || (*text)[*bytes - 1] == '\t' || (*text)[*bytes - 1] == '\r'))
        --*bytes;
}

/* Longer words first, and among equals those with capitals. */
static f5_status insert(lexicon *l, entry e, const char *where, f5_error *error) {
    int32_t *link = &l->slots[hash(e.word, head_bytes(e.word, e.word_bytes)) & (l->n_slots - 1)];
    for (; *link >= 0; link = &l->entries[*link].next) {
        const entry *other = &l->entries[*link];
        if (other->word_bytes == e.word_bytes && memcmp(other->word, e.word, e.word_bytes) == 0)
            return f5_fail(error, F5_E_FORMAT, "%s:%d: '%.*s' is there already, in line %d: remove one of them", where,
                           e.line, (int)(e.word_bytes < 80 ? e.word_bytes : 80), e.word, other->line);
        if (other->word_bytes < e.word_bytes || (other->word_bytes == e.word_bytes && other->any_case)) break;
    }
    e.next = *link;
    *link = l->n;
    l->entries[l->n++] = e;
    return F5_OK;
}

static f5_status parse_line(lexicon *l, const char *text, size_t bytes, int32_t line, const char *where,
                            f5_error *error) {
    entry e = {.line = line, .any_case = true, .word = text};
    const char *tab = memchr(text, '\t', bytes);
    const char *all = text;
    size_t all_bytes = bytes;
    trim(&all, &all_bytes);
    if (all_bytes == 0 || text[0] == '#') return F5_OK;
    if (!tab)
        return f5_fail(error, F5_E_FORMAT, "%s:%d: no TAB between the word and what is said: '%.*s'", where, line,
                       (int)(all_bytes < 80 ? all_bytes : 80), all);
    e.word_bytes = (size_t)(tab - text);
    e.said = tab + 1;
    e.said_bytes = bytes - e.word_bytes - 1;
    if (e.word_bytes > 1 && memcmp(e.word, "\\#", 2) == 0) e.word++, e.word_bytes--;
    trim(&e.word, &e.word_bytes);
    trim(&e.said, &e.said_bytes);
    if (e.word_bytes == 0) return f5_fail(error, F5_E_FORMAT, "%s:%d: no word before the TAB", where, line);
    if (e.said_bytes == 0)
        return f5_fail(error, F5_E_FORMAT, "%s:%d: nothing to say for '%.*s'", where, line,
                       (int)(e.word_bytes < 80 ? e.word_bytes : 80), e.word);
    if (memchr(e.said, '\t', e.said_bytes)) return f5_fail(error, F5_E_FORMAT, "%s:%d: more than one TAB", where, line);
    for (size_t i = 0; i < e.word_bytes; i++) e.any_case &= e.word[i] < 'A' || e.word[i] > 'Z';
    return insert(l, e, where, error);
}

f5_status lexicon_open(const char *text, size_t bytes, const char *where, lexicon **out, f5_error *error) {
    *out = NULL;
    size_t valid = utf8_valid_prefix(text, bytes);
    int32_t lines = 1;
    for (size_t i = 0; i < valid; i++) lines += text[i] == '\n';
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "%s:%d: malformed UTF-8 at byte %zu", where, lines, valid);
    if (memchr(text, 0, bytes)) return f5_fail(error, F5_E_FORMAT, "%s: holds a zero byte; a text is needed", where);
    if (bytes > INT32_MAX / 4) return f5_fail(error, F5_E_ARGUMENT, "%s: %zu bytes are too many", where, bytes);
    lexicon *l = calloc(1, sizeof *l);
    if (!l) return f5_fail(error, F5_E_MEMORY, "%s: out of memory", where);
    for (l->n_slots = 16; l->n_slots < 2 * (uint32_t)lines;) l->n_slots *= 2;
    l->text = malloc(bytes + 1);
    l->entries = malloc((size_t)lines * sizeof *l->entries);
    l->slots = malloc(l->n_slots * sizeof *l->slots);
    f5_status status = F5_OK;
    if (!l->text || !l->entries || !l->slots) {
        status = f5_fail(error, F5_E_MEMORY, "%s: out of memory", where);
    } else {
        memcpy(l->text, text, bytes);
        memset(l->slots, 0xff, l->n_slots * sizeof *l->slots);
    }
    size_t at = status == F5_OK && bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (int32_t line = 1; status == F5_OK && at < bytes; line++) {
        const char *end = memchr(l->text + at, '\n', bytes - at);
        size_t n = end ? (size_t)(end - l->text) - at : bytes - at;
        status = parse_line(l, l->text + at, n, line, where, error);
        at += n + 1;
    }
    if (status != F5_OK) {
        lexicon_close(l);
        return status;
    }
    *out = l;
    return F5_OK;
}

void lexicon_close(lexicon *l) {
    if (!l) return;
    free(l->text);
    free(l->entries);
    free(l->slots);
    free(l);
}
