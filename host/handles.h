/* handles.h — what stands behind the public handles. */
#ifndef F5_HANDLES_H
#define F5_HANDLES_H

#include <pthread.h>

#include "engine.h"
#include "f5tts.h"

struct f5_engine {
    engine *core;
    pthread_mutex_t lock; /* held during every call that runs the core */
    int32_t max_text_bytes;
    /* the speech level's working memory, taken at open */
    char *text;      /* [2*max_text_bytes+64] reference text followed by new text */
    int32_t *tokens; /* [max_frames] */
    float *mel;      /* [max_frames,100] */
    float *samples;  /* [256*max_frames] */
    /* requests of a batch as the core takes them */
    synth_job *jobs;         /* [max_batch] */
    vocode_job *vocode_jobs; /* [max_batch] */
};

struct f5_voice {
    f5_engine *engine;
    float *mel;         /* [mel_frames,100] of the reference */
    int32_t mel_frames; /* ref_frames + 1 */
    int32_t ref_frames; /* samples / 256 */
    int64_t n_samples;  /* of the reference as used */
    float rms;          /* measured, before raising */
    float target_rms;
    char *text; /* transcript with upstream's ending */
    size_t text_bytes;
};

/* Every call that reads or changes what a run changes takes its turn, const or not. F5_E_ARGUMENT where the calling
 * thread has the lock already: a callback that calls its own engine would wait for itself. */
f5_status handle_lock(const f5_engine *e, f5_error *error);
void handle_unlock(const f5_engine *e);

#endif
