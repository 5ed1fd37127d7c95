/* f5tts.c — the public entry points: take the caller's structs, check them, wait for a turn, call down. */
#include "host/api/f5tts.h"

#include <stdlib.h>
#include <string.h>

#include "host/api/calls.h"
#include "host/api/params.h"
#include "host/text/tokenizer.h"
#include "runtime/request_check.h"
#include "weights/config.h"

const char *f5_version(void) {
    return F5_VERSION;
}

/* ---- parameter structs */

/* Every public struct begins with a size_t and is a multiple of it: a size that is none would cut a pointer in two. */
static f5_status check_size(size_t size, const char *name, f5_error *error) {
    if (size >= sizeof size && size <= 65536 && size % sizeof size == 0) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s.size is %zu: fill the struct with its _init function", name, size);
}

f5_status params_read(void *to, size_t to_size, const void *from, const char *name, f5_error *error) {
    size_t size;
    if (!from) return f5_fail(error, F5_E_ARGUMENT, "%s is NULL: pass a struct filled by its _init function", name);
    memcpy(&size, from, sizeof size);
    F5_TRY(check_size(size, name, error));
    memcpy(to, from, size < to_size ? size : to_size);
    return F5_OK;
}

f5_status params_write(void *to, const void *from, size_t from_size, const char *name, f5_error *error) {
    size_t size;
    if (!to) return f5_fail(error, F5_E_ARGUMENT, "%s is NULL: pass a struct filled by its _init function", name);
    memcpy(&size, to, sizeof size);
    F5_TRY(check_size(size, name, error));
    if (size > from_size) size = from_size;
    memcpy((char *)to + sizeof size, (const char *)from + sizeof size, size - sizeof size);
    return F5_OK;
}

void params_init(void *to, size_t to_size, const void *defaults, size_t size) {
    if (!to || to_size < sizeof to_size) return;
    memset(to, 0, to_size);
    memcpy(to, defaults, to_size < size ? to_size : size);
    memcpy(to, &to_size, sizeof to_size);
}

PARAMS_INIT(f5_open_params, .device = "auto", .max_frames = 4096, .max_batch = 8, .max_evaluations = 64,
            .max_text_bytes = 16384)
PARAMS_INIT(f5_engine_info, .size = 0)
PARAMS_INIT(f5_plan_info, .size = 0)
PARAMS_INIT(f5_sample_params, SOLVER_DEFAULTS)
PARAMS_INIT(f5_sample_request, .size = 0)
PARAMS_INIT(f5_vocode_request, .size = 0)

/* ---- engine */

static void engine_free(f5_engine *e) {
    if (e->core) engine_host_free(e->core, e->store);
    engine_close(e->core);
    free(e->text);
    free(e->tokens);
    free(e->batch);
    free(e->jobs);
    free(e->vocode_jobs);
    free(e);
}

static f5_status engine_buffers(f5_engine *e, f5_error *error) {
    const engine_options *l = engine_limits(e->core);
    e->store_frames = 2 * l->max_frames;
    size_t frames = (size_t)e->store_frames, batch = (size_t)l->max_batch;
    e->text = calloc(2 * (size_t)e->max_text_bytes + 64, 1);
    e->tokens = calloc(frames, sizeof *e->tokens);
    e->batch = calloc(batch, sizeof *e->batch);
    e->jobs = calloc(batch, sizeof *e->jobs);
    e->vocode_jobs = calloc(batch, sizeof *e->vocode_jobs);
    if (!e->text || !e->tokens || !e->batch || !e->jobs || !e->vocode_jobs)
        return f5_fail(error, F5_E_MEMORY, "no memory for %d frames: lower max_frames", l->max_frames);
    F5_TRY(engine_host_alloc(e->core, frames * (F5_MEL_BANDS + F5_HOP) * sizeof(float), "memory for speech", &e->store,
                             error));
    e->mel = e->store;
    e->samples = e->mel + frames * F5_MEL_BANDS;
    return F5_OK;
}

f5_status f5_open(const f5_open_params *params, f5_engine **opened, f5_error *error) {
    if (!opened) return f5_fail(error, F5_E_ARGUMENT, "engine is NULL: pass where to put the handle");
    *opened = NULL;
    f5_open_params p;
    f5_open_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_open_params", error));
    if (p.max_text_bytes < 1 || p.max_text_bytes > 1 << 24)
        return f5_fail(error, F5_E_ARGUMENT, "max_text_bytes is %d: must be 1 to %d", p.max_text_bytes, 1 << 24);
    f5_engine *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "no memory for an engine");
    e->max_text_bytes = p.max_text_bytes;
    engine_options options = {.model_path = p.model_path,
                              .device = p.device,
                              .precision = p.precision,
                              .max_frames = p.max_frames,
                              .max_batch = p.max_batch,
                              .max_evaluations = p.max_evaluations,
                              .batch_frames = p.batch_frames,
                              .trace = p.trace,
                              .trace_user = p.trace_user,
                              .eager = p.eager != 0,
                              .portable = p.portable != 0,
                              .poison = p.poison != 0,
                              .warm_frames = p.warm_frames,
                              .n_warm = p.n_warm,
                              .threads = p.threads};
    f5_status status = engine_open(&e->core, &options, error);
    if (status == F5_OK) status = engine_buffers(e, error);
    if (status == F5_OK) status = calls_init(e, error);
    if (status != F5_OK) {
        engine_free(e);
        return status;
    }
    if (pthread_mutex_init(&e->text_lock, NULL) != 0) {
        scheduler_destroy(&e->scheduler);
        engine_free(e);
        return f5_fail(error, F5_E_MEMORY, "no memory for a lock");
    }
    *opened = e;
    return F5_OK;
}

void f5_close(f5_engine *e) {
    if (!e) return;
    pthread_mutex_destroy(&e->text_lock);
    scheduler_destroy(&e->scheduler);
    engine_free(e);
}

f5_status f5_get_info(const f5_engine *e, f5_engine_info *info, f5_error *error) {
    if (!e) return f5_fail(error, F5_E_ARGUMENT, "engine is NULL");
    const model *m = engine_model(e->core);
    const model_config *c = &m->config;
    const engine_options *l = engine_limits(e->core);
    scheduler_counts counts = scheduler_count((scheduler *)&e->scheduler);
    f5_engine_info i = {.name = c->name,
                        .backbone = c->part[PART_BACKBONE]->kind,
                        .tokenizer = tokenizer_name(c->tokenizer),
                        .device = engine_device_name(e->core),
                        .precision = dtype(engine_precision(e->core))->name,
                        .dim = model_config_get(c, PART_BACKBONE, "dim", 0),
                        .depth = model_config_get(c, PART_BACKBONE, "depth", 0),
                        .heads = model_config_get(c, PART_BACKBONE, "heads", 0),
                        .ff_dim = model_config_get(c, PART_BACKBONE, "ff_dim", 0),
                        .text_dim = model_config_get(c, PART_TEXT, "dim", 0),
                        .text_blocks = model_config_get(c, PART_TEXT, "blocks", 0),
                        .vocab_size = c->vocab_size,
                        .vocos_dim = model_config_get(c, PART_VOCODER, "dim", 0),
                        .vocos_layers = model_config_get(c, PART_VOCODER, "layers", 0),
                        .parameters = m->parameters,
                        .weight_bytes = engine_weight_bytes(e->core),
                        .arena_bytes = engine_arena_bytes(e->core),
                        .max_frames = l->max_frames,
                        .max_batch = l->max_batch,
                        .max_evaluations = l->max_evaluations,
                        .device_bytes = engine_device_bytes(e->core),
                        .graphs = atomic_load(&e->graphs),
                        .calls = counts.calls,
                        .batches = counts.batches,
                        .shared_batches = counts.shared,
                        .batch_frames = l->batch_frames,
                        .waiting = counts.waiting};
    return params_write(info, &i, sizeof i, "f5_engine_info", error);
}

f5_status f5_plan(const f5_engine *e, int32_t frames, int32_t sequences, int32_t nfe, f5_plan_info *info,
                  f5_error *error) {
    if (!e) return f5_fail(error, F5_E_ARGUMENT, "engine is NULL");
    engine_cost cost;
    synth_solver solver = {SOLVER_DEFAULTS};
    solver.nfe = nfe;
    F5_TRY(engine_plan(e->core, frames, sequences, &solver, &cost, error));
    f5_plan_info i = {.arena_bytes = cost.arena_bytes, .op_calls = cost.op_calls, .flop = cost.flop};
    return params_write(info, &i, sizeof i, "f5_plan_info", error);
}

/* ---- model level */

int64_t f5_mel_frames(int64_t n_samples) {
    return n_samples < 0 ? 0 : n_samples / F5_HOP + 1;
}

static f5_status serve(f5_engine *e, api_call *call, f5_error *error) {
    F5_TRY(call_serve(e, call, error));
    call_release(e, call);
    return F5_OK;
}

f5_status f5_mel(f5_engine *e, const float *samples, int64_t n_samples, float *mel, f5_error *error) {
    if (!e || !samples || !mel) return f5_fail(error, F5_E_ARGUMENT, "engine, samples or mel is NULL");
    return serve(e, &(api_call){.kind = CALL_MEL, .samples = samples, .n_samples = n_samples, .mel = mel}, error);
}

int64_t f5_sample_frames(int32_t n_tokens, int32_t cond_frames, int64_t frames) {
    int64_t least = (int64_t)(n_tokens > cond_frames ? n_tokens : cond_frames) + 1;
    return frames > least ? frames : least;
}

f5_status solver_read(synth_solver *solver, const f5_sample_params *params, f5_error *error) {
    f5_sample_params p;
    f5_sample_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_sample_params", error));
    *solver = (synth_solver){.nfe = p.nfe,
                             .cfg = p.cfg,
                             .sway = p.sway,
                             .use_sway = p.use_sway != 0,
                             .use_epss = p.use_epss != 0,
                             .midpoint = p.midpoint != 0,
                             .progress = p.progress,
                             .progress_user = p.progress_user};
    return F5_OK;
}

/* Element i of a caller's array, whose stride is the caller's idea of the struct's size. Element 0 is read first, so
 * that a stride is not used before it was checked. */
static f5_status request_read(void *to, size_t to_size, const void *requests, int32_t i, const char *name,
                              f5_error *error) {
    size_t stride, size;
    memcpy(&stride, requests, sizeof stride);
    const char *from = (const char *)requests + (size_t)i * stride;
    F5_TRY(params_read(to, to_size, from, name, error));
    memcpy(&size, from, sizeof size);
    if (size == stride) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "%s %d has size %zu, the first has %zu: fill each with its _init function",
                   name, i, size, stride);
}

static f5_status job_read(synth_job *job, const void *requests, int32_t i, f5_error *error) {
    f5_sample_request r;
    f5_sample_request_init(&r);
    F5_TRY(request_read(&r, sizeof r, requests, i, "f5_sample_request", error));
    if (!r.mel) return f5_fail(error, F5_E_ARGUMENT, "request %d: mel is NULL: pass where it goes", i);
    if (r.n_tokens < 0 || r.cond_frames < 0)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: n_tokens %d, cond_frames %d; must not be negative", i,
                       r.n_tokens, r.cond_frames);
    int64_t frames = f5_sample_frames(r.n_tokens, r.cond_frames, r.frames);
    if (frames > INT32_MAX)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %lld frames are too many", i, (long long)frames);
    *job = (synth_job){.cond = r.cond,
                       .cond_frames = r.cond_frames,
                       .tokens = r.tokens,
                       .n_tokens = r.n_tokens,
                       .frames = (int32_t)frames,
                       .edit_mask = r.edit_mask,
                       .noise = r.noise,
                       .seed = r.seed,
                       .mel = r.mel};
    return F5_OK;
}

static f5_status check_requests(const f5_engine *e, const void *requests, int32_t n, f5_error *error) {
    if (!e || !requests) return f5_fail(error, F5_E_ARGUMENT, "engine or requests is NULL");
    return request_check_count(engine_limits(e->core), n, error);
}

f5_status f5_sample(f5_engine *e, const f5_sample_params *params, const f5_sample_request *requests, int32_t n_requests,
                    f5_error *error) {
    F5_TRY(check_requests(e, requests, n_requests, error));
    synth_job jobs[REQUEST_MAX_BATCH];
    api_call call = {.kind = CALL_SYNTH, .n = n_requests, .jobs = jobs};
    F5_TRY(solver_read(&call.solver, params, error));
    for (int32_t i = 0; i < n_requests; i++) F5_TRY(job_read(&jobs[i], requests, i, error));
    return serve(e, &call, error);
}

int64_t f5_vocode_samples(const f5_engine *e, int32_t frames) {
    return e ? engine_vocode_samples(e->core, frames) : 0;
}

static f5_status vocode_job_read(vocode_job *job, const void *requests, int32_t i, f5_error *error) {
    f5_vocode_request r;
    f5_vocode_request_init(&r);
    F5_TRY(request_read(&r, sizeof r, requests, i, "f5_vocode_request", error));
    if (!r.mel || !r.samples) return f5_fail(error, F5_E_ARGUMENT, "request %d: mel or samples is NULL", i);
    *job = (vocode_job){.mel = r.mel, .frames = r.frames, .samples = r.samples};
    return F5_OK;
}

f5_status f5_vocode(f5_engine *e, const f5_vocode_request *requests, int32_t n_requests, f5_error *error) {
    F5_TRY(check_requests(e, requests, n_requests, error));
    vocode_job jobs[REQUEST_MAX_BATCH];
    for (int32_t i = 0; i < n_requests; i++) F5_TRY(vocode_job_read(&jobs[i], requests, i, error));
    return serve(e, &(api_call){.kind = CALL_VOCODE, .n = n_requests, .vocode_jobs = jobs}, error);
}

f5_status f5_tokenize(const f5_engine *e, const char *text, int32_t *tokens, int32_t capacity, int32_t *n_tokens,
                      f5_error *error) {
    if (!e || !text || !n_tokens || (capacity > 0 && !tokens))
        return f5_fail(error, F5_E_ARGUMENT, "f5_tokenize: engine, text, tokens or n_tokens is NULL");
    if (capacity < 0) return f5_fail(error, F5_E_ARGUMENT, "f5_tokenize: capacity %d is negative", capacity);
    const model *m = engine_model(e->core);
    return tokenizer_run(m->config.tokenizer, &m->vocab, text, strlen(text), tokens, capacity, n_tokens, error);
}
