/* advice.c — the bounds between good and bad recordings, and what is said of either. */
#include "host/api/advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api/params.h"
#include "host/api/recording.h"
#include "host/audio/loudness.h"
#include "host/text/chunk.h"
#include "host/text/duration.h"

#define QUIET_DB (-40.0)     /* speech is quiet below it */
#define USUAL_DB (-20.0)     /* and is usually there */
#define CLIPPED_SHARE 1e-4   /* of samples: a word or two of a sentence crackles */
#define NOISE_DISTANCE_DB 35 /* between speech and pauses; with less of it words are distorted */
#define LOW_RATE 16000       /* below it there is nothing of the sounds s and f */
#define CLIPPED_SECONDS 12   /* longer recordings are cut */
#define CLIPPED_PACE 18      /* bytes a second: faster than most people speak */
#define SHORT_SECONDS 1
#define LONG_SECONDS 20
#define LONG_PAUSE 1.5 /* seconds; upstream keeps 2 of it */

typedef struct {
    f5_advice_fn advice;
    void *user;
} listener;

static void say(const listener *to, const char *what, bool good, const char *format, ...) F5_PRINTF(4, 5);

static void say(const listener *to, const char *what, bool good, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    to->advice(to->user, what, good, message);
}

static void say_loudness(const listener *to, const loudness *l) {
    if (l->speech_db < QUIET_DB)
        say(to, "level", false,
            "the recording is quiet: its speech is at %.0f dBFS, and what is spoken will be as quiet. Record closer to "
            "the microphone, or raise it: ffmpeg -i IN -af volume=%.0fdB out.wav",
            l->speech_db, USUAL_DB - l->speech_db);
    else
        say(to, "level", true, "speech at %.0f dBFS, peak at %.1f", l->speech_db, l->peak_db);
    if (l->clipped > CLIPPED_SHARE)
        say(to, "clipping", false,
            "the recording is clipped: %.2f %% of its samples are at full scale, which is heard as crackling in what "
            "is "
            "spoken too. Record with less gain",
            100 * l->clipped);
    else
        say(to, "clipping", true, "none worth a word");
    double distance = l->speech_db - l->noise_db;
    if (!l->has_pause)
        say(to, "noise", true, "not known: there is no pause in which it could be measured");
    else if (distance < NOISE_DISTANCE_DB)
        say(to, "noise", false,
            "the recording is noisy: its pauses are at %.0f dBFS, %.0f dB below its speech, and the noise is learned "
            "with the voice. Record in a quieter place, or take noise out before",
            l->noise_db, distance);
    else if (isfinite(l->noise_db))
        say(to, "noise", true, "pauses at %.0f dBFS, %.0f dB below speech", l->noise_db, distance);
    else
        say(to, "noise", true, "none");
}

/* Do recording and transcript fit each other? Where words are missing on one side the model hurries, or says words of
 * the other. */
static void say_pace(const listener *to, double recorded, const advice_facts *f) {
    double used = f->used_seconds, bytes = (double)f->text_bytes, pace = bytes / used;
    if (f->text_bytes == 0)
        say(to, "pace", true, "not known: there is no transcript");
    else if (recorded - used > 1 && recorded > CLIPPED_SECONDS && pace > CLIPPED_PACE)
        say(to, "pace", false,
            "of the recording's %.1f s %.1f s are used: its transcript has %.1f bytes for each of these, and %.1f for "
            "each second of the whole. If it is of the whole, cut the recording to at most 12 s, and the transcript to "
            "what is said in it",
            recorded, used, pace, bytes / recorded);
    else if (pace > DURATION_FAST_PACE || pace < DURATION_SLOW_PACE)
        say(to, "pace", false,
            "the transcript has %zu bytes for %.1f s of recording, %.1f a second; speech has about 15: is it of this "
            "recording, word for word?",
            f->text_bytes, used, pace);
    else
        say(to, "pace", true, "%.1f bytes of transcript a second", pace);
}

static void say_length(const listener *to, double recorded, double used, double pause) {
    if (used < SHORT_SECONDS)
        say(to, "length", false, "the recording has %.2f s of sound: from less than a second no voice is learned",
            used);
    else if (used >= LONG_SECONDS)
        say(to, "length", false,
            "the recording has %.1f s, and recording and speech together have 22 s at most: every sentence is spoken "
            "by "
            "itself, and badly; use a recording of at most 12 s",
            used);
    else if (pause > LONG_PAUSE)
        say(to, "length", false,
            "the recording has a pause of %.1f s, of which up to 2 s count as speech: what is spoken will be slower by "
            "it. Cut it out: ffmpeg -i IN -af silenceremove=stop_periods=-1:stop_duration=0.5:stop_threshold=-42dB "
            "out.wav",
            pause);
    else
        say(to, "length", true, "%.2f s are used of %.2f s", used, recorded);
}

f5_status advice_give(const f5_voice_params *p, const advice_facts *facts, f5_advice_fn advice, void *user,
                      f5_error *error) {
    const sound s = {
        .samples = p->samples, .n_frames = p->n_frames, .channels = p->channels, .sample_rate = p->sample_rate};
    const listener to = {advice, user};
    double recorded = (double)p->n_frames / p->sample_rate;
    double used = fmin(facts->used_seconds, recorded); /* a whole one has 50 ms of silence more */
    loudness l;
    F5_TRY(loudness_measure(&s, &l, error));
    say_loudness(&to, &l);
    if (p->sample_rate < LOW_RATE)
        say(&to, "rate", false,
            "the recording has %d samples a second: what it says above %d Hz, as s and f, is missing. Record at 16000 "
            "or more; telephone sound stays telephone sound",
            p->sample_rate, p->sample_rate / 2);
    else
        say(&to, "rate", true, "%d samples a second", p->sample_rate);
    say_length(&to, recorded, used, l.pause);
    say_pace(&to, recorded, facts);
    return F5_OK;
}

f5_status f5_check_voice(const f5_voice_params *params, f5_advice_fn advice, void *user, f5_error *error) {
    f5_voice_params p;
    f5_voice_params_init(&p);
    F5_TRY(params_read(&p, sizeof p, params, "f5_voice_params", error));
    if (!advice) return f5_fail(error, F5_E_ARGUMENT, "f5_check_voice: advice is NULL");
    size_t bytes = p.transcript ? strlen(p.transcript) : 0;
    reference_clip clip = {0};
    f5_status status = recording_read(&p, 0, &clip, error);
    const advice_facts facts = {.used_seconds = (double)clip.n_samples / F5_SAMPLE_RATE,
                                .text_bytes = bytes && !chunk_is_blank(p.transcript, bytes) ? bytes + 2 : 0};
    free(clip.samples);
    return status == F5_OK ? advice_give(&p, &facts, advice, user, error) : status;
}
