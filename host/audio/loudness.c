/* loudness.c — powers of 20 ms frames, sorted: loud ones are speech, quiet ones are pauses. */
#include "host/audio/loudness.h"

#include <math.h>
#include <stdlib.h>

#define FRAMES_A_SECOND 50
#define SPEECH_RANGE_DB 25 /* quieter than the loud frames by more: not speech */
#define PAUSE_DB 15        /* a pause is at least so much quieter than speech */
#define DIGITAL_SILENCE 1e-10
#define FULL_SCALE 0.9995f

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double decibel(double power) {
    return power > 0 ? 10 * log10(power) : -INFINITY;
}

/* Peak and clipping, channel by channel. */
static void measure_peaks(const sound *s, loudness *out) {
    float peak = 0;
    int64_t clipped = 0;
    for (int32_t c = 0; c < s->channels; c++) {
        int64_t run = 0;
        for (int64_t i = 0; i < s->n_frames; i++) {
            float sample = fabsf(s->samples[i * s->channels + c]);
            if (sample > peak) peak = sample;
            run = sample >= FULL_SCALE ? run + 1 : 0;
            clipped += run == 2 ? 2 : run > 2;
        }
    }
    out->peak_db = 2 * decibel(peak);
    out->clipped = (double)clipped / (double)(s->n_frames * s->channels);
}

/* Mean square from a frame on. */
static double frame_power(const sound *s, int64_t at, int64_t length) {
    int64_t end = at + length < s->n_frames ? at + length : s->n_frames;
    double sum = 0;
    for (int64_t i = at * s->channels; i < end * s->channels; i++) sum += (double)s->samples[i] * (double)s->samples[i];
    return sum / (double)((end - at) * s->channels);
}

/* Powers of the frames that are not digital silence, into power; their number. */
static int64_t frame_powers(const sound *s, int64_t length, float *power) {
    int64_t n = 0;
    for (int64_t at = 0; at < s->n_frames; at += length) {
        double mean = frame_power(s, at, length);
        if (mean > DIGITAL_SILENCE) power[n++] = (float)mean;
    }
    return n;
}

/* The longest stretch between two frames that are louder than `quiet`. */
static double longest_pause(const sound *s, int64_t length, double quiet) {
    int64_t last = -1, longest = 0;
    for (int64_t at = 0; at < s->n_frames; at += length) {
        if (decibel(frame_power(s, at, length)) <= quiet) continue;
        if (last >= 0 && at - last - length > longest) longest = at - last - length;
        last = at;
    }
    return (double)longest / s->sample_rate;
}

f5_status loudness_measure(const sound *s, loudness *out, f5_error *error) {
    *out = (loudness){.speech_db = -INFINITY, .noise_db = -INFINITY, .has_pause = 1};
    measure_peaks(s, out);
    int64_t length = s->sample_rate / FRAMES_A_SECOND, most = s->n_frames / length + 1;
    float *power = malloc((size_t)most * sizeof *power);
    if (!power) return f5_fail(error, F5_E_MEMORY, "no memory for %lld levels of a recording", (long long)most);
    int64_t n = frame_powers(s, length, power);
    if (n > 0) {
        qsort(power, (size_t)n, sizeof *power, by_size);
        double loud = power[n * 95 / 100], sum = 0;
        int64_t speech = 0;
        for (int64_t i = n - 1; i >= 0 && decibel(power[i]) > decibel(loud) - SPEECH_RANGE_DB; i--, speech++)
            sum += power[i];
        out->speech_db = decibel(sum / (double)speech);
        out->noise_db = decibel(power[n / 10]);
        out->pause = longest_pause(s, length, decibel(loud) - SPEECH_RANGE_DB);
        out->has_pause = out->speech_db - out->noise_db > PAUSE_DB;
    }
    free(power);
    return F5_OK;
}
