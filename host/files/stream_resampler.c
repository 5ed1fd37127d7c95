/* stream_resampler.c — rates over their greatest common divisor are o and n: output q n + i lies at input q o + i o/n.
 * A window slides over the input; an output is made as soon as all inputs that its kernel reaches are in it. */
#include "host/files/stream_resampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ZEROS 32
#define ROLLOFF 0.95 /* of the lower Nyquist frequency: half of the window's fade lies on either side */
#define MAX_PHASES 4096
#define WINDOW 4096 /* inputs that are held; a kernel reaches over far fewer */
#define OUT 1024    /* outputs that are handed over at a time */

struct stream_resampler {
    int64_t o, n;
    int64_t reach; /* inputs on each side of the middle of a kernel */
    float *kernel; /* [n,2 reach + 1] */
    /* where the stream stands */
    int64_t added;   /* inputs so far; 0s before and after them do not count */
    int64_t base;    /* input that lies at window[0]; the first ones are `reach` zeros */
    int64_t held;    /* of the window */
    int64_t phase;   /* of the next output */
    int64_t middle;  /* input at or before it */
    int64_t created; /* outputs so far */
    float window[WINDOW];
    float out[OUT];
};

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b > 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The kernel at a distance of t inputs: a sinc below the lower Nyquist frequency, under a Hann window. Each phase is
 * scaled to a sum of 1, so that a constant stays what it is. */
static void fill(stream_resampler *r) {
    const double pi = 3.14159265358979323846;
    double cutoff = ROLLOFF * (r->n < r->o ? (double)r->n / (double)r->o : 1), support = ZEROS / cutoff;
    int64_t taps = 2 * r->reach + 1;
    for (int64_t i = 0; i < r->n; i++) {
        float *row = r->kernel + i * taps;
        double middle = (double)(i * r->o % r->n) / (double)r->n, sum = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t k = 0; k < taps; k++) {
                double t = (double)(k - r->reach) - middle, x = pi * cutoff * t, w = cos(pi * t / support / 2);
                double value = fabs(t) >= support ? 0 : w * w * (x == 0 ? 1 : sin(x) / x);
                if (pass == 0)
                    sum += value;
                else
                    row[k] = (float)(value / sum);
            }
    }
}

f5_status stream_resampler_open(stream_resampler **resampler, int32_t rate_in, int32_t rate_out, f5_error *error) {
    int64_t g = greatest_divisor(rate_in, rate_out);
    *resampler = NULL;
    if (rate_in <= 0 || rate_out <= 0 || rate_in / g > MAX_PHASES || rate_out / g > MAX_PHASES ||
        rate_in > 16 * (int64_t)rate_out)
        return f5_fail(error, F5_E_ARGUMENT, "%d Hz does not become %d Hz", (int)rate_in, (int)rate_out);
    stream_resampler *r = calloc(1, sizeof *r);
    if (r) {
        r->o = rate_in / g, r->n = rate_out / g;
        double cutoff = ROLLOFF * (r->n < r->o ? (double)r->n / (double)r->o : 1);
        r->reach = (int64_t)ceil(ZEROS / cutoff) + 1;
        r->base = -r->reach;
        r->held = r->reach;
        r->kernel = malloc((size_t)(r->n * (2 * r->reach + 1)) * sizeof *r->kernel);
    }
    if (!r || !r->kernel) {
        stream_resampler_close(r);
        return f5_fail(error, F5_E_MEMORY, "no memory for a resampler to %d Hz", (int)rate_out);
    }
    fill(r);
    *resampler = r;
    return F5_OK;
}

void stream_resampler_close(stream_resampler *r) {
    if (!r) return;
    free(r->kernel);
    free(r);
}

/* Outputs whose kernels lie in the window, up to `limit` of the whole stream. */
static f5_status make(stream_resampler *r, int64_t limit, stream_resampler_fn take, void *user, f5_error *error) {
    int64_t taps = 2 * r->reach + 1, n = 0;
    while (r->created < limit && r->middle + r->reach < r->base + r->held) {
        const float *row = r->kernel + r->phase * taps, *in = r->window + (r->middle - r->reach - r->base);
        float sum = 0;
        for (int64_t k = 0; k < taps; k++) sum += row[k] * in[k];
        r->out[n++] = sum;
        r->created++;
        if (++r->phase == r->n) r->phase = 0;
        r->middle = r->created / r->n * r->o + r->phase * r->o / r->n;
        if (n < OUT) continue;
        F5_TRY(take(user, r->out, n, error));
        n = 0;
    }
    int64_t done = r->middle - r->reach - r->base; /* no later output needs these */
    if (done > r->held) done = r->held;
    memmove(r->window, r->window + done, (size_t)(r->held - done) * sizeof *r->window);
    r->base += done;
    r->held -= done;
    return n > 0 ? take(user, r->out, n, error) : F5_OK;
}

/* More inputs, or zeros where samples is NULL. */
static f5_status add(stream_resampler *r, const float *samples, int64_t n, int64_t limit, stream_resampler_fn take,
                     void *user, f5_error *error) {
    while (n > 0) {
        int64_t some = WINDOW - r->held < n ? WINDOW - r->held : n;
        if (samples)
            memcpy(r->window + r->held, samples, (size_t)some * sizeof *samples);
        else
            memset(r->window + r->held, 0, (size_t)some * sizeof *r->window);
        r->held += some;
        n -= some;
        if (samples) samples += some;
        F5_TRY(make(r, limit, take, user, error));
    }
    return F5_OK;
}

f5_status stream_resampler_add(stream_resampler *r, const float *samples, int64_t n, stream_resampler_fn take,
                               void *user, f5_error *error) {
    r->added += n;
    return add(r, samples, n, INT64_MAX, take, user, error);
}

f5_status stream_resampler_end(stream_resampler *r, stream_resampler_fn take, void *user, f5_error *error) {
    int64_t wanted = r->added / r->o * r->n + (r->added % r->o * r->n + r->o - 1) / r->o;
    return add(r, NULL, r->reach + r->o + 1, wanted, take, user, error);
}
