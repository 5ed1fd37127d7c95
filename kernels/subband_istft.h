/* subband_istft.h — the end of an iSTFT vocoder: a convolution to log magnitudes and phases, and a short inverse STFT
 * of every band.
 *
 *   x'       = x[1], x[0], x[1], ...
 *              a row in front of the sequence, its own row 1 mirrored: L + 1 rows
 *   h[m,o]   = bias[o] + sum_{k=0..6,i} w[k,o,i] x'[m + k - 3, i]
 *              rows outside x' count as zero
 *   S[m,f]   = exp(h[m,f]) e^(j p),  p = turn sin(h[m,B + f])
 *              of each band its 2 B columns, B = P/2 + 1
 *   frame m  = irfft(S[m]) window
 *              imaginary parts of bins 0 and P/2 ignored
 *   y        = overlap-add of the L + 1 frames at hop P/4, over the overlap-added squared window
 *              P/2 dropped at either end: P/4 L values of each band
 *
 * A row of the pack is `rate` rows of x, and P/4 rate rows of y; L is the sequence's rows of x. A sequence with one row
 * of x mirrors that. Everything F32. P is 4, 8, .. 64. Errors: F5_E_ARGUMENT, F5_E_SHAPE.
 * Source: Kawamura et al., MB-iSTFT-VITS, 2022 (arXiv:2210.15975); Flow-Matching-TTS and LLM-iSTFT-VITS models.py,
 * stft.py TorchSTFT. */
#ifndef F5_SUBBAND_ISTFT_H
#define F5_SUBBAND_ISTFT_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBBAND_ISTFT_TAPS 7
#define SUBBAND_ISTFT_MAX_POINTS 64
#define SUBBAND_ISTFT_MAX_BANDS 16
#define SUBBAND_ISTFT_MAX_RATE 1024

typedef struct subband_istft_args {
    const f5_pack *pack;
    int32_t rate, in, bands;
    int32_t points;      /* P */
    float turn;          /* what the sine of a phase is multiplied by */
    const float *x;      /* [rate*rows,in] */
    const float *w;      /* [7,bands*(points+2),in] tap first */
    const float *bias;   /* [bands*(points+2)] */
    const float *window; /* [points] periodic Hann */
    float *scratch;      /* [rate*rows+n_seq,bands*(points+2)]; the CUDA twin needs none, NULL will do */
    float *y;            /* [rate*rows*points/4,bands] */
} subband_istft_args;

#ifdef __cplusplus
}
#endif
#endif
