/* engine_shelf.c — engines by what was asked of them, each with the number of its users. */
#include "host/triton/engine_shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/triton/triton_error.h"
#include "host/triton/voice_shelf.h"
#include "kernels/error.h"

struct shelf_engine {
    shelf_engine *next;
    model_config config; /* what it was opened by: model, precision, languages, limits */
    char device[32];
    struct stat file;
    int models; /* instances that hold it */
    pthread_mutex_t lock;
    pthread_cond_t opened; /* a voice, or not */
    f5_engine *engine;     /* NULL: lost, and closed */
    bool lost;
    int requests; /* under way */
    voice_shelf voices;
};

struct engine_shelf {
    pthread_mutex_t lock; /* of the list; also while an engine is opened or closed, so that there is one at a time */
    shelf_engine *first;
};

engine_shelf *engine_shelf_new(void) {
    engine_shelf *s = calloc(1, sizeof *s);
    if (s) pthread_mutex_init(&s->lock, NULL);
    return s;
}

void engine_shelf_free(engine_shelf *s) {
    if (!s) return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static f5_status open_engine(shelf_engine *e, f5_error *error) {
    const model_config *c = &e->config;
    f5_open_params p;
    f5_open_params_init(&p);
    p.model_path = c->model_path;
    p.device = e->device;
    if (*c->precision) p.precision = c->precision;
    if (*c->vocoder_precision) p.vocoder_precision = c->vocoder_precision;
    if (*c->languages) p.languages = c->languages;
    p.max_frames = c->max_frames;
    p.max_batch = c->max_batch;
    p.threads = c->threads;
    F5_TRY(f5_open(&p, &e->engine, error));
    f5_engine_info info;
    f5_engine_info_init(&info);
    F5_TRY(f5_get_info(e->engine, &info, error));
    if (info.one_voice)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s: this model has one voice of its own, and the backend speaks in those of recordings",
                       c->model_path);
    triton_log(TRITONSERVER_LOG_INFO, "f5tts %s: %s on %s, %s, %lld MB", f5_version(), info.name, info.device,
               info.precision, (long long)(info.weight_bytes + info.arena_bytes) / 1000000);
    return F5_OK;
}

static bool same(const shelf_engine *e, const model_config *c, const char *device, const struct stat *file) {
    const model_config *o = &e->config;
    return strcmp(o->model_path, c->model_path) == 0 && strcmp(e->device, device) == 0 &&
           strcmp(o->precision, c->precision) == 0 && strcmp(o->vocoder_precision, c->vocoder_precision) == 0 &&
           strcmp(o->languages, c->languages) == 0 && o->max_frames == c->max_frames && o->max_batch == c->max_batch &&
           o->threads == c->threads && e->file.st_dev == file->st_dev && e->file.st_ino == file->st_ino &&
           e->file.st_mtim.tv_sec == file->st_mtim.tv_sec && e->file.st_mtim.tv_nsec == file->st_mtim.tv_nsec;
}

static void free_engine(shelf_engine *e) {
    voice_shelf_empty(&e->voices);
    f5_close(e->engine);
    pthread_cond_destroy(&e->opened);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static f5_status add_engine(engine_shelf *s, const model_config *c, const char *device, const struct stat *file,
                            shelf_engine **made, f5_error *error) {
    shelf_engine *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "no memory for an engine");
    e->config = *c;
    memcpy(e->device, device, strnlen(device, sizeof e->device - 1));
    e->file = *file;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->opened, NULL);
    f5_status status = open_engine(e, error);
    if (status != F5_OK) {
        free_engine(e);
        return status;
    }
    e->next = s->first;
    s->first = e;
    *made = e;
    return F5_OK;
}

f5_status shelf_take(engine_shelf *s, const model_config *c, const char *device, shelf_engine **engine,
                     f5_error *error) {
    struct stat file;
    f5_status status = F5_OK;
    if (stat(c->model_path, &file) != 0) return f5_fail(error, F5_E_IO, "%s: cannot be read", c->model_path);
    pthread_mutex_lock(&s->lock);
    shelf_engine *e = s->first;
    while (e && !same(e, c, device, &file)) e = e->next;
    if (!e) status = add_engine(s, c, device, &file, &e, error);
    if (status == F5_OK) {
        e->models++;
        *engine = e;
    }
    pthread_mutex_unlock(&s->lock);
    return status;
}

void shelf_leave(engine_shelf *s, shelf_engine *engine) {
    if (!engine) return;
    pthread_mutex_lock(&s->lock);
    bool last = --engine->models == 0;
    if (last) {
        shelf_engine **at = &s->first;
        while (*at != engine) at = &(*at)->next;
        *at = engine->next;
        free_engine(engine); /* within the lock: who opens the next one finds the memory of this one free */
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* The lock is held, and nothing of the engine is in use. */
static f5_status reopen(shelf_engine *e, f5_error *error) {
    f5_error why = {0};
    voice_shelf_empty(&e->voices);
    f5_close(e->engine);
    e->engine = NULL;
    f5_status status = open_engine(e, &why);
    if (status != F5_OK) {
        triton_log(TRITONSERVER_LOG_ERROR, "f5tts: the engine on %s is lost: %s", e->device, why.message);
        return f5_fail(error, F5_E_MEMORY, "the engine on %s is lost: %s", e->device, why.message);
    }
    triton_log(TRITONSERVER_LOG_WARN, "f5tts: the engine on %s was lost, and is open again", e->device);
    e->lost = false;
    return F5_OK;
}

f5_status shelf_begin(shelf_engine *e, f5_engine **open, f5_error *error) {
    pthread_mutex_lock(&e->lock);
    f5_status status = F5_OK;
    if (e->lost && e->requests > 0)
        status = f5_fail(error, F5_E_MEMORY, "the engine on %s is lost, and is opened again: try again in a moment",
                         e->device);
    else if (e->lost)
        status = reopen(e, error);
    if (status == F5_OK) e->requests++;
    *open = e->engine;
    pthread_mutex_unlock(&e->lock);
    return status;
}

void shelf_end(shelf_engine *e, f5_status status) {
    pthread_mutex_lock(&e->lock);
    e->requests--;
    if (status == F5_E_DEVICE) e->lost = true;
    pthread_mutex_unlock(&e->lock);
}

f5_status shelf_voice_take(shelf_engine *e, const float *samples, int64_t n, int32_t rate, const char *transcript,
                           shelf_voice **voice, f5_error *error) {
    const voice_wish wish = {samples, n, rate, transcript};
    shelf_voice *v;
    pthread_mutex_lock(&e->lock);
    f5_status status = voice_shelf_take(&e->voices, &wish, &v, error);
    if (status == F5_OK && voice_shelf_to_open(v)) {
        pthread_mutex_unlock(&e->lock);
        voice_shelf_open(v, e->engine);
        pthread_mutex_lock(&e->lock);
        voice_shelf_opened(&e->voices, v);
        pthread_cond_broadcast(&e->opened);
    }
    while (status == F5_OK && !voice_shelf_outcome(v, &status, error)) pthread_cond_wait(&e->opened, &e->lock);
    if (status == F5_OK)
        *voice = v;
    else if (v)
        voice_shelf_leave(&e->voices, v);
    pthread_mutex_unlock(&e->lock);
    return status;
}

void shelf_voice_leave(shelf_engine *e, shelf_voice *voice) {
    if (!voice) return;
    pthread_mutex_lock(&e->lock);
    voice_shelf_leave(&e->voices, voice);
    pthread_mutex_unlock(&e->lock);
}
