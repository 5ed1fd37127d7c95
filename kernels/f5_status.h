/* f5_status.h — the plain types everything reads: status codes and the error record.
 * The installed f5tts.h holds it in the place of its include (cmake/Install.cmake). */
#ifndef F5_STATUS_H
#define F5_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. Everything but F5_OK leaves a message in the caller's f5_error. */
typedef enum {
    F5_OK = 0,
    F5_E_ARGUMENT,    /* a parameter is out of range, missing or inconsistent */
    F5_E_SHAPE,       /* a tensor's shape is one the op or model does not have */
    F5_E_IO,          /* a file cannot be opened, read or written */
    F5_E_FORMAT,      /* a file's contents are malformed */
    F5_E_UNSUPPORTED, /* well formed, but not something this build does */
    F5_E_MEMORY,      /* out of memory */
    F5_E_DEVICE,      /* no such device, or the device failed */
    F5_E_CANCELLED,   /* a callback asked to stop */
    F5_E_LIMIT        /* over a limit, one given at open or one of the library: the same call will fail again */
} f5_status;

const char *f5_status_string(f5_status status); /* "ok", "bad argument", ...; never NULL */

/* Filled by the call that fails; the caller owns it. message is always terminated. */
typedef struct {
    f5_status status;
    char message[512]; /* names the offending thing and the fix; UTF-8, one line */
} f5_error;

#ifdef __cplusplus
}
#endif
#endif
