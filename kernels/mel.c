/* mel.c — the plain reference: frame by frame, and the mel bank both devices read. */
#include "kernels/mel.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernels/cpu/context.h"
#include "kernels/cpu/fft.h"
#include "kernels/istft.h" /* the same window */

_Static_assert(MEL_FFT == FFT_POINTS && MEL_BINS == FFT_BINS, "mel and the FFT disagree about the transform");

#define MEL_FLOOR 1e-5f
#define MEL_LEAST_POWER 1e-9f /* of a bin, BigVGAN's */
#define MEL_TOP_HZ 12000.0

typedef struct {
    const mel_args *a;
    fft_table table;
    float window[MEL_FFT];
} mel_job;

typedef struct {
    float x[MEL_FFT], re[MEL_BINS], im[MEL_BINS];
    fft_scratch fft;
} mel_scratch;
_Static_assert(sizeof(mel_scratch) <= CPU_SCRATCH_BYTES, "mel needs more scratch memory");

/* Sample i of the clip mirrored about its first and its last sample, neither repeated. */
static float reflected(const float *samples, int64_t n, int64_t i) {
    if (i < 0) i = -i;
    if (i >= n) i = 2 * (n - 1) - i;
    return samples[i];
}

static void mel_frame(const mel_job *job, int64_t frame, mel_scratch *scratch, float *y) {
    const mel_args *a = job->a;
    float *x = scratch->x, *re = scratch->re, *im = scratch->im;
    const int64_t first = frame * MEL_HOP - mel_before(a->form);
    const float least = a->form == MEL_BIGVGAN ? MEL_LEAST_POWER : 0.0f;
    for (int i = 0; i < MEL_FFT; i++) x[i] = job->window[i] * reflected(a->samples, a->n_samples, first + i);
    fft_real(&job->table, &scratch->fft, x, re, im);

    float band[MEL_BANDS] = {0};
    for (int k = 0; k < MEL_BINS; k++) {
        const float magnitude = sqrtf(re[k] * re[k] + im[k] * im[k] + least);
        const float *weight = a->bank + (size_t)k * MEL_BANDS;
        for (int m = 0; m < MEL_BANDS; m++) band[m] += magnitude * weight[m];
    }
    for (int m = 0; m < MEL_BANDS; m++) y[m] = logf(band[m] < MEL_FLOOR ? MEL_FLOOR : band[m]); /* NaN stays */
}

static void mel_frames(const void *user, int32_t begin, int32_t end, void *scratch) {
    const mel_job *job = user;
    for (int64_t n = begin; n < end; n++) mel_frame(job, n, scratch, job->a->y + (size_t)n * MEL_BANDS);
}

f5_status mel_ref(cpu_context *c, const mel_args *a) {
    if (!a || !a->samples || !a->bank || !a->y) return F5_E_ARGUMENT;
    if (a->form != MEL_VOCOS && a->form != MEL_BIGVGAN) return F5_E_ARGUMENT;
    if (a->n_samples <= mel_before(a->form)) return F5_E_SHAPE;

    mel_job job = {.a = a};
    fft_table_fill(&job.table);
    hann_window_fill(job.window);
    cpu_parallel(c, mel_frames_of(a->form, a->n_samples), 1, mel_frames, &job);
    return F5_OK;
}

/* Corner i of the 102 that bound the triangles: evenly spaced in mel = 2595 log10(1 + Hz/700). */
static double corner_htk(int i) {
    const double top = log10(1.0 + MEL_TOP_HZ / 700.0);
    return 700.0 * (pow(10.0, top * i / (MEL_BANDS + 1)) - 1.0);
}

/* The same in Slaney's mel: Hz * 3/200 to 1 kHz, which is 15; above, 27 of it for each factor of 6.4. */
static double corner_slaney(int i) {
    const double step = log(6.4) / 27.0, top = 15.0 + log(MEL_TOP_HZ / 1000.0) / step, mel = top * i / (MEL_BANDS + 1);
    return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * exp((mel - 15.0) * step);
}

static void fill(float *bank, double (*corner_hz)(int i), bool one_area) {
    for (int m = 0; m < MEL_BANDS; m++) {
        const double low = corner_hz(m), peak = corner_hz(m + 1), high = corner_hz(m + 2);
        for (int k = 0; k < MEL_BINS; k++) {
            const double hz = (double)k * MEL_RATE / MEL_FFT;
            const double rising = (hz - low) / (peak - low), falling = (high - hz) / (high - peak);
            const double weight = (rising < falling ? rising : falling) * (one_area ? 2.0 / (high - low) : 1.0);
            bank[(size_t)k * MEL_BANDS + (size_t)m] = weight > 0 ? (float)weight : 0;
        }
    }
}

void mel_bank_fill(float *bank) {
    fill(bank, corner_htk, false);
}

void mel_bank_fill_slaney(float *bank) {
    fill(bank, corner_slaney, true);
}

op_output mel_output(const mel_args *a) {
    return (op_output){.data = a->y, .rows = mel_frames_of(a->form, a->n_samples), .cols = MEL_BANDS};
}

double mel_flop(const mel_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double mel_bytes(const mel_args *a) {
    const double frames = (double)mel_frames_of(a->form, a->n_samples);
    return 4.0 * ((double)a->n_samples + MEL_BINS * MEL_BANDS + frames * MEL_BANDS);
}
