/* scheduler.h — calls from many threads become batches.
 *
 * There is no thread of its own: the calls do the work. A call that finds nobody running leads: it takes itself and
 * every waiting call that may go with it, oldest first, runs them as one batch on its own thread, hands each its
 * status, and passes the lead to the oldest call still waiting. So
 *   a lone call runs at once, on its own thread: nobody waits for company;
 *   a call that finds k others waiting runs in one of the next k + 1 batches, whatever comes later and whatever the
 *     others ask for, because the oldest always leads;
 *   a call waits with nothing but its stack: nothing is allocated, and any number may wait;
 *   a call that is cancelled while it waits leaves within a moment, and is not run. */
#ifndef F5_SCHEDULER_H
#define F5_SCHEDULER_H

#include <pthread.h>
#include <stdbool.h>

#include "kernels/error.h"

#define SCHEDULER_CANCELLED "cancelled while it waited" /* of a call whose `waits` said so */

typedef struct scheduler_call scheduler_call;

/* One call, on the stack of the thread that makes it. */
struct scheduler_call {
    /* what is asked; filled by the caller, the rest is zero */
    int32_t sequences, frames;                                /* of a batch's limits */
    int32_t store_frames;                                     /* of the memory for results that it needs; 0: none */
    int (*progress)(void *user, int32_t step, int32_t steps); /* or NULL; see scheduler_step */
    int (*waits)(
        void *user); /* or NULL: asked with progress_user now and then while the call waits; non-zero cancels */
    void *progress_user;

    /* what came of it */
    int32_t store_at;        /* first frame of its part of the store, its own until scheduler_release */
    int32_t batch_sequences; /* of all calls that ran with it */
    double wait_ms;          /* until its batch began */

    /* the scheduler's own */
    f5_error error;
    pthread_t thread;
    pthread_cond_t wake;
    double entered_ms;
    int32_t step_posted, step_reported, steps;
    bool done, cancelled, unwanted, holds_store, queued, asked; /* unwanted: waits said so */
    scheduler_call *next_waiting, *next_active;
};

typedef struct {
    int32_t max_sequences; /* of a batch */
    int32_t batch_frames;  /* of a batch of several calls; a single call may have more */
    int32_t store_frames;  /* no call needs more */
    /* may these share a batch? Called under the lock: a comparison, no more. */
    bool (*together)(const scheduler_call *a, const scheduler_call *b);
    /* Runs a batch on the calling thread; all its calls get this status, but for one thing: calls that cannot be served
     * together for want of memory are run one by one. */
    f5_status (*run)(void *user, scheduler_call *const *calls, int32_t n, f5_error *error);
    void *user;
} scheduler_options;

typedef struct {
    int64_t calls;   /* served, with whatever result */
    int64_t batches; /* run; one whose calls had to be run one by one counts once */
    int64_t shared;  /* batches that served several calls */
    int32_t waiting; /* calls, now */
} scheduler_counts;

typedef struct {
    scheduler_options options;
    pthread_mutex_t lock;
    pthread_cond_t store_freed, answered; /* answered: a call heard of its step */
    scheduler_call *oldest, *newest;      /* that wait */
    scheduler_call *active;               /* calls that have entered and not yet been released; newest first */
    scheduler_call *leader;               /* runs or is about to; NULL: nobody waits */
    scheduler_call **batch;               /* [max_sequences] what the leader took */
    int32_t n_batch;
    scheduler_call *const *running; /* the part of it that runs: all, or one after the other; the leader's own */
    int32_t n_running;
    scheduler_counts counts;
} scheduler;

/* batch is memory for [max_sequences] pointers, the caller's. F5_E_MEMORY: the system has no lock to give. */
f5_status scheduler_init(scheduler *s, const scheduler_options *options, scheduler_call **batch, f5_error *error);
void scheduler_destroy(scheduler *s); /* nobody may be inside */

/* Returns when the call was served. After F5_OK its part of the store is its own until scheduler_release, which must
 * follow; after an error nothing is held. F5_E_ARGUMENT: the calling thread is inside another call of this scheduler (a
 * callback would wait for itself). F5_E_CANCELLED: one of its callbacks said so. Else what run came to. */
f5_status scheduler_serve(scheduler *s, scheduler_call *call, f5_error *error);
void scheduler_release(scheduler *s, scheduler_call *call);

/* The same refusal before a call is made: F5_E_ARGUMENT if the calling thread is inside a call of this scheduler. */
f5_status scheduler_refuse_inside(scheduler *s, f5_error *error);

/* For run to call after each step, on the thread it runs on; s is a scheduler. Every call of the batch hears of the
 * step through its progress callback, on its own thread: the leader's at once, the others' as soon as they wake, while
 * the batch goes on. A callback that returns non-zero cancels its own call alone; non-zero is returned when all calls
 * of the batch are cancelled: where the leader's is and the others have yet to answer, they are waited for, a tenth
 * of a second at most. If a run reports only its final step, its first call here passes that step's number. */
int scheduler_step(void *s, int32_t step, int32_t steps);

scheduler_counts scheduler_count(scheduler *s);

#endif
