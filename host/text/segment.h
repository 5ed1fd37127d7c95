/* segment.h — a run of letters, digits and Chinese characters is cut into words as rjieba 0.2.2 does it (jieba-rs 0.11;
 * the method is jieba's, github.com/fxsjy/jieba).
 *
 * A run is made of Chinese characters, ASCII letters and digits and + # & . _ % -. Of all ways to put it together from
 * words of the dictionary and single characters the likeliest is taken. Where this leaves several characters in a row
 * single, a hidden Markov model joins those from U+4E00 to U+9FD5 to words, and the others are cut by
 * [a-zA-Z0-9]+([._-][a-zA-Z0-9]+)*%? with everything unmatched in between as one segment. (Older releases had
 * [a-zA-Z0-9]+(.[0-9]+)?%? there, so that "co-op" came out as "co- op".) */
#ifndef F5_SEGMENT_H
#define F5_SEGMENT_H

#include "host/text/pinyin_table.h"

/* Receives the segments in order; they point into the run. */
typedef void (*segment_fn)(void *user, const char *segment, size_t bytes);

typedef struct {
    size_t bytes, characters;
    size_t chinese; /* offset of the first Chinese character; `bytes` if there is none */
} segment_run;

/* The run at the start of the text; its length is 0 if there is none. */
segment_run segment_find_run(const char *text, size_t bytes);

/* A run without Chinese characters needs no table. */
void segment_latin(const char *run, size_t bytes, segment_fn emit, void *user);

/* Bytes of scratch, at a multiple of 8, for a run of so many characters. */
#define SEGMENT_SCRATCH_BYTES(characters) (16 * ((size_t)(characters) + 1))

/* `run` is what segment_find_run found. Should someone change the text while it is read, the segments may be wrong, but
 * nothing outside of the run, the scratch and the table is touched. */
void segment_chinese(const pinyin_table *t, const char *text, segment_run run, void *scratch, segment_fn emit,
                     void *user);

#endif
