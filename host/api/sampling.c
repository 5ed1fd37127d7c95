/* sampling.c — the model level: mel, sampling, vocoder and tokens on the caller's arrays. Each call is checked here and
 * waits for its turn in call_serve. */
#include <string.h>

#include "host/api/calls.h"
#include "host/api/params.h"
#include "host/text/tokenizer.h"
#include "runtime/request_check.h"

int64_t f5_engine_mel_frames(const f5_engine *e, int64_t n_samples) {
    return e && n_samples > 0 ? engine_mel_frames(e->core, n_samples) : 0;
}

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

int64_t f5_engine_sample_frames(const f5_engine *e, int32_t n_tokens, int32_t cond_frames, int64_t frames) {
    if (!e) return 0;
    if (!engine_has_one_voice(e->core)) return f5_sample_frames(n_tokens, cond_frames, frames);
    return frames > n_tokens ? frames : n_tokens;
}

static f5_status job_read(const f5_engine *e, synth_job *job, const void *requests, int32_t i, f5_error *error) {
    f5_sample_request r;
    f5_sample_request_init(&r);
    F5_TRY(params_read_at(&r, sizeof r, requests, i, "f5_sample_request", error));
    if (!r.mel) return f5_fail(error, F5_E_ARGUMENT, "request %d: mel is NULL: pass where it goes", i);
    if (r.n_tokens < 0 || r.cond_frames < 0)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: n_tokens %d, cond_frames %d; must not be negative", i,
                       r.n_tokens, r.cond_frames);
    int64_t frames = f5_engine_sample_frames(e, r.n_tokens, r.cond_frames, r.frames);
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
    F5_TRY(solver_of_model(&call.solver, params, &engine_model(e->core)->config, error));
    engine_settle(e->core, &call.solver);
    for (int32_t i = 0; i < n_requests; i++) F5_TRY(job_read(e, &jobs[i], requests, i, error));
    return serve(e, &call, error);
}

f5_status f5_predict_frames(f5_engine *e, const int32_t *tokens, int32_t n_tokens, float scale, int32_t *frames,
                            f5_error *error) {
    if (!e || !tokens || !frames)
        return f5_fail(error, F5_E_ARGUMENT, "f5_predict_frames: engine, tokens or frames is NULL");
    return serve(
        e, &(api_call){.kind = CALL_DURATION, .tokens = tokens, .n_tokens = n_tokens, .scale = scale, .frames = frames},
        error);
}

int64_t f5_vocode_samples(const f5_engine *e, int32_t frames) {
    return e ? engine_vocode_samples(e->core, frames) : 0;
}

static f5_status vocode_job_read(vocode_job *job, const void *requests, int32_t i, f5_error *error) {
    f5_vocode_request r;
    f5_vocode_request_init(&r);
    F5_TRY(params_read_at(&r, sizeof r, requests, i, "f5_vocode_request", error));
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
    chinese *c = (chinese *)&e->chinese; /* its lock changes, nothing that is seen */
    tokenizer t = chinese_begin(c, engine_model(e->core));
    t.ids = tokens;
    t.capacity = capacity;
    f5_status status = tokenizer_put(&t, text, strlen(text), 0, error);
    if (status == F5_OK) tokenizer_end(&t);
    chinese_end(c);
    *n_tokens = t.n;
    return status;
}
