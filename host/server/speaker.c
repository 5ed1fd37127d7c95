/* speaker.c — orders become jobs in a queue, which a fixed number of threads work off a step at a time. */
#include <stdlib.h>
#include <string.h>

#include "host/server/speech_job.h"
#include "kernels/error.h"
#include "runtime/clock.h"

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static void free_inputs(speech_job *job) {
    for (job_input *in = job->input, *next; in; in = next) {
        next = in->next;
        free(in);
    }
    job->input = NULL;
}

void job_release(speech_job *job) {
    if (atomic_fetch_sub(&job->holders, 1) > 1) return;
    free_inputs(job);
    recording_release(job->order.voice);
    free(job->text);
    free(job->normalize);
    free(job);
}

void job_ready(speech_job *job) {
    speaker *s = job->speaker;
    job->state = JOB_READY;
    job->next = NULL;
    *s->last = job;
    s->last = &job->next;
    s->ready++;
    pthread_cond_signal(&s->work);
}

/* A parked job that can go on, or must end, is set into the queue. The lock is held. */
static void wake(speech_job *job) {
    bool ends = atomic_load(&job->cancelled) || atomic_load(&job->lost);
    if (job->state == JOB_PARKED && (ends || (!job->held && job->input))) job_ready(job);
}

/* Takes a job out of the queue. The lock is held. */
static void unqueue(speaker *s, speech_job *job) {
    speech_job **at = &s->queue;
    while (*at && *at != job) at = &(*at)->next;
    if (!*at) return;
    *at = job->next;
    if (s->last == &job->next) s->last = at;
    s->ready--;
}

/* Takes a job out of the list of all. The lock is held. */
static void unlist(speaker *s, speech_job *job) {
    if (job->before) job->before->after = job->after;
    if (!job->before) s->first = job->after;
    if (job->after) job->after->before = job->before;
    s->jobs--;
    s->counts.sound_seconds += job->result.seconds;
    if (job->result.status == F5_E_CANCELLED)
        s->counts.cancelled++;
    else if (job->result.status != F5_OK)
        s->counts.failed++;
}

/* ---- the threads ------------------------------------------------------------------------------------------------- */

static void tell_done(void *user) {
    speech_job *job = user;
    if (job->events) {
        const speech_events *events = job->events;
        job->events = NULL;
        events->done(job->user, &job->result);
        job_release(job); /* the caller's */
    }
    job_release(job); /* the post's */
}

/* After its last step: gives everything back, then tells. */
static void end_job(speaker *s, speech_job *job) {
    job_clear(job);
    job->result.total = loop_seconds() - job->ordered;
    job->result.message = job->result.status == F5_OK ? "" : job->error.message;
    pthread_mutex_lock(&s->lock);
    unlist(s, job);
    s->busy--;
    pthread_mutex_unlock(&s->lock);
    job->done_post = (loop_post){.run = tell_done, .user = job};
    loop_send(s->loop, &job->done_post); /* its hold is what was the speaker's */
}

/* Steps until the job is over, has nothing to do, or has said something while others wait; it is counted in s->busy
 * until then, and no moment longer. The lock is not held. */
static void work_on(speaker *s, speech_job *job) {
    int32_t chunks = job->result.chunks;
    for (;;) {
        job_step(job);
        pthread_mutex_lock(&s->lock);
        if (job->state == JOB_OVER) {
            pthread_mutex_unlock(&s->lock);
            end_job(s, job);
            return;
        }
        bool ends = atomic_load(&job->cancelled) || atomic_load(&job->lost);
        bool parks = !ends && (job->held || !job->input);
        bool yields = s->ready > 0 && job->result.chunks > chunks;
        if (parks)
            job->state = JOB_PARKED;
        else if (yields)
            job_ready(job);
        if (parks || yields) s->busy--;
        pthread_mutex_unlock(&s->lock);
        if (parks || yields) return;
    }
}

static void *work(void *user) {
    speaker *s = user;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->queue && !s->ending) pthread_cond_wait(&s->work, &s->lock);
        speech_job *job = s->queue;
        if (!job) break;
        s->queue = job->next;
        if (!s->queue) s->last = &s->queue;
        s->ready--;
        s->busy++;
        job->state = JOB_RUNNING;
        pthread_mutex_unlock(&s->lock);
        work_on(s, job);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- orders ------------------------------------------------------------------------------------------------------ */

void speech_order_init(speech_order *o) {
    *o = (speech_order){.format = SOUND_WAV, .rate = F5_SAMPLE_RATE};
    f5_speak_params_init(&o->speak);
    f5_sample_params_init(&o->sample);
}

/* Adds an input to a job. The lock is held. */
static f5_status add_input(speech_job *job, input_kind kind, const char *text, size_t bytes, f5_error *error) {
    job_input *in = malloc(sizeof *in + bytes);
    if (!in) return f5_fail(error, F5_E_MEMORY, "no memory for a text");
    *in = (job_input){.kind = kind, .bytes = bytes};
    if (bytes > 0) memcpy(in->text, text, bytes);
    *job->last_input = in;
    job->last_input = &in->next;
    job->input_bytes += bytes;
    return F5_OK;
}

static f5_status make_job(speech_job **made, const speech_order *order, const speech_events *events, void *user,
                          f5_error *error) {
    speech_job *job = calloc(1, sizeof *job);
    if (!job) return f5_fail(error, F5_E_MEMORY, "no memory for an order");
    job->order = *order;
    job->order.voice = recording_hold(order->voice);
    job->last_input = &job->input;
    job->events = events;
    job->user = user;
    job->ordered = loop_seconds();
    job->chunk = -1;
    atomic_init(&job->holders, 2); /* the caller, the speaker */
    if (order->speak.normalize) job->normalize = strdup(order->speak.normalize);
    if (order->text) job->text = strndup(order->text, order->text_bytes);
    f5_status status = (order->speak.normalize && !job->normalize) || (order->text && !job->text)
                           ? f5_fail(error, F5_E_MEMORY, "no memory for an order")
                           : F5_OK;
    if (status == F5_OK && job->text) status = add_input(job, INPUT_TEXT, job->text, order->text_bytes, error);
    if (status == F5_OK && job->text) status = add_input(job, INPUT_FINISH, NULL, 0, error);
    if (status == F5_OK) {
        *made = job;
        return F5_OK;
    }
    atomic_store(&job->holders, 1);
    job_release(job);
    return status;
}

f5_status speaker_order(speaker *s, const speech_order *order, const speech_events *events, void *user,
                        speech_job **made, f5_error *error) {
    if (!order->voice) return f5_fail(error, F5_E_ARGUMENT, "the order names no voice");
    if (order->text && order->text_bytes > s->options.text_bytes)
        return f5_fail(error, F5_E_ARGUMENT, "a text of %zu bytes, and at most %zu are taken", order->text_bytes,
                       s->options.text_bytes);
    speech_job *job = NULL;
    F5_TRY(make_job(&job, order, events, user, error));
    job->speaker = s;
    f5_status status = F5_OK;
    pthread_mutex_lock(&s->lock);
    if (s->ending || s->counts.ready == 0)
        status = f5_fail(error, F5_E_DEVICE, "no engine is ready: try again in a moment");
    else if (s->ready >= s->options.waiting + s->threads - s->busy)
        status = f5_fail(error, F5_E_LIMIT, "%d requests wait already: try again in a moment", s->ready);
    if (status == F5_OK) {
        job->after = s->first;
        if (job->after) job->after->before = job;
        s->first = job;
        s->jobs++;
        s->counts.orders++;
        job_ready(job);
    } else {
        s->counts.refused++;
    }
    pthread_mutex_unlock(&s->lock);
    *made = job;
    if (status == F5_OK) return F5_OK;
    *made = NULL;
    atomic_store(&job->holders, 1);
    job_release(job);
    return status;
}

f5_status speech_push(speech_job *job, const char *text, size_t bytes, f5_error *error) {
    speaker *s = job->speaker;
    if (bytes == 0) return F5_OK;
    pthread_mutex_lock(&s->lock);
    f5_status status = job->input_bytes + bytes > s->options.text_bytes
                           ? f5_fail(error, F5_E_LIMIT, "more than %zu bytes of text wait", s->options.text_bytes)
                           : add_input(job, INPUT_TEXT, text, bytes, error);
    wake(job);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static void add_end(speech_job *job, input_kind kind) {
    f5_error error;
    pthread_mutex_lock(&job->speaker->lock);
    if (add_input(job, kind, NULL, 0, &error) != F5_OK) atomic_store(&job->cancelled, true);
    wake(job);
    pthread_mutex_unlock(&job->speaker->lock);
}

void speech_flush(speech_job *job) {
    add_end(job, INPUT_FLUSH);
}

void speech_finish(speech_job *job) {
    add_end(job, INPUT_FINISH);
}

void speech_hold(speech_job *job, bool hold) {
    pthread_mutex_lock(&job->speaker->lock);
    job->held = hold;
    wake(job);
    pthread_mutex_unlock(&job->speaker->lock);
}

void speech_cancel(speech_job *job) {
    speaker *s = job->speaker;
    job->events = NULL;
    atomic_store(&job->cancelled, true);
    pthread_mutex_lock(&s->lock);
    bool never_begun = job->state == JOB_READY && !job->begun;
    if (never_begun) {
        unqueue(s, job);
        job->state = JOB_OVER;
        job->result.status = F5_E_CANCELLED;
        unlist(s, job);
    }
    wake(job);
    pthread_mutex_unlock(&s->lock);
    if (never_begun) job_release(job); /* the speaker's */
    job_release(job);                  /* the caller's */
}

/* ---- the speaker ------------------------------------------------------------------------------------------------- */

f5_status speaker_new(speaker **made, loop *l, const speaker_options *options, f5_error *error) {
    speaker *s = calloc(1, sizeof *s);
    *made = s;
    if (!s) return f5_fail(error, F5_E_MEMORY, "no memory for a speaker");
    s->loop = l;
    s->options = *options;
    s->last = &s->queue;
    size_t warm_bytes = (size_t)options->open.n_warm * sizeof *s->warm;
    if ((warm_bytes > 0 && !(s->warm = malloc(warm_bytes))) || !clock_cond_init(&s->engines)) {
        free(s->warm);
        free(s);
        *made = NULL;
        return f5_fail(error, F5_E_MEMORY, "no memory for a speaker");
    }
    if (s->warm) memcpy(s->warm, options->open.warm_frames, warm_bytes);
    s->options.open.warm_frames = s->warm;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    f5_status status = engines_open(s, error);
    if (status == F5_OK && pthread_create(&s->keeper, NULL, engines_keep, s) == 0) s->has_keeper = true;
    while (status == F5_OK && s->threads < options->running && s->threads < SPEAKER_THREADS_MAX) {
        if (pthread_create(&s->thread[s->threads], NULL, work, s) != 0) break;
        s->threads++;
    }
    if (status == F5_OK && (s->threads == 0 || !s->has_keeper))
        status = f5_fail(error, F5_E_MEMORY, "the system gives no threads");
    if (status != F5_OK) {
        speaker_free(s);
        *made = NULL;
    }
    return status;
}

void speaker_free(speaker *s) {
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    for (speech_job *job = s->first; job; job = job->after) {
        atomic_store(&job->cancelled, true);
        wake(job);
    }
    pthread_cond_broadcast(&s->work);
    pthread_cond_broadcast(&s->engines);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->threads; i++) pthread_join(s->thread[i], NULL);
    if (s->has_keeper) pthread_join(s->keeper, NULL);
    engines_close(s);
    pthread_cond_destroy(&s->engines);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s->warm);
    free(s);
}

void speaker_count(speaker *s, speaker_counts *counts) {
    pthread_mutex_lock(&s->lock);
    *counts = s->counts;
    counts->running = s->busy;
    counts->waiting = s->ready;
    counts->held = s->jobs - s->busy - s->ready;
    pthread_mutex_unlock(&s->lock);
}

f5_status speaker_engine_info(speaker *s, int engine, f5_engine_info *info, f5_error *error) {
    if (engine < 0 || engine >= s->options.n_devices)
        return f5_fail(error, F5_E_ARGUMENT, "engine %d: there are %d", engine, s->options.n_devices);
    pthread_mutex_lock(&s->lock);
    engine_slot *e = &s->slots[engine];
    f5_status status =
        e->lost ? f5_fail(error, F5_E_DEVICE, "%s: is not ready", e->device) : f5_get_info(e->engine, info, error);
    pthread_mutex_unlock(&s->lock);
    return status;
}
