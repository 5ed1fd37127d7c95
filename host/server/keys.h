/* keys.h — API keys from a file, a key a line. */
#ifndef F5_SERVER_KEYS_H
#define F5_SERVER_KEYS_H

#include <stdbool.h>

#include "kernels/error.h"

typedef struct keys keys;

/* Empty lines and those that begin with # are passed over. F5_E_IO, F5_E_FORMAT: no key, one too long; no message holds
 * a key. *k changes only on F5_OK. */
f5_status keys_read(keys **k, const char *path, f5_error *error);
void keys_free(keys *k); /* NULL is fine */

/* Is the value of an Authorization header (NULL: there is none) "Bearer" and one of the keys? How long that takes does
 * not depend on how much of a key is right. */
bool keys_allow(const keys *k, const char *authorization);

#endif
