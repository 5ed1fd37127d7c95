/* own_voice.c — a speech in a model's one voice: there is no recording, the model knows how long a text is, and what it
 * reads is IPA, which the caller's function may make of words. */
#include "host/api/speech.h"

bool speech_has_voice(const f5_engine *e, const f5_voice *v) {
    return v || engine_has_one_voice(e->core);
}

/* A model's own voice has no recording that says how fast it speaks: about as many bytes of IPA as this. */
#define OWN_BYTES_A_SECOND 20
static const char own_second[] = "____________________";
_Static_assert(sizeof own_second == OWN_BYTES_A_SECOND + 1, "a second of it");

reader_voice speech_own_voice(const speech *s, float speed) {
    const int32_t max_frames = engine_limits(s->engine->core)->max_frames;
    const double seconds = (double)max_frames * F5_HOP / s->engine->rate;
    return (reader_voice){.transcript = own_second,
                          .transcript_bytes = OWN_BYTES_A_SECOND,
                          .seconds = 1,
                          .speed = speed,
                          .room_bytes = s->params.fix_duration > 0 ? READER_MAX_CHUNK : seconds * OWN_BYTES_A_SECOND,
                          .most_bytes = (engine_most_tokens(s->engine->core) - 1) / 2};
}

/* What the caller's function makes of text [*bytes], which *text then is. */
f5_status speech_phonemes(const speech *s, const char **text, size_t *bytes, text_buffer *to, f5_error *error) {
    F5_TRY(s->params.phonemes(s->params.phonemes_user, *text, *bytes, to->text, to->capacity, &to->bytes, error));
    if (to->bytes > to->capacity) return f5_fail(error, F5_E_ARGUMENT, "phonemes: more bytes than there is room for");
    *text = to->text;
    *bytes = to->bytes;
    return F5_OK;
}

/* Frames of a chunk in the model's own voice, as its duration predictor or fix_duration has them. */
f5_status speech_own_frames(const speech *s, const desk_chunk *c, const int32_t *tokens, double fixed, int64_t *frames,
                            f5_error *error) {
    int32_t predicted = 0;
    api_call call = {.kind = CALL_DURATION,
                     .of_speech = true,
                     .solver = {.waits = s->call.solver.waits, .progress_user = s->call.solver.progress_user},
                     .tokens = tokens,
                     .n_tokens = c->tokens,
                     .scale = 1 / c->chunk.speed,
                     .frames = &predicted};
    if (fixed > 0) {
        *frames = (int64_t)(fixed * s->engine->rate / F5_HOP);
    } else {
        F5_TRY(call_serve(s->engine, &call, error));
        call_release(s->engine, &call);
        *frames = predicted;
    }
    if (*frames < c->tokens) *frames = c->tokens;
    return F5_OK;
}
