/* triton_error.c — the two tables of codes, and lines for the log. */
#include "host/triton/triton_error.h"

#include <stdarg.h>

f5_status triton_status(TRITONSERVER_Error *returned, f5_error *error) {
    if (!returned) return F5_OK;
    f5_status status = F5_E_IO;
    switch (TRITONSERVER_ErrorCode(returned)) {
    case TRITONSERVER_ERROR_NOT_FOUND:
    case TRITONSERVER_ERROR_INVALID_ARG:
        status = F5_E_ARGUMENT;
        break;
    case TRITONSERVER_ERROR_UNAVAILABLE:
        status = F5_E_MEMORY;
        break;
    case TRITONSERVER_ERROR_UNSUPPORTED:
        status = F5_E_UNSUPPORTED;
        break;
    case TRITONSERVER_ERROR_CANCELLED:
        status = F5_E_CANCELLED;
        break;
    default:
        break;
    }
    f5_fail(error, status, "%s", TRITONSERVER_ErrorMessage(returned));
    TRITONSERVER_ErrorDelete(returned);
    return status;
}

TRITONSERVER_Error *triton_error(f5_status status, const f5_error *error) {
    TRITONSERVER_Error_Code code = TRITONSERVER_ERROR_INTERNAL;
    switch (status) {
    case F5_OK:
        return NULL;
    case F5_E_ARGUMENT:
    case F5_E_SHAPE:
    case F5_E_FORMAT:
    case F5_E_LIMIT:
        code = TRITONSERVER_ERROR_INVALID_ARG;
        break;
    case F5_E_UNSUPPORTED:
        code = TRITONSERVER_ERROR_UNSUPPORTED;
        break;
    case F5_E_MEMORY:
        code = TRITONSERVER_ERROR_UNAVAILABLE;
        break;
    case F5_E_CANCELLED:
        code = TRITONSERVER_ERROR_CANCELLED;
        break;
    default:
        break;
    }
    return TRITONSERVER_ErrorNew(code, error->message);
}

void triton_log(TRITONSERVER_LogLevel level, const char *format, ...) {
    char text[700];
    va_list args;
    va_start(args, format);
    f5_format(text, sizeof text, format, args);
    va_end(args);
    TRITONSERVER_Error *failed = TRITONSERVER_LogMessage(level, "f5tts", 0, text);
    if (failed) TRITONSERVER_ErrorDelete(failed);
}
