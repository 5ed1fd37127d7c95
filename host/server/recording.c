/* recording.c — counts who holds a recording. */
#include "host/server/recording.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What a recording * points to: the recording is its first member. */
typedef struct {
    recording shown;
    float *samples;
    char *transcript;
    atomic_int holders;
} counted;

f5_status recording_make(recording **made, float *samples, int64_t n_frames, int32_t channels, int32_t sample_rate,
                         const char *transcript, f5_error *error) {
    static atomic_uint_fast64_t last_id;
    counted *c = calloc(1, sizeof *c);
    char *words = strdup(transcript);
    if (!c || !words) {
        free(c);
        free(words);
        free(samples);
        return f5_fail(error, F5_E_MEMORY, "no memory for a recording");
    }
    c->samples = samples;
    c->transcript = words;
    c->shown = (recording){.id = atomic_fetch_add(&last_id, 1) + 1,
                           .samples = samples,
                           .n_frames = n_frames,
                           .channels = channels,
                           .sample_rate = sample_rate,
                           .transcript = words};
    atomic_init(&c->holders, 1);
    *made = &c->shown;
    return F5_OK;
}

recording *recording_hold(recording *r) {
    atomic_fetch_add(&((counted *)r)->holders, 1);
    return r;
}

void recording_release(recording *r) {
    counted *c = (counted *)r;
    if (!c || atomic_fetch_sub(&c->holders, 1) > 1) return;
    free(c->samples);
    free(c->transcript);
    free(c);
}
