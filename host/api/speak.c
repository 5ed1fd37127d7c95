/* speak.c — the speech level: a recording becomes a voice, a text becomes speech in it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/calls.h"
#include "host/api/params.h"
#include "host/audio/reference.h"
#include "host/text/chunk.h"
#include "host/text/duration.h"
#include "host/text/tokenizer.h"

PARAMS_INIT(f5_voice_params, .sample_rate = F5_SAMPLE_RATE, .channels = 1, .target_rms = 0.1f)
PARAMS_INIT(f5_speak_params, .speed = 1)
PARAMS_INIT(f5_speak_stats, .size = 0)

/* ---- voice */

/* Can this text be spoken at all? Offsets in messages are then in the caller's own string. */
static f5_status check_text(const f5_engine *e, const char *name, const char *text, f5_error *error) {
    const model *m = engine_model(e->core);
    int32_t n;
    f5_error why = {0};
    f5_status status = tokenizer_run(m->config.tokenizer, &m->vocab, text, strlen(text), NULL, 0, &n, &why);
    return status == F5_OK ? F5_OK : f5_fail(error, status, "%s: %.480s", name, why.message);
}

/* Checks the transcript and keeps it with upstream's ending. */
static f5_status voice_text(f5_voice *v, const char *transcript, f5_error *error) {
    size_t bytes = transcript ? strlen(transcript) : 0;
    if (!transcript || chunk_is_blank(transcript, bytes))
        return f5_fail(error, F5_E_ARGUMENT,
                       "no transcript: give the words of the recording; transcription is not built in");
    if (bytes > (size_t)v->engine->max_text_bytes)
        return f5_fail(error, F5_E_MEMORY, "the transcript has %zu bytes, max_text_bytes given at open is %d", bytes,
                       v->engine->max_text_bytes);
    F5_TRY(check_text(v->engine, "transcript", transcript, error));
    v->text = malloc(bytes + DURATION_ENDING_BYTES);
    if (!v->text) return f5_fail(error, F5_E_MEMORY, "no memory for a transcript of %zu bytes", bytes);
    v->text_bytes = duration_end_transcript(transcript, bytes, v->text);
    return F5_OK;
}

static f5_status voice_mel(f5_voice *v, const reference_clip *clip, f5_error *error) {
    int64_t frames = clip->n_samples / F5_HOP + 1;
    int32_t most = engine_limits(v->engine->core)->max_frames;
    if (frames >= most)
        return f5_fail(error, F5_E_MEMORY,
                       "the reference takes %lld of the %d frames given at open as max_frames, which leaves none for "
                       "speech: use a shorter recording or a larger max_frames",
                       (long long)frames, most);
    v->mel_frames = (int32_t)frames;
    v->ref_frames = (int32_t)frames - 1;
    v->n_samples = clip->n_samples;
    v->rms = clip->rms;
    v->mel = malloc((size_t)frames * F5_MEL_BANDS * sizeof *v->mel);
    if (!v->mel) return f5_fail(error, F5_E_MEMORY, "no memory for a mel of %lld frames", (long long)frames);
    api_call call = {.kind = CALL_MEL, .samples = clip->samples, .n_samples = clip->n_samples, .mel = v->mel};
    F5_TRY(call_serve(v->engine, &call, error));
    call_release(v->engine, &call);
    return F5_OK;
}

f5_status f5_voice_open(f5_engine *e, const f5_voice_params *params, f5_voice **opened, f5_error *error) {
    if (!e || !opened) return f5_fail(error, F5_E_ARGUMENT, "f5_voice_open: engine or voice is NULL");
    *opened = NULL;
    f5_voice_params p;
    f5_voice_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_voice_params", error));
    f5_voice *v = calloc(1, sizeof *v);
    if (!v) return f5_fail(error, F5_E_MEMORY, "no memory for a voice");
    v->engine = e;
    v->target_rms = p.target_rms;
    reference_source source = {.samples = p.samples,
                               .n_frames = p.n_frames,
                               .channels = p.channels,
                               .sample_rate = p.sample_rate,
                               .target_rms = p.target_rms,
                               .keep_whole = p.keep_whole != 0,
                               .resample = p.resample,
                               .resample_user = p.resample_user};
    reference_clip clip = {0};
    f5_status status = voice_text(v, p.transcript, error);
    if (status == F5_OK) status = reference_prepare(&source, &clip, error);
    if (status == F5_OK) status = voice_mel(v, &clip, error);
    free(clip.samples);
    if (status != F5_OK) {
        f5_voice_close(v);
        return status;
    }
    *opened = v;
    return F5_OK;
}

void f5_voice_close(f5_voice *v) {
    if (!v) return;
    free(v->mel);
    free(v->text);
    free(v);
}

double f5_voice_seconds(const f5_voice *v) {
    return v ? (double)v->n_samples / F5_SAMPLE_RATE : 0;
}

/* ---- speech */

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
    size_t text_bytes; /* of the text as given */
    size_t gen_bytes;  /* of the text as it is spoken */
    int32_t n_tokens;  /* of both texts */
    int32_t frames;
} speech;

static f5_status check_new_text(const f5_engine *e, speech *s, f5_error *error) {
    s->text_bytes = strlen(s->params->text);
    if (s->text_bytes > (size_t)e->max_text_bytes)
        return f5_fail(error, F5_E_MEMORY, "the text has %zu bytes, max_text_bytes given at open is %d", s->text_bytes,
                       e->max_text_bytes);
    return check_text(e, "text", s->params->text, error);
}

/* Reference text followed by the text to speak, in e->text, which is locked. */
static f5_status join_texts(f5_engine *e, const speech *s, size_t *gen_bytes, f5_error *error) {
    const f5_voice *v = s->voice;
    const char *text = s->params->text;
    size_t bytes = s->text_bytes, at = 0;
    int64_t most = duration_max_chunk_bytes(v->text, v->text_bytes, f5_voice_seconds(v), s->params->speed);
    memcpy(e->text, v->text, v->text_bytes);
    F5_TRY(chunk_next(text, bytes, &at, most, e->text + v->text_bytes, gen_bytes, error));
    if (*gen_bytes == 0) return f5_fail(error, F5_E_ARGUMENT, "the text to speak is empty");
    if (!chunk_is_blank(text + at, bytes - at))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "the text has %zu bytes; with this reference and speed about %lld can be spoken at once, and "
                       "longer texts are not supported yet: split it between sentences",
                       bytes, (long long)(most > 0 ? most : 0));
    return F5_OK;
}

/* Ids of both texts, as many as fit into tokens [capacity]; *n is how many there are. */
static f5_status tokenize(f5_engine *e, const speech *s, size_t *gen_bytes, int32_t *tokens, int32_t capacity,
                          int32_t *n, f5_error *error) {
    const model *m = engine_model(e->core);
    pthread_mutex_lock(&e->text_lock);
    f5_status status = join_texts(e, s, gen_bytes, error);
    if (status == F5_OK)
        status = tokenizer_run(m->config.tokenizer, &m->vocab, e->text, s->voice->text_bytes + *gen_bytes, tokens,
                               capacity, n, error);
    pthread_mutex_unlock(&e->text_lock);
    return status;
}

/* How long it will be. */
static f5_status plan_speech(f5_engine *e, speech *s, f5_error *error) {
    const f5_voice *v = s->voice;
    const f5_speak_params *p = s->params;
    int32_t most = engine_limits(e->core)->max_frames;
    F5_TRY(check_new_text(e, s, error));
    F5_TRY(tokenize(e, s, &s->gen_bytes, NULL, 0, &s->n_tokens, error));
    int64_t requested = duration_requested(v->ref_frames, v->text_bytes, s->gen_bytes, p->speed, p->fix_duration);
    int64_t frames = duration_frames(s->n_tokens, v->mel_frames, requested);
    if (frames > most)
        return f5_fail(error, F5_E_MEMORY,
                       "%lld frames (%.1f s, reference included) are needed, max_frames given at open is %d: shorten "
                       "the text, or open with a larger max_frames",
                       (long long)frames, (double)frames * F5_HOP / F5_SAMPLE_RATE, most);
    if (p->noise && p->noise_frames != frames)
        return f5_fail(error, F5_E_ARGUMENT, "the noise given has %d frames, this text takes %lld", p->noise_frames,
                       (long long)frames);
    s->frames = (int32_t)frames;
    return F5_OK;
}

/* Tokens into the call's part of the store, and where the results go. The text was found good before; should its owner
 * have changed it since, what is there now is spoken, in the time and the bytes of what there was. */
static void load_speech(f5_engine *e, const api_call *call, synth_job *job) {
    const speech *s = call->load_user;
    size_t at = (size_t)call->call.store_at, gen_bytes;
    int32_t n = 0;
    if (tokenize(e, s, &gen_bytes, e->tokens + at, s->frames, &n, NULL) != F5_OK) n = 0;
    job->tokens = e->tokens + at;
    job->n_tokens = n < s->n_tokens ? n : s->n_tokens;
    job->mel = e->mel + at * F5_MEL_BANDS;
    job->samples = e->samples + at * F5_HOP;
}

/* A reference that was raised gives speech that is lowered by as much. */
static void undo_level(const f5_voice *v, float *samples, int64_t n) {
    if (!(v->rms < v->target_rms)) return;
    for (int64_t i = 0; i < n; i++) samples[i] = samples[i] * v->rms / v->target_rms;
}

/* Damaged weights, or such as 16 bits are too few for, give no speech: nobody is to hear or keep what came of them. */
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
    size_t at = (size_t)call->call.store_at;
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
                                  .wait_ms = call->call.wait_ms,
                                  .batch_sequences = call->call.batch_sequences};
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
    api_call call = {.kind = CALL_SYNTH, .n = 1, .load = load_speech, .load_user = &s, .timed = stats != NULL};
    F5_TRY(solver_read(&call.solver, p->sample ? p->sample : &defaults, error));
    F5_TRY(plan_speech(e, &s, error));
    synth_job job = {.cond = v->mel,
                     .cond_frames = v->mel_frames,
                     .frames = s.frames,
                     .noise = p->noise,
                     .seed = p->seed,
                     .vocode_from = v->ref_frames};
    call.jobs = &job;
    call.call.store_frames = s.frames;
    F5_TRY(call_serve(e, &call, error));
    f5_status status = deliver(e, &s, &call, stats, error);
    call_release(e, &call);
    return status;
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
