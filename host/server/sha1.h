/* sha1.h — SHA-1 (FIPS 180-4) of a short text, for the handshake of WebSocket, which proves nothing by it but that the
 * server speaks WebSocket. Not for anything that must be safe. */
#ifndef F5_SHA1_H
#define F5_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_BYTES 20

void sha1(const void *data, size_t bytes, uint8_t digest[SHA1_BYTES]);

#endif
