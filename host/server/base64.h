/* base64.h — base64 (RFC 4648, 4) of bytes, and back. */
#ifndef F5_BASE64_H
#define F5_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64_BYTES(n) (((n) + 2) / 3 * 4 + 1) /* of n bytes, with the end */

/* text [BASE64_BYTES(bytes)], terminated; returns its length. */
size_t base64_encode(const void *data, size_t bytes, char *text);

/* text [length] with its padding, without white space; data [length / 4 * 3]. False: it is malformed, or bits that
 * stand for nothing are set. data may be text itself. */
bool base64_decode(const char *text, size_t length, uint8_t *data, size_t *bytes);

#endif
