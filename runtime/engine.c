/* engine.c — owns a model, its device and every byte of working memory.
 * Open runs the model under the plan table at the limits given, and that is how large the arena is. */
#include "runtime/engine_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/mel.h"
#include "runtime/devices/device.h"
#include "runtime/devices/upload.h"
#include "runtime/duration.h"
#include "runtime/mel.h"
#include "runtime/models/models.h"
#include "runtime/models/vocoder.h"
#include "runtime/plan_report.h"
#include "runtime/request_check.h"
#include "runtime/synth.h"
#include "runtime/vocode.h"

#define FRAMES_OF_TOKEN 6 /* of English speech, or so */
#define MAX_LEVEL 1e6f    /* of a sample: full scale is 1; far louder, and squares overflow */

/* The tables of a part: taken from the arena into `placed`. */
static void take_part_tables(const engine *e, arena *a, const stage_table *const *tables, int32_t n,
                             const float *placed[STAGE_MAX_TABLES]) {
    for (int32_t i = 0; i < n; i++) {
        size_t elements = (size_t)tables[i]->elements(&e->model.config, e->limits.max_frames);
        placed[i] = elements ? arena_take(a, elements, sizeof(float)) : NULL;
    }
}

/* What stays for the engine's life, taken from one block on the device and one on the host. */
static void take_tables(engine *e, arena *a) {
    const backbone *b = backbone_of(&e->model.config);
    const vocoder *v = vocoder_of(&e->model.config);
    e->tables = (stage_tables){.max_frames = e->limits.max_frames};
    take_part_tables(e, a, b->tables, b->n_tables, e->tables.backbone);
    take_part_tables(e, a, v->tables, v->n_tables, e->tables.vocoder);
}

static void take_rows(engine *e, arena *a) {
    e->grid.max_evaluations = e->limits.max_evaluations;
    e->grid.width = backbone_of(&e->model.config)->row_width(&e->model.config);
    e->grid.rows = arena_take(a, (size_t)e->limits.max_evaluations * (size_t)e->grid.width, sizeof(float));
}

static void take_staging(engine *e, arena *a) {
    e->grid.t = arena_take(a, (size_t)e->limits.max_evaluations + 1, sizeof(float));
    e->grid.times = arena_take(a, (size_t)e->limits.max_evaluations, sizeof(float));
    batch_take(a, &e->largest, &e->host);
}

static int32_t smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* The most that any call within the limits can take. */
static f5_status measure_arena(const engine *e, size_t *bytes, int64_t *largest_output) {
    const engine_options *l = &e->limits;
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    ops_plan_init(&plan, e->ops->precision, e->largest.sequences * e->largest.branches);
    /* midpoint needs a state more than Euler, AB2 a velocity more, and at full length more rows of the grid */
    synth_solver solver = {
        .nfe = l->max_evaluations > 1 ? l->max_evaluations / 2 : 1, .cfg = 2, .method = SOLVER_MIDPOINT};
    F5_TRY(engine_plan_synth(e, engine_placed(e), &e->largest, &solver, &a, &plan));
    solver = (synth_solver){.nfe = l->max_evaluations, .cfg = 2, .method = SOLVER_AB2};
    F5_TRY(engine_plan_synth(e, engine_placed(e), &e->largest, &solver, &a, &plan));
    batch_arrays none = {0};
    stage_context c = {.model = engine_placed(e), .ops = &plan.ops, .arena = &a, .tables = &e->tables};
    F5_TRY(vocode_run(&c, &e->largest, &none, NULL));
    float unused;
    const own_rules *own = backbone_of(&e->model.config)->own;
    if (own)
        F5_TRY(duration_run(&c, &none, NULL, smaller(l->max_frames, own->max_tokens), 1, NULL));
    else
        F5_TRY(mel_run(&c, &unused, (int64_t)l->max_frames * MEL_HOP, &unused));
    *bytes = a.high_water;
    *largest_output = plan.largest_output > e->largest.samples ? plan.largest_output : e->largest.samples;
    return F5_OK;
}

/* Puts a trace between the engine and its device's ops. */
static f5_status start_trace(engine *e, int64_t largest_output, f5_error *error) {
    ops_trace_staging staging = {0};
    const bool copies = !e->device->host_memory;
    if (copies || e->ops->precision.int8) {
        const size_t bytes = (size_t)largest_output * sizeof(float);
        F5_TRY(e->device->alloc_host(e->device, copies ? 2 * bytes : bytes, "staging of the trace", &e->trace_memory,
                                     error));
        staging = (ops_trace_staging){.elements = largest_output,
                                      .raw = copies ? e->trace_memory : NULL,
                                      .widened = (float *)e->trace_memory + (copies ? largest_output : 0)};
    }
    ops_trace_init(&e->trace, e->device->ops, &staging, e->limits.trace, e->limits.trace_user);
    e->ops = &e->trace.ops;
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
    if (l->threads < 0)
        return f5_fail(error, F5_E_ARGUMENT, "threads is %d: 0 takes every CPU, 1 the calling thread alone",
                       l->threads);
    if (l->max_evaluations < 1 || l->max_evaluations > TIME_GRID_MAX_EVALUATIONS)
        return f5_fail(error, F5_E_ARGUMENT, "max_evaluations is %d: must be 1 to %d", l->max_evaluations,
                       TIME_GRID_MAX_EVALUATIONS);
    if (l->n_warm < 0 || (l->n_warm > 0 && !l->warm_frames))
        return f5_fail(error, F5_E_ARGUMENT, "warm_frames is NULL, or n_warm is %d", l->n_warm);
    return F5_OK;
}

static f5_status check_vocoder(const model_config *config, f5_dtype operands, f5_error *error) {
    if (operands == F5_F32 || vocoder_of(config)->sixteen_bits) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "vocoder_precision '%s': the vocoder %s computes in fp32 alone",
                   dtype(operands)->name, config->part[PART_VOCODER]->kind);
}

/* Can the model compute so? */
static f5_status check_choice(const model_config *config, const char *where, const device_choice *choice,
                              f5_error *error) {
    if (choice->int8) F5_TRY(manifest_check_int8(config, where, error));
    return check_vocoder(config, choice->vocoder, error);
}

f5_status engine_check_precision(const model_config *config, const char *where, const engine_options *options,
                                 f5_error *error) {
    device_choice choice;
    F5_TRY(device_choose(options->device, options->precision, options->vocoder, &choice, error));
    return check_choice(config, where, &choice, error);
}

/* The model and the device that runs it. */
static f5_status open_model(engine *e, device_choice *choice, f5_error *error) {
    const char *path = e->limits.model_path;
    F5_TRY(choice->cuda           ? model_open_as_stored(&e->model, &models_catalogue, path, error)
           : choice->int8         ? model_open_int8(&e->model, &models_catalogue, path, error)
           : !e->limits.precision ? model_open_for_cpu(&e->model, &models_catalogue, path, error)
                                  : model_open(&e->model, &models_catalogue, path, error));
    if (!e->limits.precision) {
        choice->int8 = model_asks_int8(&e->model);
        if (e->model.config.speech.precision == SPEECH_FP32) choice->precision = F5_F32;
    }
    F5_TRY(check_choice(&e->model.config, path, choice, error));
    const backbone *b = backbone_of(&e->model.config);
    const int64_t rows = backbone_most_rows(b, 2 * (int64_t)(e->limits.max_frames + 64), 2 * e->limits.max_batch);
    device_needs needs = {
        .rows = rows, .eager = e->limits.eager, .portable = e->limits.portable, .threads = e->limits.threads};
    b->widths(&e->model.config, &needs.dim, &needs.out);
    F5_TRY(device_open(choice, &needs, &e->device, error));
    e->ops = e->device->ops;
    if (e->device->host_memory) {
        e->weight_bytes = e->model.weight_bytes;
        return F5_OK;
    }
    F5_TRY(model_upload(e->device, &e->model, &e->placed, &e->device_weights, &e->weight_bytes, error));
    return model_check_unchanged(&e->model, path, error);
}

/* The tables of a part, computed on the host and moved to where the ops read them. */
static f5_status fill_part_tables(engine *e, const stage_table *const *tables, int32_t n,
                                  const float *const placed[STAGE_MAX_TABLES], f5_error *error) {
    for (int32_t i = 0; i < n; i++) {
        if (!placed[i]) continue;
        size_t bytes = (size_t)tables[i]->elements(&e->model.config, e->limits.max_frames) * sizeof(float);
        float *values = malloc(bytes);
        if (!values) return f5_fail(error, F5_E_MEMORY, "no memory for tables of %d frames", e->limits.max_frames);
        tables[i]->fill(values, &e->model.config, e->limits.max_frames);
        f5_status status = e->device->upload(e->device, (void *)placed[i], values, bytes, error);
        free(values);
        F5_TRY(status);
    }
    return F5_OK;
}

static f5_status fill_tables(engine *e, f5_error *error) {
    const backbone *b = backbone_of(&e->model.config);
    const vocoder *v = vocoder_of(&e->model.config);
    F5_TRY(fill_part_tables(e, b->tables, b->n_tables, e->tables.backbone, error));
    return fill_part_tables(e, v->tables, v->n_tables, e->tables.vocoder, error);
}

static f5_status allocate(engine *e, f5_error *error) {
    const engine_options *l = &e->limits;
    device *d = e->device;
    e->bucket = (batch_bucket){.rows = d->bucket_rows, .slots = d->fixed_slots ? l->max_batch : 1};
    e->largest = (batch_size){.sequences = l->max_batch,
                              .branches = backbone_of(&e->model.config)->own ? 1 : 2,
                              .frames = l->max_frames,
                              .tokens = l->max_frames,
                              .slice_frames = l->max_frames,
                              .samples = (int64_t)MEL_HOP * l->max_frames};
    batch_round(&e->model.config, &e->largest, &e->bucket);

    arena on_device, on_host;
    arena_init_plan(&on_device);
    arena_init_plan(&on_host);
    take_tables(e, &on_device);
    take_rows(e, &on_device);
    take_staging(e, &on_host);
    size_t device_bytes = on_device.used, host_bytes = on_host.used, arena_bytes = 0;
    int64_t largest_output = 0;
    F5_TRY(d->alloc(d, device_bytes, "the time grid", &e->device_memory, error));
    F5_TRY(d->alloc_host(d, host_bytes, "staging", &e->host_memory, error));
    arena_init(&on_device, e->device_memory, device_bytes);
    arena_init(&on_host, e->host_memory, host_bytes);
    take_tables(e, &on_device);
    take_rows(e, &on_device);
    take_staging(e, &on_host);
    if (on_device.overflow || on_host.overflow || measure_arena(e, &arena_bytes, &largest_output) != F5_OK)
        return f5_fail(error, F5_E_MEMORY, "planning failed: the limits exceed what can be addressed");
    F5_TRY(d->alloc(d, arena_bytes, "working memory", &e->arena_memory, error));
    arena_init(&e->arena, e->arena_memory, arena_bytes);
    if (e->limits.trace) F5_TRY(start_trace(e, largest_output, error));
    return fill_tables(e, error);
}

/* Runs a text as long as speech of so many frames has: where text has rows of its own, they choose the bucket too. */
static f5_status warm(engine *e, const synth_solver *solver, int32_t frames, f5_error *error) {
    const own_rules *own = backbone_of(&e->model.config)->own;
    const int32_t n = smaller(frames, e->limits.max_frames) / FRAMES_OF_TOKEN, most = own ? own->max_tokens : n;
    synth_job job = {.frames = frames, .n_tokens = n < 0 ? 0 : smaller(n, most)};
    int32_t *tokens = calloc((size_t)job.n_tokens + 1, sizeof *tokens);
    if (!tokens) return f5_fail(error, F5_E_MEMORY, "no memory for a text of %d tokens", job.n_tokens);
    job.tokens = tokens;
    f5_status status = engine_check_synth(e, solver, &job, 1, error);
    if (status == F5_OK) status = engine_synth(e, solver, &job, 1, NULL, error);
    free(tokens);
    return status;
}

/* Runs the sizes that are to be fast from the first request on. */
static f5_status warm_up(engine *e, f5_error *error) {
    synth_solver solver = {SOLVER_DEFAULTS};
    solver.nfe = smaller(solver.nfe, e->limits.max_evaluations);
    engine_settle(e, &solver);
    for (int32_t i = 0; i < e->limits.n_warm; i++) {
        f5_error reason;
        const f5_status status = warm(e, &solver, e->limits.warm_frames[i], &reason);
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
    F5_TRY(device_choose(options->device, options->precision, options->vocoder, &choice, error));
    engine *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "no memory for an engine");
    e->limits = *options;
    f5_status status = open_model(e, &choice, error);
    if (status == F5_OK) status = allocate(e, error);
    if (status == F5_OK) status = warm_up(e, error);
    if (status == F5_OK) settle_batch_frames(e);
    /* what the caller pointed to is read during open only */
    e->limits.model_path = e->limits.device = e->limits.precision = e->limits.vocoder = NULL;
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
        if (e->trace_memory) d->release_host(d, e->trace_memory);
        d->close(d);
    }
    model_twin_free(&e->placed);
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
const char *engine_path(const engine *e) {
    return e->device->path;
}
f5_dtype engine_precision(const engine *e) {
    return e->ops->precision.int8 ? F5_I8 : e->device->precision;
}
f5_status engine_read_vocoder(const engine *e, const char *text, f5_dtype *operands, f5_error *error) {
    F5_TRY(device_read_vocoder(text, operands, error));
    return check_vocoder(&e->model.config, *operands, error);
}

f5_dtype engine_vocoder_precision(const engine *e) {
    return e->ops->precision.vocoder;
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
    return vocoder_of(&e->model.config)->samples(&e->model.config, frames);
}
void engine_vocode_around(const engine *e, int32_t *before, int32_t *after) {
    vocoder_of(&e->model.config)->around(&e->model.config, before, after);
}
int64_t engine_mel_frames(const engine *e, int64_t n_samples) {
    return vocoder_of(&e->model.config)->mel_frames(n_samples);
}

/* Is the model still the one that was opened? On a GPU it was uploaded, and the file does not matter any more. */
static f5_status check_model(const engine *e, f5_error *error) {
    return e->device->host_memory ? model_check_unchanged(&e->model, "the model's file", error) : F5_OK;
}

f5_status engine_begin(engine *e, f5_error *error) {
    F5_TRY(check_model(e, error));
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

f5_status engine_report(engine *e, f5_status status, f5_error *error) {
    if (status == F5_OK) return check_model(e, error);
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
    int64_t min_samples = vocoder_of(&e->model.config)->min_samples;
    if (engine_has_one_voice(e))
        return f5_fail(error, F5_E_UNSUPPORTED, "%s has one voice of its own: it takes no recording",
                       e->model.config.name);
    if (n < min_samples)
        return f5_fail(error, F5_E_ARGUMENT, "%lld samples are too few for a spectrogram: at least %lld", (long long)n,
                       (long long)min_samples);
    F5_TRY(request_check_frames(&e->limits, engine_mel_frames(e, n), error));
    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(samples[i]) <= MAX_LEVEL))
            return f5_fail(error, F5_E_ARGUMENT, "sample %lld is %g: must be -%g to %g", (long long)i,
                           (double)samples[i], (double)MAX_LEVEL, (double)MAX_LEVEL);
    }
    return F5_OK;
}

f5_status engine_mel(engine *e, const float *samples, int64_t n, float *mel, f5_error *error) {
    F5_TRY(engine_begin(e, error));
    stage_context c = engine_context(e);
    return engine_report(e, mel_run(&c, samples, n, mel), error);
}

f5_status engine_check_synth(const engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs,
                             f5_error *error) {
    F5_TRY(request_check_solver(&e->limits, solver, error));
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    int64_t frames = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        F5_TRY(request_check_job(&e->model.config, &jobs[i], i, error));
        frames += batch_frames_taken(&jobs[i]);
    }
    return request_check_frames(&e->limits, frames, error);
}

f5_status engine_synth(engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs, synth_times *times,
                       f5_error *error) {
    F5_TRY(engine_begin(e, error));
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    batch_size size = batch_measure(&e->model.config, solver, jobs, n_jobs);
    F5_TRY(request_check_frames(&e->limits, batch_larger(size.frames, size.slice_frames), error));
    batch_round(&e->model.config, &size, &e->bucket);
    batch_fill(&e->model.config, &size, jobs, &e->host);
    stage_context c = engine_context(e);
    return engine_report(e, synth_run(&c, &e->grid, solver, &size, &e->host, jobs, times), error);
}

f5_status engine_check_vocode(const engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error) {
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    int64_t frames = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        F5_TRY(request_check_length(i, jobs[i].frames, error));
        frames += jobs[i].frames;
        F5_TRY(request_check_frames(&e->limits, frames, error));
        F5_TRY(request_check_finite("mel", i, jobs[i].mel, jobs[i].frames, model_mel_bands(&e->model.config), error));
    }
    return F5_OK;
}

f5_status engine_vocode(engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error) {
    F5_TRY(engine_begin(e, error));
    F5_TRY(request_check_count(&e->limits, n_jobs, error));
    batch_size size = vocode_measure(&e->model.config, jobs, n_jobs);
    F5_TRY(request_check_frames(&e->limits, size.slice_frames, error));
    batch_round(&e->model.config, &size, &e->bucket);
    vocode_fill(&e->model.config, &size, jobs, &e->host);
    stage_context c = engine_context(e);
    return engine_report(e, vocode_run(&c, &size, &e->host, jobs), error);
}
