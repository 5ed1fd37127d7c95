/* pinyin_table.h — the tables by which Chinese text becomes pinyin: jieba's dictionary and hidden Markov model,
 * pypinyin's phrases and characters. weights/text/README.md describes the bytes, make_pinyin.py there makes them.
 *
 * A table may come from anyone. pinyin_table_open checks all of it, so that no lookup leaves it afterwards. */
#ifndef F5_PINYIN_TABLE_H
#define F5_PINYIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

enum {
    PINYIN_MAX_WORD = 32,     /* characters of a word or phrase */
    PINYIN_MAX_SYLLABLE = 16, /* bytes */
    PINYIN_HMM_FIRST = 0x4E00,
    PINYIN_HMM_LAST = 0x9FD5, /* characters that the hidden Markov model may know */
    PINYIN_STATES = 4         /* B, E, M, S: begin, end and middle of a word, a word of one character */
};

/* Words as a trie. The children of a node lie side by side as one group, sorted by label; group 0 is the root's. */
typedef struct {
    uint32_t nodes, groups;
    const uint16_t *label;        /* [nodes] a character below U+10000 */
    const uint16_t *value;        /* [nodes] 0: no word ends here */
    const uint64_t *inner;        /* [nodes/64] bits: has the node children? */
    const uint32_t *inner_before; /* [nodes/64] bits set in the words before */
    const uint32_t *group_base;   /* [groups/64] where a group begins: base and delta */
    const uint16_t *group_delta;  /* [groups+1] */
} pinyin_trie;

typedef struct {
    pinyin_trie words;            /* values are places in log_frequency */
    const double *log_frequency;  /* ln of the word's share; [0] is that of a word that occurs once */
    const double *chain;          /* [5][4] logarithms: of the first state, then from each state to each */
    const uint16_t *emission_row; /* [HMM characters] row of emission, 0: the model does not know the character */
    const int32_t *emission;      /* [rows][4] logarithms in millionths; 0: never */
    pinyin_trie phrases;          /* values are 1 + the phrase's number */
    const uint32_t *by_length;    /* [longest+1][2] phrases shorter than 1, 2, ..., and how many syllables they have */
    const uint16_t *phrase_syllable;
    const uint16_t *page; /* [pages] of 256 characters: place in reading */
    uint32_t pages;
    const uint16_t *reading;        /* 0: not to be spelled, 1: without a reading, else 2 + its syllable */
    const uint16_t *syllable_start; /* [syllables+1] places in syllable_text */
    const char *syllable_text;
    const char *notices; /* [notice_bytes] where it comes from, and the licences */
    size_t notice_bytes;
} pinyin_table;

/* Checks `data`, which must stay as it is while the table is used, and sets *t to point into it. data lies at a
 * multiple of 8 bytes. `where` names it in messages. Errors: F5_E_FORMAT. */
f5_status pinyin_table_open(pinyin_table *t, const void *data, size_t bytes, const char *where, f5_error *error);

/* Steps from a group (0: the start) along a character. False: no word goes on so. Otherwise *value is the node's, and
 * *group that of its children; 0: it has none. */
static inline bool pinyin_step(const pinyin_trie *t, uint32_t *group, uint32_t character, uint16_t *value) {
    uint32_t from = t->group_base[*group / 64] + t->group_delta[*group];
    uint32_t to = t->group_base[(*group + 1) / 64] + t->group_delta[*group + 1];
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (t->label[middle] < character)
            from = middle + 1;
        else if (t->label[middle] > character)
            to = middle;
        else {
            uint64_t word = t->inner[middle / 64], bit = (uint64_t)1 << middle % 64;
            *value = t->value[middle];
            *group =
                word & bit ? 1 + t->inner_before[middle / 64] + (uint32_t)__builtin_popcountll(word & (bit - 1)) : 0;
            return true;
        }
    }
    return false;
}

/* What `reading` has for a character. */
static inline uint16_t pinyin_reading(const pinyin_table *t, uint32_t character) {
    uint32_t page = character / 256;
    return page < t->pages ? t->reading[256u * t->page[page] + character % 256] : 0;
}

/* The syllables of the phrase with this value and so many characters. */
static inline const uint16_t *pinyin_phrase(const pinyin_table *t, uint16_t value, uint32_t length) {
    const uint32_t *shorter = t->by_length + 2 * (size_t)(length - 1);
    return t->phrase_syllable + shorter[1] + (value - 1u - shorter[0]) * length;
}

#endif
