/* consent_file.h — a recorded consent on disk: one safetensors file, with the recording's bytes as they came, never
 * decoded, and who said it. Any thread.
 *
 * Version 1: a tensor "recording" U8 [bytes], and the metadata "format" ("f5tts consent"), "version", "name",
 * "language", "media_type", "created_at". */
#ifndef F5_SERVER_CONSENT_FILE_H
#define F5_SERVER_CONSENT_FILE_H

#include <stdint.h>

#include "kernels/error.h"

#define CONSENT_MAX_NAME 256 /* bytes, of a language and a media type too */
#define CONSENT_MAX_BYTES (10 << 20)

typedef struct {
    char name[CONSENT_MAX_NAME + 1], language[CONSENT_MAX_NAME + 1], media_type[CONSENT_MAX_NAME + 1];
    int64_t created_at, bytes;
} consent_file;

f5_status consent_file_read(consent_file *c, const char *path, f5_error *error); /* all but the recording */

/* Whole or not at all. The recording is what `from` (a file) holds; NULL: that of the consent that lies at path. */
f5_status consent_file_write(const consent_file *c, const char *path, const char *from, f5_error *error);

#endif
