/* calls.h — a call of the API as the scheduler sees it: what is asked of the core, checked, ready to be packed. */
#ifndef F5_CALLS_H
#define F5_CALLS_H

#include "host/api/handles.h"

typedef enum { CALL_SYNTH, CALL_VOCODE, CALL_MEL, CALL_DURATION } call_kind;

typedef struct api_call api_call;
struct api_call {
    scheduler_call turn; /* first; sequences, frames and progress are filled in by call_serve */
    call_kind kind;
    int32_t n; /* jobs */
    /* CALL_SYNTH */
    synth_solver solver;
    const synth_job *jobs; /* [n]; where turn.store_frames are asked for, as many as the jobs have, their results go to
                              that store, one after another */
    bool of_speech;        /* it is made by an f5_speak or a stream, which has its thread */
    bool timed;            /* wants times, which cost the GPU a pause */
    synth_times times;     /* out: of the whole batch */
    /* CALL_VOCODE */
    const vocode_job *vocode_jobs; /* [n] */
    /* CALL_MEL */
    const float *samples; /* [n_samples] */
    int64_t n_samples;
    float *mel; /* out */
    /* CALL_DURATION */
    const int32_t *tokens; /* [n_tokens] */
    int32_t n_tokens;
    float scale;
    int32_t *frames; /* out */
};

/* Checks the call against the engine's limits and has it served; several calls of one kind and one solver may share a
 * batch, but for mels. After F5_OK call_release must follow, after an error nothing. */
f5_status call_serve(f5_engine *e, api_call *call, f5_error *error);
/* F5_E_ARGUMENT: the calling thread is in a callback of this engine, which would wait for itself. */
f5_status call_refuse_inside(f5_engine *e, f5_error *error);
/* F5_E_UNSUPPORTED: the model has one voice of its own, and takes no recording. */
f5_status call_refuse_recording(const f5_engine *e, f5_error *error);
void call_release(f5_engine *e, api_call *call);

/* Sets up e->scheduler. */
f5_status calls_init(f5_engine *e, f5_error *error);

#endif
