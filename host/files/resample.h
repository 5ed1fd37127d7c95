/* resample.h — sample rates, by the SoX resampler library at its HQ setting. */
#ifndef F5_RESAMPLE_H
#define F5_RESAMPLE_H

#include <stdint.h>

/* An f5_resample_fn; user is not read. */
int64_t resample_soxr(void *user, const float *in, int64_t n_in, int32_t rate_in, int32_t rate_out, float *out,
                      int64_t capacity);

#endif
