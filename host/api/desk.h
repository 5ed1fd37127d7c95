/* desk.h — the working memory of one f5_speak. An engine has a fixed number of desks; calls that find none free wait,
 * in the order in which they came, and leave when they are not wanted any more. */
#ifndef F5_DESK_H
#define F5_DESK_H

#include <pthread.h>

#include "host/api/f5tts.h"
#include "host/text/reader.h"
#include "runtime/request.h"

#define DESK_SEGMENTS 64 /* of a text with fix_duration */

/* A chunk that waits to be spoken. */
typedef struct {
    reader_chunk chunk;
    int32_t frames, tokens;
} desk_chunk;

typedef struct desk desk;
struct desk {
    reader_memory text;
    char normal[READER_SENTENCE_BYTES]; /* a sentence between normalising and folding */
    char spoken[READER_SENTENCE_BYTES]; /* as IPA, of a model that reads it */
    int32_t *tokens;                    /* [2*max_frames] of the chunks that are spoken next, one after another */
    desk_chunk *chunks;                 /* [max_batch+1] these chunks */
    synth_job *jobs;                    /* [max_batch] */
    float *tail;                        /* [F5_MAX_CROSS_FADE seconds] */
    f5_mark marks[READER_SENTENCES];
    double segment_bytes[DESK_SEGMENTS]; /* of all chunks of a segment */
    int32_t segment_chunks[DESK_SEGMENTS];
    desk *next;       /* free, or taken too */
    pthread_t thread; /* that took it */
};

/* A call that waits, on the stack of its thread. */
typedef struct desk_waiter desk_waiter;
struct desk_waiter {
    pthread_t thread;
    pthread_cond_t wake;
    desk *given; /* which takes it out of the list */
    desk_waiter *next;
};

typedef struct {
    desk **desks; /* [n] */
    int32_t n;
    pthread_mutex_t lock; /* guards what follows */
    desk *free, *taken;   /* none is free while somebody waits */
    desk_waiter *waiting; /* the oldest first */
} desk_room;

/* A desk by itself, for a stream. F5_E_MEMORY. */
f5_status desk_make(desk **d, int32_t max_frames, int32_t max_batch, f5_error *error);
void desk_destroy(desk *d); /* NULL is fine */

f5_status desk_room_init(desk_room *room, int32_t n, int32_t max_frames, int32_t max_batch, f5_error *error);
void desk_room_destroy(desk_room *room); /* safe on a zeroed one */

/* Does the calling thread wait for a desk, or has it one? Then it is in a callback. */
bool desk_room_has_me(desk_room *room);
int32_t desk_room_waiting(desk_room *room); /* calls, now */

/* The calling thread works at a stream's desk, until it rises. */
void desk_sit(desk_room *room, desk *d);
void desk_rise(desk_room *room, desk *d);

/* Waits for a desk; the caller holds nothing meanwhile but its stack. `waits` (or NULL) is asked, with user, now and
 * then while it waits and once when it has waited: non-zero is F5_E_CANCELLED. Else F5_E_MEMORY. */
f5_status desk_take(desk_room *room, int (*waits)(void *user), void *user, desk **taken, f5_error *error);
void desk_leave(desk_room *room, desk *d);

#endif
