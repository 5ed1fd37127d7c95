/* speech_level.c — one factor for all samples, so that nothing but the level changes. */
#include "host/program/speech_level.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

f5_status speech_level_read(const char *text, speech_level *level, f5_error *error) {
    *level = (speech_level){.kind = LEVEL_KEEP};
    if (!text || strcmp(text, "keep") == 0) return F5_OK;
    level->kind = strcmp(text, "peak") == 0 ? LEVEL_PEAK : LEVEL_LUFS;
    if (level->kind == LEVEL_PEAK) return F5_OK;
    char *end;
    level->lufs = strtod(text, &end);
    if (end != text && *end == '\0' && level->lufs >= -70 && level->lufs <= -5) return F5_OK;
    return f5_fail(error, F5_E_ARGUMENT, "loudness %s: must be keep, peak, or LUFS from -70 to -5", text);
}

f5_status speech_level_set(const speech_level *level, float *samples, int64_t n, char *message, size_t room,
                           f5_error *error) {
    message[0] = '\0';
    if (level->kind == LEVEL_KEEP || n == 0) return F5_OK;
    f5_level is;
    f5_level_init(&is);
    F5_TRY(f5_measure_level(samples, n, &is, error));
    if (!isfinite(is.peak_db) || (level->kind == LEVEL_LUFS && !isfinite(is.lufs))) return F5_OK; /* it is silent */
    double most = SPEECH_PEAK_DB - is.peak_db, gain = level->kind == LEVEL_PEAK ? most : level->lufs - is.lufs;
    if (gain > most) {
        gain = most;
        snprintf(message, room, "%g LUFS would clip: it has %.1f LUFS, with its peak at %g dB of full scale",
                 level->lufs, is.lufs + gain, SPEECH_PEAK_DB);
    }
    float factor = (float)pow(10, gain / 20);
    for (int64_t i = 0; i < n; i++) samples[i] *= factor;
    return F5_OK;
}

void speech_clipping_count(speech_clipping *c, const float *samples, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float x = fabsf(samples[i]);
        c->beyond += x > 1;
        if (x > c->peak) c->peak = x;
    }
    c->samples += n;
}

bool speech_clipping_message(const speech_clipping *c, int32_t rate, char *message, size_t room) {
    if (c->beyond == 0) return false;
    snprintf(message, room,
             "%.2g %% of the samples were beyond full scale, by up to %.1f dB, and are clipped: give --loudness peak%s",
             100 * (double)c->beyond / (double)c->samples, 20 * log10((double)c->peak),
             rate == F5_SAMPLE_RATE ? ", or --loudness -16" : ""); /* LUFS are measured at that rate alone */
    return true;
}
