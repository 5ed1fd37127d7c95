/* pinyin_table.c — a table is cut into its sections, and everything that is later used as a place is held against what
 * it is a place in. */
#include "host/text/pinyin_table.h"

#include <string.h>

#define MAGIC "F5PINYIN"
#define VERSION 1
#define HEAD_BYTES 16
#define MAX_SECTION_ENTRIES (1u << 28)

enum {
    NOTICES,
    WORDS, /* six sections, the trie's arrays */
    LOG_FREQUENCY = WORDS + 6,
    CHAIN,
    EMISSION_ROW,
    EMISSION,
    PHRASES, /* six */
    BY_LENGTH = PHRASES + 6,
    PHRASE_SYLLABLE,
    PAGE,
    READING,
    SYLLABLE_START,
    SYLLABLE_TEXT,
    SECTIONS
};

typedef struct {
    const void *data;
    uint32_t count;
} section;

typedef struct {
    section section[SECTIONS];
    const char *where;
    f5_error *error;
} reader;

static f5_status bad(const reader *r, const char *what) {
    return f5_fail(r->error, F5_E_FORMAT, "%s: not a table for Chinese, or a damaged one: %s", r->where, what);
}

/* Bytes of an entry of each section. */
static size_t entry_bytes(int number) {
    static const uint8_t trie[6] = {2, 2, 8, 4, 4, 2};
    if (number >= WORDS && number < WORDS + 6) return trie[number - WORDS];
    if (number >= PHRASES && number < PHRASES + 6) return trie[number - PHRASES];
    if (number == LOG_FREQUENCY || number == CHAIN) return 8;
    if (number == EMISSION || number == BY_LENGTH) return 4;
    return number == NOTICES || number == SYLLABLE_TEXT ? 1 : 2;
}

static f5_status read_sections(reader *r, const char *data, size_t bytes) {
    uint32_t head[2];
    if ((uintptr_t)data % 8 != 0) return bad(r, "it does not lie at a multiple of 8 bytes");
    if (bytes % 64 != 0 || bytes < HEAD_BYTES + 16 * SECTIONS || memcmp(data, MAGIC, 8) != 0)
        return bad(r, "it does not begin like one, or is cut off");
    memcpy(head, data + 8, sizeof head);
    if (head[0] != VERSION || head[1] != SECTIONS) return bad(r, "its version is another one");
    for (int i = 0; i < SECTIONS; i++) {
        uint64_t place[2]; /* offset, entries */
        memcpy(place, data + HEAD_BYTES + 16 * i, sizeof place);
        if (place[0] % 8 != 0 || place[0] > bytes || place[1] > MAX_SECTION_ENTRIES ||
            place[1] > (bytes - place[0]) / entry_bytes(i))
            return bad(r, "a section reaches past its end");
        r->section[i] = (section){data + place[0], (uint32_t)place[1]};
    }
    return F5_OK;
}

/* ---- tries */

static uint32_t group_start(const pinyin_trie *t, uint32_t group) {
    return t->group_base[group / 64] + t->group_delta[group];
}

/* The counts of the six sections fit each other, and the counts of bits are right. */
static f5_status read_trie(const reader *r, int first, pinyin_trie *t) {
    const section *s = r->section + first;
    if (s[0].count == 0 || s[5].count < 2) return bad(r, "a dictionary is empty");
    *t = (pinyin_trie){.nodes = s[0].count,
                       .groups = s[5].count - 1,
                       .label = s[0].data,
                       .value = s[1].data,
                       .inner = s[2].data,
                       .inner_before = s[3].data,
                       .group_base = s[4].data,
                       .group_delta = s[5].data};
    uint32_t words = (t->nodes + 63) / 64;
    if (s[1].count != t->nodes || s[2].count != words || s[3].count != words || s[4].count != t->groups / 64 + 1)
        return bad(r, "a dictionary's sections do not fit each other");
    uint32_t set = 0;
    for (uint32_t i = 0; i < words; i++) {
        if (t->inner_before[i] != set) return bad(r, "a dictionary's bits are counted wrongly");
        set += (uint32_t)__builtin_popcountll(t->inner[i]);
    }
    if (t->nodes % 64 && t->inner[words - 1] >> t->nodes % 64) return bad(r, "a dictionary has bits past its end");
    return set == t->groups - 1 ? F5_OK : bad(r, "a dictionary's nodes and groups do not fit each other");
}

/* Groups follow each other and fill the nodes; in each, labels rise. */
static f5_status check_groups(const reader *r, const pinyin_trie *t) {
    uint64_t from = 0;
    for (uint32_t g = 0; g < t->groups; g++) {
        uint64_t start = (uint64_t)t->group_base[g / 64] + t->group_delta[g];
        uint64_t end = (uint64_t)t->group_base[(g + 1) / 64] + t->group_delta[g + 1];
        if (start != from || end <= start || end > t->nodes) return bad(r, "a dictionary's groups are not in order");
        for (uint64_t i = start + 1; i < end; i++)
            if (t->label[i - 1] >= t->label[i]) return bad(r, "a dictionary is not sorted");
        from = end;
    }
    return from == t->nodes ? F5_OK : bad(r, "a dictionary has nodes in no group");
}

/* Values of the nodes [from,to), which stand for words of `length` characters. */
typedef bool (*value_check)(const reader *r, const uint16_t *value, uint32_t n, uint32_t length);

static bool words_known(const reader *r, const uint16_t *value, uint32_t n, uint32_t length) {
    (void)length;
    for (uint32_t i = 0; i < n; i++)
        if (value[i] >= r->section[LOG_FREQUENCY].count) return false;
    return true;
}

static bool phrases_known(const reader *r, const uint16_t *value, uint32_t n, uint32_t length) {
    const uint32_t *shorter = r->section[BY_LENGTH].data;
    if (length >= r->section[BY_LENGTH].count / 2) return false;
    for (uint32_t i = 0; i < n; i++)
        if (value[i] && (value[i] - 1u < shorter[2 * length - 2] || value[i] - 1u >= shorter[2 * length])) return false;
    return true;
}

/* Groups are numbered as the nodes that own them, so the nodes of a level are followed by those of the next. Nodes
 * that no word reaches, and cycles, cannot be then. */
static f5_status check_levels(const reader *r, const pinyin_trie *t, value_check check) {
    uint32_t from = 0, to = group_start(t, 1), group = 1;
    for (uint32_t length = 1; from < to; length++) {
        if (length > PINYIN_MAX_WORD) return bad(r, "a word is too long");
        if (!check(r, t->value + from, to - from, length)) return bad(r, "a word has a value that stands for nothing");
        for (uint32_t i = from; i < to; i++) group += (uint32_t)(t->inner[i / 64] >> i % 64 & 1);
        from = to;
        to = group_start(t, group);
    }
    return from == t->nodes ? F5_OK : bad(r, "a dictionary has nodes that no word reaches");
}

/* ---- the rest */

static f5_status check_logarithms(const reader *r, int number, double least) {
    const double *value = r->section[number].data;
    for (uint32_t i = 0; i < r->section[number].count; i++)
        if (!(value[i] <= 0 && value[i] >= least)) return bad(r, "a probability is none");
    return F5_OK;
}

static f5_status check_hmm(const reader *r) {
    const section *row = &r->section[EMISSION_ROW], *emission = &r->section[EMISSION];
    if (r->section[LOG_FREQUENCY].count == 0 || r->section[CHAIN].count != 5 * PINYIN_STATES ||
        row->count != PINYIN_HMM_LAST - PINYIN_HMM_FIRST + 1 || emission->count == 0 ||
        emission->count % PINYIN_STATES != 0)
        return bad(r, "the hidden Markov model lacks a part");
    F5_TRY(check_logarithms(r, LOG_FREQUENCY, -1e3));
    F5_TRY(check_logarithms(r, CHAIN, -4e100));
    for (uint32_t i = 0; i < row->count; i++)
        if (((const uint16_t *)row->data)[i] >= emission->count / PINYIN_STATES)
            return bad(r, "a character has a row that is not there");
    for (uint32_t i = 0; i < emission->count; i++)
        if (((const int32_t *)emission->data)[i] > 0) return bad(r, "a probability is none");
    return F5_OK;
}

static f5_status check_by_length(const reader *r) {
    const uint32_t *shorter = r->section[BY_LENGTH].data;
    uint32_t longest = r->section[BY_LENGTH].count / 2;
    if (r->section[BY_LENGTH].count % 2 || longest < 2 || shorter[0] || shorter[1])
        return bad(r, "the list of phrases by length has no start");
    for (uint32_t i = 1; i < longest; i++) {
        const uint32_t *s = shorter + 2 * (size_t)i;
        if (s[0] < s[-2] || s[1] < s[-1] || (uint64_t)(s[0] - s[-2]) * i != s[1] - s[-1])
            return bad(r, "the list of phrases by length is not in order");
    }
    return shorter[2 * longest - 1] == r->section[PHRASE_SYLLABLE].count
               ? F5_OK
               : bad(r, "phrases and their syllables do not fit each other");
}

static f5_status check_readings(const reader *r) {
    const section *start = &r->section[SYLLABLE_START], *page = &r->section[PAGE], *reading = &r->section[READING];
    const uint16_t *at = start->data;
    if (start->count < 2 || reading->count == 0 || reading->count % 256) return bad(r, "the readings lack a part");
    uint32_t syllables = start->count - 1;
    if (at[0] != 0 || at[syllables] != r->section[SYLLABLE_TEXT].count) return bad(r, "syllables and text do not fit");
    for (uint32_t i = 0; i < syllables; i++)
        if (at[i + 1] <= at[i] || at[i + 1] - at[i] > PINYIN_MAX_SYLLABLE) return bad(r, "a syllable is too long");
    for (uint32_t i = 0; i < page->count; i++)
        if (((const uint16_t *)page->data)[i] >= reading->count / 256) return bad(r, "a page is not there");
    for (uint32_t i = 0; i < reading->count; i++)
        if (((const uint16_t *)reading->data)[i] >= syllables + 2) return bad(r, "a reading is not there");
    const section *spoken = &r->section[PHRASE_SYLLABLE];
    for (uint32_t i = 0; i < spoken->count; i++)
        if (((const uint16_t *)spoken->data)[i] >= syllables) return bad(r, "a syllable is not there");
    return F5_OK;
}

static f5_status read_table(reader *r, const void *data, size_t bytes, pinyin_table *t) {
    F5_TRY(read_sections(r, data, bytes));
    const section *s = r->section;
    F5_TRY(check_hmm(r));
    F5_TRY(check_by_length(r));
    F5_TRY(check_readings(r));
    F5_TRY(read_trie(r, WORDS, &t->words));
    F5_TRY(read_trie(r, PHRASES, &t->phrases));
    F5_TRY(check_groups(r, &t->words));
    F5_TRY(check_groups(r, &t->phrases));
    F5_TRY(check_levels(r, &t->words, words_known));
    F5_TRY(check_levels(r, &t->phrases, phrases_known));
    t->log_frequency = s[LOG_FREQUENCY].data;
    t->chain = s[CHAIN].data;
    t->emission_row = s[EMISSION_ROW].data;
    t->emission = s[EMISSION].data;
    t->by_length = s[BY_LENGTH].data;
    t->phrase_syllable = s[PHRASE_SYLLABLE].data;
    t->page = s[PAGE].data;
    t->pages = s[PAGE].count;
    t->reading = s[READING].data;
    t->syllable_start = s[SYLLABLE_START].data;
    t->syllable_text = s[SYLLABLE_TEXT].data;
    t->notices = s[NOTICES].data;
    t->notice_bytes = s[NOTICES].count;
    return F5_OK;
}

f5_status pinyin_table_open(pinyin_table *t, const void *data, size_t bytes, const char *where, f5_error *error) {
    reader r = {.where = where, .error = error};
    pinyin_table made = {0};
    *t = made;
    F5_TRY(read_table(&r, data, bytes, &made));
    *t = made;
    return F5_OK;
}
