/* reference.c — upstream's preparation of a recording, step by step: pieces between silences are joined up to 12 s,
 * silent edges are trimmed, the channels are averaged, and a quiet recording is raised. */
#include "host/audio/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLIP_MS 12000  /* longest reference */
#define ENOUGH_MS 6000 /* held before a piece may be refused */
#define EDGE_DB (-42.0)
#define SILENT_DB (-66.0)     /* of the loudest 10 ms: below it there is no voice */
#define USUAL_PEAK_DB (-10.0) /* of the loudest 10 ms of speech at its usual level */

/* The 50 ms of silence pydub appends: 551 samples at 11025 Hz, brought to the recording's rate. */
static int64_t appended_frames(int32_t sample_rate) {
    return (int64_t)550 * sample_rate / 11025 + 1;
}

static f5_status check_samples(const sound *recording, f5_error *error) {
    for (int64_t i = 0; i < recording->n_frames * recording->channels; i++) {
        float sample = recording->samples[i];
        if (!isfinite(sample))
            return f5_fail(error, F5_E_ARGUMENT, "the recording is damaged: sample %lld is not a finite number",
                           (long long)(i / recording->channels));
        if (fabsf(sample) > REFERENCE_MAX_LEVEL)
            return f5_fail(error, F5_E_ARGUMENT, "the recording is damaged: sample %lld is %g; full scale is 1",
                           (long long)(i / recording->channels), (double)sample);
    }
    return F5_OK;
}

/* ---- 1 clip, 2 trim ---------------------------------------------------------------------------------------------- */

static int64_t range_frames(sound_range r, int32_t rate) {
    return sound_frame(r.end_ms, rate) - sound_frame(r.start_ms, rate);
}

/* How many of the pieces are joined, and their frames in all. */
static int64_t join_pieces(const sound_range *ranges, int64_t n, int32_t rate, int64_t *frames) {
    *frames = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t piece = range_frames(ranges[i], rate);
        if (sound_ms(*frames, rate) > ENOUGH_MS && sound_ms(*frames + piece, rate) > CLIP_MS) return i;
        *frames += piece;
    }
    return n;
}

/* Copies frames of a sound to out; what lies past its end is silence. */
static void copy_frames(const sound *s, int64_t from, int64_t frames, float *out) {
    int64_t there = s->n_frames - from < frames ? s->n_frames - from : frames;
    if (there < 0) there = 0;
    memcpy(out, s->samples + from * s->channels, (size_t)(there * s->channels) * sizeof *out);
    memset(out + there * s->channels, 0, (size_t)((frames - there) * s->channels) * sizeof *out);
}

/* Drops silence at both ends of the clip, in place; lengths become whole milliseconds, as pydub's slices are. */
static int64_t trim_edges(float *samples, int64_t n_frames, int32_t channels, int32_t rate, int32_t bits) {
    sound clip = {.samples = samples, .n_frames = n_frames, .channels = channels, .sample_rate = rate, .bits = bits};
    int64_t start = sound_frame(silence_edge(&clip, EDGE_DB, 0), rate);
    int64_t frames = sound_frame(sound_ms(n_frames, rate), rate) - start;
    int64_t there = n_frames - start < frames ? n_frames - start : frames;
    memmove(samples, samples + start * channels, (size_t)(there * channels) * sizeof *samples);
    memset(samples + there * channels, 0, (size_t)((frames - there) * channels) * sizeof *samples);

    clip.n_frames = frames;
    int64_t end_ms = silence_edge(&clip, EDGE_DB, 1);
    return end_ms > 0 ? sound_frame(sound_ms(frames, rate) - end_ms, rate) : frames;
}

f5_status reference_cut(const sound *given, float **out, int64_t *out_frames, f5_error *error) {
    *out = NULL;
    *out_frames = 0;
    sound measured = *given;
    const sound *recording = &measured;
    measured.bits = sound_bits(given);
    int32_t rate = recording->sample_rate;
    size_t channels = (size_t)recording->channels;
    sound_range *ranges;
    int64_t n, frames;
    F5_TRY(silence_split(recording, 1000, -50, 1000, 10, &ranges, &n, error));
    n = join_pieces(ranges, n, rate, &frames);
    if (sound_ms(frames, rate) > CLIP_MS) {
        free(ranges);
        F5_TRY(silence_split(recording, 100, -40, 1000, 10, &ranges, &n, error));
        n = join_pieces(ranges, n, rate, &frames);
    }
    if (sound_ms(frames, rate) > CLIP_MS) frames = sound_frame(CLIP_MS, rate);

    /* a millisecond more than is held: trimming may round the length up */
    size_t room = (size_t)(frames + sound_frame(1, rate) + 1 + appended_frames(rate));
    float *clip = calloc(room * channels, sizeof *clip);
    if (!clip) {
        free(ranges);
        return f5_fail(error, F5_E_MEMORY, "out of memory for a reference of %lld frames", (long long)frames);
    }
    int64_t held = 0;
    for (int64_t i = 0; i < n && held < frames; i++) {
        int64_t piece = range_frames(ranges[i], rate);
        if (piece > frames - held) piece = frames - held;
        copy_frames(recording, sound_frame(ranges[i].start_ms, rate), piece, clip + held * recording->channels);
        held += piece;
    }
    free(ranges);
    held = trim_edges(clip, held, recording->channels, rate, measured.bits == 8 ? 16 : measured.bits);
    if (held <= 0) {
        free(clip);
        return F5_OK;
    }
    memset(clip + held * recording->channels, 0, (size_t)appended_frames(rate) * channels * sizeof *clip);
    *out = clip;
    *out_frames = held + appended_frames(rate);
    return F5_OK;
}

/* ---- 3 mono, 4 level ------------------------------------------------------------------------------------- */

/* mono may be the interleaved samples themselves: frame i is written after it was read. */
static void mix_to_mono(const float *samples, int64_t n_frames, int32_t channels, float limit, float *mono) {
    for (int64_t i = 0; i < n_frames; i++) {
        float sum = 0;
        for (int32_t c = 0; c < channels; c++) sum += fmaxf(-limit, fminf(limit, samples[i * channels + c]));
        mono[i] = sum / (float)channels;
    }
}

static float measure_rms(const float *samples, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)samples[i] * (double)samples[i];
    return (float)sqrt(sum / (double)n);
}

static f5_status refuse_short(double seconds, f5_error *error) {
    return f5_fail(error, F5_E_ARGUMENT,
                   "the recording is too short: it holds %.3f s of sound, at least %.1f s are needed", seconds,
                   REFERENCE_MIN_SECONDS);
}

/* Why nothing is left of a recording: is it silent, quiet, or shorter than a millisecond? */
static f5_status refuse_quiet(const sound *recording, f5_error *error) {
    sound s = *recording;
    s.bits = 32;
    double loudest = 0;
    int64_t slice = sound_frame(10, s.sample_rate);
    for (int64_t at = 0; at < s.n_frames; at += slice) {
        int64_t end = at + slice < s.n_frames ? at + slice : s.n_frames;
        loudest = fmax(loudest, sound_level(&s, at, end));
    }
    double level = sound_decibel(&s, loudest);
    if (level > EDGE_DB) return refuse_short((double)s.n_frames / s.sample_rate, error);
    if (!(level > SILENT_DB))
        return f5_fail(error, F5_E_ARGUMENT, "the recording is silent: nothing in it is louder than %.0f dBFS",
                       SILENT_DB);
    return f5_fail(
        error, F5_E_ARGUMENT,
        "the recording is too quiet: its loudest moment is at %.0f dBFS, and what is below %.0f is taken for "
        "silence. Record closer to the microphone, or raise it: ffmpeg -i IN -af volume=%.0fdB out.wav",
        level, EDGE_DB, USUAL_PEAK_DB - level);
}

static f5_status prepare_mono(const sound *recording, int leave_out, float **mono, int64_t *n, f5_error *error) {
    double seconds;
    const float limit = leave_out & REFERENCE_KEEP_LOUD ? REFERENCE_MAX_LEVEL : 1;
    if (leave_out & REFERENCE_KEEP_WHOLE) {
        *n = recording->n_frames;
        *mono = malloc((size_t)*n * sizeof **mono);
        if (!*mono) return f5_fail(error, F5_E_MEMORY, "out of memory for a reference of %lld frames", (long long)*n);
        mix_to_mono(recording->samples, *n, recording->channels, limit, *mono);
        seconds = (double)*n / recording->sample_rate;
    } else {
        F5_TRY(reference_cut(recording, mono, n, error));
        if (*n == 0) return refuse_quiet(recording, error);
        mix_to_mono(*mono, *n, recording->channels, limit, *mono);
        seconds = (double)(*n - appended_frames(recording->sample_rate)) / recording->sample_rate;
    }
    return seconds < REFERENCE_MIN_SECONDS ? refuse_short(seconds, error) : F5_OK;
}

static f5_status prepare(const sound *recording, int leave_out, float target_rms, reference_clip *clip,
                         f5_error *error) {
    F5_TRY(check_samples(recording, error));
    F5_TRY(prepare_mono(recording, leave_out, &clip->samples, &clip->n_samples, error));
    clip->rms = measure_rms(clip->samples, clip->n_samples);
    if (!(clip->rms > 0) || !isfinite(clip->rms))
        return f5_fail(error, F5_E_ARGUMENT,
                       clip->rms > 0 ? "the recording's level is out of range"
                                     : "the recording is silent: its channels sum to zero");
    if (clip->rms < target_rms)
        for (int64_t i = 0; i < clip->n_samples; i++) clip->samples[i] = clip->samples[i] * target_rms / clip->rms;
    return F5_OK;
}

f5_status reference_prepare(const sound *recording, int leave_out, float target_rms, reference_clip *clip,
                            f5_error *error) {
    *clip = (reference_clip){0};
    f5_status status = prepare(recording, leave_out, target_rms, clip, error);
    if (status != F5_OK) {
        free(clip->samples);
        *clip = (reference_clip){0};
    }
    return status;
}
