/* istft.c — the plain reference: every frame to 1024 windowed samples in scratch, then every sample gathers the (up to
 * four) frames that cover it. Gathering fixes the order of the sum, so threads cannot change a result. */
#include "kernels/istft.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/context.h"
#include "kernels/cpu/fft.h"
#include "kernels/pack_check.h"

_Static_assert(ISTFT_BINS == FFT_BINS, "istft and the FFT disagree about the transform");

enum { WINDOW = FFT_POINTS, HOP = WINDOW / 4, MAX_MAGNITUDE = 100, SAMPLES_PER_CLAIM = 2048 };

typedef struct {
    const istft_args *a;
    fft_table table;
} frames_job;

typedef struct {
    float re[ISTFT_BINS], im[ISTFT_BINS];
    fft_scratch fft;
} istft_scratch;
_Static_assert(sizeof(istft_scratch) <= CPU_SCRATCH_BYTES, "istft needs more scratch memory");

/* One row of h to one windowed frame. */
static void istft_frame(const fft_table *table, const float *window, const float *h, istft_scratch *scratch,
                        float *frame) {
    float *re = scratch->re, *im = scratch->im;
    for (int k = 0; k < ISTFT_BINS; k++) {
        const float e = expf(h[k]), phase = h[ISTFT_BINS + k];
        const float magnitude = e > MAX_MAGNITUDE ? MAX_MAGNITUDE : e; /* NaN stays */
        re[k] = magnitude * cosf(phase);
        im[k] = magnitude * sinf(phase);
    }
    fft_real_inverse(table, &scratch->fft, re, im, frame);
    for (int i = 0; i < WINDOW; i++) frame[i] *= window[i];
}

/* Sample t of the untrimmed overlap-add of n frames, over the squares of the windows that reach it. Squares come
 * rounded from a table: whether a compiler fuses a product with a sum must not change a sample. */
static float overlap(const float *squares, const float *frames, int64_t n, int64_t t) {
    const int64_t newest = t / HOP < n ? t / HOP : n - 1;
    const int64_t oldest = t < WINDOW ? 0 : (t - WINDOW) / HOP + 1;
    float sum = 0, envelope = 0;
    for (int64_t frame = oldest; frame <= newest; frame++) {
        const int64_t i = t - frame * HOP;
        sum += frames[(size_t)frame * WINDOW + (size_t)i];
        envelope += squares[i];
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

static void make_frames(const void *user, int32_t begin, int32_t end, void *scratch) {
    const frames_job *job = user;
    const istft_args *a = job->a;
    for (int32_t row = begin; row < end; row++)
        istft_frame(&job->table, a->window, a->h + (size_t)row * 2 * ISTFT_BINS, scratch,
                    a->scratch + (size_t)row * WINDOW);
}

/* The samples of one sequence. */
typedef struct {
    const float *squares, *frames; /* [1024], [n,1024] */
    int64_t n, trim;
    float *y;
} samples_job;

static void add_frames(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const samples_job *job = user;
    for (int32_t i = begin; i < end; i++) job->y[i] = overlap(job->squares, job->frames, job->n, i + job->trim);
}

f5_status istft_ref(cpu_context *c, const istft_args *a) {
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

    frames_job job = {.a = a};
    fft_table_fill(&job.table);
    cpu_parallel(c, pack_live(pack), 1, make_frames, &job);
    float squares[WINDOW];
    for (int i = 0; i < WINDOW; i++) squares[i] = a->window[i] * a->window[i];
    for (int32_t s = 0; s < pack->n_seq; s++) {
        const samples_job sum = {.squares = squares,
                                 .frames = a->scratch + (size_t)offsets[s] * WINDOW,
                                 .n = offsets[s + 1] - offsets[s],
                                 .trim = trim_of(a->padding),
                                 .y = a->y + sample_offsets[s]};
        cpu_parallel(c, sample_offsets[s + 1] - sample_offsets[s], SAMPLES_PER_CLAIM, add_frames, &sum);
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
