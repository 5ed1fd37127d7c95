/* level.h — how loud finished speech is: integrated loudness by ITU-R BS.1770-4 (K-weighting, blocks of 400 ms that
 * overlap by three quarters, gates at -70 LUFS and 10 LU below the mean), and its peak. Pure; no allocation. */
#ifndef F5_AUDIO_LEVEL_H
#define F5_AUDIO_LEVEL_H

#include <stdint.h>

/* Of samples [n], mono, finite. -infinity: nothing is louder than -70 LUFS. Sound of less than a block is one. */
double level_lufs(const float *samples, int64_t n, int32_t sample_rate);

/* The largest magnitude in dB of full scale; *beyond: samples outside of -1..1. */
double level_peak_db(const float *samples, int64_t n, int64_t *beyond);

#endif
