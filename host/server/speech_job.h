/* speech_job.h — a job and the engines behind it, as the files that make up speaker.h see them.
 *
 * Everything of speaker's is under its lock, but what a field's comment gives to one thread. */
#ifndef F5_SERVER_SPEECH_JOB_H
#define F5_SERVER_SPEECH_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "host/files/sound_encoder.h"
#include "host/server/speaker.h"

#define SPEAKER_THREADS_MAX 256

/* ---- engines (engine_slots.c) ------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t recording; /* id; 0: the place is free */
    f5_voice *voice;    /* NULL: being opened */
    int users;
    uint64_t last_use;
} open_voice;

typedef struct {
    char device[64];
    f5_engine *engine;  /* the keeper's while it is lost; NULL: not open */
    bool lost;          /* no new job, and those that it has are failing */
    int jobs;           /* that hold it */
    open_voice *voices; /* [n_voices] */
    int n_voices;
    double retry, next; /* of a lost one: seconds between attempts to open it again; when (loop_seconds) the next one
                           is, 0: the first */
} engine_slot;

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

typedef enum { JOB_READY, JOB_RUNNING, JOB_PARKED, JOB_OVER } job_state;
typedef enum { INPUT_TEXT, INPUT_FLUSH, INPUT_FINISH } input_kind;

/* Text, or an end of it, that waits to be said. */
typedef struct job_input {
    struct job_input *next;
    input_kind kind;
    size_t bytes, at; /* of the text; said so far */
    char text[];
} job_input;

typedef struct {
    char *bytes;
    size_t n, room;
} byte_buffer;

struct speech_job {
    speaker *speaker;
    speech_job *before, *after; /* in the list of all */
    speech_job *next;           /* in the queue */
    atomic_int holders;         /* the loop's side, the speaker's, each post on its way */
    job_state state;
    bool held;
    atomic_bool cancelled;
    atomic_bool lost; /* its engine's device */
    job_input *input, **last_input;
    size_t input_bytes; /* that wait */

    /* fixed by the order */
    speech_order order;
    char *text, *normalize;
    double ordered;

    /* the thread's that has it */
    engine_slot *slot; /* written under the lock */
    const f5_voice *voice;
    f5_stream *stream;
    sound_encoder *encoder;
    byte_buffer out; /* encoded, not posted */
    bool begun, chunk_open;
    int32_t chunk;
    size_t unread;           /* bytes made since the reader was last known to take them */
    f5_sample_params sample; /* the stream points to it */
    f5_status status;        /* of a callback of ours, which `why` explains */
    f5_error why, error;
    speech_result result;

    /* the loop's */
    const speech_events *events; /* NULL: nobody is told any more */
    void *user;
    loop_post done_post;
};

struct speaker {
    loop *loop;
    speaker_options options; /* its devices are the slots' */
    int32_t *warm;           /* options.open.warm_frames, for engines that are opened again */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* a job is ready, or all ends */
    pthread_cond_t engines; /* a voice was opened, an engine was left or opened */
    engine_slot *slots;     /* [options.n_devices] */
    uint64_t voice_uses;
    speech_job *first;         /* all that are not over */
    speech_job *queue, **last; /* those that are ready */
    int ready, busy, jobs;     /* lengths */
    bool ending;
    speaker_counts counts;
    bool told_hopeless;
    int threads;
    pthread_t thread[SPEAKER_THREADS_MAX], keeper;
    bool has_keeper;
};

/* Says some of a job, which is JOB_OVER after its last step. The lock is not held. */
void job_step(speech_job *job);
void job_release(speech_job *job); /* one holder less */
void job_clear(speech_job *job);   /* what the thread held of the engine and the encoder */

void job_ready(speech_job *job); /* sets it into the queue; the lock is held */

/* The least busy engine that is ready, into job->slot. Locks. F5_E_DEVICE: there is none. */
f5_status engine_take(speech_job *job, f5_error *error);
void engine_leave(speech_job *job);
void engine_lost(speech_job *job); /* its call failed with F5_E_DEVICE: the engine's other jobs fail too */

/* The voice of the job's recording, opened on its engine if need be, into job->voice. Locks. */
f5_status voice_take(speech_job *job, f5_error *error);
void voice_leave(speech_job *job);

f5_status engines_open(speaker *s, f5_error *error);
void engines_close(speaker *s);
void *engines_keep(void *speaker); /* the thread that opens lost engines again */

#endif
