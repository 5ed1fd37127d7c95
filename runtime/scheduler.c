/* scheduler.c — a queue under one lock; the oldest waiting call leads, and runs a batch on its own thread. */
#include "runtime/scheduler.h"

#include "runtime/clock.h"

#define ANSWER_SECONDS 0.1 /* at most, that a batch which may be cancelled waits for its calls to say so */

f5_status scheduler_init(scheduler *s, const scheduler_options *options, scheduler_call **batch, f5_error *error) {
    *s = (scheduler){.options = *options, .batch = batch};
    if (pthread_mutex_init(&s->lock, NULL) != 0) return f5_fail(error, F5_E_MEMORY, "no memory for a lock");
    bool stored = clock_cond_init(&s->store_freed), answered = clock_cond_init(&s->answered);
    if (stored && answered) return F5_OK;
    if (stored) pthread_cond_destroy(&s->store_freed);
    if (answered) pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->lock);
    return f5_fail(error, F5_E_MEMORY, "no memory for a condition variable");
}

void scheduler_destroy(scheduler *s) {
    pthread_cond_destroy(&s->answered);
    pthread_cond_destroy(&s->store_freed);
    pthread_mutex_destroy(&s->lock);
}

/* ---- the queue; s->lock is held in all that follows, but where said -------------------------------------------- */

static bool inside_already(const scheduler *s, pthread_t thread) {
    for (const scheduler_call *c = s->active; c; c = c->next_active) {
        if (pthread_equal(c->thread, thread)) return true;
    }
    return false;
}

static void enter(scheduler *s, scheduler_call *call) {
    call->next_active = s->active;
    s->active = call;
    call->next_waiting = NULL;
    if (s->newest)
        s->newest->next_waiting = call;
    else
        s->oldest = call;
    s->newest = call;
    call->queued = true;
    call->entered_ms = clock_ms();
}

static void leave(scheduler *s, scheduler_call *call) {
    scheduler_call **link = &s->active;
    while (*link != call) link = &(*link)->next_active;
    *link = call->next_active;
    if (call->holds_store) pthread_cond_signal(&s->store_freed); /* only a leader waits for it */
}

/* First place of the store with n free frames, or -1. A place moves past whatever overlaps it until nothing does. */
static int32_t find_store(const scheduler *s, int32_t n) {
    int32_t at = 0;
    for (const scheduler_call *c = s->active; c;) {
        if (!c->holds_store || c->store_at + c->store_frames <= at || c->store_at >= at + n) {
            c = c->next_active;
            continue;
        }
        at = c->store_at + c->store_frames;
        if (at > s->options.store_frames - n) return -1;
        c = s->active;
    }
    return at;
}

static bool take_store(scheduler *s, scheduler_call *call) {
    if (call->store_frames == 0) return true;
    call->store_at = find_store(s, call->store_frames);
    call->holds_store = call->store_at >= 0;
    return call->holds_store;
}

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

/* The leader and all that may go with it become the batch, and wait no longer. */
static void gather(scheduler *s, scheduler_call *leader) {
    const scheduler_options *o = &s->options;
    int32_t sequences = leader->sequences;
    int64_t frames = leader->frames;
    s->n_batch = 0;
    scheduler_call *kept = NULL; /* the last one that goes on waiting */
    for (scheduler_call *c = s->oldest, *next; c; c = next) {
        next = c->next_waiting;
        bool taken = c == leader;
        if (!taken && o->together(leader, c) && sequences + c->sequences <= o->max_sequences &&
            frames + c->frames <= o->batch_frames && take_store(s, c)) {
            taken = true;
            sequences += c->sequences;
            frames += c->frames;
        }
        if (!taken) {
            kept = c;
            continue;
        }
        if (kept)
            kept->next_waiting = next;
        else
            s->oldest = next;
        c->queued = false;
        s->batch[s->n_batch++] = c;
    }
    s->newest = kept;
    double now = clock_ms();
    for (int32_t i = 0; i < s->n_batch; i++) {
        s->batch[i]->wait_ms = now - s->batch[i]->entered_ms;
        s->batch[i]->batch_sequences = sequences;
    }
    s->counts.calls += s->n_batch;
    s->counts.batches += 1;
    s->counts.shared += s->n_batch > 1;
}

/* Runs calls i .. i+n-1 of the batch, without the lock, and gives them their status. */
static f5_status run(scheduler *s, int32_t i, int32_t n) {
    f5_error error = {0};
    s->running = s->batch + i;
    s->n_running = n;
    f5_status status = s->options.run(s->options.user, s->running, n, &error);
    error.status = status;
    for (int32_t c = 0; c < n; c++) s->running[c]->error = error;
    return status;
}

/* A call that waits no longer, and was not run. */
static void withdraw(scheduler *s, scheduler_call *call) {
    scheduler_call *before = NULL;
    for (scheduler_call *c = s->oldest; c != call; c = c->next_waiting) before = c;
    if (before)
        before->next_waiting = call->next_waiting;
    else
        s->oldest = call->next_waiting;
    if (s->newest == call) s->newest = before;
    call->queued = false;
    call->done = true;
    if (s->leader != call) return;
    s->leader = s->oldest;
    if (s->leader) pthread_cond_signal(&s->leader->wake);
}

/* Asks a call that waits whether it is still wanted. The lock is given up meanwhile, and a batch may take it. */
static void ask(scheduler *s, scheduler_call *call) {
    call->asked = s->leader == call; /* else it is asked once more before it leads */
    pthread_mutex_unlock(&s->lock);
    bool stop = call->waits(call->progress_user) != 0;
    pthread_mutex_lock(&s->lock);
    if (!stop) return;
    call->cancelled = call->unwanted = true;
    pthread_cond_signal(&s->answered);
    if (call->queued) withdraw(s, call);
}

/* False: nobody wants the call any more, and it has left. */
static bool wait_for_store(scheduler *s, scheduler_call *self) {
    while (!take_store(s, self)) {
        const struct timespec until = clock_from_now(ASKED_SECONDS);
        if (!self->waits)
            pthread_cond_wait(&s->store_freed, &s->lock);
        else if (pthread_cond_timedwait(&s->store_freed, &s->lock, &until) != 0)
            ask(s, self);
        if (!self->queued) return false;
    }
    return true;
}

/* Runs a batch with the caller's call in it, and passes the lead on. */
static void lead(scheduler *s, scheduler_call *self) {
    if (!wait_for_store(s, self)) return;
    gather(s, self);
    pthread_mutex_unlock(&s->lock);
    if (run(s, 0, s->n_batch) == F5_E_MEMORY && s->n_batch > 1) {
        for (int32_t i = 0; i < s->n_batch; i++) {
            s->batch[i]->batch_sequences = s->batch[i]->sequences;
            (void)run(s, i, 1);
        }
    }
    pthread_mutex_lock(&s->lock);
    s->leader = s->oldest;
    if (s->leader) pthread_cond_signal(&s->leader->wake);
    for (int32_t i = 0; i < s->n_batch; i++) {
        s->batch[i]->done = true;
        if (s->batch[i] != self) pthread_cond_signal(&s->batch[i]->wake);
    }
    s->n_batch = 0;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

/* Tells a call's owner of one step that it has not heard of. The lock is given up meanwhile. */
static void report_step(scheduler *s, scheduler_call *call) {
    int32_t step = call->step_reported + 1, steps = call->steps;
    pthread_mutex_unlock(&s->lock);
    bool stop = call->progress(call->progress_user, step, steps) != 0;
    pthread_mutex_lock(&s->lock);
    call->step_reported = step;
    if (stop) call->cancelled = true;
    pthread_cond_signal(&s->answered);
}

static bool has_news(const scheduler_call *call) {
    return call->progress && !call->cancelled && call->step_reported < call->step_posted;
}

/* Has no call of the batch said that it goes on after this step? */
static bool may_end(const scheduler *s) {
    for (int32_t i = 0; i < s->n_running; i++) {
        const scheduler_call *c = s->running[i];
        if (!c->progress || (!c->cancelled && !has_news(c))) return false;
    }
    return true;
}

/* Waits for those that were cancelled to say so, lest the batch compute another step for nobody. */
static void wait_for_answers(scheduler *s) {
    const struct timespec until = clock_from_now(ANSWER_SECONDS);
    for (bool wait = true; wait && may_end(s);) {
        wait = false;
        for (int32_t i = 0; i < s->n_running; i++) wait = wait || has_news(s->running[i]);
        if (wait) wait = pthread_cond_timedwait(&s->answered, &s->lock, &until) == 0;
    }
}

int scheduler_step(void *user, int32_t step, int32_t steps) {
    scheduler *s = user;
    scheduler_call *self = NULL;
    pthread_mutex_lock(&s->lock);
    for (int32_t i = 0; i < s->n_running; i++) {
        scheduler_call *c = s->running[i];
        if (c->step_posted == 0) c->step_reported = step - 1;
        c->step_posted = step;
        c->steps = steps;
        if (c == s->leader)
            self = c;
        else if (c->progress)
            pthread_cond_signal(&c->wake);
    }
    if (self && has_news(self)) report_step(s, self);
    wait_for_answers(s);
    bool all = true;
    for (int32_t i = 0; i < s->n_running; i++) all = all && s->running[i]->cancelled;
    pthread_mutex_unlock(&s->lock);
    return all;
}

/* ---- a call ------------------------------------------------------------------------------------------------------ */

/* Sleeps until there is something to do for the call, or to ask it. */
static void doze(scheduler *s, scheduler_call *call) {
    const struct timespec until = clock_from_now(ASKED_SECONDS);
    call->asked = false;
    if (!call->waits || !call->queued)
        pthread_cond_wait(&call->wake, &s->lock);
    else if (pthread_cond_timedwait(&call->wake, &s->lock, &until) != 0 && call->queued && s->leader != call)
        ask(s, call);
}

/* Until the call is served: sleeps, reports steps, leads when its turn comes. One that waited is asked before it leads;
 * one that comes to an idle engine was just made by its caller. */
static void wait_and_work(scheduler *s, scheduler_call *call) {
    call->asked = true;
    while (!call->done || (call->error.status == F5_OK && has_news(call))) {
        if (has_news(call))
            report_step(s, call);
        else if (s->leader == call && call->waits && call->queued && !call->asked)
            ask(s, call);
        else if (s->leader == call)
            lead(s, call);
        else
            doze(s, call);
    }
}

static f5_status fail_inside(f5_error *error) {
    return f5_fail(error, F5_E_ARGUMENT, "a callback calls the engine it comes from: call it after the callback");
}

f5_status scheduler_refuse_inside(scheduler *s, f5_error *error) {
    pthread_mutex_lock(&s->lock);
    bool refused = inside_already(s, pthread_self());
    pthread_mutex_unlock(&s->lock);
    return refused ? fail_inside(error) : F5_OK;
}

f5_status scheduler_serve(scheduler *s, scheduler_call *call, f5_error *error) {
    call->thread = pthread_self();
    if (call->sequences > s->options.max_sequences || call->store_frames > s->options.store_frames)
        return f5_fail(error, F5_E_LIMIT, "the call is larger than the limits given at open");
    if (!clock_cond_init(&call->wake)) return f5_fail(error, F5_E_MEMORY, "no memory for a condition variable");
    pthread_mutex_lock(&s->lock);
    bool refused = inside_already(s, call->thread);
    if (!refused) {
        enter(s, call);
        if (!s->leader) s->leader = call; /* then nobody waits either */
        wait_and_work(s, call);
        if (call->unwanted && (call->error.status == F5_OK || call->error.status == F5_E_CANCELLED))
            f5_fail(&call->error, F5_E_CANCELLED, SCHEDULER_CANCELLED);
        else if (call->error.status == F5_OK && call->cancelled)
            f5_fail(&call->error, F5_E_CANCELLED, "cancelled by the progress callback");
        if (call->error.status != F5_OK) leave(s, call);
    }
    pthread_mutex_unlock(&s->lock);
    if (refused) fail_inside(&call->error);
    if (call->error.status == F5_OK) return F5_OK;
    pthread_cond_destroy(&call->wake);
    if (error) *error = call->error;
    return call->error.status;
}

void scheduler_release(scheduler *s, scheduler_call *call) {
    pthread_mutex_lock(&s->lock);
    leave(s, call);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&call->wake);
}

scheduler_counts scheduler_count(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    scheduler_counts counts = s->counts;
    for (const scheduler_call *c = s->oldest; c; c = c->next_waiting) counts.waiting++;
    pthread_mutex_unlock(&s->lock);
    return counts;
}
