/* mel.c — the plain reference: frame by frame, and the mel bank both devices read. */
#include "kernels/mel.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/fft.h"
#include "kernels/istft.h" /* the same window */
#include "kernels/op_list.h"

_Static_assert(MEL_FFT == FFT_POINTS && MEL_BINS == FFT_BINS, "mel and the FFT disagree about the transform");

#define MEL_FLOOR 1e-5f
#define MEL_TOP_HZ 12000.0

/* Sample i of the clip mirrored about its first and its last sample, neither repeated. */
static float reflected(const float *samples, int64_t n, int64_t i) {
    if (i < 0) i = -i;
    if (i >= n) i = 2 * (n - 1) - i;
    return samples[i];
}

static void mel_frame(const mel_args *a, const fft_table *table, const float *window, int64_t frame, float *y) {
    float x[MEL_FFT], re[MEL_BINS], im[MEL_BINS];
    const int64_t first = frame * MEL_HOP - MEL_FFT / 2;
    for (int i = 0; i < MEL_FFT; i++) x[i] = window[i] * reflected(a->samples, a->n_samples, first + i);
    fft_real(table, x, re, im);

    float band[MEL_BANDS] = {0};
    for (int k = 0; k < MEL_BINS; k++) {
        const float magnitude = sqrtf(re[k] * re[k] + im[k] * im[k]);
        const float *weight = a->bank + (size_t)k * MEL_BANDS;
        for (int m = 0; m < MEL_BANDS; m++) band[m] += magnitude * weight[m];
    }
    for (int m = 0; m < MEL_BANDS; m++) y[m] = logf(band[m] < MEL_FLOOR ? MEL_FLOOR : band[m]); /* NaN stays */
}

f5_status mel_ref(const mel_args *a) {
    if (!a || !a->samples || !a->bank || !a->y) return F5_E_ARGUMENT;
    if (a->n_samples <= MEL_FFT / 2) return F5_E_SHAPE;

    fft_table table;
    float window[MEL_FFT];
    fft_table_fill(&table);
    hann_window_fill(window);

    const int64_t frames = a->n_samples / MEL_HOP + 1;
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < frames; n++) mel_frame(a, &table, window, n, a->y + (size_t)n * MEL_BANDS);
    return F5_OK;
}

/* Corner i of the 102 that bound the triangles: evenly spaced in mel = 2595 log10(1 + Hz/700). */
static double corner_hz(int i) {
    const double top = log10(1.0 + MEL_TOP_HZ / 700.0);
    return 700.0 * (pow(10.0, top * i / (MEL_BANDS + 1)) - 1.0);
}

void mel_bank_fill(float *bank) {
    for (int m = 0; m < MEL_BANDS; m++) {
        const double low = corner_hz(m), peak = corner_hz(m + 1), high = corner_hz(m + 2);
        for (int k = 0; k < MEL_BINS; k++) {
            const double hz = (double)k * MEL_RATE / MEL_FFT;
            const double rising = (hz - low) / (peak - low), falling = (high - hz) / (high - peak);
            const double weight = rising < falling ? rising : falling;
            bank[(size_t)k * MEL_BANDS + (size_t)m] = weight > 0 ? (float)weight : 0;
        }
    }
}

op_output mel_output(const mel_args *a) {
    return (op_output){.data = a->y, .rows = a->n_samples / MEL_HOP + 1, .cols = MEL_BANDS};
}

double mel_flop(const mel_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double mel_bytes(const mel_args *a) {
    return 4.0 * ((double)a->n_samples + MEL_BINS * MEL_BANDS + (double)(a->n_samples / MEL_HOP + 1) * MEL_BANDS);
}
