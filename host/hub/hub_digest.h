/* hub_digest.h — whether bytes are those that the hub named by their hash: SHA-256 of the file, or the SHA-1 by which
 * git names it ("blob SIZE", a NUL, and the file). By nettle. */
#ifndef F5_HUB_DIGEST_H
#define F5_HUB_DIGEST_H

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    bool git;
    union {
        struct sha256_ctx sha256;
        struct sha1_ctx sha1;
    } state;
} hub_digest;

/* hash: 64 or 40 digits (hub_etag_hash); size: bytes of the whole file. */
void hub_digest_begin(hub_digest *digest, const char *hash, int64_t size);
void hub_digest_add(hub_digest *digest, const void *bytes, size_t n);
bool hub_digest_is(hub_digest *digest, const char *hash); /* ends it */

#endif
