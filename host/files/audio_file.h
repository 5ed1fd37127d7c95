/* audio_file.h — recordings in any format that libsndfile or FFmpeg's libraries know. */
#ifndef F5_AUDIO_FILE_H
#define F5_AUDIO_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/error.h"

typedef struct {
    float *samples; /* [n_frames,channels] interleaved; full scale of integer formats is -1 .. 1 */
    int64_t n_frames;
    int32_t channels;    /* 1 .. F5_MAX_CHANNELS */
    int32_t sample_rate; /* F5_MIN_SAMPLE_RATE .. F5_MAX_SAMPLE_RATE */
} audio_file;

/* Reads a whole file, or standard input where the path is "-". What MP3 and AAC hold is rounded to 16 bits, and Opus
 * comes at 48 kHz, as upstream has them. Errors name the file and what is wrong with it: F5_E_IO (cannot be opened),
 * F5_E_FORMAT (not audio, truncated, empty, samples that are not finite, sizes beyond the limits of f5tts.h),
 * F5_E_MEMORY; *a is then empty. */
f5_status audio_read(audio_file *a, const char *path, f5_error *error);
void audio_free(audio_file *a);
bool audio_is_stdin(const char *path);

/* For the readers: F5_E_FORMAT if channels, rate or length are beyond the limits of f5tts.h, and rounding to 16 bits.
 */
f5_status audio_limits_check(const audio_file *a, const char *name, f5_error *error);
void audio_round(audio_file *a);

#endif
