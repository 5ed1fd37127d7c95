/* voice_cache.c — a short list under one lock; a voice is opened outside of it. */
#include "host/program/voice_cache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/error.h"

typedef struct {
    voice_files files; /* audio NULL: the place is free */
    float target_rms;
    int32_t keep_whole;
    f5_voice *voice; /* NULL: being opened */
    int users;
    uint64_t last_use;
} cached;

struct voice_cache {
    f5_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    uint64_t uses;
    int kept;
    cached place[];
};

voice_cache *voice_cache_new(f5_engine *engine, int kept) {
    voice_cache *c = calloc(1, sizeof *c + (size_t)kept * sizeof c->place[0]);
    if (!c) return NULL;
    c->engine = engine;
    c->kept = kept;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->opened, NULL);
    return c;
}

static void empty(cached *p) {
    f5_voice_close(p->voice);
    voice_files_free(&p->files);
    *p = (cached){0};
}

void voice_cache_free(voice_cache *c) {
    if (!c) return;
    for (int i = 0; i < c->kept; i++) empty(&c->place[i]);
    pthread_cond_destroy(&c->opened);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static cached *find(voice_cache *c, const voice_files *files, const voice_settings *s) {
    for (int i = 0; i < c->kept; i++) {
        cached *p = &c->place[i];
        if (p->files.audio && strcmp(p->files.audio, files->audio) == 0 && strcmp(p->files.words, files->words) == 0 &&
            p->target_rms == s->target_rms && p->keep_whole == s->keep_whole)
            return p;
    }
    return NULL;
}

/* A place for a new voice: a free one, or the one whose voice was used longest ago. */
static cached *make_room(voice_cache *c) {
    cached *oldest = NULL;
    for (int i = 0; i < c->kept; i++) {
        cached *p = &c->place[i];
        if (!p->files.audio) return p;
        if (p->users == 0 && (!oldest || p->last_use < oldest->last_use)) oldest = p;
    }
    if (oldest) empty(oldest);
    return oldest;
}

/* Opens the voice of a place that was just taken. The lock is held before and after, not meanwhile. */
static f5_status open_at(voice_cache *c, cached *p, const voice_files *files, const voice_settings *s,
                         f5_error *error) {
    p->files = (voice_files){strdup(files->audio), strdup(files->words)};
    p->target_rms = s->target_rms;
    p->keep_whole = s->keep_whole;
    f5_voice *voice = NULL;
    f5_status status = F5_E_MEMORY;
    if (p->files.audio && p->files.words) {
        pthread_mutex_unlock(&c->lock);
        status = voice_files_open(files, c->engine, s, &voice, error);
        pthread_mutex_lock(&c->lock);
    } else {
        f5_fail(error, status, "no memory for a voice");
    }
    if (status == F5_OK)
        p->voice = voice;
    else
        empty(p);
    pthread_cond_broadcast(&c->opened);
    return status;
}

f5_status voice_cache_get(voice_cache *c, const voice_files *files, const voice_settings *settings,
                          const f5_voice **voice, f5_error *error) {
    pthread_mutex_lock(&c->lock);
    cached *p;
    while ((p = find(c, files, settings)) && !p->voice) pthread_cond_wait(&c->opened, &c->lock);
    f5_status status = F5_OK;
    if (!p && !(p = make_room(c))) status = f5_fail(error, F5_E_MEMORY, "all %d open voices are in use", c->kept);
    if (status == F5_OK) {
        p->users++;
        if (!p->voice) status = open_at(c, p, files, settings, error);
        if (status == F5_OK) p->last_use = ++c->uses;
    }
    if (status == F5_OK) *voice = p->voice;
    pthread_mutex_unlock(&c->lock);
    return status;
}

void voice_cache_release(voice_cache *c, const f5_voice *voice) {
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->kept; i++)
        if (c->place[i].voice == voice) c->place[i].users--;
    pthread_mutex_unlock(&c->lock);
}
