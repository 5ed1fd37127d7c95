/* own_voice.c — a speech in a model's one voice: there is no recording, the model knows how long a text is, and what it
 * reads is IPA, which the caller's function may make of words. */
#include <math.h>

#include "host/api/speech.h"
#include "weights/utf8.h"

bool speech_has_voice(const f5_engine *e, const f5_voice *v) {
    return v || engine_has_one_voice(e->core);
}

/* A model's own voice has no recording that says how fast it speaks: about as many bytes of IPA as this. */
#define OWN_BYTES_A_SECOND 20
static const char own_second[] = "____________________";
_Static_assert(sizeof own_second == OWN_BYTES_A_SECOND + 1, "a second of it");

reader_voice speech_own_voice(const speech *s, float speed) {
    const int32_t max_frames = engine_limits(s->engine->core)->max_frames;
    const double seconds = (double)max_frames * s->engine->hop / s->engine->rate;
    return (reader_voice){.transcript = own_second,
                          .transcript_bytes = OWN_BYTES_A_SECOND,
                          .seconds = 1,
                          .speed = speed,
                          .room_bytes = s->params.fix_duration > 0 ? READER_MAX_CHUNK : seconds * OWN_BYTES_A_SECOND,
                          .most_bytes = (engine_most_tokens(s->engine->core) - 1) / 2};
}

f5_status speech_check_own_speed(const speech *s, float speed, f5_error *error) {
    if (speed == 1 || engine_predicts_durations(s->engine->core)) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "speed: %s predicts no durations: its speech has one pace",
                   engine_model(s->engine->core)->config.name);
}

/* What the caller's function makes of text [*bytes], which *text then is. */
f5_status speech_phonemes(const speech *s, const char **text, size_t *bytes, text_buffer *to, f5_error *error) {
    f5_error why = {0};
    const int failed =
        (int)s->params.phonemes(s->params.phonemes_user, *text, *bytes, to->text, to->capacity, &to->bytes, &why);
    if (failed) {
        const f5_status status = failed > F5_OK && failed <= F5_E_LIMIT ? (f5_status)failed : F5_E_ARGUMENT;
        if (!*why.message) return f5_fail(error, status, "phonemes: the function failed with %d", failed);
        return f5_fail(error, status, "%.*s", (int)sizeof why.message - 1, why.message);
    }
    if (to->bytes > to->capacity) return f5_fail(error, F5_E_ARGUMENT, "phonemes: more bytes than there is room for");
    const size_t valid = utf8_valid_prefix(to->text, to->bytes);
    if (valid < to->bytes)
        return f5_fail(error, F5_E_FORMAT, "phonemes: what the function gave is no UTF-8 at byte %zu", valid);
    *text = to->text;
    *bytes = to->bytes;
    return F5_OK;
}

/* Frames of a chunk in the model's own voice, as its duration predictor or fix_duration has them. */
f5_status speech_own_frames(speech *s, const desk_chunk *c, const int32_t *tokens, double fixed, int64_t *frames,
                            f5_error *error) {
    int32_t predicted = 0;
    api_call call = {.kind = CALL_DURATION,
                     .of_speech = true,
                     .solver = {.waits = s->call.solver.waits, .progress_user = s->call.solver.progress_user},
                     .tokens = tokens,
                     .n_tokens = c->tokens,
                     .scale = fminf(fmaxf(1 / c->chunk.speed, 0.01f), 100),
                     .frames = &predicted};
    F5_TRY(speech_check_own_speed(s, c->chunk.speed, error));
    if (fixed > 0) {
        *frames = (int64_t)(fixed * s->engine->rate / s->engine->hop);
    } else {
        F5_TRY(call_serve(s->engine, &call, error));
        call_release(s->engine, &call);
        s->stats.wait_ms += call.turn.wait_ms;
        *frames = predicted;
    }
    if (*frames < c->tokens) *frames = c->tokens;
    return F5_OK;
}
