/* graph_cache.h — captured CUDA graphs by key: what a key's body launched is recorded once and replayed from then on.
 *
 * On a miss the body first runs eagerly, which gives this request its result and loads every kernel, and is then
 * captured for the next request. A hit is one launch. One thread at a time uses a cache. */
#ifndef F5_GRAPH_CACHE_H
#define F5_GRAPH_CACHE_H

#include <cuda_runtime_api.h>

#include "kernels/error.h"
#include "runtime/ops/ops.h"

#define GRAPH_CACHE_SLOTS 32 /* graphs kept at once; the least recently used makes room */

typedef struct {
    uint8_t key[OPS_GRAPH_KEY_BYTES];
    cudaGraphExec_t exec; /* NULL: empty */
    uint64_t last_used;
} graph_slot;

/* All zero is an empty cache. */
typedef struct {
    uint64_t clock; /* counts uses of graphs */
    int64_t captured;
    graph_slot slots[GRAPH_CACHE_SLOTS];
} graph_cache;

/* Replays the graph of this key on the stream; without one runs body(user), which launches on the stream only, and
 * captures it. What body fails with is returned; failures of CUDA's are F5_E_DEVICE with their message in *error. */
f5_status graph_cache_run(graph_cache *g, cudaStream_t stream, const uint8_t key[OPS_GRAPH_KEY_BYTES], ops_body body,
                          void *user, f5_error *error);
void graph_cache_clear(graph_cache *g);

#endif
