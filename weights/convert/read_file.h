/* read_file.h — a whole small file in memory. */
#ifndef F5_READ_FILE_H
#define F5_READ_FILE_H

#include <stddef.h>

#include "kernels/error.h"

/* *text [*bytes] is malloc'd, terminated, the caller's to free. Errors: F5_E_IO (also: not a regular file),
 * F5_E_FORMAT (over `limit` bytes), F5_E_MEMORY. */
f5_status read_file(const char *path, size_t limit, char **text, size_t *bytes, f5_error *error);

#endif
