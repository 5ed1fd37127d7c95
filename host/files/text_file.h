/* text_file.h — a whole text file in memory: UTF-8, ended by a NUL, without its byte order mark. */
#ifndef F5_TEXT_FILE_H
#define F5_TEXT_FILE_H

#include <stddef.h>

#include "kernels/error.h"

/* Reads path, or standard input where it is "-". *text [*bytes + 1] is to be freed; bytes may be NULL. Pipes are read
 * to their end. Errors name the file: F5_E_IO, F5_E_MEMORY, F5_E_UNSUPPORTED (longer than max_bytes), F5_E_FORMAT (a
 * zero byte, malformed UTF-8); *text is then NULL. */
f5_status text_file_read(const char *path, size_t max_bytes, char **text, size_t *bytes, f5_error *error);

/* Fails with a message about a line, "FILE:LINE: ...". */
f5_status text_line_error(f5_error *error, f5_status status, const char *file, int line, const char *format, ...)
    F5_PRINTF(5, 6);

#endif
