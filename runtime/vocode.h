/* vocode.h — slices of mel become sound: the last stage of a synthesis, and a call of its own. */
#ifndef F5_VOCODE_H
#define F5_VOCODE_H

#include "runtime/batch.h"

/* The vocoder on slices of x [R,100], and the samples to their owners. jobs may be NULL when planning. */
f5_status vocode_slices(const stage_context *c, const batch_size *size, const batch_arrays *device,
                        const batch_arrays *host, const synth_job *jobs, const float *x);

/* The vocoder alone: mels [frames,100] packed, described by host's slice arrays. The arena is reset first. */
f5_status vocode_run(const stage_context *c, const batch_size *size, const batch_arrays *host, const vocode_job *jobs);

#endif
