/* silence.h — where a recording is silent, in pydub's terms (pydub/silence.py 0.25): levels are the integer root mean
 * square of 16-bit samples, all channels together; positions are whole milliseconds. Pure functions but for one
 * allocation in silence_split. Also what removing silence from generated speech will need. */
#ifndef F5_SILENCE_H
#define F5_SILENCE_H

#include "kernels/error.h"

typedef struct {
    const float *samples; /* [n_frames,channels] interleaved, finite */
    int64_t n_frames;
    int32_t channels, sample_rate;
} sound;

typedef struct {
    int64_t start_ms, end_ms;
} sound_range;

int64_t sound_ms(int64_t n_frames, int32_t sample_rate);       /* length in milliseconds, halves to even */
int64_t sound_frame(int64_t ms, int32_t sample_rate);          /* where a millisecond begins */
int32_t sound_level(const sound *s, int64_t from, int64_t to); /* rms of frames [from,to), 0 .. 32768; 0 if empty */

/* Non-silent ranges, in order, each widened by up to keep_ms of the silence around it (shared evenly where two meet).
 * A stretch of min_silence_ms, looked for every step_ms, is silent if its level is at or below threshold_db (dBFS).
 * *ranges is to be freed; *n may be 0. Errors: F5_E_MEMORY. */
f5_status silence_split(const sound *s, int64_t min_silence_ms, double threshold_db, int64_t keep_ms, int64_t step_ms,
                        sound_range **ranges, int64_t *n, f5_error *error);

/* Milliseconds of silence at the start (or, from_end, at the end): 10 ms slices below threshold_db. */
int64_t silence_edge(const sound *s, double threshold_db, int from_end);

#endif
