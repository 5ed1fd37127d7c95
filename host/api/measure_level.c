/* measure_level.c — how loud finished speech is. */
#include "host/api/params.h"
#include "host/audio/level.h"
#include "runtime/finite.h"

f5_status f5_measure_level(const float *samples, int64_t n, f5_level *level, f5_error *error) {
    if (!samples || n < 0) return f5_fail(error, F5_E_ARGUMENT, "f5_measure_level: samples is NULL, or n is negative");
    int64_t good = finite_until(samples, n);
    if (good < n)
        return f5_fail(error, F5_E_ARGUMENT, "f5_measure_level: sample %lld is not a finite number", (long long)good);
    f5_level found = {.lufs = level_lufs(samples, n, F5_SAMPLE_RATE)};
    found.peak_db = level_peak_db(samples, n, &found.beyond);
    return params_write(level, &found, sizeof found, "f5_level", error);
}
