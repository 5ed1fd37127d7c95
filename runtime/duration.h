/* duration.h — how many frames a text asks for, of a model that knows. */
#ifndef F5_RUNTIME_DURATION_H
#define F5_RUNTIME_DURATION_H

#include "runtime/batch.h"

/* frames of the tokens' text: rounded down; NaN where the model's numbers are none. tokens [n], n >= 1, checked. The
 * arena is reset first. host: staging of the engine's; empty when planning, where *frames is not written. Errors:
 * F5_E_MEMORY, or a failing op's. */
f5_status duration_run(const stage_context *c, const batch_arrays *host, const int32_t *tokens, int32_t n, float scale,
                       double *frames);

#endif
