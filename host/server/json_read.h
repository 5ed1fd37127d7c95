/* json_read.h — JSON that a stranger sent becomes a tree of jansson's, within limits: a short text must not become a
 * large tree or a deep recursion. */
#ifndef F5_JSON_READ_H
#define F5_JSON_READ_H

#include <jansson.h>
#include <stddef.h>

#include "kernels/error.h"

#define JSON_READ_DEPTH 16     /* arrays and objects inside each other */
#define JSON_READ_VALUES 16384 /* in all */

/* text [bytes] must be one object, UTF-8, no key twice. F5_E_FORMAT says what is wrong with it. The caller gives
 * *object back by json_decref. */
f5_status json_read_object(const char *text, size_t bytes, json_t **object, f5_error *error);

/* The string at `key`, which lives as long as the object; NULL where there is none or it is null. F5_E_ARGUMENT: it is
 * something else. */
f5_status json_read_string(const json_t *object, const char *key, const char **string, f5_error *error);

#endif
