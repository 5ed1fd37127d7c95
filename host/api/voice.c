/* voice.c — a recording becomes a voice: checked, cut to upstream's length, brought to the model's rate, made a mel. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/advice.h"
#include "host/api/calls.h"
#include "host/api/params.h"
#include "host/api/recording.h"
#include "host/api/sayable.h"
#include "host/api/speech.h"
#include "host/audio/reference.h"
#include "host/text/chunk.h"
#include "host/text/duration.h"
#include "host/text/sentence.h"
#include "host/text/tokenizer.h"
#include "weights/utf8.h"

/* A voice that is being opened. */
typedef struct {
    f5_engine *engine;
    const f5_voice_params *params;
    f5_voice *voice;
} opening;

static void warn(const opening *o, f5_warning_kind kind, const char *format, ...) F5_PRINTF(3, 4);

static void warn(const opening *o, f5_warning_kind kind, const char *format, ...) {
    if (!o->params->warning) return;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    o->params->warning(o->params->warning_user, kind, message);
}

/* ---- the transcript */

/* Can this transcript be spoken at all? */
static f5_status check_tokens(f5_engine *e, const char *transcript, size_t bytes, f5_error *error) {
    f5_error why = {0};
    tokenizer t = chinese_begin(&e->chinese, engine_model(e->core));
    f5_status status = tokenizer_put(&t, transcript, bytes, 0, &why);
    chinese_end(&e->chinese);
    return status == F5_OK ? F5_OK : f5_fail(error, status, "transcript: %s", why.message);
}

/* What the model can say of the transcript, with upstream's ending. */
static f5_status keep_text(const opening *o, const char *transcript, size_t bytes, f5_error *error) {
    f5_voice *v = o->voice;
    size_t room = fold_max_bytes(bytes);
    text_buffer out = {.text = malloc(room + DURATION_ENDING_BYTES), .capacity = room};
    v->text = out.text;
    if (!v->text) return f5_fail(error, F5_E_MEMORY, "no memory for a transcript of %zu bytes", bytes);
    char message[SAYABLE_MESSAGE];
    F5_TRY(sayable_text(o->engine, "transcript", transcript, bytes, &out, message, error));
    if (*message) warn(o, F5_WARNING_CHARACTERS, "transcript: %s", message);
    F5_TRY(check_tokens(o->engine, out.text, out.bytes, error));
    v->text_bytes = duration_end_transcript(out.text, out.bytes, v->text);
    return F5_OK;
}

static f5_status normalize_sentences(const opening *o, const char *language, const char *text, size_t bytes,
                                     text_buffer *out, f5_error *error) {
    sentence_span span;
    size_t valid = utf8_valid_prefix(text, bytes);
    if (valid < bytes) return f5_fail(error, F5_E_FORMAT, "malformed UTF-8 at byte %zu", valid);
    for (size_t at = 0; at < bytes && sentence_next(text + at, bytes - at, true, &span) && span.next > 0;
         at += span.next) {
        F5_TRY(normalize_text(o->engine->normalizer, language, NULL, text + at, span.bytes, out, error));
        text_put(out, text + at + span.bytes, span.next - span.bytes);
    }
    return F5_OK;
}

static f5_status voice_text(const opening *o, f5_error *error) {
    const char *transcript = o->params->transcript;
    size_t bytes = transcript ? strlen(transcript) : 0;
    if (!transcript || chunk_is_blank(transcript, bytes))
        return f5_fail(error, F5_E_ARGUMENT,
                       "no transcript: give the words of the recording; transcription is not built in");
    if (bytes > (size_t)o->engine->max_text_bytes)
        return f5_fail(error, F5_E_LIMIT, "the transcript has %zu bytes, max_text_bytes given at open is %d", bytes,
                       o->engine->max_text_bytes);
    const char *language = speech_language(o->engine, o->params->normalize);
    if (!language) return keep_text(o, transcript, bytes, error);
    size_t room = bytes * NORMALIZE_GROWTH + NORMALIZE_EXTRA;
    text_buffer normal = {.text = malloc(room), .capacity = room};
    if (!normal.text) return f5_fail(error, F5_E_MEMORY, "no memory for a transcript of %zu bytes", bytes);
    f5_error why = {0};
    f5_status status = normalize_sentences(o, language, transcript, bytes, &normal, &why);
    if (status != F5_OK)
        f5_fail(error, status, "transcript: %s", why.message);
    else
        status = keep_text(o, normal.text, normal.bytes, error);
    free(normal.text);
    return status;
}

static void pass_advice(void *user, const char *what, int32_t good, const char *message) {
    (void)what;
    if (!good) warn(user, F5_WARNING_RECORDING, "%s", message);
}

/* What a listener would notice of the recording, if the caller wants to know. */
static f5_status warn_of_recording(opening *o, f5_error *error) {
    const advice_facts facts = {.used_seconds = f5_voice_seconds(o->voice), .text_bytes = o->voice->text_bytes};
    return o->params->warning ? advice_give(o->params, &facts, pass_advice, o, error) : F5_OK;
}

/* ---- the recording */

static f5_status voice_mel(f5_voice *v, const reference_clip *clip, f5_error *error) {
    int64_t frames = engine_mel_frames(v->engine->core, clip->n_samples);
    int32_t max_frames = engine_limits(v->engine->core)->max_frames;
    if (frames >= max_frames)
        return f5_fail(error, F5_E_LIMIT,
                       "the reference takes %lld of the %d frames given at open as max_frames, which leaves none for "
                       "speech: use a shorter recording or a larger max_frames",
                       (long long)frames, max_frames);
    v->mel_frames = (int32_t)frames;
    v->ref_frames = (int32_t)(clip->n_samples / F5_HOP);
    v->n_samples = clip->n_samples;
    v->rms = clip->rms;
    v->mel = malloc((size_t)frames * F5_MEL_BANDS * sizeof *v->mel);
    if (!v->mel) return f5_fail(error, F5_E_MEMORY, "no memory for a mel of %lld frames", (long long)frames);
    api_call call = {.kind = CALL_MEL, .samples = clip->samples, .n_samples = clip->n_samples, .mel = v->mel};
    F5_TRY(call_serve(v->engine, &call, error));
    call_release(v->engine, &call);
    return F5_OK;
}

/* ---- the voice */

f5_status f5_voice_open(f5_engine *e, const f5_voice_params *params, f5_voice **opened, f5_error *error) {
    if (!e || !opened) return f5_fail(error, F5_E_ARGUMENT, "f5_voice_open: engine or voice is NULL");
    *opened = NULL;
    F5_TRY(call_refuse_recording(e, error));
    f5_voice_params p;
    f5_voice_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_voice_params", error));
    f5_voice *v = calloc(1, sizeof *v);
    if (!v) return f5_fail(error, F5_E_MEMORY, "no memory for a voice");
    v->engine = e;
    v->target_rms = p.target_rms;
    reference_clip clip = {0};
    opening o = {.engine = e, .params = &p, .voice = v};
    f5_status status = voice_text(&o, error);
    if (status == F5_OK) status = recording_read(&p, 0, &clip, error);
    if (status == F5_OK) status = voice_mel(v, &clip, error);
    if (status == F5_OK) status = warn_of_recording(&o, error);
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
