/* resample.c — a windowed sinc in polyphase form. Rates over their greatest common divisor are o and n; output sample
 * q n + i is phase i of step q, and has its middle at input q o + i o / n. Of the kernel of a phase only the taps that
 * are not 0 are kept, about 12 o / min(o, n) of them; a row of the table is padded with zeros to a multiple of LANES,
 * so that sums run over LANES numbers at a time. */
#include "host/audio/resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LANES 8
#define ZEROS 6      /* zero crossings on each side: lowpass_filter_width */
#define ROLLOFF 0.99 /* of the lower of the two Nyquist frequencies */

static const double PI = 3.14159265358979323846;

typedef struct {
    int64_t o, n;
    double base;    /* min(o, n) ROLLOFF */
    int64_t taps;   /* of a row, a multiple of LANES */
    int64_t rows;   /* phases that occur: n, or the output's length if it is less */
    float *kernel;  /* [rows,taps] */
    int64_t *first; /* [rows] of a row's first tap, relative to the input of its step */
} phases;

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b > 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int64_t resample_length(int64_t n_in, int32_t rate_in, int32_t rate_out) {
    int64_t g = greatest_divisor(rate_in, rate_out), o = rate_in / g, n = rate_out / g;
    return n_in / o * n + (n_in % o * n + o - 1) / o;
}

/* The kernel of phase i at tap k, an input sample that lies k before or behind that of the step. torchaudio has i / n
 * in float, which moves a kernel by up to 3e-8 of a step: 1e-5 of full scale at 11025 Hz, 2e-4 at 8001 Hz. */
static double tap(const phases *p, int64_t i, int64_t k) {
    double t = ((double)(-(float)i / (float)p->n) + (double)k / (double)p->o) * p->base;
    if (fabs(t) >= ZEROS) return 0;
    double window = cos(t * PI / ZEROS / 2), sinc = t == 0 ? 1 : sin(t * PI) / (t * PI);
    return sinc * window * window * p->base / (double)p->o;
}

static void fill_rows(phases *p) {
    double reach = (double)ZEROS * (double)p->o / p->base;
    for (int64_t i = 0; i < p->rows; i++) {
        p->first[i] = (int64_t)ceil((double)i * (double)p->o / (double)p->n - reach);
        for (int64_t k = 0; k < p->taps; k++) p->kernel[i * p->taps + k] = (float)tap(p, i, p->first[i] + k);
    }
}

static float dot(const float *a, const float *b, int64_t n) {
    float sum[LANES] = {0};
    for (int64_t k = 0; k < n; k += LANES)
        for (int j = 0; j < LANES; j++) sum[j] += a[k + j] * b[k + j];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* Where a row reaches over an end of the input. */
static float dot_at_end(const float *kernel, int64_t taps, const float *in, int64_t n_in, int64_t from) {
    float sum = 0;
    int64_t k = from < 0 ? -from : 0, end = n_in - from < taps ? n_in - from : taps;
    for (; k < end; k++) sum += kernel[k] * in[from + k];
    return sum;
}

static void run(const phases *p, const float *in, int64_t n_in, float *out, int64_t n_out) {
    int64_t i = 0, step = 0; /* phase, and the input at the beginning of its step */
    for (int64_t at = 0; at < n_out; at++) {
        const float *kernel = p->kernel + i * p->taps;
        int64_t from = step + p->first[i];
        bool inside = from >= 0 && from + p->taps <= n_in;
        out[at] = inside ? dot(kernel, in + from, p->taps) : dot_at_end(kernel, p->taps, in, n_in, from);
        if (++i == p->n) {
            i = 0;
            step += p->o;
        }
    }
}

f5_status resample(const float *in, int64_t n_in, int32_t rate_in, int32_t rate_out, float *out, f5_error *error) {
    int64_t n_out = resample_length(n_in, rate_in, rate_out), g = greatest_divisor(rate_in, rate_out);
    if (rate_in == rate_out) {
        memcpy(out, in, (size_t)n_in * sizeof *out);
        return F5_OK;
    }
    phases p = {.o = rate_in / g, .n = rate_out / g};
    p.base = (double)(p.o < p.n ? p.o : p.n) * ROLLOFF;
    p.taps = ((int64_t)floor(2 * ZEROS * (double)p.o / p.base) + 1 + LANES - 1) / LANES * LANES;
    p.rows = n_out < p.n ? n_out : p.n;
    p.kernel = malloc((size_t)(p.rows * p.taps + 1) * sizeof *p.kernel);
    p.first = malloc((size_t)(p.rows + 1) * sizeof *p.first);
    f5_status status = F5_OK;
    if (p.kernel && p.first) {
        fill_rows(&p);
        run(&p, in, n_in, out, n_out);
    } else {
        status = f5_fail(error, F5_E_MEMORY, "no memory for a resampler of %lld taps", (long long)(p.rows * p.taps));
    }
    free(p.kernel);
    free(p.first);
    return status;
}
