/* recording.h — a recording to clone and its words, in memory, shared by everyone who holds it. */
#ifndef F5_SERVER_RECORDING_H
#define F5_SERVER_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

typedef struct {
    uint64_t id;          /* no other recording of this process has it */
    const float *samples; /* [n_frames,channels] interleaved, as in f5_voice_params */
    int64_t n_frames;
    int32_t channels, sample_rate;
    const char *transcript;
} recording;

/* Copies the transcript, and takes the samples, which free() must take: also on failure. The caller holds it. */
f5_status recording_make(recording **made, float *samples, int64_t n_frames, int32_t channels, int32_t sample_rate,
                         const char *transcript, f5_error *error);
/* Any thread. */
recording *recording_hold(recording *r);
void recording_release(recording *r); /* NULL is fine; the last one frees it */

#endif
