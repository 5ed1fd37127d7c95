/* subband_istft.c — the plain reference: all rows of h by matrix products, each row to windowed frames in its place,
 * and then every sample gathers the (up to four) frames that cover it. A transform so short is written out as its sum.
 */
#include "kernels/subband_istft.h"

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/context.h"
#include "kernels/cpu/gemm.h"
#include "kernels/pack_check.h"

enum { TAPS = SUBBAND_ISTFT_TAPS, MAX_POINTS = SUBBAND_ISTFT_MAX_POINTS, TILE_ROWS = 256, TILE_COLS = 128 };
_Static_assert(sizeof(gemm_scratch) <= CPU_SCRATCH_BYTES, "subband_istft needs more scratch memory");

typedef struct {
    const subband_istft_args *a;
    int32_t width;                              /* of a row of h */
    float cosine[MAX_POINTS], sine[MAX_POINTS]; /* of 2 pi i / P */
    float squares[MAX_POINTS];                  /* of the window */
} istft_job;

/* The rows of one sequence: x from `begin` on, [rows,in]; h from begin + slot on, rows + 1 of them. */
typedef struct {
    int64_t begin, rows;
    int32_t slot;
} span;

static span span_of(const subband_istft_args *a, int32_t slot) {
    const int64_t rate = a->rate, begin = rate * a->pack->offsets[slot];
    return (span){begin, rate * a->pack->offsets[slot + 1] - begin, slot};
}

/* ---- h ----------------------------------------------------------------------------------------------------------- */

/* Rows [first, first + n) of a sequence's h, columns [col, col + cols). Row 0 of x' is row 1 of x, row j is j - 1. */
static void convolve_tile(const istft_job *job, const span *s, int64_t first, int64_t n, int32_t col, int32_t cols,
                          gemm_scratch *scratch) {
    const subband_istft_args *a = job->a;
    const size_t in = (size_t)a->in, width = (size_t)job->width;
    float *h = a->scratch + (size_t)(s->begin + s->slot + first) * width + col;
    for (int64_t m = 0; m < n; m++)
        for (int32_t c = 0; c < cols; c++) h[(size_t)m * width + (size_t)c] = a->bias[col + c];
    for (int64_t tap = 0; tap < TAPS; tap++) {
        const float *w = a->w + ((size_t)tap * width + (size_t)col) * in, *x = a->x + (size_t)s->begin * in;
        const int64_t shift = tap - TAPS / 2,
                      mirrored = -shift - first; /* h's row of the tile that meets row 0 of x' */
        if (mirrored >= 0 && mirrored < n)
            gemm_tile(scratch, 1, cols, a->in, x + (s->rows > 1 ? in : 0), in, w, in, NULL, true,
                      h + (size_t)mirrored * width, width);
        const int64_t from = first + shift < 1 ? 1 - shift : first; /* rows of h whose row of x' is one of x */
        const int64_t past = first + n + shift > s->rows + 1 ? s->rows + 1 - shift : first + n;
        if (from < past)
            gemm_tile(scratch, (int32_t)(past - from), cols, a->in, x + (size_t)(from + shift - 1) * in, in, w, in,
                      NULL, true, h + (size_t)(from - first) * width, width);
    }
}

static int64_t tiles_of(int64_t rows) {
    return rows > 0 ? (rows + 1 + TILE_ROWS - 1) / TILE_ROWS : 0;
}

static void convolve(const void *user, int32_t begin, int32_t end, void *scratch) {
    const istft_job *job = user;
    const int32_t columns = (job->width + TILE_COLS - 1) / TILE_COLS;
    for (int32_t i = begin; i < end; i++) {
        int64_t tile = i / columns;
        int32_t slot = 0, col = i % columns * TILE_COLS;
        span s = span_of(job->a, slot);
        while (tile >= tiles_of(s.rows)) {
            tile -= tiles_of(s.rows);
            s = span_of(job->a, ++slot);
        }
        const int64_t first = tile * TILE_ROWS, left = s.rows + 1 - first;
        convolve_tile(job, &s, first, left < TILE_ROWS ? left : TILE_ROWS, col,
                      job->width - col < TILE_COLS ? job->width - col : TILE_COLS, scratch);
    }
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* h [P+2] of a band to its windowed frame [P], in place. */
static void transform(const istft_job *job, float *h) {
    const int32_t points = job->a->points, half = points / 2;
    float re[MAX_POINTS / 2 + 1], im[MAX_POINTS / 2 + 1];
    for (int32_t f = 0; f <= half; f++) {
        const float magnitude = expf(h[f]), phase = job->a->turn * sinf(h[half + 1 + f]);
        re[f] = magnitude * cosf(phase);
        im[f] = magnitude * sinf(phase);
    }
    for (int32_t n = 0; n < points; n++) {
        float sum = 0;
        for (int32_t f = 1; f < half; f++)
            sum += re[f] * job->cosine[f * n % points] - im[f] * job->sine[f * n % points];
        const float ends = re[0] + (n % 2 ? -re[half] : re[half]);
        h[n] = (ends + 2.0f * sum) / (float)points * job->a->window[n];
    }
}

static void make_frames(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const istft_job *job = user;
    for (int32_t slot = 0; slot < job->a->pack->n_seq; slot++) { /* the rows of this share that are the sequence's */
        const span s = span_of(job->a, slot);
        const int64_t first = s.begin + slot, past = first + s.rows + 1;
        for (int64_t row = first > begin ? first : begin; s.rows > 0 && row < past && row < end; row++)
            for (int32_t band = 0; band < job->a->bands; band++)
                transform(job, job->a->scratch + (size_t)row * (size_t)job->width +
                                   (size_t)band * (size_t)(job->a->points + 2));
    }
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* Value t of the untrimmed overlap-add of a band, whose frames lie `width` apart. */
static float overlap(const istft_job *job, const float *frames, int64_t rows, int64_t t) {
    const int64_t points = job->a->points, hop = points / 4;
    const int64_t newest = t / hop < rows ? t / hop : rows, oldest = t < points ? 0 : (t - points) / hop + 1;
    float sum = 0, envelope = 0;
    for (int64_t m = oldest; m <= newest; m++) {
        sum += frames[m * job->width + t - m * hop];
        envelope += job->squares[t - m * hop];
    }
    return sum / envelope;
}

static void add_frames(const void *user, int32_t begin, int32_t end, void *scratch) {
    (void)scratch;
    const istft_job *job = user;
    const subband_istft_args *a = job->a;
    const int32_t hop = a->points / 4;
    for (int32_t slot = 0; slot < a->pack->n_seq; slot++) {
        const span s = span_of(a, slot);
        const float *frames = a->scratch + (size_t)(s.begin + slot) * (size_t)job->width;
        const int64_t past = s.begin + s.rows < end ? s.begin + s.rows : end;
        for (int64_t row = s.begin > begin ? s.begin : begin; row < past; row++) /* of x: a hop of every band */
            for (int32_t i = 0; i < hop; i++) {
                float *y = a->y + (size_t)(row * hop + i) * (size_t)a->bands;
                for (int32_t band = 0; band < a->bands; band++)
                    y[band] = overlap(job, frames + (size_t)band * (size_t)(a->points + 2), s.rows,
                                      (row - s.begin) * hop + i + a->points / 2);
            }
    }
}

/* ---- the op ------------------------------------------------------------------------------------------------------ */

static bool sizes_are_good(const subband_istft_args *a) {
    if (a->in < 1 || a->bands < 1 || a->bands > SUBBAND_ISTFT_MAX_BANDS) return false;
    if (a->points < 4 || a->points > MAX_POINTS || a->points % 4 != 0) return false;
    return a->rate >= 1 && a->rate <= SUBBAND_ISTFT_MAX_RATE && a->pack->rows <= INT32_MAX / 16 / a->rate;
}

f5_status subband_istft_ref(cpu_context *c, const subband_istft_args *a) {
    if (!a || !a->x || !a->w || !a->bias || !a->window || !a->scratch || !a->y || a->y == a->x) return F5_E_ARGUMENT;
    if (pack_check(a->pack) != F5_OK) return F5_E_ARGUMENT;
    if (!sizes_are_good(a)) return F5_E_SHAPE;

    istft_job job = {.a = a, .width = a->bands * (a->points + 2)};
    for (int32_t i = 0; i < a->points; i++) {
        const double angle = 6.283185307179586 * i / a->points;
        job.cosine[i] = (float)cos(angle);
        job.sine[i] = (float)sin(angle);
        job.squares[i] = a->window[i] * a->window[i];
    }
    int64_t tiles = 0;
    for (int32_t slot = 0; slot < a->pack->n_seq; slot++) tiles += tiles_of(span_of(a, slot).rows);
    cpu_parallel(c, tiles * ((job.width + TILE_COLS - 1) / TILE_COLS), 1, convolve, &job);
    const int64_t rows = (int64_t)a->rate * pack_live(a->pack);
    cpu_parallel(c, rows > 0 ? rows + a->pack->n_seq : 0, 64, make_frames, &job);
    cpu_parallel(c, rows, 64, add_frames, &job);
    return F5_OK;
}

op_output subband_istft_output(const subband_istft_args *a) {
    return (op_output){.data = a->y, .pack = a->pack, .cols = (int64_t)(a->points / 4) * a->rate * a->bands};
}

double subband_istft_flop(const subband_istft_args *a, op_lengths lengths) {
    (void)lengths;
    return 2.0 * a->pack->rows * a->rate * a->in * a->bands * (a->points + 2) * SUBBAND_ISTFT_TAPS;
}

double subband_istft_bytes(const subband_istft_args *a) {
    const double rows = (double)a->pack->rows * a->rate, out = (double)a->bands * (a->points + 2);
    return 4.0 *
           (rows * (a->in + a->points / 4 * a->bands) + out * (SUBBAND_ISTFT_TAPS * (double)a->in + 1) + a->points);
}
