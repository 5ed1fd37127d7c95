/* advice.h — what a recording is like, in a line each: level, clipping, noise, rate, length, pace. */
#ifndef F5_ADVICE_H
#define F5_ADVICE_H

#include "host/api/f5tts.h"

/* What is known beside the samples. */
typedef struct {
    double used_seconds; /* of the clip that is made of the recording */
    size_t text_bytes;   /* of the transcript, 0: none is known */
} advice_facts;

/* Calls advice once for each. Reads samples, channels, rate and target_rms of the params, which were checked.
 * Allocates. Errors: F5_E_MEMORY. */
f5_status advice_give(const f5_voice_params *params, const advice_facts *facts, f5_advice_fn advice, void *user,
                      f5_error *error);

#endif
