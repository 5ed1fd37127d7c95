/* engine.c — owns a model, its device's op table and every byte of working memory.
 * Open runs the model under the plan table at the limits given, and that is how large the arena is. */
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "synth.h"

#define MAX_FRAMES 65536       /* upstream's own limit on a duration */
#define MAX_TEXT_POSITIONS 8192 /* rows of upstream's text position table */
#define MAX_BATCH 256

struct engine {
    model model;
    engine_options limits;
    f5_dtype precision;
    ops reference;
    ops_trace trace;
    ops *ops;              /* the table in use */
    arena arena;           /* working memory of a call */
    stage_tables tables;
    schedule schedule;
    batch_arrays host;     /* staging, for the largest batch */
    batch_size largest;
    void *persistent;      /* tables, schedule, staging */
    void *arena_memory;
};

/* Everything that stays for the engine's life, taken from one block. Writable views of the constant tables. */
typedef struct {
    float *rope, *positions, *mel_bank, *window;
} table_memory;

static table_memory take_persistent(engine *e, arena *a) {
    const model_config *config = &e->model.config;
    const engine_options *l = &e->limits;
    int64_t width = (6 * (int64_t)config->depth + 2) * config->dim;
    int32_t text_positions = l->max_frames < MAX_TEXT_POSITIONS ? l->max_frames : MAX_TEXT_POSITIONS;
    table_memory t = {
        .rope = arena_take(a, (size_t)l->max_frames * ATTENTION_HEAD, sizeof(float)),
        .mel_bank = arena_take(a, MEL_BINS * MEL_BANDS, sizeof(float)),
        .window = arena_take(a, MEL_FFT, sizeof(float)),
    };
    if (config->text_blocks > 0)
        t.positions = arena_take(a, (size_t)text_positions * (size_t)config->text_dim, sizeof(float));
    e->tables = (stage_tables){.max_position = l->max_frames,
                               .text_positions = text_positions,
                               .rope = t.rope,
                               .positions = t.positions,
                               .mel_bank = t.mel_bank,
                               .window = t.window};
    e->schedule = (schedule){
        .max_evaluations = l->max_evaluations,
        .width = width,
        .grid = arena_take(a, (size_t)l->max_evaluations + 1, sizeof(float)),
        .times = arena_take(a, (size_t)l->max_evaluations, sizeof(float)),
        .modulation = arena_take(a, (size_t)l->max_evaluations * (size_t)width, sizeof(float)),
    };
    batch_take(a, &e->largest, &e->host);
    return t;
}

static stage_context context_of(engine *e) {
    return (stage_context){.model = &e->model, .ops = e->ops, .arena = &e->arena, .tables = &e->tables};
}

/* Runs a synthesis of this size under the plan table. The schedule's own arrays are left alone. */
static f5_status plan_synth(const engine *e, const batch_size *size, const synth_solver *solver, arena *a,
                            ops_plan *plan) {
    float grid[SCHEDULE_MAX_STEPS + 1], times[SCHEDULE_MAX_STEPS];
    schedule s = e->schedule;
    s.ready = false;
    s.max_evaluations = SCHEDULE_MAX_STEPS;
    s.grid = grid;
    s.times = times;
    synth_solver silent = *solver;
    silent.progress = NULL;
    stage_context c = {.model = &e->model, .ops = &plan->ops, .arena = a, .tables = &e->tables};
    batch_arrays none = {0};
    return synth_run(&c, &s, &silent, size, &none, NULL, NULL);
}

/* The most that any call within the limits can take. */
static f5_status measure_arena(const engine *e, size_t *bytes) {
    const engine_options *l = &e->limits;
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    ops_plan_init(&plan, e->ops->type);
    /* midpoint needs one state more than Euler; its steps are halved so that the schedule's rows are the same */
    synth_solver solver = {.nfe = l->max_evaluations > 1 ? l->max_evaluations / 2 : 1, .cfg = 2, .midpoint = true};
    F5_TRY(plan_synth(e, &e->largest, &solver, &a, &plan));
    solver = (synth_solver){.nfe = l->max_evaluations, .cfg = 2};
    F5_TRY(plan_synth(e, &e->largest, &solver, &a, &plan));
    batch_arrays none = {0};
    stage_context c = {.model = &e->model, .ops = &plan.ops, .arena = &a, .tables = &e->tables};
    F5_TRY(synth_vocode(&c, &e->largest, &none, NULL));
    float unused;
    F5_TRY(synth_mel(&c, &unused, (int64_t)l->max_frames * MEL_HOP, &unused));
    *bytes = a.high_water;
    return F5_OK;
}

static f5_status check_limits(const engine_options *l, f5_error *error) {
    if (!l->model_path) return f5_fail(error, F5_E_ARGUMENT, "model_path is missing: give a .f5 file");
    if (l->max_frames < 2 || l->max_frames > MAX_FRAMES)
        return f5_fail(error, F5_E_ARGUMENT, "max_frames is %d: must be 2 to %d", l->max_frames, MAX_FRAMES);
    if (l->max_batch < 1 || l->max_batch > MAX_BATCH)
        return f5_fail(error, F5_E_ARGUMENT, "max_batch is %d: must be 1 to %d", l->max_batch, MAX_BATCH);
    if (l->max_evaluations < 1 || l->max_evaluations > SCHEDULE_MAX_STEPS)
        return f5_fail(error, F5_E_ARGUMENT, "max_evaluations is %d: must be 1 to %d", l->max_evaluations,
                       SCHEDULE_MAX_STEPS);
    return F5_OK;
}

static f5_status choose_device(engine *e, f5_error *error) {
    const char *device = e->limits.device ? e->limits.device : "auto";
    const char *precision = e->limits.precision ? e->limits.precision : "fp32";
    if (strncmp(device, "cuda", 4) == 0)
        return f5_fail(error, F5_E_DEVICE, "device '%s': this build has no GPU backend; use 'cpu' or 'auto'", device);
    if (strcmp(device, "auto") != 0 && strcmp(device, "cpu") != 0)
        return f5_fail(error, F5_E_ARGUMENT, "device '%s' is unknown: use 'auto', 'cpu', 'cuda' or 'cuda:N'", device);
    if (strcmp(precision, "fp16") == 0 || strcmp(precision, "bf16") == 0)
        return f5_fail(error, F5_E_UNSUPPORTED, "precision '%s' needs a GPU: the cpu computes in fp32", precision);
    if (strcmp(precision, "fp32") != 0)
        return f5_fail(error, F5_E_ARGUMENT, "precision '%s' is unknown: use 'fp32', 'fp16' or 'bf16'", precision);
    e->precision = F5_F32;
    ops_ref_init(&e->reference);
    e->ops = &e->reference;
    if (e->limits.trace) {
        ops_trace_init(&e->trace, &e->reference, e->limits.trace, e->limits.trace_user);
        e->ops = &e->trace.ops;
    }
    return F5_OK;
}

static f5_status take_block(size_t bytes, const char *what, void **block, f5_error *error) {
    *block = aligned_alloc(ARENA_ALIGN, (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN);
    if (*block) return F5_OK;
    return f5_fail(error, F5_E_MEMORY, "%s needs %.1f MB, which is not to be had: lower max_frames or max_evaluations",
                   what, (double)bytes / 1e6);
}

static f5_status allocate(engine *e, f5_error *error) {
    const engine_options *l = &e->limits;
    e->largest = (batch_size){.sequences = l->max_batch,
                              .branches = 2,
                              .frames = l->max_frames,
                              .vocos_frames = l->max_frames,
                              .samples = (int64_t)MEL_HOP * l->max_frames};
    arena persistent;
    arena_init_plan(&persistent);
    take_persistent(e, &persistent);
    size_t bytes = persistent.used, arena_bytes = 0;
    F5_TRY(take_block(bytes, "the engine", &e->persistent, error));
    arena_init(&persistent, e->persistent, bytes);
    table_memory t = take_persistent(e, &persistent);
    if (measure_arena(e, &arena_bytes) != F5_OK)
        return f5_fail(error, F5_E_MEMORY, "planning failed: the limits exceed what can be addressed");
    F5_TRY(take_block(arena_bytes, "working memory", &e->arena_memory, error));
    arena_init(&e->arena, e->arena_memory, arena_bytes);

    rope_table_fill(t.rope, e->tables.max_position);
    mel_bank_fill(t.mel_bank);
    hann_window_fill(t.window);
    if (t.positions) position_table_fill(t.positions, e->tables.text_positions, e->model.config.text_dim);
    return F5_OK;
}

f5_status engine_open(engine **out, const engine_options *options, f5_error *error) {
    *out = NULL;
    F5_TRY(check_limits(options, error));
    engine *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "no memory for an engine");
    e->limits = *options;
    f5_status status = choose_device(e, error);
    if (status == F5_OK) status = model_open(&e->model, options->model_path, error);
    if (status == F5_OK) status = allocate(e, error);
    /* the caller's strings are read during open only */
    e->limits.model_path = e->limits.device = e->limits.precision = NULL;
    if (status != F5_OK) {
        engine_close(e);
        return status;
    }
    *out = e;
    return F5_OK;
}

void engine_close(engine *e) {
    if (!e) return;
    free(e->arena_memory);
    free(e->persistent);
    model_close(&e->model);
    free(e);
}

const model *engine_model(const engine *e) { return &e->model; }
const engine_options *engine_limits(const engine *e) { return &e->limits; }
const char *engine_device_name(const engine *e) {
    (void)e;
    return "cpu";
}
f5_dtype engine_precision(const engine *e) { return e->precision; }
int64_t engine_arena_bytes(const engine *e) { return (int64_t)e->arena.capacity; }
int64_t engine_vocode_samples(const engine *e, int32_t frames) { return vocos_samples(&e->model.config, frames); }

static f5_status check_solver(const engine *e, const synth_solver *v, f5_error *error) {
    if (v->nfe < 1 || solver_evaluations(v) > e->limits.max_evaluations)
        return f5_fail(error, F5_E_ARGUMENT, "nfe is %d%s: must be 1 to %d here; open the engine with more max_evaluations",
                       v->nfe, v->midpoint ? " (midpoint)" : "", e->limits.max_evaluations / (v->midpoint ? 2 : 1));
    if (!isfinite(v->cfg) || v->cfg < 0 || v->cfg > 100)
        return f5_fail(error, F5_E_ARGUMENT, "cfg is %g: must be 0 to 100", (double)v->cfg);
    if (v->use_sway && (!isfinite(v->sway) || fabsf(v->sway) > 2))
        return f5_fail(error, F5_E_ARGUMENT, "sway is %g: must be -2 to 2", (double)v->sway);
    return F5_OK;
}

static f5_status check_finite(const char *what, int32_t request, const float *mel, int64_t frames, f5_error *error) {
    for (int64_t i = 0; i < frames * MEL_BANDS; i++) {
        if (!isfinite(mel[i]))
            return f5_fail(error, F5_E_ARGUMENT, "request %d: %s is not finite at frame %lld, band %d", request, what,
                           (long long)(i / MEL_BANDS), (int)(i % MEL_BANDS));
    }
    return F5_OK;
}

static f5_status check_count(const engine *e, int32_t n, f5_error *error) {
    if (n < 1 || n > e->limits.max_batch)
        return f5_fail(error, F5_E_ARGUMENT, "%d requests: must be 1 to %d; open the engine with a larger max_batch", n,
                       e->limits.max_batch);
    return F5_OK;
}

static f5_status check_total(const engine *e, int64_t frames, f5_error *error) {
    if (frames > e->limits.max_frames)
        return f5_fail(error, F5_E_MEMORY, "%lld frames: the engine was opened for %d; open it with a larger max_frames",
                       (long long)frames, e->limits.max_frames);
    return F5_OK;
}

static f5_status check_job(const engine *e, const synth_job *j, int32_t i, f5_error *error) {
    const model_config *config = &e->model.config;
    if (j->frames < 1 || j->frames > MAX_FRAMES)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %d frames; must be 1 to %d", i, j->frames, MAX_FRAMES);
    if (config->text_blocks > 0 && j->frames > MAX_TEXT_POSITIONS)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %d frames; this model has %d text positions", i, j->frames,
                       MAX_TEXT_POSITIONS);
    if (j->cond_frames < 0 || j->cond_frames > j->frames || (j->cond_frames > 0 && !j->cond))
        return f5_fail(error, F5_E_ARGUMENT, "request %d: cond has %d frames of %d", i, j->cond_frames, j->frames);
    if (j->n_tokens < 0 || j->n_tokens > j->frames || (j->n_tokens > 0 && !j->tokens))
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %d tokens for %d frames", i, j->n_tokens, j->frames);
    for (int32_t t = 0; t < j->n_tokens; t++) {
        if (j->tokens[t] < 0 || j->tokens[t] >= config->vocab_size)
            return f5_fail(error, F5_E_ARGUMENT, "request %d: token %d is id %d; the vocabulary has %d", i, t,
                           j->tokens[t], config->vocab_size);
    }
    if (j->vocode_from < 0 || j->vocode_from > j->frames)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: vocode_from %d of %d frames", i, j->vocode_from, j->frames);
    if (j->cond_frames > 0) F5_TRY(check_finite("cond", i, j->cond, j->cond_frames, error));
    if (j->noise) F5_TRY(check_finite("noise", i, j->noise, j->frames, error));
    return F5_OK;
}

/* Gives a failed run its message; one that is the model's own fault names the op. */
static f5_status report(const engine *e, f5_status status, f5_error *error) {
    if (status == F5_OK) return F5_OK;
    if (status == F5_E_CANCELLED) return f5_fail(error, status, "cancelled by the progress callback");
    return f5_fail(error, status, "%s failed: %s", e->ops->failure[0] ? e->ops->failure : "the run",
                   f5_status_string(status));
}

f5_status engine_mel(engine *e, const float *samples, int64_t n, float *mel, f5_error *error) {
    if (n < MEL_FFT / 2 + 1)
        return f5_fail(error, F5_E_ARGUMENT, "%lld samples are too few for a spectrogram: at least %d", (long long)n,
                       MEL_FFT / 2 + 1);
    F5_TRY(check_total(e, n / MEL_HOP + 1, error));
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(samples[i]))
            return f5_fail(error, F5_E_ARGUMENT, "sample %lld is not finite", (long long)i);
    }
    stage_context c = context_of(e);
    return report(e, synth_mel(&c, samples, n, mel), error);
}

f5_status engine_synth(engine *e, const synth_solver *solver, const synth_job *jobs, int32_t n_jobs, synth_times *times,
                       f5_error *error) {
    F5_TRY(check_solver(e, solver, error));
    F5_TRY(check_count(e, n_jobs, error));
    int64_t frames = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        F5_TRY(check_job(e, &jobs[i], i, error));
        frames += jobs[i].frames;
    }
    F5_TRY(check_total(e, frames, error));
    batch_size size = batch_measure(&e->model.config, solver, jobs, n_jobs);
    batch_fill(&e->model.config, &size, jobs, &e->host);
    stage_context c = context_of(e);
    return report(e, synth_run(&c, &e->schedule, solver, &size, &e->host, jobs, times), error);
}

f5_status engine_vocode(engine *e, const vocode_job *jobs, int32_t n_jobs, f5_error *error) {
    F5_TRY(check_count(e, n_jobs, error));
    int64_t frames = 0;
    for (int32_t i = 0; i < n_jobs; i++) {
        if (jobs[i].frames < 1 || jobs[i].frames > MAX_FRAMES)
            return f5_fail(error, F5_E_ARGUMENT, "request %d: %d frames; must be 1 to %d", i, jobs[i].frames, MAX_FRAMES);
        frames += jobs[i].frames;
        F5_TRY(check_total(e, frames, error));
        F5_TRY(check_finite("mel", i, jobs[i].mel, jobs[i].frames, error));
    }
    batch_size size = vocode_measure(&e->model.config, jobs, n_jobs);
    vocode_fill(&e->model.config, jobs, n_jobs, &e->host);
    stage_context c = context_of(e);
    return report(e, synth_vocode(&c, &size, &e->host, jobs), error);
}

f5_status engine_plan(const engine *e, int32_t frames, int32_t sequences, const synth_solver *solver,
                      engine_cost *cost, f5_error *error) {
    if (frames < 1 || frames > MAX_FRAMES || sequences < 1 || sequences > frames)
        return f5_fail(error, F5_E_ARGUMENT, "plan of %d frames in %d sequences: frames 1 to %d, sequences 1 to frames",
                       frames, sequences, MAX_FRAMES);
    if (solver->nfe < 1 || solver_evaluations(solver) > SCHEDULE_MAX_STEPS)
        return f5_fail(error, F5_E_ARGUMENT, "nfe is %d: must be 1 to %d", solver->nfe,
                       SCHEDULE_MAX_STEPS / (solver->midpoint ? 2 : 1));
    batch_size size = {.sequences = sequences,
                       .branches = solver->cfg < 1e-5f ? 1 : 2,
                       .frames = frames,
                       .vocos_frames = frames,
                       .samples = (int64_t)MEL_HOP * frames};
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    ops_plan_init(&plan, e->ops->type);
    F5_TRY(report(e, plan_synth(e, &size, solver, &a, &plan), error));
    *cost = (engine_cost){.arena_bytes = (int64_t)a.high_water, .op_calls = plan.calls, .flop = plan.flop};
    return F5_OK;
}
