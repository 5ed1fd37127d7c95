/* silence.h — where a recording is silent, in pydub's terms (pydub/silence.py 0.25): levels are the integer root mean
 * square of whole samples of 8, 16 or 32 bits, all channels together; positions are whole milliseconds. Pure functions
 * but for one allocation in silence_split. Also what removing silence from generated speech will need. */
#ifndef F5_SILENCE_H
#define F5_SILENCE_H

#include "kernels/error.h"

typedef struct {
    const float *samples; /* [n_frames,channels] interleaved, finite */
    int64_t n_frames;
    int32_t channels, sample_rate;
    int32_t bits; /* in which levels are measured: 8, 16 or 32; 0 is 16 */
} sound;

typedef struct {
    int64_t start_ms, end_ms;
} sound_range;

int64_t sound_ms(int64_t n_frames, int32_t sample_rate); /* length in milliseconds, halves to even */
int64_t sound_frame(int64_t ms, int32_t sample_rate);    /* where a millisecond begins */
/* rms of frames [from,to), a whole number of which 2^(bits-1) is full scale; 0 if empty. */
double sound_level(const sound *s, int64_t from, int64_t to);
double sound_decibel(const sound *s, double level); /* of full scale; level 0: -infinity */

/* The fewest bits in which all samples are whole: 8, 16, or else 32. pydub keeps a recording's own, and has 24 as 32.
 */
int32_t sound_bits(const sound *s);

/* Non-silent ranges, in order, each widened by up to keep_ms of the silence around it (shared evenly where two meet).
 * A stretch of min_silence_ms, looked for every step_ms, is silent if its level is at or below threshold_db (dBFS).
 * *ranges is to be freed; *n may be 0. Errors: F5_E_MEMORY. */
f5_status silence_split(const sound *s, int64_t min_silence_ms, double threshold_db, int64_t keep_ms, int64_t step_ms,
                        sound_range **ranges, int64_t *n, f5_error *error);

/* Milliseconds of silence at the start (or, from_end, at the end): 10 ms slices below threshold_db. */
int64_t silence_edge(const sound *s, double threshold_db, int from_end);

#endif
