/* graph_cache.c — capture, replay, and eviction of the least recently used graph. */
#include "runtime/devices/graph_cache.h"

#include <string.h>

static f5_status status_of(cudaError_t e, const char *what, f5_error *error) {
    if (e == cudaSuccess) return F5_OK;
    return f5_fail(error, F5_E_DEVICE, "%s: %s", what, cudaGetErrorString(e));
}

static graph_slot *find(graph_cache *g, const uint8_t *key) {
    for (int i = 0; i < GRAPH_CACHE_SLOTS; i++) {
        if (g->slots[i].exec && memcmp(g->slots[i].key, key, OPS_GRAPH_KEY_BYTES) == 0) return &g->slots[i];
    }
    return NULL;
}

/* Empties the slot unused for longest. False: there is no graph at all. */
static bool evict_oldest(graph_cache *g) {
    graph_slot *oldest = NULL;
    for (int i = 0; i < GRAPH_CACHE_SLOTS; i++) {
        if (g->slots[i].exec && (!oldest || g->slots[i].last_used < oldest->last_used)) oldest = &g->slots[i];
    }
    if (!oldest) return false;
    cudaGraphExecDestroy(oldest->exec);
    oldest->exec = NULL;
    return true;
}

static graph_slot *free_slot(graph_cache *g) {
    for (;;) {
        for (int i = 0; i < GRAPH_CACHE_SLOTS; i++) {
            if (!g->slots[i].exec) return &g->slots[i];
        }
        evict_oldest(g);
    }
}

/* Instantiating a graph allocates driver memory. If that fails, evicts the least recently used graph and tries again;
 * when none is left, leaves *exec NULL, and requests of this size are launched op by op. */
static f5_status instantiate(graph_cache *g, cudaGraph_t graph, cudaGraphExec_t *exec, f5_error *error) {
    cudaError_t e = cudaGraphInstantiate(exec, graph, 0);
    while (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        *exec = NULL;
        if (!evict_oldest(g)) return F5_OK;
        e = cudaGraphInstantiate(exec, graph, 0);
    }
    return status_of(e, "graph", error);
}

static f5_status capture(graph_cache *g, cudaStream_t stream, const uint8_t *key, ops_body body, void *user,
                         f5_error *error) {
    F5_TRY(status_of(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture", error));
    f5_status status = body(user);
    cudaGraph_t graph = NULL;
    const cudaError_t end = cudaStreamEndCapture(stream, &graph);
    if (status == F5_OK) status = status_of(end, "capture", error);
    cudaGraphExec_t exec = NULL;
    if (status == F5_OK) status = instantiate(g, graph, &exec, error);
    if (graph) cudaGraphDestroy(graph);
    if (status != F5_OK || !exec) return status;
    graph_slot *slot = free_slot(g);
    memcpy(slot->key, key, OPS_GRAPH_KEY_BYTES);
    slot->exec = exec;
    slot->last_used = ++g->clock;
    g->captured += 1;
    return F5_OK;
}

f5_status graph_cache_run(graph_cache *g, cudaStream_t stream, const uint8_t key[OPS_GRAPH_KEY_BYTES], ops_body body,
                          void *user, f5_error *error) {
    graph_slot *slot = find(g, key);
    if (slot) {
        slot->last_used = ++g->clock;
        return status_of(cudaGraphLaunch(slot->exec, stream), "graph", error);
    }
    F5_TRY(body(user));
    return capture(g, stream, key, body, user, error);
}

void graph_cache_clear(graph_cache *g) {
    while (evict_oldest(g)) {
    }
}
