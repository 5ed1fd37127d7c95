/* engine.h — a model on a device with all its working memory: what the public API calls into.
 * One thread at a time may run something (scheduler.h sees to it); whatever takes a const engine may be called by any
 * thread at any time. Only engine_open allocates. */
#ifndef F5_ENGINE_H
#define F5_ENGINE_H

#include "kernels/dtype.h"
#include "kernels/error.h"
#include "runtime/ops/ops.h"
#include "runtime/request.h"
#include "weights/model.h"

typedef struct engine engine;

typedef struct {
    const char *model_path;
    const char *device;      /* "auto", "cpu", "cuda", "cuda:N" */
    const char *precision;   /* "fp32", "fp16", "bf16" or NULL */
    const char *vocoder;     /* its precision; NULL: fp32 */
    int32_t max_frames;      /* rows of one branch, all sequences of a batch together */
    int32_t max_batch;       /* sequences */
    int32_t max_evaluations; /* of the velocity, per sampling */
    int32_t batch_frames;    /* waiting calls are packed into batches of at most this many frames; 0: device default */
    engine_trace_fn trace;   /* or NULL */
    void *trace_user;
    bool eager, portable;       /* GPU: no graphs; no paths that only one architecture has */
    bool poison;                /* working memory is filled with NaN before every call */
    const int32_t *warm_frames; /* [n_warm] sizes run once at open, in the default solver; read during open only */
    int32_t n_warm;
    int32_t threads; /* CPU: the calling one included; 0: one for each CPU */
} engine_options;

typedef struct {
    int64_t arena_bytes;
    int64_t op_calls;
    double flop;
} engine_cost;

f5_status engine_open(engine **e, const engine_options *options, f5_error *error);

/* Would engine_open take the options' device and precisions of a model? `where` names it. Opens no device; errors are
 * device_choose's, and F5_E_UNSUPPORTED. */
f5_status engine_check_precision(const model_config *config, const char *where, const engine_options *options,
                                 f5_error *error);

void engine_close(engine *e);

const model *engine_model(const engine *e);
const engine_options *engine_limits(const engine *e); /* as settled at open */
const char *engine_device_name(const engine *e);
const char *engine_path(const engine *e); /* the kernels in use: "sm90", "avx2" */
f5_dtype engine_precision(const engine *e);
f5_dtype engine_vocoder_precision(const engine *e);
/* text: as f5_open_params.vocoder_precision. F5_E_ARGUMENT; F5_E_UNSUPPORTED: the vocoder computes in fp32 alone. */
f5_status engine_read_vocoder(const engine *e, const char *text, f5_dtype *operands, f5_error *error);
int64_t engine_arena_bytes(const engine *e);
int64_t engine_weight_bytes(const engine *e); /* as the device holds them */
int64_t engine_device_bytes(const engine *e); /* all that is held there */
int64_t engine_graphs_captured(engine *e);    /* by the thread that may run something */

/* Memory of the host's that the device copies to and from at full speed; while opening and closing only. */
f5_status engine_host_alloc(engine *e, size_t bytes, const char *what, void **memory, f5_error *error);
void engine_host_free(engine *e, void *memory); /* NULL is fine */

/* Samples the vocoder makes of so many frames, 0 of 0; and the frames of its mel of so many samples. */
int64_t engine_vocode_samples(const engine *e, int32_t frames);
int64_t engine_mel_frames(const engine *e, int64_t n_samples);

/* Frames that the vocoder is to see before and after those that are heard. */
void engine_vocode_around(const engine *e, int32_t *before, int32_t *after);

/* Is this within the engine's limits and the model's? Whatever is run must have passed, each call's part by itself. */
f5_status engine_check_mel(const engine *e, const float *samples, int64_t n, f5_error *error);
f5_status engine_check_synth(const engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs,
                             f5_error *error);
f5_status engine_check_vocode(const engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error);

/* samples [n] -> mel [engine_mel_frames(n),100]. */
f5_status engine_mel(engine *e, const float *samples, int64_t n, float *mel, f5_error *error);

/* Of a model with one voice: the settings that it does not have become those that it has. No guidance; a grid that
 * follows the method is quadratic, and with sway Euler's, as upstream's is. Of other models: nothing. */
void engine_settle(const engine *e, synth_solver *solver);

bool engine_has_one_voice(const engine *e);
bool engine_predicts_durations(const engine *e); /* else a scale changes nothing */

int32_t engine_most_tokens(const engine *e); /* of a text that the model knows the length of; max_frames at most */

/* Frames of a text, of a model that has rules of its own for them, checked: F5_E_FORMAT where the weights are damaged.
 */
f5_status engine_check_duration(const engine *e, const int32_t *tokens, int32_t n, float scale, f5_error *error);
f5_status engine_duration(engine *e, const int32_t *tokens, int32_t n, float scale, int32_t *frames, f5_error *error);

/* Runs a batch of checked jobs; F5_E_ARGUMENT or F5_E_MEMORY when together they exceed the limits. times may be NULL.
 */
f5_status engine_synth(engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs, synth_times *times,
                       f5_error *error);
f5_status engine_vocode(engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error);

/* What a synthesis of `sequences` sequences of `frames` frames in all would take. Runs nothing. */
f5_status engine_plan(const engine *e, int32_t frames, int32_t sequences, const synth_solver *solver, engine_cost *cost,
                      f5_error *error);

/* Every op call of a request, in order, as a GPU runs it: as "h200" a card that need not be here, NULL the engine's
 * own. operands, of_vocoder: the number types of the products of the model and of its vocoder. Errors: those of
 * engine_plan, and plan_report.h's. */
f5_status engine_plan_ops(const engine *e, int32_t frames, int32_t sequences, const synth_solver *solver,
                          const char *as, f5_dtype operands, f5_dtype of_vocoder, ops_plan_fn fn, void *user,
                          f5_error *error);

#endif
