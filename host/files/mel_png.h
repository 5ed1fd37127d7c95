/* mel_png.h — a mel spectrogram as a picture: time to the right, low bands at the bottom, seconds along the lower edge.
 */
#ifndef F5_MEL_PNG_H
#define F5_MEL_PNG_H

#include <stdint.h>

#include "kernels/error.h"

/* mel [frames,bands], natural log. Colours run from the 1st percentile to the greatest value. Whole or not at all.
 * A column is at most two pixels wide, and of more than 16384 frames the mean of some. Errors: F5_E_ARGUMENT (no
 * frames), F5_E_IO, F5_E_MEMORY. */
f5_status mel_png_write(const char *path, const float *mel, int32_t frames, int32_t bands, double frames_per_second,
                        f5_error *error);

#endif
