/* request.h — what is asked of the engine and what it gives back: plain host memory. */
#ifndef F5_REQUEST_H
#define F5_REQUEST_H

#include "runtime/solver/solver.h"

/* One sequence. The caller has settled `frames` (duration.h) and checked every length against the engine's limits. */
typedef struct {
    const float *cond;     /* [cond_frames,100] */
    int32_t cond_frames;   /* <= frames */
    const int32_t *tokens; /* [n_tokens] vocabulary ids, >= 0 */
    int32_t n_tokens;
    int32_t frames;           /* N */
    const uint8_t *edit_mask; /* [cond_frames] 1 = keep, or NULL: keep all */
    const float *noise;       /* [frames,100] or NULL: from seed */
    uint64_t seed;
    float *mel;                          /* [frames,100] out, or NULL */
    int32_t vocode_from;                 /* first frame that sounds */
    int32_t vocode_before, vocode_after; /* frames around those that the vocoder sees too, and that do not sound: it
                                            takes what it does not see for loud. Where the mel has none, its first or
                                            last frame stands for them */
    float *samples;                      /* [the vocoder's samples of frames - vocode_from] out, or NULL: no vocoder */
} synth_job;

typedef struct {
    const float *mel; /* [frames,100] */
    int32_t frames;
    float *samples; /* [the vocoder's samples of frames] out */
} vocode_job;

typedef struct {
    double prepare_ms; /* time grid, batch layout, copies, noise */
    double ode_ms;     /* text encoder, condition and the ODE */
    double vocode_ms;
    double total_ms;
} synth_times;

/* Called after every op of a traced run, with its output [rows,cols] and its time. */
typedef void (*engine_trace_fn)(void *user, const char *op, const char *label, const float *data, int64_t rows,
                                int64_t cols, double milliseconds);

#endif
