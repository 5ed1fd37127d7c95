/* engine_slots.c — the engines: which one is the least busy, which voices each has open, and what happens when a device
 * is lost: its jobs fail, and when the last has left, the engine is closed and opened again until that succeeds.
 *
 * Engines on one GPU are lost together. After a fault there CUDA refuses the GPU to the process for good: when no
 * engine is left and none can be opened on a GPU, whoever runs the process is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/server/speech_job.h"
#include "kernels/error.h"
#include "runtime/clock.h"

#define FIRST_RETRY 1.0 /* seconds */
#define LAST_RETRY 30.0

/* ---- taking and leaving ------------------------------------------------------------------------------------------ */

f5_status engine_take(speech_job *job, f5_error *error) {
    speaker *s = job->speaker;
    engine_slot *best = NULL;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->options.n_devices; i++) {
        engine_slot *e = &s->slots[i];
        if (!e->lost && (!best || e->jobs < best->jobs)) best = e;
    }
    if (best) best->jobs++;
    job->slot = best;
    pthread_mutex_unlock(&s->lock);
    return best ? F5_OK : f5_fail(error, F5_E_DEVICE, "no engine is ready: try again in a moment");
}

void engine_leave(speech_job *job) {
    speaker *s = job->speaker;
    pthread_mutex_lock(&s->lock);
    job->slot->jobs--;
    if (job->slot->lost) pthread_cond_broadcast(&s->engines);
    job->slot = NULL;
    pthread_mutex_unlock(&s->lock);
}

static bool is_gpu(const engine_slot *e) {
    return strncmp(e->device, "cuda", 4) == 0;
}

/* Engines on one GPU have one context of CUDA's: what breaks it is everybody's fault. */
static bool share_device(const engine_slot *a, const engine_slot *b) {
    return a == b || (is_gpu(a) && strcmp(a->device, b->device) == 0);
}

static void slot_lost(speaker *s, engine_slot *slot) {
    if (slot->lost) return;
    slot->lost = true;
    slot->retry = FIRST_RETRY;
    slot->next = 0;
    s->counts.ready--;
    for (speech_job *job = s->first; job; job = job->after) {
        if (job->slot != slot) continue;
        atomic_store(&job->lost, true);
        if (job->state == JOB_PARKED) job_ready(job);
    }
}

void engine_lost(speech_job *job) {
    speaker *s = job->speaker;
    pthread_mutex_lock(&s->lock);
    if (!job->slot->lost)
        fprintf(stderr, "f5tts serve: the engine on %s is lost, and is opened again: %s\n", job->slot->device,
                job->error.message);
    for (int i = 0; i < s->options.n_devices; i++)
        if (share_device(&s->slots[i], job->slot)) slot_lost(s, &s->slots[i]);
    pthread_mutex_unlock(&s->lock);
}

/* ---- voices ------------------------------------------------------------------------------------------------------ */

static open_voice *find_voice(engine_slot *e, uint64_t id) {
    for (int i = 0; i < e->n_voices; i++)
        if (e->voices[i].recording == id) return &e->voices[i];
    return NULL;
}

/* A free place, or that of the voice that was used longest ago; NULL: all are in use. */
static open_voice *make_room(engine_slot *e) {
    open_voice *oldest = NULL;
    for (int i = 0; i < e->n_voices; i++) {
        open_voice *v = &e->voices[i];
        if (v->recording == 0) return v;
        if (v->users == 0 && (!oldest || v->last_use < oldest->last_use)) oldest = v;
    }
    if (!oldest) return NULL;
    f5_voice_close(oldest->voice);
    *oldest = (open_voice){0};
    return oldest;
}

static f5_status open_recording(engine_slot *e, const recording *r, f5_voice **voice, f5_error *error) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    p.samples = r->samples;
    p.n_frames = r->n_frames;
    p.channels = r->channels;
    p.sample_rate = r->sample_rate;
    p.transcript = r->transcript;
    return f5_voice_open(e->engine, &p, voice, error);
}

f5_status voice_take(speech_job *job, f5_error *error) {
    speaker *s = job->speaker;
    engine_slot *slot = job->slot;
    const recording *r = job->order.voice;
    pthread_mutex_lock(&s->lock);
    open_voice *v;
    while ((v = find_voice(slot, r->id)) && !v->voice) pthread_cond_wait(&s->engines, &s->lock);
    f5_status status = F5_OK;
    if (!v && !(v = make_room(slot)))
        status = f5_fail(error, F5_E_MEMORY, "all %d open voices are in use: try again in a moment", slot->n_voices);
    if (status == F5_OK) v->users++;
    if (status == F5_OK && !v->voice) {
        v->recording = r->id;
        pthread_mutex_unlock(&s->lock);
        f5_voice *opened = NULL;
        status = open_recording(slot, r, &opened, error);
        pthread_mutex_lock(&s->lock);
        v->voice = opened;
        if (status != F5_OK) *v = (open_voice){0};
        pthread_cond_broadcast(&s->engines);
    }
    if (status == F5_OK) {
        v->last_use = ++s->voice_uses;
        job->voice = v->voice;
    }
    pthread_mutex_unlock(&s->lock);
    return status;
}

void voice_leave(speech_job *job) {
    engine_slot *slot = job->slot;
    pthread_mutex_lock(&job->speaker->lock);
    for (int i = 0; i < slot->n_voices; i++)
        if (slot->voices[i].voice == job->voice) slot->voices[i].users--;
    job->voice = NULL;
    pthread_mutex_unlock(&job->speaker->lock);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static f5_status open_engine(speaker *s, engine_slot *e, f5_error *error) {
    f5_open_params p = s->options.open;
    p.device = e->device;
    p.max_speaking = s->options.running;
    return f5_open(&p, &e->engine, error);
}

static void close_slot(engine_slot *e) {
    for (int i = 0; i < e->n_voices; i++) {
        f5_voice_close(e->voices[i].voice);
        e->voices[i] = (open_voice){0};
    }
    f5_close(e->engine);
    e->engine = NULL;
}

/* "auto" becomes what it was found to be, since a lost GPU is not found again, and one GPU gets one name. */
static void settle_name(engine_slot *e) {
    f5_engine_info info;
    f5_error unused;
    f5_engine_info_init(&info);
    if (is_gpu(e))
        snprintf(e->device, sizeof e->device, "cuda:%ld", e->device[4] ? strtol(e->device + 5, NULL, 10) : 0);
    else if (strcmp(e->device, "auto") == 0 && f5_get_info(e->engine, &info, &unused) == F5_OK)
        snprintf(e->device, sizeof e->device, "%s", strcmp(info.device, "cpu") == 0 ? "cpu" : "cuda:0");
}

static void close_device(speaker *s, const engine_slot *e) {
    for (int i = 0; i < s->options.n_devices; i++)
        if (share_device(&s->slots[i], e)) close_slot(&s->slots[i]);
}

/* All engines of a device, or none. The lock is not held: nobody takes them. */
static f5_status open_device(speaker *s, const engine_slot *e, f5_error *why) {
    close_device(s, e);
    f5_status status = F5_OK;
    for (int i = 0; i < s->options.n_devices && status == F5_OK; i++)
        if (share_device(&s->slots[i], e)) status = open_engine(s, &s->slots[i], why);
    if (status != F5_OK) close_device(s, e);
    return status;
}

/* Tells why, and when the engines of that device are to be tried again. The lock is held, or not needed yet. */
static void retry_later(speaker *s, const engine_slot *e, const char *why) {
    fprintf(stderr, "f5tts serve: %s: %s\n", e->device, why);
    double wait = e->retry;
    for (int i = 0; i < s->options.n_devices; i++) {
        engine_slot *other = &s->slots[i];
        if (!share_device(other, e)) continue;
        other->next = loop_seconds() + wait;
        other->retry = wait * 2 < LAST_RETRY ? wait * 2 : LAST_RETRY;
    }
}

static f5_status make_slots(speaker *s, f5_error *error) {
    s->slots = calloc((size_t)s->options.n_devices, sizeof s->slots[0]);
    if (!s->slots) return f5_fail(error, F5_E_MEMORY, "no memory for engines");
    /* every running job may hold another voice */
    int n_voices = s->options.voices + s->options.running;
    for (int i = 0; i < s->options.n_devices; i++) {
        engine_slot *e = &s->slots[i];
        snprintf(e->device, sizeof e->device, "%s", s->options.devices[i]);
        e->voices = calloc((size_t)n_voices, sizeof e->voices[0]);
        if (!e->voices) return f5_fail(error, F5_E_MEMORY, "no memory for voices");
        e->n_voices = n_voices;
    }
    s->counts.engines = s->options.n_devices;
    return F5_OK;
}

/* A lost device's engines, before anybody knows of them. */
static void begin_lost(speaker *s, engine_slot *e, const char *why) {
    for (int i = 0; i < s->options.n_devices; i++) {
        if (!share_device(&s->slots[i], e)) continue;
        s->slots[i].lost = true;
        s->slots[i].retry = FIRST_RETRY;
    }
    retry_later(s, e, why);
}

f5_status engines_open(speaker *s, f5_error *error) {
    F5_TRY(make_slots(s, error));
    f5_status lost = F5_OK;
    for (int i = 0; i < s->options.n_devices; i++) {
        engine_slot *e = &s->slots[i];
        if (e->engine || e->lost) continue;
        f5_status status = open_device(s, e, error);
        if (status != F5_OK && !(status == F5_E_DEVICE && is_gpu(e) && s->options.some)) return status;
        if (status != F5_OK) begin_lost(s, e, error->message), lost = status;
    }
    for (int i = 0; i < s->options.n_devices; i++) {
        if (s->slots[i].lost) continue;
        settle_name(&s->slots[i]);
        s->counts.ready++;
    }
    /* why, each device has been told of */
    return s->counts.ready > 0 ? F5_OK : f5_fail(error, lost, "no engine can be opened");
}

const char *speaker_device(const speaker *s, int engine) {
    return s->slots[engine].device;
}

void engines_close(speaker *s) {
    for (int i = 0; s->slots && i < s->options.n_devices; i++) {
        close_slot(&s->slots[i]);
        free(s->slots[i].voices);
    }
    free(s->slots);
    s->slots = NULL;
}

/* ---- a lost device ----------------------------------------------------------------------------------------------- */

static bool held(const speaker *s, const engine_slot *e) {
    for (int i = 0; i < s->options.n_devices; i++)
        if (share_device(&s->slots[i], e) && s->slots[i].jobs > 0) return true;
    return false;
}

/* A lost engine that is to be opened now; else *wait is how long there is none, if no job leaves one before. */
static engine_slot *find_lost(speaker *s, double *wait) {
    double now = loop_seconds();
    *wait = LAST_RETRY;
    for (int i = 0; i < s->options.n_devices; i++) {
        engine_slot *e = &s->slots[i];
        if (!e->lost || held(s, e)) continue;
        if (e->next <= now) return e;
        if (e->next - now < *wait) *wait = e->next - now;
    }
    return NULL;
}

/* The lock is held. */
static void device_ready(speaker *s, const engine_slot *e) {
    for (int i = 0; i < s->options.n_devices; i++) {
        if (!share_device(&s->slots[i], e)) continue;
        s->slots[i].lost = false;
        s->counts.ready++;
        s->counts.reopened++;
    }
    fprintf(stderr, "f5tts serve: the engine on %s is ready again\n", e->device);
}

/* A lost engine that nobody tried to open yet may be on a GPU that works. The lock is held. */
static bool all_failed(const speaker *s) {
    for (int i = 0; i < s->options.n_devices; i++)
        if (!s->slots[i].lost || s->slots[i].next == 0) return false;
    return true;
}

void *engines_keep(void *user) {
    speaker *s = user;
    pthread_mutex_lock(&s->lock);
    while (!s->ending) {
        double wait;
        engine_slot *e = find_lost(s, &wait);
        if (!e) {
            const struct timespec until = clock_from_now(wait);
            pthread_cond_timedwait(&s->engines, &s->lock, &until);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        f5_error why = {0};
        f5_status status = open_device(s, e, &why);
        pthread_mutex_lock(&s->lock);
        if (status == F5_OK) {
            device_ready(s, e);
            continue;
        }
        retry_later(s, e, why.message);
        if (status != F5_E_DEVICE || !is_gpu(e) || !all_failed(s) || s->told_hopeless || s->ending) continue;
        s->told_hopeless = true;
        loop_send(s->loop, s->options.hopeless);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
