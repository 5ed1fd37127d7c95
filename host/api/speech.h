/* speech.h — a text that is being spoken: what f5_speak, f5_show_text and f5_stream share.
 *
 * A speech is planned first where all of its text is known: it is read to its end, so that everything that is wrong
 * with it is told before the work begins. Then it is read again, and spoken as it is read, some chunks at a time. */
#ifndef F5_SPEECH_H
#define F5_SPEECH_H

#include "host/api/calls.h"
#include "host/api/desk.h"
#include "host/audio/join.h"

#define SPEECH_MAX_VOICES 64 /* beside the main one */
#define SPEECH_EDGE 120      /* samples in which an end fades: 5 ms at 24 kHz */

typedef struct {
    f5_engine *engine;
    desk *desk;
    f5_speak_params params;
    api_call call; /* kind and solver; the rest is filled for every batch */
    /* the voices: 0 is the main one */
    const f5_voice *voice[SPEECH_MAX_VOICES + 1];
    f5_voice own; /* the main one of a model that has one voice: no recording */
    reader_voice seen[SPEECH_MAX_VOICES + 1];
    bool speed_given[SPEECH_MAX_VOICES + 1];
    reader_rules rules;
    const char *language; /* that the text is normalised in; NULL: it is not */
    reader reader;
    int32_t n_chunks; /* of the whole text; 0: not known */
    bool planning;    /* warnings are told: in the first reading, or in the only one */
    bool pace_told;
    int32_t unknown_voices;
    fold_report unknown; /* characters */
    bool silent;         /* a chunk was passed over that has no letter, digit or ideograph */
    double passed_pause; /* before it: the next chunk's */
    /* where the output stands */
    int32_t next;   /* chunk */
    int32_t n_held; /* chunks on the desk that are cut and not spoken yet: 0 or 1 */
    int32_t segment;
    int64_t noise_at; /* frames of params.noise that are used up */
    int64_t out;      /* samples handed over */
    join join;
    bool after_pause;
    int64_t chunk_at; /* where the last chunk begins in the output */
    double started_ms;
    f5_speak_stats stats;
} speech;

/* The language that `normalize` of a public struct means; NULL: none. */
const char *speech_language(const f5_engine *e, const char *normalize);

/* Is there a voice to speak in? A model may have one of its own. */
bool speech_has_voice(const f5_engine *e, const f5_voice *v);

/* Speaks that voice at this pace? F5_E_ARGUMENT: it has one pace, as no durations are predicted. */
f5_status speech_check_own_speed(const speech *s, float speed, f5_error *error);

/* That voice as the reader knows it. */
reader_voice speech_own_voice(const speech *s, float speed);

/* What params.phonemes makes of text [*bytes], which *text then is, in the memory of *to. */
f5_status speech_phonemes(const speech *s, const char **text, size_t *bytes, text_buffer *to, f5_error *error);

/* Frames of a chunk in that voice, as the duration predictor has them, or `fixed` seconds where these are above 0. */
f5_status speech_own_frames(speech *s, const desk_chunk *c, const int32_t *tokens, double fixed, int64_t *frames,
                            f5_error *error);

/* Reads params and prepares everything but the desk. need_text: params.text is required. */
f5_status speech_begin(speech *s, f5_engine *e, const f5_voice *v, const f5_speak_params *params, bool need_text,
                       f5_error *error);

/* Gives the speech its desk, which is the caller's, and begins at the start of the text. */
void speech_sit_down(speech *s, desk *d);

/* Starts the reading again. */
void speech_rewind(speech *s);

/* Reads all of params.text: n_chunks, and what is wrong with it. said may be NULL. */
f5_status speech_plan(speech *s, int (*said)(void *user, const f5_said *chunk), void *user, f5_error *error);

/* Tells of the characters that were left out so far. */
void speech_warn_characters(speech *s);

/* The next chunk as reader_next has it, but for chunks without a letter, digit or ideograph, as "***", which have
 * no sound. */
f5_status speech_read(speech *s, reader_outcome *outcome, reader_chunk *c, f5_error *error);

/* Tokens and frames of a chunk that was cut; its tokens are written at `tokens` [capacity]. */
f5_status speech_measure(speech *s, desk_chunk *c, int32_t *tokens, int32_t capacity, f5_error *error);

/* What went wrong with the text, passed on: it is said to be of the text, but where the caller's own arguments are
 * meant, or the caller's wish to stop. */
f5_status speech_text_error(f5_status status, const f5_error *why, f5_error *error);

/* Damaged weights, or weights that overflow 16-bit arithmetic, yield NaN or Inf: F5_E_FORMAT, before the result is
 * played or saved. */
f5_status speech_check_sound(const f5_engine *e, const float *samples, int64_t n, f5_error *error);

/* Frames around those that sound which the vocoder sees too; together at most `room`, which for a voice is what its
 * reference has, so that they take no more memory. */
void speech_around(const f5_engine *e, int32_t room, int32_t *before, int32_t *after);

/* Speaks the chunks that the reader has, until more text is needed or the text ends. */
f5_status speech_go_on(speech *s, f5_error *error);

/* Hands over what is held back of the output. */
f5_status speech_finish(speech *s, f5_error *error);

#endif
