/* fft.h — the one Fourier transform of this project: real, 1024 points, host side of mel and istft.
 *
 *   forward   X[k] = sum_n x[n] exp(-2 pi i k n / 1024)      k = 0..512
 *   inverse   x[n] = 1/1024 sum_k X[k] exp(2 pi i k n / 1024) over all 1024 k, X[1024-k] = conj X[k];
 *             the imaginary parts of X[0] and X[512] are ignored
 *
 * Two neighbouring real samples make one complex one, so the work is a complex transform of 512 points: nine radix-2
 * passes (Stockham: each writes its output in order, so nothing is bit-reversed), then one sweep that untangles the
 * even and odd halves. F32; relative L2 error about 2e-7.
 * The table takes about 10 us to fill and is read-only from then on. */
#ifndef F5_FFT_H
#define F5_FFT_H

#define FFT_POINTS 1024
#define FFT_BINS (FFT_POINTS / 2 + 1)

typedef struct {
    float cosine[FFT_POINTS / 2]; /* cos(2 pi k / 1024) */
    float sine[FFT_POINTS / 2];   /* sin(2 pi k / 1024) */
} fft_table;

/* What a transform computes in. */
typedef struct {
    float re[FFT_POINTS / 2], im[FFT_POINTS / 2];
} fft_signal;

typedef struct {
    fft_signal z, other;
} fft_scratch;

void fft_table_fill(fft_table *table);

/* x [1024] -> re, im [513] */
void fft_real(const fft_table *table, fft_scratch *scratch, const float *x, float *re, float *im);

/* re, im [513] -> x [1024] */
void fft_real_inverse(const fft_table *table, fft_scratch *scratch, const float *re, const float *im, float *x);

#endif
