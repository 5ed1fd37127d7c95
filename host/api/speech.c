/* speech.c — a text becomes speech in a voice. The text is read once, on its caller's thread: cut into sentences, made
 * tokens, measured. From then on only tokens travel, in the caller's own memory. */
#include <math.h>
#include <string.h>

#include "host/api/calls.h"
#include "host/api/params.h"
#include "host/text/chunk.h"
#include "host/text/duration.h"
#include "host/text/tokenizer.h"
#include "runtime/clock.h"

static f5_status check_speak(const f5_engine *e, const f5_voice *v, const f5_speak_params *p, f5_error *error) {
    if (v->engine != e) return f5_fail(error, F5_E_ARGUMENT, "the voice was opened on another engine");
    if (!p->text) return f5_fail(error, F5_E_ARGUMENT, "f5_speak_params.text is NULL");
    if (!p->audio) return f5_fail(error, F5_E_ARGUMENT, "f5_speak_params.audio is NULL: nothing would hear the speech");
    if (!(p->speed >= 0.01f && p->speed <= 100))
        return f5_fail(error, F5_E_ARGUMENT, "speed %g: must be 0.01 to 100", (double)p->speed);
    if (!(p->fix_duration >= 0 && p->fix_duration <= 600))
        return f5_fail(error, F5_E_ARGUMENT, "fix_duration %g: must be 0 (estimate) to 600 seconds",
                       (double)p->fix_duration);
    return F5_OK;
}

/* What is said in one f5_speak. */
typedef struct {
    const f5_voice *voice;
    const f5_speak_params *params;
    chunk chunk;      /* of the new text */
    int32_t n_tokens; /* of the transcript and the new text */
    int32_t frames;
} speech;

/* ---- the text */

/* The new text must be one chunk. */
static f5_status cut_text(const f5_engine *e, speech *s, f5_error *error) {
    const f5_voice *v = s->voice;
    const char *text = s->params->text;
    size_t bytes = strlen(text), at = 0;
    if (bytes > (size_t)e->max_text_bytes)
        return f5_fail(error, F5_E_MEMORY, "the text has %zu bytes, max_text_bytes given at open is %d", bytes,
                       e->max_text_bytes);
    int64_t max_bytes = duration_max_chunk_bytes(v->text, v->text_bytes, f5_voice_seconds(v), s->params->speed);
    f5_error why = {0};
    f5_status status = chunk_next(text, bytes, &at, max_bytes, &s->chunk, &why);
    if (status != F5_OK) return f5_fail(error, status, "text: %.480s", why.message);
    if (s->chunk.spoken_bytes == 0) return f5_fail(error, F5_E_ARGUMENT, "the text to speak is empty");
    if (!chunk_is_blank(text + at, bytes - at))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "the text has %zu bytes; with this reference and speed about %lld can be spoken at once, and "
                       "longer texts are not supported yet: split it between sentences",
                       bytes, (long long)(max_bytes > 0 ? max_bytes : 0));
    return F5_OK;
}

/* Tokens of the transcript and, after it, of the new text: sentence by sentence, as upstream joins them. */
static f5_status tokenize(f5_engine *e, speech *s, int32_t *tokens, int32_t capacity, f5_error *error) {
    tokenizer t = chinese_begin(&e->chinese, engine_model(e->core));
    t.ids = tokens;
    t.capacity = capacity;
    f5_error why = {0};
    f5_status status = tokenizer_put(&t, s->voice->text, s->voice->text_bytes, 0, &why);
    chunk_sentence sentence;
    for (size_t at = 0; status == F5_OK && chunk_read(&s->chunk, &at, &sentence);) {
        size_t offset = (size_t)(sentence.text - s->params->text);
        status = tokenizer_put(&t, sentence.text, sentence.bytes, offset, &why);
        if (status == F5_OK && sentence.space) status = tokenizer_put(&t, " ", 1, offset, &why);
    }
    chinese_end(&e->chinese);
    s->n_tokens = t.n;
    return status == F5_OK ? F5_OK : f5_fail(error, status, "text: %.480s", why.message);
}

/* How long it will be. */
static f5_status measure(const f5_engine *e, speech *s, f5_error *error) {
    const f5_voice *v = s->voice;
    const f5_speak_params *p = s->params;
    int32_t max_frames = engine_limits(e->core)->max_frames;
    int64_t requested =
        duration_requested(v->ref_frames, v->text_bytes, s->chunk.spoken_bytes, p->speed, p->fix_duration);
    int64_t frames = duration_frames(s->n_tokens, v->mel_frames, requested);
    if (frames > max_frames)
        return f5_fail(error, F5_E_MEMORY,
                       "%lld frames (%.1f s, reference included) are needed, max_frames given at open is %d: shorten "
                       "the text, or open with a larger max_frames",
                       (long long)frames, (double)frames * F5_HOP / F5_SAMPLE_RATE, max_frames);
    if (p->noise && p->noise_frames != frames)
        return f5_fail(error, F5_E_ARGUMENT, "the noise given has %d frames, this text takes %lld", p->noise_frames,
                       (long long)frames);
    s->frames = (int32_t)frames;
    return F5_OK;
}

/* ---- the call */

/* Reads the text into tokens [capacity] and has the speech made. What fits in max_frames fits in capacity. */
static f5_status serve_tokens(f5_engine *e, speech *s, int32_t *tokens, int32_t capacity, api_call *call,
                              f5_error *error) {
    F5_TRY(tokenize(e, s, tokens, capacity, error));
    F5_TRY(measure(e, s, error));
    const synth_job job = {.cond = s->voice->mel,
                           .cond_frames = s->voice->mel_frames,
                           .tokens = tokens,
                           .n_tokens = s->n_tokens,
                           .frames = s->frames,
                           .noise = s->params->noise,
                           .seed = s->params->seed,
                           .vocode_from = s->voice->ref_frames};
    call->n = 1;
    call->jobs = &job;
    call->turn.store_frames = s->frames;
    f5_status status = call_serve(e, call, error);
    call->jobs = NULL;
    return status;
}

static f5_status serve_on_stack(f5_engine *e, speech *s, api_call *call, f5_error *error) {
    int32_t tokens[LONG_TEXT_TOKENS];
    return serve_tokens(e, s, tokens, LONG_TEXT_TOKENS, call, error);
}

/* A thread inside a call of this engine is refused before it waits, since it would wait for itself. What it waits for
 * the place is a part of its wait for its batch. */
static f5_status serve_long(f5_engine *e, speech *s, api_call *call, f5_error *error) {
    F5_TRY(scheduler_refuse_inside(&e->scheduler, error));
    const double start = clock_ms();
    long_text_enter(&e->long_text);
    const double waited = clock_ms() - start;
    f5_status status = serve_tokens(e, s, e->long_text.tokens, engine_limits(e->core)->max_frames, call, error);
    long_text_leave(&e->long_text);
    call->turn.wait_ms += waited;
    return status;
}

/* ---- the result */

/* A reference that was raised gives speech that is lowered by as much. */
static void undo_level(const f5_voice *v, float *samples, int64_t n) {
    if (!(v->rms < v->target_rms)) return;
    for (int64_t i = 0; i < n; i++) samples[i] = samples[i] * v->rms / v->target_rms;
}

/* Damaged weights, or weights that overflow 16-bit arithmetic, yield NaN or Inf: the result is rejected before it is
 * played or saved. */
static f5_status check_sound(const f5_engine *e, const float *samples, int64_t n, f5_error *error) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(samples[i]))
            return f5_fail(
                error, F5_E_FORMAT,
                "no speech came of it: sample %lld is not a finite number; the model's weights are damaged%s",
                (long long)i,
                engine_precision(e->core) == F5_F32
                    ? ": convert the model again"
                    : ": convert the model again; or its numbers are too large for 16 bits: open it in fp32");
    return F5_OK;
}

/* Hands the results to their owner. stats may be NULL. */
static f5_status deliver(f5_engine *e, const speech *s, const api_call *call, f5_speak_stats *stats, f5_error *error) {
    const f5_voice *v = s->voice;
    size_t at = (size_t)call->turn.store_at;
    int32_t made = s->frames - v->ref_frames;
    int64_t n_samples = engine_vocode_samples(e->core, made);
    float *samples = e->samples + at * F5_HOP;
    undo_level(v, samples, n_samples);
    F5_TRY(check_sound(e, samples, n_samples, error));
    if (stats)
        *stats = (f5_speak_stats){.reference_seconds = f5_voice_seconds(v),
                                  .generated_seconds = (double)n_samples / F5_SAMPLE_RATE,
                                  .chunks = 1,
                                  .frames = s->frames,
                                  .tokens = s->n_tokens,
                                  .prepare_ms = call->times.prepare_ms,
                                  .ode_ms = call->times.ode_ms,
                                  .vocos_ms = call->times.vocode_ms,
                                  .total_ms = call->times.total_ms,
                                  .wait_ms = call->turn.wait_ms,
                                  .batch_sequences = call->turn.batch_sequences};
    f5_audio audio = {.samples = samples,
                      .n_samples = n_samples,
                      .mel = e->mel + (at + (size_t)v->ref_frames) * F5_MEL_BANDS,
                      .mel_frames = made};
    if (s->params->audio(s->params->audio_user, &audio) != 0)
        return f5_fail(error, F5_E_CANCELLED, "cancelled by the audio callback");
    return F5_OK;
}

static f5_status speak(f5_engine *e, const f5_voice *v, const f5_speak_params *p, f5_speak_stats *stats,
                       f5_error *error) {
    speech s = {.voice = v, .params = p};
    f5_sample_params defaults;
    f5_sample_params_init(&defaults);
    api_call call = {.kind = CALL_SYNTH, .timed = stats != NULL};
    F5_TRY(solver_read(&call.solver, p->sample ? p->sample : &defaults, error));
    F5_TRY(cut_text(e, &s, error));
    /* what is spoken of a chunk has at most its bytes, even if someone changes the text while it is read */
    bool is_long = e->long_text.tokens && tokenizer_max_tokens(v->text_bytes + s.chunk.bytes) > LONG_TEXT_TOKENS;
    F5_TRY(is_long ? serve_long(e, &s, &call, error) : serve_on_stack(e, &s, &call, error));
    f5_status status = deliver(e, &s, &call, stats, error);
    call_release(e, &call);
    return status;
}

int32_t f5_text_is_blank(const char *text) {
    return !text || chunk_is_blank(text, strlen(text));
}

f5_status f5_speak(f5_engine *e, const f5_voice *v, const f5_speak_params *params, f5_speak_stats *stats,
                   f5_error *error) {
    if (!e || !v) return f5_fail(error, F5_E_ARGUMENT, "f5_speak: engine or voice is NULL");
    f5_speak_params p;
    f5_speak_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_speak_params", error));
    F5_TRY(check_speak(e, v, &p, error));
    f5_speak_stats made = {0};
    if (stats) F5_TRY(params_write(stats, &made, sizeof made, "f5_speak_stats", error)); /* refused before the work */
    F5_TRY(speak(e, v, &p, stats ? &made : NULL, error));
    return stats ? params_write(stats, &made, sizeof made, "f5_speak_stats", error) : F5_OK;
}
