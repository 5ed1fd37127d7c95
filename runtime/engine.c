/* engine.c — owns a model, its device and every byte of working memory.
 * Open runs the model under the plan table at the limits given, and that is how large the arena is. */
#include "runtime/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/embed.h"
#include "kernels/istft.h"
#include "kernels/mel.h"
#include "runtime/devices/device.h"
#include "runtime/devices/upload.h"
#include "runtime/request_check.h"
#include "runtime/synth.h"

#define MAX_LEVEL 1e6f /* of a sample: full scale is 1; far louder, and squares overflow */

struct engine {
    model model;          /* as opened: configuration, vocabulary, tensors on the host */
    model placed;         /* its tensors where the device reads them; shares the rest */
    void *device_weights; /* NULL where the host's are read in place */
    size_t weight_bytes;
    engine_options limits;
    device *device;
    ops_trace trace;
    ops *ops; /* the table in use: the device's, or the trace of it */
    batch_bucket bucket;
    arena arena; /* working memory of a call, on the device */
    stage_tables tables;
    schedule schedule;
    batch_arrays host; /* staging, for the largest batch */
    batch_size largest;
    void *device_memory; /* tables and modulations */
    void *host_memory;   /* time grid and staging */
    void *arena_memory;
    char dead[256]; /* why the device is lost for good; empty: it is not */
};

/* What stays for the engine's life, taken from one block on the device and one on the host. */
static void take_tables(engine *e, arena *a) {
    const model_config *config = &e->model.config;
    const engine_options *l = &e->limits;
    int32_t positions = l->max_frames < REQUEST_MAX_TEXT_POSITIONS ? l->max_frames : REQUEST_MAX_TEXT_POSITIONS;
    e->tables = (stage_tables){
        .max_position = l->max_frames,
        .text_positions = positions,
        .rope = arena_take(a, (size_t)l->max_frames * ATTENTION_HEAD, sizeof(float)),
        .mel_bank = arena_take(a, MEL_BINS * MEL_BANDS, sizeof(float)),
        .window = arena_take(a, MEL_FFT, sizeof(float)),
        .positions =
            config->text_blocks > 0 ? arena_take(a, (size_t)positions * (size_t)config->text_dim, sizeof(float)) : NULL,
    };
}

static void take_modulation(engine *e, arena *a) {
    e->schedule.max_evaluations = e->limits.max_evaluations;
    e->schedule.width = (6 * (int64_t)e->model.config.depth + 2) * e->model.config.dim;
    e->schedule.modulation =
        arena_take(a, (size_t)e->limits.max_evaluations * (size_t)e->schedule.width, sizeof(float));
}

static void take_staging(engine *e, arena *a) {
    e->schedule.grid = arena_take(a, (size_t)e->limits.max_evaluations + 1, sizeof(float));
    e->schedule.times = arena_take(a, (size_t)e->limits.max_evaluations, sizeof(float));
    batch_take(a, &e->largest, &e->host);
}

static stage_context context_of(engine *e) {
    return (stage_context){.model = &e->placed, .ops = e->ops, .arena = &e->arena, .tables = &e->tables};
}

/* Runs a synthesis of this size under the plan table. The schedule's own arrays are left alone. */
static f5_status plan_synth(const engine *e, const batch_size *size, const synth_solver *solver, arena *a,
                            ops_plan *plan) {
    float grid[SCHEDULE_MAX_STEPS + 1], times[SCHEDULE_MAX_STEPS];
    schedule s = {.max_evaluations = SCHEDULE_MAX_STEPS,
                  .width = e->schedule.width,
                  .grid = grid,
                  .times = times,
                  .modulation = e->schedule.modulation};
    synth_solver silent = *solver;
    silent.progress = NULL;
    stage_context c = {.model = &e->placed, .ops = &plan->ops, .arena = a, .tables = &e->tables};
    batch_arrays none = {0};
    return synth_run(&c, &s, &silent, size, &none, NULL, NULL);
}

/* The most that any call within the limits can take. */
static f5_status measure_arena(const engine *e, size_t *bytes) {
    const engine_options *l = &e->limits;
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    ops_plan_init(&plan, e->ops->type, e->largest.sequences * e->largest.branches);
    /* midpoint needs one state more than Euler, Euler at full length more rows of the schedule */
    synth_solver solver = {.nfe = l->max_evaluations > 1 ? l->max_evaluations / 2 : 1, .cfg = 2, .midpoint = true};
    F5_TRY(plan_synth(e, &e->largest, &solver, &a, &plan));
    solver = (synth_solver){.nfe = l->max_evaluations, .cfg = 2};
    F5_TRY(plan_synth(e, &e->largest, &solver, &a, &plan));
    batch_arrays none = {0};
    stage_context c = {.model = &e->placed, .ops = &plan.ops, .arena = &a, .tables = &e->tables};
    F5_TRY(synth_vocode(&c, &e->largest, &none, NULL));
    float unused;
    F5_TRY(synth_mel(&c, &unused, (int64_t)l->max_frames * MEL_HOP, &unused));
    *bytes = a.high_water;
    return F5_OK;
}

static f5_status check_limits(const engine_options *l, f5_error *error) {
    if (!l->model_path) return f5_fail(error, F5_E_ARGUMENT, "model_path is missing: give a .f5 file");
    if (l->max_frames < 2 || l->max_frames > REQUEST_MAX_FRAMES)
        return f5_fail(error, F5_E_ARGUMENT, "max_frames is %d: must be 2 to %d", l->max_frames, REQUEST_MAX_FRAMES);
    if (l->max_batch < 1 || l->max_batch > REQUEST_MAX_BATCH)
        return f5_fail(error, F5_E_ARGUMENT, "max_batch is %d: must be 1 to %d", l->max_batch, REQUEST_MAX_BATCH);
    if (l->batch_frames < 0)
        return f5_fail(error, F5_E_ARGUMENT, "batch_frames is %d: 0 leaves it to the device, 1 packs no calls",
                       l->batch_frames);
    if (l->max_evaluations < 1 || l->max_evaluations > SCHEDULE_MAX_STEPS)
        return f5_fail(error, F5_E_ARGUMENT, "max_evaluations is %d: must be 1 to %d", l->max_evaluations,
                       SCHEDULE_MAX_STEPS);
    if (l->n_warm < 0 || (l->n_warm > 0 && !l->warm_frames))
        return f5_fail(error, F5_E_ARGUMENT, "warm_frames is NULL, or n_warm is %d", l->n_warm);
    return F5_OK;
}

/* The model and the device that runs it. */
static f5_status open_model(engine *e, const device_choice *choice, f5_error *error) {
    const char *path = e->limits.model_path;
    F5_TRY(choice->cuda ? model_open_as_stored(&e->model, path, error) : model_open(&e->model, path, error));
    const model_config *config = &e->model.config;
    int32_t inner = config->heads * ATTENTION_HEAD;
    device_needs needs = {.rows = 2 * (int64_t)(e->limits.max_frames + 64),
                          .dim = config->dim > inner ? config->dim : inner,
                          .out = 3 * inner > config->ff_dim ? 3 * inner : config->ff_dim,
                          .eager = e->limits.eager,
                          .portable = e->limits.portable};
    F5_TRY(device_open(choice, &needs, &e->device, error));
    e->ops = e->device->ops;
    if (e->limits.trace) {
        if (!e->device->host_memory)
            return f5_fail(error, F5_E_UNSUPPORTED,
                           "trace is offered by the cpu only: open the engine with device 'cpu'");
        ops_trace_init(&e->trace, e->device->ops, e->limits.trace, e->limits.trace_user);
        e->ops = &e->trace.ops;
    }
    if (e->device->host_memory) {
        e->placed = e->model;
        e->weight_bytes = e->model.weight_bytes;
        return F5_OK;
    }
    return model_upload(e->device, &e->model, &e->placed, &e->device_weights, &e->weight_bytes, error);
}

/* The constant tables are computed on the host and moved to where the ops read them. */
static f5_status fill_tables(engine *e, f5_error *error) {
    const stage_tables *t = &e->tables;
    int32_t text_dim = e->model.config.text_dim;
    size_t rope = (size_t)t->max_position * ATTENTION_HEAD, bank = MEL_BINS * MEL_BANDS;
    size_t positions = t->positions ? (size_t)t->text_positions * (size_t)text_dim : 0;
    float *values = malloc((rope + bank + MEL_FFT + positions) * sizeof(float));
    if (!values) return f5_fail(error, F5_E_MEMORY, "no memory for tables of %d frames", t->max_position);
    float *p = values;
    device *d = e->device;
    rope_table_fill(p, t->max_position);
    f5_status status = d->upload(d, (void *)t->rope, p, rope * sizeof(float), error);
    p += rope;
    mel_bank_fill(p);
    if (status == F5_OK) status = d->upload(d, (void *)t->mel_bank, p, bank * sizeof(float), error);
    p += bank;
    hann_window_fill(p);
    if (status == F5_OK) status = d->upload(d, (void *)t->window, p, MEL_FFT * sizeof(float), error);
    p += MEL_FFT;
    if (positions > 0 && status == F5_OK) {
        position_table_fill(p, t->text_positions, text_dim);
        status = d->upload(d, (void *)t->positions, p, positions * sizeof(float), error);
    }
    free(values);
    return status;
}

static f5_status allocate(engine *e, f5_error *error) {
    const engine_options *l = &e->limits;
    device *d = e->device;
    e->bucket = (batch_bucket){.rows = d->bucket_rows, .slots = d->fixed_slots ? l->max_batch : 1};
    e->largest = (batch_size){.sequences = l->max_batch,
                              .branches = 2,
                              .frames = l->max_frames,
                              .vocos_frames = l->max_frames,
                              .samples = (int64_t)MEL_HOP * l->max_frames};
    batch_round(&e->largest, &e->bucket);

    arena on_device, on_host;
    arena_init_plan(&on_device);
    arena_init_plan(&on_host);
    take_tables(e, &on_device);
    take_modulation(e, &on_device);
    take_staging(e, &on_host);
    size_t device_bytes = on_device.used, host_bytes = on_host.used, arena_bytes = 0;
    F5_TRY(d->alloc(d, device_bytes, "the schedule", &e->device_memory, error));
    F5_TRY(d->alloc_host(d, host_bytes, "staging", &e->host_memory, error));
    arena_init(&on_device, e->device_memory, device_bytes);
    arena_init(&on_host, e->host_memory, host_bytes);
    take_tables(e, &on_device);
    take_modulation(e, &on_device);
    take_staging(e, &on_host);
    if (on_device.overflow || on_host.overflow || measure_arena(e, &arena_bytes) != F5_OK)
        return f5_fail(error, F5_E_MEMORY, "planning failed: the limits exceed what can be addressed");
    F5_TRY(d->alloc(d, arena_bytes, "working memory", &e->arena_memory, error));
    arena_init(&e->arena, e->arena_memory, arena_bytes);
    return fill_tables(e, error);
}

/* Runs the sizes that are to be fast from the first request on. */
static f5_status warm_up(engine *e, f5_error *error) {
    int32_t most = e->limits.max_evaluations;
    const synth_solver solver = {
        .nfe = most < 32 ? most : 32, .cfg = 2, .sway = -1, .use_sway = true, .use_epss = true};
    for (int32_t i = 0; i < e->limits.n_warm; i++) {
        synth_job job = {.frames = e->limits.warm_frames[i]};
        f5_error reason;
        f5_status status = engine_check_synth(e, &solver, &job, 1, &reason);
        if (status == F5_OK) status = engine_synth(e, &solver, &job, 1, NULL, &reason);
        if (status != F5_OK) return f5_fail(error, status, "warm_frames[%d]: %s", i, reason.message);
    }
    return F5_OK;
}

/* How far calls are packed: a trace is of one call. */
static void settle_batch_frames(engine *e) {
    engine_options *l = &e->limits;
    if (l->batch_frames == 0) l->batch_frames = e->device->batch_frames;
    if (l->batch_frames > l->max_frames) l->batch_frames = l->max_frames;
    if (l->trace) l->batch_frames = 1;
}

f5_status engine_open(engine **out, const engine_options *options, f5_error *error) {
    *out = NULL;
    device_choice choice;
    F5_TRY(check_limits(options, error));
    F5_TRY(device_choose(options->device, options->precision, &choice, error));
    engine *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "no memory for an engine");
    e->limits = *options;
    f5_status status = open_model(e, &choice, error);
    if (status == F5_OK) status = allocate(e, error);
    if (status == F5_OK) status = warm_up(e, error);
    if (status == F5_OK) settle_batch_frames(e);
    /* what the caller pointed to is read during open only */
    e->limits.model_path = e->limits.device = e->limits.precision = NULL;
    e->limits.warm_frames = NULL;
    if (status != F5_OK) {
        engine_close(e);
        return status;
    }
    *out = e;
    return F5_OK;
}

void engine_close(engine *e) {
    if (!e) return;
    device *d = e->device;
    if (d) {
        (void)d->enter(d);
        if (e->arena_memory) d->release(d, e->arena_memory);
        if (e->device_memory) d->release(d, e->device_memory);
        if (e->device_weights) d->release(d, e->device_weights);
        if (e->host_memory) d->release_host(d, e->host_memory);
        d->close(d);
    }
    model_close(&e->model);
    free(e);
}

const model *engine_model(const engine *e) {
    return &e->model;
}
const engine_options *engine_limits(const engine *e) {
    return &e->limits;
}
const char *engine_device_name(const engine *e) {
    return e->device->name;
}
f5_dtype engine_precision(const engine *e) {
    return e->device->precision;
}
int64_t engine_arena_bytes(const engine *e) {
    return (int64_t)e->arena.capacity;
}
int64_t engine_weight_bytes(const engine *e) {
    return (int64_t)e->weight_bytes;
}
int64_t engine_device_bytes(const engine *e) {
    return e->device->bytes;
}
int64_t engine_graphs_captured(engine *e) {
    return e->ops->graphs_captured;
}
f5_status engine_host_alloc(engine *e, size_t bytes, const char *what, void **memory, f5_error *error) {
    return e->device->alloc_host(e->device, bytes, what, memory, error);
}
void engine_host_free(engine *e, void *memory) {
    if (!memory) return;
    (void)e->device->enter(e->device);
    e->device->release_host(e->device, memory);
}
int64_t engine_vocode_samples(const engine *e, int32_t frames) {
    return vocos_samples(&e->model.config, frames);
}

/* Before every call that runs something. */
static f5_status begin(engine *e, f5_error *error) {
    e->ops->failure[0] = 0; /* an earlier call's is not this one's */
    if (e->dead[0])
        return f5_fail(error, F5_E_DEVICE, "the device failed earlier (%s): close this engine and open another",
                       e->dead);
    if (e->device->enter(e->device) != F5_OK)
        return f5_fail(error, F5_E_DEVICE, "%s cannot be used by this thread", e->device->name);
    if (!e->limits.poison) return F5_OK;
    if (e->device->poison(e->device, e->arena.base, e->arena.capacity) != F5_OK)
        return f5_fail(error, F5_E_DEVICE, "working memory cannot be written");
    return F5_OK;
}

/* Gives a failed run its message, when nothing of the run is under way any more: what was launched before the failure
 * may still read the staging, or write to memory of the caller's. A device that is lost says so at once. */
static f5_status report(engine *e, f5_status status, f5_error *error) {
    if (status == F5_OK) return F5_OK;
    char detail[256];
    const char *said = e->device->failure(e->device);
    snprintf(detail, sizeof detail, "%s", said ? said : f5_status_string(status));
    (void)e->ops->finish(e->ops); /* may fail with a message of its own, of no interest beside the first */
    if (status == F5_E_CANCELLED) return f5_fail(error, status, "cancelled by the progress callback");
    const char *op = e->ops->failure[0] ? e->ops->failure : "the run";
    if (status == F5_E_DEVICE) snprintf(e->dead, sizeof e->dead, "%s: %.150s", op, detail);
    return f5_fail(error, status, "%s failed: %s", op, detail);
}

f5_status engine_check_mel(const engine *e, const float *samples, int64_t n, f5_error *error) {
    if (n < MEL_FFT / 2 + 1)
        return f5_fail(error, F5_E_ARGUMENT, "%lld samples are too few for a spectrogram: at least %d", (long long)n,
                       MEL_FFT / 2 + 1);
    F5_TRY(request_check_frames(&e->limits, n / MEL_HOP + 1, error));
    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(samples[i]) <= MAX_LEVEL))
            return f5_fail(error, F5_E_ARGUMENT, "sample %lld is %g: must be -%g to %g", (long long)i,
                           (double)samples[i], (double)MAX_LEVEL, (double)MAX_LEVEL);
    }
    return F5_OK;
}

f5_status engine_mel(engine *e, const float *samples, int64_t n, float *mel, f5_error *error) {
    F5_TRY(begin(e, error));
    stage_context c = context_of(e);
    return report(e, synth_mel(&c, samples, n, mel), error);
}

f5_status engine_check_synth(const engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs,
                             f5_error *error) {
    F5_TRY(request_check_solver(&e->limits, solver, error));
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    int64_t frames = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        F5_TRY(request_check_job(&e->model.config, &jobs[i], i, error));
        frames += jobs[i].frames;
    }
    return request_check_frames(&e->limits, frames, error);
}

f5_status engine_synth(engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs, synth_times *times,
                       f5_error *error) {
    F5_TRY(begin(e, error));
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    batch_size size = batch_measure(&e->model.config, solver, jobs, n_jobs);
    F5_TRY(request_check_frames(&e->limits, size.frames, error));
    batch_round(&size, &e->bucket);
    batch_fill(&e->model.config, &size, jobs, &e->host);
    stage_context c = context_of(e);
    return report(e, synth_run(&c, &e->schedule, solver, &size, &e->host, jobs, times), error);
}

f5_status engine_check_vocode(const engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error) {
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    int64_t frames = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        if (jobs[i].frames < 1 || jobs[i].frames > REQUEST_MAX_FRAMES)
            return f5_fail(error, F5_E_ARGUMENT, "request %d: %d frames; must be 1 to %d", i, jobs[i].frames,
                           REQUEST_MAX_FRAMES);
        frames += jobs[i].frames;
        F5_TRY(request_check_frames(&e->limits, frames, error));
        F5_TRY(request_check_finite("mel", i, jobs[i].mel, jobs[i].frames, error));
    }
    return F5_OK;
}

f5_status engine_vocode(engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error) {
    F5_TRY(begin(e, error));
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    batch_size size = vocode_measure(&e->model.config, jobs, n_jobs);
    F5_TRY(request_check_frames(&e->limits, size.vocos_frames, error));
    batch_round(&size, &e->bucket);
    vocode_fill(&e->model.config, &size, jobs, &e->host);
    stage_context c = context_of(e);
    return report(e, synth_vocode(&c, &size, &e->host, jobs), error);
}

f5_status engine_plan(const engine *e, int32_t frames, int32_t sequences, const synth_solver *solver, engine_cost *cost,
                      f5_error *error) {
    if (frames < 1 || frames > REQUEST_MAX_FRAMES || sequences < 1 || sequences > frames ||
        sequences > REQUEST_MAX_BATCH)
        return f5_fail(error, F5_E_ARGUMENT, "plan of %d frames in %d sequences: frames 1 to %d, sequences 1 to %d",
                       frames, sequences, REQUEST_MAX_FRAMES, REQUEST_MAX_BATCH);
    if (solver->nfe < 1 || solver_evaluations(solver) > SCHEDULE_MAX_STEPS)
        return f5_fail(error, F5_E_ARGUMENT, "nfe is %d: must be 1 to %d", solver->nfe,
                       SCHEDULE_MAX_STEPS / (solver->midpoint ? 2 : 1));
    batch_size size = {.sequences = sequences,
                       .branches = solver->cfg < 1e-5f ? 1 : 2,
                       .frames = frames,
                       .vocos_frames = frames,
                       .samples = (int64_t)MEL_HOP * frames};
    batch_round(&size, &e->bucket);
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    ops_plan_init(&plan, e->ops->type, size.sequences * size.branches);
    if (plan_synth(e, &size, solver, &a, &plan) != F5_OK)
        return f5_fail(error, F5_E_MEMORY, "planning failed: %d frames exceed what can be addressed", frames);
    *cost = (engine_cost){.arena_bytes = (int64_t)a.high_water, .op_calls = plan.calls, .flop = plan.flop};
    return F5_OK;
}
