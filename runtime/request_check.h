/* request_check.h — is a request within an engine's limits and its model's? Messages name the request and the fix. */
#ifndef F5_REQUEST_CHECK_H
#define F5_REQUEST_CHECK_H

#include "runtime/engine.h"

#define REQUEST_MAX_FRAMES 65536 /* of a sequence: upstream's own limit on a duration */
#define REQUEST_MAX_BATCH 256    /* sequences */
#define REQUEST_MAX_AROUND 256   /* vocode_before, vocode_after */

f5_status request_check_solver(const engine_options *l, const synth_solver *v, f5_error *error);
f5_status request_check_count(const engine_options *l, int32_t n, f5_error *error);
f5_status request_check_frames(const engine_options *l, int64_t frames, f5_error *error); /* of all sequences */
f5_status request_check_length(int32_t request, int32_t frames, f5_error *error);         /* of one */
f5_status request_check_job(const model_config *config, const synth_job *j, int32_t i, f5_error *error);
f5_status request_check_finite(const char *what, int32_t request, const float *mel, int64_t frames, int32_t bands,
                               f5_error *error);

#endif
