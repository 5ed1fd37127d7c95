/* synth.h — one batch end to end. */
#ifndef F5_SYNTH_H
#define F5_SYNTH_H

#include "runtime/batch.h"
#include "runtime/solver/time_grid.h"

/* Text, condition, noise, ODE and vocoder of one batch. The arena is reset first.
 * grid       must have room for the solver's evaluations
 * host       filled by batch_fill; may be empty when planning, as may jobs
 * jobs       [size->sequences]: given noise is read from host, results are written to mel and samples
 * times may be NULL. Errors: F5_E_MEMORY (the batch does not fit the arena), F5_E_CANCELLED, or a failing op's. */
f5_status synth_run(const stage_context *c, time_grid *grid, const synth_solver *solver, const batch_size *size,
                    const batch_arrays *host, const synth_job *jobs, synth_times *times);

#endif
