/* resample.c — a mono signal through the SoX resampler in one call, on the calling thread alone. */
#include "host/files/resample.h"

#include <soxr.h>

int64_t resample_soxr(void *user, const float *in, int64_t n_in, int32_t rate_in, int32_t rate_out, float *out,
                      int64_t capacity) {
    (void)user;
    if (n_in < 0 || capacity < 0) return -1;
    size_t taken = 0, made = 0;
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    soxr_runtime_spec_t run = soxr_runtime_spec(1);
    soxr_error_t failed =
        soxr_oneshot(rate_in, rate_out, 1, in, (size_t)n_in, &taken, out, (size_t)capacity, &made, &io, &quality, &run);
    return failed ? -1 : (int64_t)made;
}
