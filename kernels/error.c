#include "error.h"

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
