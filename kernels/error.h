/* error.h — how a status travels: fail once with a message, pass the code up unchanged. */
#ifndef F5_ERROR_H
#define F5_ERROR_H

#include "kernels/f5_status.h"

#if defined(__GNUC__)
#define F5_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define F5_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Writes status and the formatted message into *error (which may be NULL) and returns status. */
f5_status f5_fail(f5_error *error, f5_status status, const char *format, ...) F5_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

/* Returns from the calling function with the status of a call that did not succeed. */
#define F5_TRY(call)                                                                                                   \
    do {                                                                                                               \
        f5_status try_status_ = (call);                                                                                \
        if (try_status_ != F5_OK) return try_status_;                                                                  \
    } while (0)

#endif
