/* istft.c — the plain reference: every frame to 1024 windowed samples in scratch, then every sample gathers the (up to
 * four) frames that cover it. Gathering fixes the order of the sum, so threads cannot change a result. */
#include "kernels/istft.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/fft.h"
#include "kernels/op_list.h"
#include "kernels/pack_check.h"

_Static_assert(ISTFT_BINS == FFT_BINS, "istft and the FFT disagree about the transform");

enum { WINDOW = FFT_POINTS, HOP = WINDOW / 4, MAX_MAGNITUDE = 100 };

/* One row of h to one windowed frame. */
static void istft_frame(const fft_table *table, const float *window, const float *h, float *frame) {
    float re[ISTFT_BINS], im[ISTFT_BINS];
    for (int k = 0; k < ISTFT_BINS; k++) {
        const float e = expf(h[k]), phase = h[ISTFT_BINS + k];
        const float magnitude = e > MAX_MAGNITUDE ? MAX_MAGNITUDE : e; /* NaN stays */
        re[k] = magnitude * cosf(phase);
        im[k] = magnitude * sinf(phase);
    }
    fft_real_inverse(table, re, im, frame);
    for (int i = 0; i < WINDOW; i++) frame[i] *= window[i];
}

/* Sample t of the untrimmed overlap-add of n frames, over the squared windows that reach it. */
static float overlap(const float *window, const float *frames, int64_t n, int64_t t) {
    const int64_t newest = t / HOP < n ? t / HOP : n - 1;
    const int64_t oldest = t < WINDOW ? 0 : (t - WINDOW) / HOP + 1;
    float sum = 0, envelope = 0;
    for (int64_t frame = oldest; frame <= newest; frame++) {
        const int64_t i = t - frame * HOP;
        sum += frames[(size_t)frame * WINDOW + (size_t)i];
        envelope += window[i] * window[i];
    }
    return sum / envelope;
}

static int64_t trim_of(istft_padding padding) {
    return padding == ISTFT_CENTER ? WINDOW / 2 : (WINDOW - HOP) / 2;
}

static int64_t samples_of(istft_padding padding, int64_t frames) {
    if (frames == 0) return 0;
    return padding == ISTFT_CENTER ? HOP * (frames - 1) : HOP * frames;
}

f5_status istft_ref(const istft_args *a) {
    if (!a || !a->h || !a->window || !a->sample_offsets || !a->scratch || !a->y) return F5_E_ARGUMENT;
    if (a->padding != ISTFT_CENTER && a->padding != ISTFT_SAME) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    const f5_pack *pack = a->pack;
    const int32_t *offsets = pack->offsets;
    const int64_t *sample_offsets = a->sample_offsets;
    if (sample_offsets[0] < 0) return F5_E_ARGUMENT;
    for (int32_t s = 0; s < pack->n_seq; s++)
        if (sample_offsets[s + 1] != sample_offsets[s] + samples_of(a->padding, offsets[s + 1] - offsets[s]))
            return F5_E_SHAPE;

    fft_table table;
    fft_table_fill(&table);
    const int32_t live = pack_live(pack);
#pragma omp parallel for schedule(static)
    for (int32_t row = 0; row < live; row++)
        istft_frame(&table, a->window, a->h + (size_t)row * 2 * ISTFT_BINS, a->scratch + (size_t)row * WINDOW);

    for (int32_t s = 0; s < pack->n_seq; s++) {
        const float *frames = a->scratch + (size_t)offsets[s] * WINDOW;
        const int64_t n = offsets[s + 1] - offsets[s], samples = sample_offsets[s + 1] - sample_offsets[s];
        float *y = a->y + sample_offsets[s];
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < samples; i++) y[i] = overlap(a->window, frames, n, i + trim_of(a->padding));
    }
    return F5_OK;
}

void hann_window_fill(float *window) {
    for (int i = 0; i < WINDOW; i++) window[i] = (float)(0.5 - 0.5 * cos(6.283185307179586 * i / WINDOW));
}

op_output istft_output(const istft_args *a) {
    return (op_output){.data = a->y, .rows = 1, .cols_at = a->sample_offsets + a->pack->n_seq};
}

double istft_flop(const istft_args *a, op_lengths lengths) {
    (void)a, (void)lengths;
    return 0;
}

double istft_bytes(const istft_args *a) {
    return 4.0 * a->pack->rows * (2 * ISTFT_BINS + HOP);
}
