/* edit.c — words of a recording are replaced: the mel of the edited stretches is sampled between that of the kept ones,
 * vocoded, and set into the recording. The arithmetic of frames is upstream's (f5_tts/infer/speech_edit.py). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/params.h"
#include "host/api/recording.h"
#include "host/api/sayable.h"
#include "host/api/speech.h"
#include "host/audio/splice.h"
#include "host/text/chunk.h"
#include "host/text/duration.h"
#include "host/text/tokenizer.h"
#include "runtime/request_check.h"

/* Recording frames [from,to) give way to made new ones. A time inside the recording is a frame of it or, at the very
 * end, the one behind the last. */
typedef struct {
    int64_t from, to, made;
} frame_edit;

/* One f5_edit, and all the memory that it takes. */
typedef struct {
    f5_engine *engine;
    const f5_edit_params *params;
    reference_clip clip;     /* the recording, mono, 24 kHz, its own level */
    frame_edit *frames;      /* [n_edits] */
    splice_edit *samples;    /* [n_edits] the same in samples */
    float *recorded;         /* [recorded_frames,100] the recording's mel */
    int64_t recorded_frames; /* samples / 256 + 1 */
    float *cond;             /* [edited_frames,100] kept frames and, between them, zeros */
    uint8_t *keep;           /* [edited_frames] */
    int64_t edited_frames;   /* as upstream counts them; one more is made */
    char *text;              /* [text_bytes] as the model says it */
    size_t text_bytes;
    int32_t *tokens; /* [n_tokens] */
    int32_t n_tokens, frames_made;
    float *mel, *generated, *out;
    int64_t out_samples;
} edit;

static void edit_free(edit *e) {
    free(e->clip.samples);
    free(e->frames);
    free(e->samples);
    free(e->recorded);
    free(e->cond);
    free(e->keep);
    free(e->text);
    free(e->tokens);
    free(e->mel);
    free(e->generated);
    free(e->out);
}

static f5_status get(void **memory, int64_t n, size_t size, f5_error *error) {
    *memory = calloc((size_t)n, size);
    return *memory ? F5_OK
                   : f5_fail(error, F5_E_MEMORY, "no memory for an edit of %lld bytes", (long long)n * (long long)size);
}

/* ---- what is asked */

static f5_status check_params(const f5_engine *e, const f5_edit_params *p, f5_error *error) {
    if (!p->text || chunk_is_blank(p->text, strlen(p->text)))
        return f5_fail(error, F5_E_ARGUMENT,
                       "the text of the edit is empty: give all that the edited recording shall say");
    if (strlen(p->text) > (size_t)e->max_text_bytes)
        return f5_fail(error, F5_E_LIMIT, "the text has %zu bytes, max_text_bytes given at open is %d", strlen(p->text),
                       e->max_text_bytes);
    if (!p->audio) return f5_fail(error, F5_E_ARGUMENT, "f5_edit_params.audio is NULL: nothing would hear the result");
    if (!p->edits || p->n_edits < 1 || p->n_edits > F5_MAX_EDITS)
        return f5_fail(error, F5_E_ARGUMENT, "%d edits: must be 1 to %d", p->edits ? p->n_edits : 0, F5_MAX_EDITS);
    return F5_OK;
}

/* Is edit i a stretch of the recording behind the one before it, and does it last long enough? */
static f5_status check_span(const f5_edit_span *edits, int32_t i, double seconds, f5_error *error) {
    const f5_edit_span *s = &edits[i];
    const double end_before = i > 0 ? edits[i - 1].end : 0;
    if (!isfinite(s->start) || !isfinite(s->end) || s->start < 0 || s->start > s->end)
        return f5_fail(error, F5_E_ARGUMENT, "edit %d goes from %g s to %g s: must go forward, from 0 s on", i + 1,
                       s->start, s->end);
    if (s->end > seconds)
        return f5_fail(error, F5_E_ARGUMENT, "edit %d ends at %g s, the recording at %.4f s", i + 1, s->end, seconds);
    if (s->start < end_before)
        return f5_fail(error, F5_E_ARGUMENT, "edit %d begins at %g s, inside or before edit %d, which ends at %g s",
                       i + 1, s->start, i, end_before);
    if (!(s->duration >= 0) || s->duration > F5_MAX_RECORDING_SECONDS)
        return f5_fail(error, F5_E_ARGUMENT, "edit %d shall last %g s: must be 0 (as it was) to %d s", i + 1,
                       s->duration, F5_MAX_RECORDING_SECONDS);
    const double lasts = s->duration > 0 ? s->duration : s->end - s->start;
    if (lasts < F5_MIN_EDIT_SECONDS)
        return f5_fail(error, F5_E_ARGUMENT, "edit %d shall last %g s: at least %g s are needed%s", i + 1, lasts,
                       F5_MIN_EDIT_SECONDS, s->start == s->end ? "; an insertion needs a duration" : "");
    return F5_OK;
}

/* Python's round: halves to even. */
static int64_t frame_of(double seconds) {
    return (int64_t)nearbyint(seconds * F5_SAMPLE_RATE / F5_HOP);
}

/* Where a frame begins in the recording; a time at its very end is its end. */
static int64_t sample_of(double seconds, int64_t frame, int64_t n) {
    const int64_t sample = frame * F5_HOP;
    return sample > n || nearbyint(seconds * F5_SAMPLE_RATE) >= (double)n ? n : sample;
}

static f5_status read_spans(edit *e, f5_error *error) {
    const f5_edit_params *p = e->params;
    const int64_t n = e->clip.n_samples;
    int64_t kept = n;
    e->edited_frames = e->recorded_frames;
    for (int32_t i = 0; i < p->n_edits; i++) {
        const f5_edit_span s = p->edits[i];
        F5_TRY(check_span(p->edits, i, (double)n / F5_SAMPLE_RATE, error));
        const frame_edit f = {.from = frame_of(s.start),
                              .to = frame_of(s.end),
                              .made = frame_of(s.duration > 0 ? s.duration : s.end - s.start)};
        e->frames[i] = f;
        e->samples[i] = (splice_edit){
            .from = sample_of(s.start, f.from, n), .to = sample_of(s.end, f.to, n), .made = f.made * F5_HOP};
        e->edited_frames += f.made - (f.to - f.from);
        kept -= e->samples[i].to - e->samples[i].from;
    }
    if ((double)kept < REFERENCE_MIN_SECONDS * F5_SAMPLE_RATE)
        return f5_fail(error, F5_E_ARGUMENT,
                       "the edits leave %.3f s of the recording: at least %.1f s must stay, so that its voice is known",
                       (double)kept / F5_SAMPLE_RATE, REFERENCE_MIN_SECONDS);
    e->out_samples = splice_samples(n, e->samples, p->n_edits);
    return F5_OK;
}

/* What the model can say of the text. */
static f5_status read_text(edit *e, f5_error *error) {
    const f5_edit_params *p = e->params;
    const size_t bytes = strlen(p->text);
    text_buffer out = {.capacity = fold_max_bytes(bytes)};
    char message[SAYABLE_MESSAGE];
    F5_TRY(get((void **)&e->text, (int64_t)out.capacity, 1, error));
    out.text = e->text;
    F5_TRY(sayable_text(e->engine, "text", p->text, bytes, &out, message, error));
    if (*message && p->warning) p->warning(p->warning_user, F5_WARNING_CHARACTERS, message);
    e->text_bytes = out.bytes;
    return F5_OK;
}

/* The text's tokens into e->tokens [n_tokens]; before that has memory, their number alone. */
static f5_status tokenize(edit *e, f5_error *error) {
    f5_error why = {0};
    tokenizer t = chinese_begin(&e->engine->chinese, engine_model(e->engine->core));
    t.ids = e->tokens;
    t.capacity = e->tokens ? e->n_tokens : 0;
    f5_status status = tokenizer_put(&t, e->text, e->text_bytes, 0, &why);
    chinese_end(&e->engine->chinese);
    e->n_tokens = t.n;
    return status == F5_OK ? F5_OK : f5_fail(error, status, "text: %s", why.message);
}

/* ---- the recording and its mel */

static f5_status read_recording(edit *e, f5_error *error) {
    const f5_edit_params *p = e->params;
    f5_voice_params recording;
    f5_voice_params_init(&recording);
    recording.samples = p->samples;
    recording.n_frames = p->n_frames;
    recording.channels = p->channels;
    recording.sample_rate = p->sample_rate;
    recording.resample = p->resample;
    recording.resample_user = p->resample_user;
    recording.keep_whole = 1;
    recording.target_rms = 1e-30f; /* its level stays */
    if (!(p->target_rms > 0) || p->target_rms > 1)
        return f5_fail(error, F5_E_ARGUMENT, "target_rms %g: must be above 0 and at most 1", (double)p->target_rms);
    F5_TRY(recording_read(&recording, REFERENCE_KEEP_LOUD, &e->clip, error));
    e->recorded_frames = engine_mel_frames(e->engine->core, e->clip.n_samples);
    return F5_OK;
}

static bool raised(const edit *e) {
    return e->clip.rms < e->params->target_rms;
}

/* The mel of the recording, which is raised for it where it is quiet. */
static f5_status record_mel(edit *e, f5_error *error) {
    const int64_t n = e->clip.n_samples;
    F5_TRY(get((void **)&e->recorded, e->recorded_frames * F5_MEL_BANDS, sizeof *e->recorded, error));
    float *level = NULL;
    if (raised(e)) {
        F5_TRY(get((void **)&level, n, sizeof *level, error));
        for (int64_t i = 0; i < n; i++) level[i] = e->clip.samples[i] * e->params->target_rms / e->clip.rms;
    }
    api_call call = {.kind = CALL_MEL, .samples = level ? level : e->clip.samples, .n_samples = n, .mel = e->recorded};
    f5_status status = call_serve(e->engine, &call, error);
    if (status == F5_OK) call_release(e->engine, &call);
    free(level);
    return status;
}

/* Kept frames side by side, with room for the new ones between them. */
static f5_status lay_out(edit *e, f5_error *error) {
    F5_TRY(get((void **)&e->cond, e->edited_frames * F5_MEL_BANDS, sizeof *e->cond, error));
    F5_TRY(get((void **)&e->keep, e->edited_frames, sizeof *e->keep, error));
    int64_t read = 0, at = 0;
    for (int32_t i = 0; i <= e->params->n_edits; i++) {
        const bool last = i == e->params->n_edits;
        const int64_t kept = (last ? e->recorded_frames : e->frames[i].from) - read;
        memcpy(e->cond + at * F5_MEL_BANDS, e->recorded + read * F5_MEL_BANDS,
               (size_t)(kept * F5_MEL_BANDS) * sizeof *e->cond);
        memset(e->keep + at, 1, (size_t)kept);
        if (last) break;
        at += kept + e->frames[i].made;
        read = e->frames[i].to;
    }
    return F5_OK;
}

/* ---- the result */

static f5_status measure(edit *e, f5_error *error) {
    const int32_t max_frames = engine_limits(e->engine->core)->max_frames;
    if (e->n_tokens > e->edited_frames)
        return f5_fail(error, F5_E_ARGUMENT,
                       "the text has %d tokens, the edited recording %lld frames (%.2f s): nobody speaks so fast; the "
                       "text must be that of the recording",
                       e->n_tokens, (long long)e->edited_frames, (double)e->edited_frames * F5_HOP / F5_SAMPLE_RATE);
    const int64_t frames = duration_frames(e->n_tokens, e->edited_frames, e->edited_frames);
    if (frames > max_frames)
        return f5_fail(error, F5_E_LIMIT,
                       "the edited recording has %lld frames (%.1f s), max_frames given at open is %d: edit a shorter "
                       "one, or open with a larger max_frames",
                       (long long)frames, (double)frames * F5_HOP / F5_SAMPLE_RATE, max_frames);
    if (e->params->noise && e->params->noise_frames != frames)
        return f5_fail(error, F5_E_ARGUMENT, "the noise given has %d frames, this edit takes %lld",
                       e->params->noise_frames, (long long)frames);
    e->frames_made = (int32_t)frames;
    return F5_OK;
}

/* An end of the recording that was made anew fades. */
static void fade_ends(const edit *e) {
    const splice_edit *first = e->samples, *last = first + e->params->n_edits - 1;
    const int64_t in = first->made < SPEECH_EDGE ? first->made : SPEECH_EDGE;
    const int64_t out = last->made < SPEECH_EDGE ? last->made : SPEECH_EDGE;
    if (e->params->exact) return;
    if (first->from == 0) join_fade_in(e->out, in);
    if (last->to == e->clip.n_samples) join_fade_out(e->out + e->out_samples - out, out);
}

static f5_status generate(edit *e, api_call *call, f5_error *error) {
    const int64_t n = engine_vocode_samples(e->engine->core, e->frames_made);
    F5_TRY(get((void **)&e->tokens, e->n_tokens, sizeof *e->tokens, error));
    F5_TRY(tokenize(e, error));
    int32_t before = 0, after = 0;
    const int32_t room = engine_limits(e->engine->core)->max_frames - e->frames_made;
    if (!e->params->exact) speech_around(e->engine, room, &before, &after);
    F5_TRY(get((void **)&e->mel, (int64_t)e->frames_made * F5_MEL_BANDS, sizeof *e->mel, error));
    F5_TRY(get((void **)&e->generated, n, sizeof *e->generated, error));
    F5_TRY(get((void **)&e->out, e->out_samples, sizeof *e->out, error));
    const synth_job job = {.cond = e->cond,
                           .cond_frames = (int32_t)e->edited_frames,
                           .tokens = e->tokens,
                           .n_tokens = e->n_tokens,
                           .frames = e->frames_made,
                           .edit_mask = e->keep,
                           .noise = e->params->noise,
                           .seed = e->params->seed,
                           .mel = e->mel,
                           .vocode_before = before,
                           .vocode_after = after,
                           .samples = e->generated};
    call->n = 1;
    call->jobs = &job;
    f5_status status = call_serve(e->engine, call, error);
    if (status == F5_OK) call_release(e->engine, call);
    call->jobs = NULL;
    if (status != F5_OK) return status;
    for (int64_t i = 0; i < n && raised(e); i++)
        e->generated[i] = e->generated[i] * e->clip.rms / e->params->target_rms;
    splice(e->clip.samples, e->clip.n_samples, e->generated, e->samples, e->params->n_edits, e->out);
    fade_ends(e);
    return speech_check_sound(e->engine, e->out, e->out_samples, error);
}

static f5_status deliver(const edit *e, const api_call *call, f5_speak_stats *stats, f5_error *error) {
    int64_t made = 0;
    for (int32_t i = 0; i < e->params->n_edits; i++) made += e->samples[i].made;
    if (stats)
        *stats = (f5_speak_stats){.reference_seconds = (double)(e->out_samples - made) / F5_SAMPLE_RATE,
                                  .generated_seconds = (double)made / F5_SAMPLE_RATE,
                                  .chunks = 1,
                                  .frames = e->frames_made,
                                  .tokens = e->n_tokens,
                                  .prepare_ms = call->times.prepare_ms,
                                  .ode_ms = call->times.ode_ms,
                                  .vocos_ms = call->times.vocode_ms,
                                  .total_ms = call->times.total_ms,
                                  .wait_ms = call->turn.wait_ms,
                                  .batch_sequences = call->turn.batch_sequences};
    const f5_audio audio = {.samples = e->out,
                            .n_samples = e->out_samples,
                            .mel = e->mel,
                            .mel_frames = e->frames_made,
                            .chunks = 1,
                            .text = e->text,
                            .text_bytes = e->text_bytes};
    if (e->params->audio(e->params->audio_user, &audio) != 0)
        return f5_fail(error, F5_E_CANCELLED, "cancelled by the audio callback");
    return F5_OK;
}

static f5_status run(edit *e, f5_speak_stats *stats, f5_error *error) {
    const f5_edit_params *p = e->params;
    api_call call = {.kind = CALL_SYNTH, .timed = stats != NULL};
    F5_TRY(solver_of_model(&call.solver, p->sample, &engine_model(e->engine->core)->config, error));
    F5_TRY(request_check_solver(engine_limits(e->engine->core), &call.solver, error));
    F5_TRY(check_params(e->engine, p, error));
    F5_TRY(read_text(e, error));
    F5_TRY(tokenize(e, error));
    F5_TRY(read_recording(e, error));
    F5_TRY(get((void **)&e->frames, p->n_edits, sizeof *e->frames, error));
    F5_TRY(get((void **)&e->samples, p->n_edits, sizeof *e->samples, error));
    F5_TRY(read_spans(e, error));
    F5_TRY(measure(e, error));
    F5_TRY(record_mel(e, error));
    F5_TRY(lay_out(e, error));
    F5_TRY(generate(e, &call, error));
    return deliver(e, &call, stats, error);
}

f5_status f5_edit(f5_engine *with, const f5_edit_params *params, f5_speak_stats *stats, f5_error *error) {
    if (!with) return f5_fail(error, F5_E_ARGUMENT, "f5_edit: engine is NULL");
    F5_TRY(call_refuse_recording(with, error));
    f5_edit_params p;
    f5_edit_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_edit_params", error));
    f5_speak_stats made = {0};
    if (stats) F5_TRY(params_write(stats, &made, sizeof made, "f5_speak_stats", error)); /* refused before the work */
    edit e = {.engine = with, .params = &p};
    f5_status status = run(&e, stats ? &made : NULL, error);
    edit_free(&e);
    return status == F5_OK && stats ? params_write(stats, &made, sizeof made, "f5_speak_stats", error) : status;
}
