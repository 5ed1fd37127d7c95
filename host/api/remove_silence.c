/* remove_silence.c — long silence out of finished speech: upstream's remove_silence_for_generated_wav. */
#include <stdlib.h>
#include <string.h>

#include "host/api/f5tts.h"
#include "host/audio/silence.h"
#include "kernels/error.h"
#include "runtime/finite.h"

#define MIN_SILENCE_MS 1000
#define THRESHOLD_DB (-50.0)
#define KEEP_MS 500
#define STEP_MS 10

f5_status f5_remove_silence(const float *samples, int64_t n, float *out, int64_t *n_out, f5_error *error) {
    if (!samples || !out || !n_out)
        return f5_fail(error, F5_E_ARGUMENT, "f5_remove_silence: samples, out or n_out is NULL");
    if (n < 0) return f5_fail(error, F5_E_ARGUMENT, "f5_remove_silence: %lld samples", (long long)n);
    int64_t good = finite_until(samples, n);
    if (good < n)
        return f5_fail(error, F5_E_ARGUMENT, "f5_remove_silence: sample %lld is not a finite number", (long long)good);
    const sound speech = {.samples = samples, .n_frames = n, .channels = 1, .sample_rate = F5_SAMPLE_RATE};
    sound_range *ranges;
    int64_t n_ranges, written = 0;
    F5_TRY(silence_split(&speech, MIN_SILENCE_MS, THRESHOLD_DB, KEEP_MS, STEP_MS, &ranges, &n_ranges, error));
    for (int64_t i = 0; i < n_ranges; i++) {
        int64_t from = sound_frame(ranges[i].start_ms, F5_SAMPLE_RATE);
        int64_t length = sound_frame(ranges[i].end_ms, F5_SAMPLE_RATE) - from;
        int64_t there = n - from < length ? n - from : length; /* the last millisecond may be rounded up */
        memmove(out + written, samples + from, (size_t)there * sizeof *out);
        memset(out + written + there, 0, (size_t)(length - there) * sizeof *out);
        written += length;
    }
    free(ranges);
    *n_out = written;
    return F5_OK;
}
