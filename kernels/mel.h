/* mel.h — log-mel spectrogram of 24 kHz speech, as F5-TTS computes it for Vocos and for BigVGAN.
 *
 *   MEL_VOCOS    frame n covers samples 256 n - 512 .. 256 n + 511 (reflected at both ends), n_samples/256 + 1 frames;
 *                magnitude |rfft| [513], HTK mel bank [513,100] 0..12000 Hz without normalisation
 *   MEL_BIGVGAN  256 n - 384 .. 256 n + 639, n_samples/256 frames; sqrt(|rfft|² + 1e-9), Slaney's scale, each band of
 *                one area
 *   both         periodic Hann window 1024, y = ln(max(., 1e-5))
 *
 * samples [n_samples] F32; y [frames,100] F32. Reflection needs n_samples >= 513 or 385, else F5_E_SHAPE.
 * A NaN stays NaN, in every band of the frames that cover it.
 * bank [513,100] from mel_bank_fill or mel_bank_fill_slaney.
 * Source: torchaudio MelSpectrogram as called by vocos feature_extractors.py; NVIDIA/BigVGAN meldataset.py. */
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

typedef enum { MEL_VOCOS, MEL_BIGVGAN } mel_form;

typedef struct mel_args {
    mel_form form;
    int64_t n_samples;
    const float *samples; /* [n_samples] */
    const float *bank;    /* [513,100] */
    float *y;             /* [frames,100] */
} mel_args;

/* Fills bank [513,100]: triangles on the HTK scale, as torchaudio.functional.melscale_fbanks(norm=None) but in double:
 * torchaudio's F32 corners put its bank 7e-6 (relative L2) off. */
void mel_bank_fill(float *bank);

/* The same on Slaney's scale, linear to 1 kHz and logarithmic above, a triangle's height 2 / its width in Hz: as
 * librosa.filters.mel(sr=24000, n_fft=1024, n_mels=100) in double. */
void mel_bank_fill_slaney(float *bank);

static inline int64_t mel_frames_of(mel_form form, int64_t n_samples) {
    return n_samples / MEL_HOP + (form == MEL_VOCOS);
}

/* Samples that a frame begins before its place, and that reflection shows beyond either end. */
static inline int32_t mel_before(mel_form form) {
    return form == MEL_VOCOS ? MEL_FFT / 2 : (MEL_FFT - MEL_HOP) / 2;
}

#ifdef __cplusplus
}
#endif
#endif
