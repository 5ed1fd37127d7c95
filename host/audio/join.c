/* join.c — the tail always holds the last min(fade, everything so far) samples of the joined output. */
#include "host/audio/join.h"

#include <string.h>

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Weight i of numpy's linspace(0, 1, n). */
static double rising(int64_t i, int64_t n) {
    if (n == 1) return 0;
    return i == n - 1 ? 1 : (double)i * (1.0 / (double)(n - 1));
}

/* Weight i of numpy's linspace(1, 0, n). */
static double falling(int64_t i, int64_t n) {
    if (n == 1) return 1;
    return i == n - 1 ? 0 : (double)i * (-1.0 / (double)(n - 1)) + 1;
}

/* out = before fading out over after fading in; out may be either. */
static void cross_fade(float *out, const float *before, const float *after, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)before[i] * falling(i, n) + (double)after[i] * rising(i, n));
}

void join_add(join *j, float *samples, int64_t n, int64_t *ready) {
    int64_t overlap = smaller(smaller(j->fade, j->held), n);
    if (overlap < j->held || n < j->fade) {
        /* nothing is ready: all of the joined output is in the tail, or the chunk lies wholly over its end */
        cross_fade(j->tail + j->held - overlap, j->tail + j->held - overlap, samples, overlap);
        memcpy(j->tail + j->held, samples + overlap, (size_t)(n - overlap) * sizeof *samples);
        j->held += n - overlap;
        *ready = 0;
        return;
    }
    cross_fade(samples, j->tail, samples, overlap);
    *ready = n - j->fade;
    j->held = j->fade;
    memcpy(j->tail, samples + *ready, (size_t)j->held * sizeof *samples);
}

float *join_end(join *j, int64_t *n) {
    *n = j->held;
    j->held = 0;
    return j->tail;
}

void join_fade_in(float *samples, int64_t n) {
    for (int64_t i = 0; i < n; i++) samples[i] *= (float)i / (float)n;
}

void join_fade_out(float *samples, int64_t n) {
    for (int64_t i = 0; i < n; i++) samples[i] *= (float)(n - 1 - i) / (float)n;
}
