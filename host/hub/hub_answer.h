/* hub_answer.h — what the model hub answers, checked before it is believed: values of headers, and its JSON. Anybody
 * may have written them. Nothing here allocates but hub_licence_parse, and nothing depends on libcurl. */
#ifndef F5_HUB_ANSWER_H
#define F5_HUB_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/error.h"

#define HUB_HASH 65    /* bytes of 64 hexadecimal digits and their end */
#define HUB_LICENCE 64 /* bytes of a licence's name and its end */
#define HUB_MAX_JSON (4 << 20)
#define HUB_MAX_JSON_DEPTH 32

/* The hash that an ETag is: 64 digits, the file's SHA-256, or 40, the SHA-1 that git names it by. false: it is none. */
bool hub_etag_hash(const char *etag, char hash[HUB_HASH]);

/* A whole number of decimal digits alone. */
bool hub_size(const char *text, int64_t *size);

/* "bytes 5-9/10": from 5, to 9, of 10. */
bool hub_content_range(const char *text, int64_t *from, int64_t *to, int64_t *size);

/* The licence of a repository's description (api/models/OWNER/NAME), "" where it names none. F5_E_FORMAT: it is no such
 * JSON, is nested deeper than HUB_MAX_JSON_DEPTH, or is longer than HUB_MAX_JSON. F5_E_UNSUPPORTED: this build lacks
 * jansson. */
f5_status hub_licence_parse(const char *json, size_t bytes, char licence[HUB_LICENCE], f5_error *error);

#endif
