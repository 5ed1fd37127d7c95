/* synth.h — one batch end to end. */
#ifndef F5_SYNTH_H
#define F5_SYNTH_H

#include "runtime/batch.h"
#include "runtime/models/stages.h"

/* Text, condition, noise, ODE and vocoder of one batch. The arena is reset first.
 * schedule   must have room for the solver's evaluations
 * host       filled by batch_fill; may be empty when planning, as may jobs
 * jobs       [size->sequences]: given noise is read from host, results are written to mel and samples
 * times may be NULL. Errors: F5_E_MEMORY (the batch does not fit the arena), F5_E_CANCELLED, or a failing op's. */
f5_status synth_run(const stage_context *c, schedule *s, const synth_solver *solver, const batch_size *size,
                    const batch_arrays *host, const synth_job *jobs, synth_times *times);

/* The vocoder alone: mels [frames,100] packed, described by host's vocos arrays. */
f5_status synth_vocode(const stage_context *c, const batch_size *size, const batch_arrays *host,
                       const vocode_job *jobs);

/* samples [n] on the host -> mel [n/256+1,100] on the host. */
f5_status synth_mel(const stage_context *c, const float *samples, int64_t n, float *mel);

#endif
