/* mel.h — log-mel spectrogram of 24 kHz speech, as F5-TTS and Vocos compute it.
 *
 *   frame n covers samples 256 n - 512 .. 256 n + 511 (reflected at both ends), periodic Hann window 1024,
 *   magnitude |rfft| [513], HTK mel bank [513,100] 0..12000 Hz without normalisation, y = ln(max(., 1e-5)).
 *
 * samples [n_samples] F32; y [n_samples/256 + 1, 100] F32. n_samples >= 513 (reflection needs them), else F5_E_SHAPE.
 * A NaN stays NaN, in every band of the frames that cover it.
 * bank [513,100] from mel_bank_fill.   Source: torchaudio MelSpectrogram as called by vocos feature_extractors.py. */
#ifndef F5_MEL_H
#define F5_MEL_H

#include "kernels/f5_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MEL_BANDS 100
#define MEL_FFT 1024
#define MEL_HOP 256
#define MEL_BINS 513
#define MEL_RATE 24000

typedef struct mel_args {
    int64_t n_samples;
    const float *samples; /* [n_samples] */
    const float *bank;    /* [513,100] */
    float *y;             /* [n_samples/256+1, 100] */
} mel_args;

/* Fills bank [513,100]: triangles on the HTK scale, as torchaudio.functional.melscale_fbanks(norm=None) but in double:
 * torchaudio's F32 corners put its bank 7e-6 (relative L2) off. */
void mel_bank_fill(float *bank);

#ifdef __cplusplus
}
#endif
#endif
