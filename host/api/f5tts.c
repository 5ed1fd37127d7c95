/* f5tts.c — an engine of the public API: opened, closed, described, planned. */
#include "host/api/f5tts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/calls.h"
#include "host/api/params.h"
#include "kernels/dtype.h"
#include "runtime/models/vocoder.h"
#include "weights/config.h"

#define MAX_SPEAKING 4096
#define MAX_LANGUAGES 256 /* bytes of their names */

const char *f5_version(void) {
    return F5_VERSION;
}

/* ---- engine */

static void engine_free(f5_engine *e) {
    if (e->core) engine_host_free(e->core, e->store);
    engine_close(e->core);
    desk_room_destroy(&e->desks);
    normalizer_close(e->normalizer);
    chinese_destroy(&e->chinese);
    free(e->batch);
    free(e->jobs);
    free(e->vocode_jobs);
    free(e);
}

static f5_status engine_buffers(f5_engine *e, f5_error *error) {
    const engine_options *l = engine_limits(e->core);
    e->store_frames = 2 * l->max_frames;
    e->bands = model_mel_bands(&engine_model(e->core)->config);
    e->rate = model_sample_rate(&engine_model(e->core)->config);
    e->hop = (int32_t)(engine_vocode_samples(e->core, 2) - engine_vocode_samples(e->core, 1));
    size_t frames = (size_t)e->store_frames, batch = (size_t)l->max_batch;
    e->batch = calloc(batch, sizeof *e->batch);
    e->jobs = calloc(batch, sizeof *e->jobs);
    e->vocode_jobs = calloc(batch, sizeof *e->vocode_jobs);
    if (!e->batch || !e->jobs || !e->vocode_jobs)
        return f5_fail(error, F5_E_MEMORY, "no memory for %d frames: lower max_frames", l->max_frames);
    F5_TRY(desk_room_init(&e->desks, e->max_speaking, l->max_frames, l->max_batch, error));
    F5_TRY(engine_host_alloc(e->core, frames * (size_t)(e->bands + F5_HOP) * sizeof(float), "memory for speech",
                             &e->store, error));
    e->mel = e->store;
    e->samples = e->mel + frames * (size_t)e->bands;
    return F5_OK;
}

/* What texts must know of the model. */
static f5_status engine_text(f5_engine *e, const char *languages, f5_error *error) {
    const model *m = engine_model(e->core);
    const model_speech *speech = &m->config.speech;
    e->short_text = (duration_short){.bytes = (size_t)speech->short_bytes, .speed = speech->short_speed / 100.0};
    fold_alphabet_init(&e->alphabet, m->config.tokenizer, m->config.tokenizer == TOKENIZER_BYTE ? NULL : &m->vocab,
                       e->chinese.scratch ? &e->chinese.table : NULL);
    char all[MAX_LANGUAGES];
    bool own = strcmp(speech->normalize, "none") != 0;
    const char *comma = own && languages && *languages ? "," : "";
    int n = snprintf(all, sizeof all, "%s%s%s", languages ? languages : "", comma, own ? speech->normalize : "");
    if (n >= (int)sizeof all)
        return f5_fail(error, F5_E_ARGUMENT, "languages has %d bytes; at most %d are read", n, MAX_LANGUAGES - 20);
    return normalizer_open(all, &e->normalizer, error);
}

f5_status f5_open(const f5_open_params *params, f5_engine **opened, f5_error *error) {
    if (!opened) return f5_fail(error, F5_E_ARGUMENT, "engine is NULL: pass where to put the handle");
    *opened = NULL;
    f5_open_params p;
    f5_open_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_open_params", error));
    if (p.max_text_bytes < 1 || p.max_text_bytes > 1 << 24)
        return f5_fail(error, F5_E_ARGUMENT, "max_text_bytes is %d: must be 1 to %d", p.max_text_bytes, 1 << 24);
    if (p.max_speaking < 0 || p.max_speaking > MAX_SPEAKING)
        return f5_fail(error, F5_E_ARGUMENT, "max_speaking is %d: must be 0 to %d", p.max_speaking, MAX_SPEAKING);
    f5_engine *e = calloc(1, sizeof *e);
    if (!e) return f5_fail(error, F5_E_MEMORY, "no memory for an engine");
    e->max_text_bytes = p.max_text_bytes;
    engine_options options = {.model_path = p.model_path,
                              .device = p.device,
                              .precision = p.precision,
                              .vocoder = p.vocoder_precision,
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
    if (status == F5_OK) e->max_speaking = p.max_speaking ? p.max_speaking : 2 * p.max_batch;
    if (status == F5_OK) status = chinese_init(&e->chinese, engine_model(e->core), e->max_text_bytes, error);
    if (status == F5_OK) status = engine_buffers(e, error);
    if (status == F5_OK) status = engine_text(e, p.languages, error);
    if (status == F5_OK) status = calls_init(e, error);
    if (status != F5_OK) {
        engine_free(e);
        return status;
    }
    *opened = e;
    return F5_OK;
}

void f5_close(f5_engine *e) {
    if (!e) return;
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
                        .waiting = counts.waiting + desk_room_waiting((desk_room *)&e->desks),
                        .vocoder = c->part[PART_VOCODER]->kind,
                        .path = engine_path(e->core),
                        .normalize = c->speech.normalize,
                        .sample_rate = e->rate,
                        .mel_bands = e->bands,
                        .one_voice = engine_has_one_voice(e->core),
                        .reads_phonemes = c->part[PART_TEXT]->symbols != NULL,
                        .default_method = c->speech.method,
                        .default_nfe = c->speech.steps,
                        .license = c->rights.license,
                        .credit = c->rights.credit};
    return params_write(info, &i, sizeof i, "f5_engine_info", error);
}

f5_status f5_plan(const f5_engine *e, int32_t frames, int32_t sequences, int32_t nfe, f5_plan_info *info,
                  f5_error *error) {
    if (!e) return f5_fail(error, F5_E_ARGUMENT, "engine is NULL");
    engine_cost cost;
    synth_solver solver;
    F5_TRY(solver_of_model(&solver, NULL, &engine_model(e->core)->config, error));
    engine_settle(e->core, &solver);
    solver.nfe = nfe;
    F5_TRY(engine_plan(e->core, frames, sequences, &solver, &cost, error));
    f5_plan_info i = {.arena_bytes = cost.arena_bytes, .op_calls = cost.op_calls, .flop = cost.flop};
    return params_write(info, &i, sizeof i, "f5_plan_info", error);
}

/* ---- op by op */

typedef struct {
    void (*op)(void *user, const f5_plan_op *op);
    void *user;
} op_listener;

static void tell(void *user, const ops_plan_call *call) {
    const op_listener *l = user;
    const f5_plan_op op = {.size = sizeof op,
                           .label = call->label,
                           .op = call->op,
                           .shape = call->line.shape,
                           .path = call->line.path,
                           .tile = call->line.tile,
                           .stages = call->line.stages,
                           .evaluation = call->evaluation,
                           .waves = call->line.waves,
                           .flop = call->flop,
                           .bytes = call->bytes,
                           .floor_us = call->floor_us};
    l->op(l->user, &op);
}

/* A named card computes by default as f5_open has it on a GPU: in fp16, a file in 8 bits in these. */
static f5_status planned_operands(const f5_engine *e, const f5_plan_ops_params *p, f5_dtype *operands,
                                  f5_error *error) {
    const model *m = engine_model(e->core);
    const f5_dtype on_gpu = m->config.speech.precision == SPEECH_FP32 ? F5_F32 : model_asks_int8(m) ? F5_I8 : F5_F16;
    *operands = p->as ? on_gpu : engine_precision(e->core);
    if (!p->precision || dtype_from_name(operands, p->precision)) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "precision '%s' is unknown: use 'fp32', 'fp16', 'bf16' or 'int8'",
                   p->precision);
}

static f5_status planned_vocoder(const f5_engine *e, const f5_plan_ops_params *p, f5_dtype *operands, f5_error *error) {
    *operands = p->as ? F5_F32 : engine_vocoder_precision(e->core);
    return p->vocoder_precision ? engine_read_vocoder(e->core, p->vocoder_precision, operands, error) : F5_OK;
}

f5_status f5_plan_ops(const f5_engine *e, const f5_plan_ops_params *params, f5_error *error) {
    if (!e) return f5_fail(error, F5_E_ARGUMENT, "engine is NULL");
    f5_plan_ops_params p;
    f5_plan_ops_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_plan_ops_params", error));
    if (!p.op) return f5_fail(error, F5_E_ARGUMENT, "f5_plan_ops: op is NULL: pass what is called with every op call");
    synth_solver solver;
    f5_dtype operands, of_vocoder;
    F5_TRY(solver_of_model(&solver, p.sample, &engine_model(e->core)->config, error));
    engine_settle(e->core, &solver);
    F5_TRY(planned_operands(e, &p, &operands, error));
    F5_TRY(planned_vocoder(e, &p, &of_vocoder, error));
    op_listener listener = {.op = p.op, .user = p.op_user};
    return engine_plan_ops(e->core, p.frames, p.sequences, &solver, p.as, operands, of_vocoder, tell, &listener, error);
}
