/* hub_pull.h — a file of the hub into the cache that huggingface_hub keeps (hub_cache.h), so that upstream's package
 * finds it there too: it appears under its name when its size and hash are right. What has come of a file that has not
 * is blobs/HASH.incomplete, and the next call goes on from there. Calls of several processes wait for each other by
 * huggingface_hub's own locks (.locks/). */
#ifndef F5_HUB_PULL_H
#define F5_HUB_PULL_H

#include "host/hub/hub_client.h"

typedef struct {
    bool missing; /* the hub has the repository, and no such file in it; nothing else is filled then */
    bool fetched; /* false: it was there already */
    int64_t bytes;
    char commit[HUB_COMMIT];
} hub_pulled;

/* Fetches the file unless it is there. F5_E_FORMAT: it has more than max_bytes, or is not what the hub says it is.
 * Errors leave the cache without the file, or with the one that was there. */
f5_status hub_pull(hub_client *client, const hub_place *place, const hub_events *events, const hub_file *file,
                   int64_t max_bytes, hub_pulled *pulled, f5_error *error);

#endif
