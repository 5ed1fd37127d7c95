/* voice_params.h — what a voice is made of, by a recording that was read. */
#ifndef F5_VOICE_PARAMS_H
#define F5_VOICE_PARAMS_H

#include <stdbool.h>

#include "host/api/f5tts.h"
#include "host/files/audio_file.h"

/* The recording and words, which may be NULL where none are asked for, live on. The rest is as usual. */
static inline f5_voice_params voice_params_of(const audio_file *recording, const char *words, bool keep_whole) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    p.samples = recording->samples;
    p.n_frames = recording->n_frames;
    p.channels = recording->channels;
    p.sample_rate = recording->sample_rate;
    p.transcript = words;
    p.keep_whole = keep_whole;
    return p;
}

#endif
