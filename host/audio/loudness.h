/* loudness.h — how loud a recording is, where it clips, and how loud its pauses are. Levels are in dB of full scale, by
 * the mean square of all channels; a full-scale square wave has 0. Pure but for one allocation. */
#ifndef F5_LOUDNESS_H
#define F5_LOUDNESS_H

#include "host/audio/silence.h"
#include "kernels/error.h"

typedef struct {
    double speech_db;  /* mean of the 20 ms frames within 25 dB of the loud ones (the 95th percentile) */
    double noise_db;   /* of the quiet frames, the 10th percentile; digital silence does not count. -infinity: none */
    double peak_db;    /* the largest sample */
    double clipped;    /* share of samples that lie at full scale or beyond, two or more in a row */
    double pause;      /* seconds, the longest between two frames of speech */
    int32_t has_pause; /* 1: quiet frames are so much quieter than loud ones that they are pauses, or there are none */
} loudness;

/* Samples are finite. Errors: F5_E_MEMORY. */
f5_status loudness_measure(const sound *s, loudness *out, f5_error *error);

#endif
