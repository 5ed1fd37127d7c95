/* request_check.c — every limit that a request is held against, with the message that names it. */
#include "runtime/request_check.h"

#include <math.h>

#include "runtime/finite.h"
#include "runtime/models/backbone.h"
#include "runtime/models/vocoder.h"

f5_status request_check_solver(const engine_options *l, const synth_solver *v, f5_error *error) {
    if (v->nfe < 1 || solver_evaluations(v) > l->max_evaluations)
        return f5_fail(error, F5_E_ARGUMENT,
                       "nfe is %d%s: must be 1 to %d here; open the engine with more max_evaluations", v->nfe,
                       v->method == SOLVER_MIDPOINT ? " (midpoint)" : "",
                       l->max_evaluations / solver_evaluations_a_step(v));
    if (!isfinite(v->cfg) || v->cfg < 0 || v->cfg > 100)
        return f5_fail(error, F5_E_ARGUMENT, "cfg is %g: must be 0 to 100", (double)v->cfg);
    if (v->use_sway && v->grid == GRID_OF_QUADRATIC) {
        if (isfinite(v->sway) && fabsf(v->sway) <= 100) return F5_OK;
        return f5_fail(error, F5_E_ARGUMENT, "sway is %g: must be -100 to 100 in a quadratic grid", (double)v->sway);
    }
    if (v->use_sway && (!isfinite(v->sway) || v->sway < -1 || v->sway > 1.75f))
        return f5_fail(error, F5_E_ARGUMENT, "sway is %g: must be -1 to 1.75, or time would run backwards",
                       (double)v->sway);
    return F5_OK;
}

f5_status request_check_finite(const char *what, int32_t request, const float *mel, int64_t frames, int32_t bands,
                               f5_error *error) {
    int64_t good = finite_until(mel, frames * bands);
    if (good == frames * bands) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "request %d: %s is not finite at frame %lld, band %d", request, what,
                   (long long)(good / bands), (int)(good % bands));
}

f5_status request_check_count(const engine_options *l, int32_t n, f5_error *error) {
    if (n < 1 || n > l->max_batch)
        return f5_fail(error, F5_E_ARGUMENT, "%d requests: must be 1 to %d; open the engine with a larger max_batch", n,
                       l->max_batch);
    return F5_OK;
}

f5_status request_check_frames(const engine_options *l, int64_t frames, f5_error *error) {
    if (frames > l->max_frames)
        return f5_fail(error, F5_E_LIMIT, "%lld frames: the engine was opened for %d; open it with a larger max_frames",
                       (long long)frames, l->max_frames);
    return F5_OK;
}

f5_status request_check_length(int32_t request, int32_t frames, f5_error *error) {
    if (frames >= 1 && frames <= REQUEST_MAX_FRAMES) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "request %d: %d frames; must be 1 to %d", request, frames, REQUEST_MAX_FRAMES);
}

f5_status request_check_job(const model_config *config, const synth_job *j, int32_t i, f5_error *error) {
    F5_TRY(request_check_length(i, j->frames, error));
    const own_rules *own = backbone_of(config)->own;
    const int32_t positions = backbone_of(config)->max_frames(config), bands = model_mel_bands(config);
    if (j->frames > positions)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %d frames; this model has %d text positions", i, j->frames,
                       positions);
    if ((j->cond_frames > 0 && !j->cond) || (j->n_tokens > 0 && !j->tokens))
        return f5_fail(error, F5_E_ARGUMENT, "request %d: cond or tokens is NULL, but cond_frames is %d, n_tokens %d",
                       i, j->cond_frames, j->n_tokens);
    if (j->cond_frames < 0 || j->cond_frames > j->frames)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: cond has %d frames of %d", i, j->cond_frames, j->frames);
    if (j->n_tokens < 0 || j->n_tokens > j->frames)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %d tokens for %d frames", i, j->n_tokens, j->frames);
    if (own && j->cond_frames > 0)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: cond is given, but this model has one voice of its own", i);
    if (own && j->n_tokens > own->max_tokens)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: %d tokens; this model has %d text positions", i, j->n_tokens,
                       own->max_tokens);
    for (int32_t t = 0; t < j->n_tokens; t++) {
        if (j->tokens[t] < 0 || j->tokens[t] >= config->vocab_size)
            return f5_fail(error, F5_E_ARGUMENT, "request %d: token %d is id %d; the vocabulary has %d", i, t,
                           j->tokens[t], config->vocab_size);
    }
    if (j->vocode_from < 0 || j->vocode_from > j->frames)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: vocode_from %d of %d frames", i, j->vocode_from, j->frames);
    if (j->vocode_before < 0 || j->vocode_before > REQUEST_MAX_AROUND || j->vocode_after < 0 ||
        j->vocode_after > REQUEST_MAX_AROUND)
        return f5_fail(error, F5_E_ARGUMENT, "request %d: the vocoder shall see %d and %d frames more, at most %d", i,
                       j->vocode_before, j->vocode_after, REQUEST_MAX_AROUND);
    if (j->cond_frames > 0) F5_TRY(request_check_finite("cond", i, j->cond, j->cond_frames, bands, error));
    if (j->noise) F5_TRY(request_check_finite("noise", i, j->noise, j->frames, bands, error));
    return F5_OK;
}
