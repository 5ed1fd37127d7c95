/* fft.c — a complex transform of 512 points in nine radix-2 passes (Stockham), and the sweep that makes it a real one
 * of 1024. */
#include "kernels/cpu/fft.h"

#include <math.h>

enum { HALF = FFT_POINTS / 2 };

void fft_table_fill(fft_table *table) {
    for (int k = 0; k < HALF; k++) {
        const double angle = 6.283185307179586 * k / FFT_POINTS;
        table->cosine[k] = (float)cos(angle);
        table->sine[k] = (float)sin(angle);
    }
}

/* One pass: `blocks` transforms of 2m points lie interleaved at `stride` = 512 / 2m; each becomes two of m points, of
 * the sums a + b and of the turned differences (a - b) w^p, w = exp(-2 pi i / 2m). */
static void pass(const fft_table *table, int stride, const fft_signal *in, fft_signal *out) {
    const int m = HALF / (2 * stride);
    for (int p = 0; p < m; p++) {
        const float wr = table->cosine[2 * p * stride], wi = -table->sine[2 * p * stride];
        const float *ar = in->re + stride * p, *br = ar + stride * m;
        const float *ai = in->im + stride * p, *bi = ai + stride * m;
        float *restrict sum_re = out->re + stride * 2 * p, *restrict turned_re = sum_re + stride;
        float *restrict sum_im = out->im + stride * 2 * p, *restrict turned_im = sum_im + stride;
        for (int q = 0; q < stride; q++) {
            const float dr = ar[q] - br[q], di = ai[q] - bi[q];
            sum_re[q] = ar[q] + br[q];
            sum_im[q] = ai[q] + bi[q];
            turned_re[q] = dr * wr - di * wi;
            turned_im[q] = dr * wi + di * wr;
        }
    }
}

/* Complex forward transform of 512 points. z is both input and output. */
static void fft_complex(const fft_table *table, fft_signal *z, fft_signal *other) {
    fft_signal *from = z, *to = other;
    for (int stride = 1; stride < HALF; stride *= 2) {
        pass(table, stride, from, to);
        fft_signal *swap = from;
        from = to;
        to = swap;
    }
    if (from != z) *z = *from;
}

/* With z[n] = x[2n] + i x[2n+1]: Z[k] = E[k] + i O[k], where E and O transform the even and the odd samples, are
 * conjugate symmetric, and make X[k] = E[k] + w^k O[k], w = exp(-2 pi i / 1024). */
void fft_real(const fft_table *table, fft_scratch *scratch, const float *x, float *re, float *im) {
    fft_signal *z = &scratch->z;
    for (int n = 0; n < HALF; n++) {
        z->re[n] = x[2 * n];
        z->im[n] = x[2 * n + 1];
    }
    fft_complex(table, z, &scratch->other);

    re[0] = z->re[0] + z->im[0];
    re[HALF] = z->re[0] - z->im[0];
    im[0] = im[HALF] = 0;
    for (int k = 1; k < HALF; k++) {
        const int mirror = HALF - k;
        const float even_re = 0.5f * (z->re[k] + z->re[mirror]), even_im = 0.5f * (z->im[k] - z->im[mirror]);
        const float odd_re = 0.5f * (z->im[k] + z->im[mirror]), odd_im = 0.5f * (z->re[mirror] - z->re[k]);
        const float wr = table->cosine[k], wi = -table->sine[k];
        re[k] = even_re + (odd_re * wr - odd_im * wi);
        im[k] = even_im + (odd_re * wi + odd_im * wr);
    }
}

/* The same steps backwards. The inverse complex transform is the forward one with real and imaginary parts exchanged
 * before and after, divided by 512. */
void fft_real_inverse(const fft_table *table, fft_scratch *scratch, const float *re, const float *im, float *x) {
    fft_signal *z = &scratch->z;
    for (int k = 0; k < HALF; k++) {
        const int mirror = HALF - k;
        const float xi = k ? im[k] : 0, mirror_im = k ? im[mirror] : 0;
        const float even_re = 0.5f * (re[k] + re[mirror]), even_im = 0.5f * (xi - mirror_im);
        const float turned_re = 0.5f * (re[k] - re[mirror]), turned_im = 0.5f * (xi + mirror_im);
        const float wr = table->cosine[k], wi = table->sine[k];
        const float odd_re = turned_re * wr - turned_im * wi, odd_im = turned_re * wi + turned_im * wr;
        z->im[k] = even_re - odd_im; /* exchanged */
        z->re[k] = even_im + odd_re;
    }
    fft_complex(table, z, &scratch->other);
    for (int n = 0; n < HALF; n++) {
        x[2 * n] = z->im[n] * (1.0f / HALF);
        x[2 * n + 1] = z->re[n] * (1.0f / HALF);
    }
}
