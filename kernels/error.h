/* error.h — how a status travels: fail once with a message, pass the code up unchanged. */
#ifndef F5_ERROR_H
#define F5_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#include "kernels/f5_status.h"

#if defined(__GNUC__)
#define F5_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define F5_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Writes status and the formatted message into *error (which may be NULL) and returns status. The message is made by
 * f5_format. */
f5_status f5_fail(f5_error *error, f5_status status, const char *format, ...) F5_PRINTF(3, 4);

/* A message for people, whatever the texts in it are: to [room] receives it with a zero at its end.
 *
 * A text that %s brings, say a path, is shown on one line: control characters, those that turn the direction of writing
 * and bytes that are no UTF-8 become \n, \x1b, \u202e. Where all does not fit, the longest texts are cut in their
 * middle ("/a/long/...ce.wav"), so that what stands behind them is read. No character is cut in two.
 * Conversions: d i u x X c f e g p with hh h l ll z j t, %s with a precision, %%. A * only as the precision of %s. */
void f5_format(char *to, size_t room, const char *format, va_list args) F5_PRINTF(3, 0);

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
