/* voice_metadata.h — texts and numbers of the metadata of the server's safetensors files, held against their limits. */
#ifndef F5_SERVER_VOICE_METADATA_H
#define F5_SERVER_VOICE_METADATA_H

#include "weights/safetensors.h"

/* NULL where there is none. F5_E_FORMAT: longer than max_bytes, or not UTF-8. */
f5_status metadata_text(const safetensors *st, const char *key, size_t max_bytes, const char **text, f5_error *error);

/* A whole number, `otherwise` where there is none. F5_E_FORMAT: none of 0 .. most. */
f5_status metadata_number(const safetensors *st, const char *key, int64_t most, int64_t otherwise, int64_t *number,
                          f5_error *error);

/* Is it a file of that format, of a version from 1 to `newest`? F5_E_FORMAT, F5_E_UNSUPPORTED. */
f5_status metadata_format(const safetensors *st, const char *format, int newest, f5_error *error);

/* Writes a text that is not NULL and not empty. */
f5_status metadata_put(safetensors_writer *w, const char *key, const char *text, f5_error *error);
f5_status metadata_put_number(safetensors_writer *w, const char *key, int64_t number, f5_error *error);

/* Opens a copy of the file in memory, so that nothing that happens to the file ends this process: a mapping of a file
 * that is cut short does. close *copy after safetensors_close. Messages name the path. */
f5_status metadata_open(safetensors *st, int *copy, const char *path, int64_t max_bytes, f5_error *error);

#endif
