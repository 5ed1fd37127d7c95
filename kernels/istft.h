/* istft.h — the Vocos head: log magnitude and phase to samples, sequence by sequence.
 *
 *   h [rows,1026]: mag = min(exp(h[:513]), 100), phase = h[513:];  S = mag (cos phase + i sin phase)
 *   frame = irfft(S) * window    (imaginary parts of bins 0 and 512 ignored; periodic Hann 1024)
 *   overlap-add at hop 256, divided by the overlap-added squared window.
 *   CENTER: drop 512 samples at either end -> 256 (N-1) samples;  SAME: drop 384 -> 256 N samples.
 *
 * y: the samples of sequence s start at sample_offsets[s]; sample_offsets [n_seq+1] with differences as above
 * (an empty sequence gives none; with CENTER a sequence of one frame gives none).
 * All F32. window [1024] from hann_window_fill. Source: vocos heads.py ISTFTHead, spectral_ops.py ISTFT, torch.istft.
 */
#ifndef F5_ISTFT_H
#define F5_ISTFT_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ISTFT_BINS 513

typedef enum { ISTFT_CENTER = 0, ISTFT_SAME } istft_padding;

typedef struct istft_args {
    const f5_pack *pack;
    istft_padding padding;
    const float *h;                /* [rows,1026] log magnitude | phase */
    const float *window;           /* [1024] */
    const int64_t *sample_offsets; /* [n_seq+1] */
    float *scratch;                /* [rows,1024] windowed frames; the CUDA twin needs none, NULL will do */
    float *y;                      /* [sample_offsets[n_seq]] */
} istft_args;

void hann_window_fill(float *window); /* [1024] periodic Hann */

#ifdef __cplusplus
}
#endif
#endif
