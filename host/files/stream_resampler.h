/* stream_resampler.h — another sample rate for samples that come bit by bit. A windowed sinc in polyphase form, with 32
 * zero crossings on each side: what lies above 0.94 of the lower Nyquist frequency fades, what would be mirrored is
 * 70 dB down. (host/audio/resample.h is torchaudio's resampler, as upstream hears recordings; it has 6.) */
#ifndef F5_STREAM_RESAMPLER_H
#define F5_STREAM_RESAMPLER_H

#include <stdint.h>

#include "kernels/error.h"

typedef struct stream_resampler stream_resampler;

typedef f5_status (*stream_resampler_fn)(void *user, const float *samples, int64_t n, f5_error *error);

/* Rates that share a divisor so large that the higher one is at most 4096 times it. F5_E_MEMORY, F5_E_ARGUMENT. */
f5_status stream_resampler_open(stream_resampler **r, int32_t rate_in, int32_t rate_out, f5_error *error);

/* Hands the samples that are certain to `take`, in pieces, and returns its first failure. All pieces together have
 * ceil(n rate_out / rate_in) samples after the end, however the n were cut. */
f5_status stream_resampler_add(stream_resampler *r, const float *samples, int64_t n, stream_resampler_fn take,
                               void *user, f5_error *error);
f5_status stream_resampler_end(stream_resampler *r, stream_resampler_fn take, void *user, f5_error *error);
void stream_resampler_close(stream_resampler *r); /* NULL is fine */

#endif
