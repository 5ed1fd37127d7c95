/* handles.h — what stands behind the public handles. */
#ifndef F5_HANDLES_H
#define F5_HANDLES_H

#include <stdatomic.h>

#include "host/api/chinese.h"
#include "host/api/desk.h"
#include "host/api/f5tts.h"
#include "host/text/duration.h"
#include "host/text/fold.h"
#include "host/text/normalize.h"
#include "runtime/engine.h"
#include "runtime/scheduler.h"

struct f5_engine {
    engine *core;
    scheduler scheduler; /* whose call runs, and with which others */
    int32_t max_text_bytes, max_speaking;
    int32_t bands, rate;       /* of the model's mel, of its speech */
    int32_t hop;               /* samples a frame of its vocoder's */
    desk_room desks;           /* for the texts that are being spoken */
    duration_short short_text; /* what the model asks for */
    fold_alphabet alphabet;    /* what it can say */
    normalizer *normalizer;    /* for the languages given at open, and its own */
    chinese chinese;           /* for chinese_begin, wherever text becomes tokens */
    /* The store: where speech comes out. The scheduler gives each f5_speak its part, first frame and
     * number of frames; there is room for two full batches, so that one can run while the last one is listened to. */
    int32_t store_frames; /* 2*max_frames */
    void *store;          /* the memory of the next two */
    float *mel;           /* [store_frames,bands] */
    float *samples;       /* [256*store_frames] */
    /* the batch that runs */
    scheduler_call **batch;  /* [max_batch] */
    synth_job *jobs;         /* [max_batch] */
    vocode_job *vocode_jobs; /* [max_batch] */
    atomic_llong graphs;     /* captured, when the last batch had run */
};

struct f5_voice {
    f5_engine *engine;
    float *mel;         /* [mel_frames,100] of the reference; NULL: the model's own voice, which has none */
    int32_t mel_frames; /* as the vocoder's mel counts them */
    int32_t ref_frames; /* samples / F5_HOP: where the generated frames begin, as upstream counts */
    int64_t n_samples;  /* of the reference as used */
    float rms;          /* measured, before raising */
    float target_rms;
    char *text; /* transcript with upstream's ending */
    size_t text_bytes;
};

#endif
