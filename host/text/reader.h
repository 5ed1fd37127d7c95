/* reader.h — a text is read from its beginning to its end, and comes out as chunks to be spoken.
 *
 *   source    plain text with tags, or SSML; all at once or bit by bit
 *   segment   a stretch in one voice at one rate, between tags, pauses and the ends of the text
 *   sentence  a real one; each is prepared by itself: normalised, folded to what the model can say
 *   chunk     as much prepared text as may be spoken at once
 *
 * What comes out depends on the text alone, not on how it came: where more text could change an answer, the reader
 * waits for it. All memory is the caller's and of a fixed size; a text of any length goes through it. */
#ifndef F5_READER_H
#define F5_READER_H

#include <stdint.h>

#include "host/text/chunk.h"
#include "host/text/ssml.h"
#include "host/text/text_buffer.h"

#define READER_SENTENCES 256
#define READER_PREPARED_BYTES 49152 /* of prepared text */
#define READER_ORIGINAL_BYTES 16384 /* of the same sentences as they were given */
#define READER_RUN_BYTES 8192       /* of text that SSML's tags lie in between */
#define READER_SENTENCE_BYTES 20480 /* longest prepared sentence */
#define READER_MAX_CHUNK 2048       /* bytes; no limit is larger */

/* A voice as the reader sees it. */
typedef struct {
    const char *name; /* [name_bytes] of its tag; of voice 0, the main one, none */
    size_t name_bytes;
    const char *transcript; /* [transcript_bytes] finished (duration.h) */
    size_t transcript_bytes;
    double seconds;    /* of the reference */
    float speed;       /* that counts for its limit and its pace */
    double room_bytes; /* that the engine has room for at speed 1, */
    double most_bytes; /* and at any speed: a frame has room for one token */
} reader_voice;

typedef enum { READER_UPSTREAM, READER_SENTENCES_PACKED, READER_EACH_SENTENCE } reader_chunking;
typedef enum { READER_BRACKETS_MAIN, READER_BRACKETS_TEXT, READER_BRACKETS_DROP } reader_brackets;

#define READER_FIRST_UPSTREAM -1

typedef struct {
    const reader_voice *voices; /* [n_voices], at least the main one */
    int32_t n_voices;
    reader_chunking chunking;
    reader_brackets brackets;
    bool ssml;
    bool one_space; /* white space of any length and kind becomes one space, as upstream's text cleaners do */
    double sentence_pause, paragraph_pause; /* seconds; 0: none */
    double first_chunk;                     /* seconds; 0: as the others; READER_FIRST_UPSTREAM */
    /* Writes the sentence [bytes] as the model is to say it; `at` is where it begins in the text. */
    f5_status (*prepare)(void *user, const char *sentence, size_t bytes, int64_t at, text_buffer *out, f5_error *error);
    /* Writes the content of SSML's <say-as> as words; the three attributes are strings, "" where not given. It is
     * prepared after that. */
    f5_status (*say_as)(void *user, const char *interpret_as, const char *format, const char *detail, const char *text,
                        size_t bytes, text_buffer *out, f5_error *error);
    /* NULL, or told of a tag that names no voice. */
    void (*unknown_voice)(void *user, const char *name, size_t bytes);
    void *user;
} reader_rules;

/* What a reader of SSML knows besides. */
typedef struct {
    text_buffer run;   /* text between tags */
    size_t run_at;     /* what is read of it */
    const char *slice; /* [slice_bytes] of an event's text that did not fit in it yet */
    size_t slice_bytes;
    size_t say_as_at; /* where the content of <say-as> begins in the run */
    bool open, run_ended, in_say_as, sentence_only, segment_ends, ended;
    char attributes[3][64]; /* of <say-as>: interpret-as, format, detail */
    ssml_event stash;       /* an event that was read too early, if one was */
    bool stashed;
} reader_ssml;

/* A sentence in the reader's memory. */
typedef struct {
    int32_t from, to; /* its prepared text */
    int32_t original, original_bytes;
    int64_t at;     /* in the text given; -1: SSML */
    bool paragraph; /* it ends one */
    bool stopped;   /* it has an end of its own, and is not cut off by a tag */
    bool begun;     /* for whoever speaks: a part of it was spoken, */
    double start;   /* at this time */
} reader_sentence;

/* The memory of a reader. */
typedef struct {
    char prepared[READER_PREPARED_BYTES], original[READER_ORIGINAL_BYTES], run[READER_RUN_BYTES],
        sentence[READER_SENTENCE_BYTES];
    reader_sentence sentences[READER_SENTENCES];
    ssml_reader ssml;
} reader_memory;

typedef struct {
    chunk chunk; /* points into the reader's memory: until reader_release */
    int32_t voice, segment;
    float speed;         /* its voice's, and the rate of SSML */
    double pause_before; /* seconds of silence */
    bool joins;          /* what follows overlaps it, as far as is known */
    bool pause_follows;
    int32_t from, to; /* its place in the prepared text */
} reader_chunk;

typedef enum {
    READER_CHUNK, /* here is one */
    READER_WAIT,  /* more text is needed */
    READER_FULL,  /* chunks that were handed out fill the memory: reader_release, then go on */
    READER_END    /* of the text */
} reader_outcome;

typedef struct {
    const reader_rules *rules;
    reader_memory *memory;
    /* the source */
    const char *text; /* [bytes] what was given; what is not read yet begins at `at` */
    size_t bytes, at;
    int64_t text_at; /* where text[0] lies in all of the text */
    bool last;       /* no more text comes */
    bool source_ended;
    reader_ssml ssml;
    /* the segment */
    int32_t voice, segment, next_voice;
    float rate, next_rate;
    bool segment_ended, segment_spoken;
    double pause;         /* seconds before the next chunk: asked for, */
    double natural_pause; /* or between sentences: only where something follows */
    double next_pause;    /* asked for after this segment */
    /* its prepared sentences */
    text_buffer prepared, original;
    size_t cut;                 /* what chunks have taken of the prepared text */
    int32_t n_sentences, first; /* in memory; the first that no chunk has taken whole */
    bool in_flight;             /* chunks point into memory */
    bool crowded;               /* no more text fits in: the next chunk ends where the text ends */
    int32_t chunks;             /* so far */
    size_t region[2];           /* upstream's short first chunks: ends of what is cut into halves, into quarters */
} reader;

/* rules and memory are the caller's, as long as the reader is used. */
void reader_begin(reader *r, const reader_rules *rules, reader_memory *memory);

/* The text that is not read yet: what reader_unread says was left of the last one, and what has come since. last: no
 * more text comes. The text lives until the next call of reader_feed. */
void reader_feed(reader *r, const char *text, size_t bytes, bool last);
size_t reader_unread(const reader *r);

/* The next chunk. *outcome says what came. F5_E_FORMAT: malformed UTF-8 or SSML, or a malformed pause. */
f5_status reader_next(reader *r, reader_outcome *outcome, reader_chunk *c, f5_error *error);

/* The sentences that have a part in a chunk: *first and the number of them. */
int32_t reader_chunk_sentences(const reader *r, const reader_chunk *c, int32_t *first);

/* Where a chunk begins in all of the text, in bytes: exactly where its first sentence was not changed. 0 with SSML. */
size_t reader_chunk_at(const reader *r, const reader_chunk *c);

/* The chunks that were handed out are not used any more. */
void reader_release(reader *r);

/* Adds the next sentence to the prepared text, or ends the segment: what reader_next does when it needs more. */
typedef enum { READER_ADDED, READER_NO_TEXT, READER_NO_ROOM } reader_fill_outcome;
f5_status reader_fill(reader *r, reader_fill_outcome *outcome, f5_error *error);

/* Longest chunk of a voice in bytes; may be below 1: then every sentence is one. */
int64_t reader_limit(const reader_voice *v, float rate);

#endif
