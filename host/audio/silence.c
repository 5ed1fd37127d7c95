/* silence.c — pydub's silence detection in one pass: a window slides over the recording, and the sum of its squared
 * 16-bit samples is kept up to date at its edges. Sums are double: exact for 16 bits. */
#include "host/audio/silence.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define SLICE_MS 10 /* of silence_edge */

int64_t sound_ms(int64_t n_frames, int32_t sample_rate) {
    return (int64_t)nearbyint(1000 * ((double)n_frames / (double)sample_rate));
}

int64_t sound_frame(int64_t ms, int32_t sample_rate) {
    return (int64_t)((double)ms * ((double)sample_rate / 1000.0));
}

static double full_scale(const sound *s) {
    return s->bits == 8 ? 128 : s->bits == 32 ? 2147483648.0 : 32768;
}

/* Sum of the squared whole samples of frames [from,to); frames past the end are silent. */
static double square_sum(const sound *s, int64_t from, int64_t to) {
    const double full = full_scale(s);
    double sum = 0;
    if (to > s->n_frames) to = s->n_frames;
    for (int64_t i = from * s->channels; i < to * s->channels; i++) {
        double sample = nearbyint((double)s->samples[i] * full);
        sample = sample < -full ? -full : sample > full - 1 ? full - 1 : sample;
        sum += sample * sample;
    }
    return sum;
}

static double level_of(double sum, int64_t n_samples) {
    return n_samples > 0 && sum > 0 ? floor(sqrt(sum / (double)n_samples)) : 0;
}

double sound_level(const sound *s, int64_t from, int64_t to) {
    return to > from ? level_of(square_sum(s, from, to), (to - from) * s->channels) : 0;
}

double sound_decibel(const sound *s, double level) {
    return level > 0 ? 20 * log10(level / full_scale(s)) : -INFINITY;
}

int32_t sound_bits(const sound *s) {
    int32_t bits = 8;
    for (int64_t i = 0; i < s->n_frames * s->channels; i++) {
        float sample = s->samples[i];
        if (bits == 8 && sample * 128 != nearbyintf(sample * 128)) bits = 16;
        if (bits == 16 && sample * 32768 != nearbyintf(sample * 32768)) return 32;
    }
    return bits;
}

/* ---- inner silence ----------------------------------------------------------------------------------------------- */

/* A stretch of the recording that only moves forward: its square sum is kept up to date at the edges. */
typedef struct {
    const sound *s;
    int64_t from, to;
    double sum;
} window;

static double window_move(window *w, int64_t from, int64_t to) {
    if (from >= w->to) {
        w->sum = square_sum(w->s, from, to);
    } else {
        w->sum += square_sum(w->s, w->to, to);
        w->sum -= square_sum(w->s, w->from, from);
    }
    w->from = from;
    w->to = to;
    return level_of(w->sum, (to - from) * w->s->channels);
}

/* Silent ranges into out [length / min_silence + 1]; their number. */
static int64_t find_silence(const sound *s, int64_t min_silence_ms, double threshold_db, int64_t step_ms,
                            sound_range *out) {
    int64_t length = sound_ms(s->n_frames, s->sample_rate), n = 0, previous = -1;
    double threshold = pow(10, threshold_db / 20) * full_scale(s);
    window w = {.s = s};
    if (length < min_silence_ms) return 0;
    int64_t last = length - min_silence_ms;
    for (int64_t start = 0; start <= last;) {
        double level =
            window_move(&w, sound_frame(start, s->sample_rate), sound_frame(start + min_silence_ms, s->sample_rate));
        if (level <= threshold) {
            bool new_range = previous < 0 || (start != previous + step_ms && start > previous + min_silence_ms);
            if (new_range) out[n++].start_ms = start;
            out[n - 1].end_ms = start + min_silence_ms;
            previous = start;
        }
        /* the last possible stretch is looked at even where the step would jump over it */
        start = start < last && start + step_ms > last ? last : start + step_ms;
    }
    return n;
}

f5_status silence_split(const sound *s, int64_t min_silence_ms, double threshold_db, int64_t keep_ms, int64_t step_ms,
                        sound_range **ranges, int64_t *n, f5_error *error) {
    *n = 0;
    *ranges = NULL;
    int64_t length = sound_ms(s->n_frames, s->sample_rate);
    size_t most = (size_t)(length / min_silence_ms) + 2;
    sound_range *silent = malloc(most * sizeof *silent), *kept = malloc(most * sizeof *kept);
    if (!silent || !kept) {
        free(silent);
        free(kept);
        return f5_fail(error, F5_E_MEMORY, "out of memory for %zu ranges of a recording", most);
    }
    int64_t n_silent = find_silence(s, min_silence_ms, threshold_db, step_ms, silent), n_kept = 0, end = 0;
    for (int64_t i = 0; i < n_silent; i++) {
        if (i > 0 || silent[0].start_ms > 0)
            kept[n_kept++] = (sound_range){.start_ms = end, .end_ms = silent[i].start_ms};
        end = silent[i].end_ms;
    }
    if (end != length) kept[n_kept++] = (sound_range){.start_ms = end, .end_ms = length};
    free(silent);

    for (int64_t i = 0; i < n_kept; i++) {
        kept[i].start_ms -= keep_ms;
        kept[i].end_ms += keep_ms;
    }
    for (int64_t i = 0; i + 1 < n_kept; i++) {
        if (kept[i + 1].start_ms >= kept[i].end_ms) continue;
        int64_t sum = kept[i].end_ms + kept[i + 1].start_ms;
        kept[i].end_ms = sum >= 0 ? sum / 2 : -((1 - sum) / 2);
        kept[i + 1].start_ms = kept[i].end_ms;
    }
    for (int64_t i = 0; i < n_kept; i++) {
        if (kept[i].start_ms < 0) kept[i].start_ms = 0;
        if (kept[i].end_ms > length) kept[i].end_ms = length;
    }
    *ranges = kept;
    *n = n_kept;
    return F5_OK;
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

int64_t silence_edge(const sound *s, double threshold_db, int from_end) {
    int64_t length = sound_ms(s->n_frames, s->sample_rate), trimmed = 0;
    while (trimmed < length) {
        int64_t end = trimmed + SLICE_MS < length ? trimmed + SLICE_MS : length;
        int64_t from = sound_frame(trimmed, s->sample_rate), to = sound_frame(end, s->sample_rate);
        int64_t missing = to > s->n_frames ? to - s->n_frames : 0; /* silent frames that round the length up */
        double sum =
            from_end ? square_sum(s, s->n_frames - (to - missing), s->n_frames - from) : square_sum(s, from, to);
        double level = level_of(sum, (to - from) * s->channels);
        if (level > 0 && !(sound_decibel(s, level) < threshold_db)) break;
        trimmed += SLICE_MS;
    }
    return trimmed < length ? trimmed : length;
}
