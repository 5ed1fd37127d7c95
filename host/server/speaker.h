/* speaker.h — orders in, encoded speech out: the engines, the threads that call them, the queue in front of them.
 *
 * Functions and events are of the loop's thread. Behind them request threads call f5_speak or a stream of the library,
 * encode what they get, and post it. An order whose reader is slow, or whose text is still coming, holds no thread and
 * no memory of an engine. */
#ifndef F5_SERVER_SPEAKER_H
#define F5_SERVER_SPEAKER_H

#include <stdbool.h>

#include "host/api/f5tts.h"
#include "host/files/sound_format.h"
#include "host/server/loop.h"
#include "host/server/recording.h"

typedef struct speaker speaker;
typedef struct speech_job speech_job;

/* ---- an order ---------------------------------------------------------------------------------------------------- */

/* What to say and how. speech_order_init has the library's defaults. Strings and the recording are copied or held. */
typedef struct {
    recording *voice;
    const char *text; /* NULL: it comes by speech_push */
    size_t text_bytes;
    sound_format format;
    int32_t rate; /* samples a second, default 24000, whatever the model's are */
    f5_sample_params sample;
    f5_speak_params speak; /* text, sample and audio are set when it is said */
    bool ipa;              /* the text is, of a model that reads it */
    bool separate;         /* every chunk is a file of its own; give cross_fade 0 */
    bool whole;            /* one piece when all is done, with the header that a whole file has */
} speech_order;

void speech_order_init(speech_order *o);

typedef struct {
    double start, end; /* seconds of the whole output */
    const char *text;  /* [bytes] */
    size_t bytes;
} speech_sentence;

/* Encoded sound, and what was said meanwhile. Pointers live during the call. */
typedef struct {
    const void *bytes; /* [n]; n may be 0 */
    size_t n;
    double seconds;                /* of sound, in this piece */
    int32_t chunk;                 /* index of the chunk it belongs to; -1: none */
    bool chunk_begins, chunk_ends; /* for `separate`: the first and the last bytes of a chunk's file */
    const char *text;              /* [text_bytes] what the chunk says, where chunk_begins; else NULL */
    size_t text_bytes;
    const speech_sentence *sentences; /* [n_sentences] that end in this piece */
    int32_t n_sentences;
} speech_piece;

typedef struct {
    f5_status status;    /* F5_OK, or why it ended early */
    const char *message; /* for the client; "" when F5_OK */
    double seconds;      /* of speech */
    int32_t chunks;
    double waited, first, total; /* seconds from the order: until it began, until its first sound, until its end */
    uint64_t bytes;              /* encoded */
} speech_result;

/* Told on the loop's thread, from a later turn of it than speaker_order's. */
typedef struct {
    void (*piece)(void *user, const speech_piece *piece);
    void (*flushed)(void *user);                           /* or NULL: what came before a speech_flush is said */
    void (*done)(void *user, const speech_result *result); /* once and last; the job must not be used after it */
} speech_events;

/* F5_E_LIMIT: the queue is full now, or so much sound waits to be read that nothing new begins: 503. F5_E_DEVICE: no
 * engine is ready now: 503. F5_E_ARGUMENT: the order is wrong. *job may be used until `done` or speech_cancel. */
f5_status speaker_order(speaker *s, const speech_order *order, const speech_events *events, void *user,
                        speech_job **job, f5_error *error);

/* For an order without a text. The text may be cut anywhere. F5_E_LIMIT: more waits than may. */
f5_status speech_push(speech_job *job, const char *text, size_t bytes, f5_error *error);
void speech_flush(speech_job *job);  /* says what was pushed; later text is a new paragraph */
void speech_finish(speech_job *job); /* no more text comes: says the rest, then `done` */

/* Back-pressure: call with true while the reader has too much, with false when it can take more. At most a chunk comes
 * after it. */
void speech_hold(speech_job *job, bool hold);
void speech_cancel(speech_job *job); /* at the next step; nothing more is told, the job is gone for the caller */

/* ---- the engines ------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *const *devices; /* [n_devices] "cuda:0": an engine each */
    int n_devices;
    bool some;                /* of them are enough to begin with: a GPU that is lost is opened when that works */
    f5_open_params open;      /* of every engine; `device` is set */
    int32_t sound_rate;       /* samples a second of the model's speech */
    bool one_voice;           /* the model's own: an order's recording is not opened */
    f5_speak_params phonemes; /* its phonemes and phonemes_user are those of every order that is no IPA */
    int running;              /* orders at a time: so many threads */
    int waiting;              /* more that may wait: beyond it F5_E_LIMIT */
    size_t text_bytes;        /* that wait in a job */
    int voices;               /* that an engine keeps open */
    /* sent once: no engine is ready, and this process can open none on a GPU that was lost. Another process may. It
     * must live as long as the loop */
    loop_post *hopeless;
} speaker_options;

f5_status speaker_new(speaker **s, loop *l, const speaker_options *options, f5_error *error);
void speaker_free(speaker *s); /* every job must be done or cancelled; waits for the threads */

typedef struct {
    int engines, ready;         /* ready: not lost */
    int running, waiting, held; /* orders; held: by their reader, or for want of text */
    uint64_t orders, cancelled, failed, refused;
    double sound_seconds; /* made so far */
    uint64_t reopened;    /* engines, after their device was lost */
} speaker_counts;
void speaker_count(speaker *s, speaker_counts *counts);
/* As it was given, but "auto" and "cuda" are what was found: "cpu", "cuda:0". */
const char *speaker_device(const speaker *s, int engine);
f5_status speaker_engine_info(speaker *s, int engine, f5_engine_info *info, f5_error *error); /* F5_E_DEVICE: lost */

#endif
