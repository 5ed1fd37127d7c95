/* voice_shelf.c — a list in the order of use. A recording is compared sample by sample: nothing else tells two apart.
 */
#include "host/triton/voice_shelf.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/error.h"

#define MOST_VOICES 32
#define MOST_BYTES ((int64_t)64 << 20)

struct shelf_voice {
    shelf_voice *next;
    voice_wish of; /* a copy, which this owns */
    f5_voice *voice;
    int holders;
    bool kept; /* in a shelf */
    enum { NEW, OPENING, SETTLED } state;
    f5_status status; /* what opening it came to */
    f5_error error;
};

const f5_voice *shelf_voice_open(const shelf_voice *voice) {
    return voice->voice;
}

static int64_t bytes_of(const shelf_voice *v) {
    return v->of.n * (int64_t)sizeof(float);
}

static void free_voice(shelf_voice *v) {
    f5_voice_close(v->voice);
    free((void *)v->of.samples);
    free((void *)v->of.transcript);
    free(v);
}

static bool is_of(const shelf_voice *v, const voice_wish *w) {
    return v->of.n == w->n && v->of.rate == w->rate && strcmp(v->of.transcript, w->transcript) == 0 &&
           memcmp(v->of.samples, w->samples, (size_t)w->n * sizeof(float)) == 0;
}

/* The voice leaves the list. */
static void unlink_voice(voice_shelf *s, shelf_voice **at) {
    shelf_voice *v = *at;
    *at = v->next;
    s->count--;
    s->bytes -= bytes_of(v);
    v->kept = false;
}

static void put_first(voice_shelf *s, shelf_voice *v) {
    v->next = s->first;
    s->first = v;
    s->count++;
    s->bytes += bytes_of(v);
    v->kept = true;
}

static shelf_voice **find(voice_shelf *s, const voice_wish *wish) {
    shelf_voice **at = &s->first;
    while (*at && !is_of(*at, wish)) at = &(*at)->next;
    return at;
}

static shelf_voice *new_voice(const voice_wish *wish) {
    shelf_voice *v = calloc(1, sizeof *v);
    float *samples = malloc((size_t)wish->n * sizeof(float));
    char *transcript = strdup(wish->transcript);
    if (!v || !samples || !transcript) {
        free(v);
        free(samples);
        free(transcript);
        return NULL;
    }
    memcpy(samples, wish->samples, (size_t)wish->n * sizeof(float));
    v->of = (voice_wish){samples, wish->n, wish->rate, transcript};
    return v;
}

f5_status voice_shelf_take(voice_shelf *s, const voice_wish *wish, shelf_voice **voice, f5_error *error) {
    shelf_voice **at = find(s, wish);
    *voice = *at ? *at : new_voice(wish);
    if (!*voice) return f5_fail(error, F5_E_MEMORY, "no memory for a voice");
    if (*at) unlink_voice(s, at);
    put_first(s, *voice);
    (*voice)->holders++;
    while (s->count > 1 && (s->count > MOST_VOICES || s->bytes > MOST_BYTES)) {
        shelf_voice **last = &s->first;
        while ((*last)->next) last = &(*last)->next;
        shelf_voice *v = *last;
        unlink_voice(s, last);
        if (v->holders == 0) free_voice(v);
    }
    return F5_OK;
}

bool voice_shelf_to_open(shelf_voice *v) {
    if (v->state != NEW) return false;
    v->state = OPENING;
    return true;
}

void voice_shelf_open(shelf_voice *v, f5_engine *engine) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    p.samples = v->of.samples;
    p.n_frames = v->of.n;
    p.channels = 1;
    p.sample_rate = v->of.rate;
    p.transcript = v->of.transcript;
    p.keep_whole = 1; /* as upstream's model for Triton has it */
    v->status = f5_voice_open(engine, &p, &v->voice, &v->error);
    if (v->status != F5_OK) v->voice = NULL;
}

/* One that cannot be opened leaves the shelf: the next request tries again. */
void voice_shelf_opened(voice_shelf *s, shelf_voice *v) {
    v->state = SETTLED;
    if (v->status != F5_OK && v->kept) unlink_voice(s, find(s, &v->of));
}

bool voice_shelf_outcome(const shelf_voice *v, f5_status *status, f5_error *error) {
    if (v->state != SETTLED) return false;
    *status = v->status;
    if (v->status != F5_OK) *error = v->error;
    return true;
}

void voice_shelf_leave(voice_shelf *s, shelf_voice *voice) {
    (void)s;
    if (--voice->holders == 0 && !voice->kept) free_voice(voice);
}

void voice_shelf_empty(voice_shelf *s) {
    while (s->first) {
        shelf_voice *v = s->first;
        unlink_voice(s, &s->first);
        free_voice(v);
    }
}
