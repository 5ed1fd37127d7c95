/* hub_digest.c — one of two functions of nettle, and the digits of what it gave. */
#include "host/hub/hub_digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void hub_digest_begin(hub_digest *digest, const char *hash, int64_t size) {
    digest->git = strlen(hash) == 2 * SHA1_DIGEST_SIZE;
    if (!digest->git) {
        sha256_init(&digest->state.sha256);
        return;
    }
    char head[40];
    int n = snprintf(head, sizeof head, "blob %" PRId64, size);
    sha1_init(&digest->state.sha1);
    sha1_update(&digest->state.sha1, (size_t)n + 1, (const uint8_t *)head);
}

void hub_digest_add(hub_digest *digest, const void *bytes, size_t n) {
    if (digest->git)
        sha1_update(&digest->state.sha1, n, bytes);
    else
        sha256_update(&digest->state.sha256, n, bytes);
}

bool hub_digest_is(hub_digest *digest, const char *hash) {
    uint8_t bytes[SHA256_DIGEST_SIZE];
    char digits[2 * SHA256_DIGEST_SIZE + 1];
    size_t n = digest->git ? SHA1_DIGEST_SIZE : SHA256_DIGEST_SIZE;
    if (digest->git)
        sha1_digest(&digest->state.sha1, n, bytes);
    else
        sha256_digest(&digest->state.sha256, n, bytes);
    for (size_t i = 0; i < n; i++) snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
    return strcmp(digits, hash) == 0;
}
