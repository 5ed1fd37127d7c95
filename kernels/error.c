/* error.c — writes the message of a failure, and names the status codes. */
#include "kernels/error.h"

#include <stdarg.h>
#include <stdio.h>

f5_status f5_fail(f5_error *error, f5_status status, const char *format, ...) {
    if (!error) return status;
    error->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return status;
}

const char *f5_status_string(f5_status status) {
    switch (status) {
    case F5_OK:
        return "ok";
    case F5_E_ARGUMENT:
        return "bad argument";
    case F5_E_SHAPE:
        return "bad shape";
    case F5_E_IO:
        return "file cannot be read or written";
    case F5_E_FORMAT:
        return "malformed file";
    case F5_E_UNSUPPORTED:
        return "not supported";
    case F5_E_MEMORY:
        return "out of memory";
    case F5_E_DEVICE:
        return "device failure";
    case F5_E_CANCELLED:
        return "cancelled";
    }
    return "unknown status";
}
