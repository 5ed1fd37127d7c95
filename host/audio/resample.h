/* resample.h — another sample rate, as torchaudio's default makes it (transforms.Resample: sinc_interp_hann,
 * lowpass_filter_width 6, rolloff 0.99), which the training of upstream's models met. Equal to it within 1e-6 of full
 * scale: the same kernel, rounded to float, and another order of summation. Pure functions. */
#ifndef F5_AUDIO_RESAMPLE_H
#define F5_AUDIO_RESAMPLE_H

#include <stdint.h>

#include "kernels/error.h"

/* Samples that n_in give: ceil(n_in rate_out / rate_in). The rates are above 0 and at most 768000, n_in < 2^40. */
int64_t resample_length(int64_t n_in, int32_t rate_in, int32_t rate_out);

/* in [n_in] -> out [resample_length(n_in, rate_in, rate_out)], which must not overlap it. Outside of the input all is
 * silent. Allocates a table, and frees it. Errors: F5_E_MEMORY. */
f5_status resample(const float *in, int64_t n_in, int32_t rate_in, int32_t rate_out, float *out, f5_error *error);

#endif
