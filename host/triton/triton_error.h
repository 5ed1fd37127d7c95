/* triton_error.h — errors of the server's as ours, and ours as the server's, which makes codes of HTTP and gRPC of
 * them. */
#ifndef F5_TRITON_ERROR_H
#define F5_TRITON_ERROR_H

#include "host/triton/triton_api.h"
#include "kernels/error.h"

/* What a call of the server's came to; deletes the error. */
f5_status triton_status(TRITONSERVER_Error *returned, f5_error *error);

/* To be deleted, or returned to the server; NULL for F5_OK. Its code says whether the same request will fail again:
 * INVALID_ARG and UNSUPPORTED (400, 501) will, UNAVAILABLE (503) may not. */
TRITONSERVER_Error *triton_error(f5_status status, const f5_error *error);

/* For the server's log, one line. */
void triton_log(TRITONSERVER_LogLevel level, const char *format, ...) F5_PRINTF(2, 3);

#endif
