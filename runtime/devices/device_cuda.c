/* device_cuda.c — one GPU: its context, memory, the CUDA op table, and captured graphs.
 *
 * A graph is kept per key (bucket and solver). On a miss the body first runs eagerly, which gives this request its
 * result and loads every kernel, and is then captured for the next request; a hit is one launch. */
#include "runtime/devices/device.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/ops.h"

/* An evaluation of B sequences of 500 frames takes 0.49 + 1.04 B ms (H200), so four together are 1.3 times as quick as
 * one by one, and more company gains little; requests of 10 s (1406 frames) fill the GPU alone: 92.5 audio-seconds a
 * second one by one, 90.2 packed by fours. f5bench.py load --batch-frames compares. */
#define BATCH_FRAMES 2048

#define GRAPHS 32 /* kept at once; the one unused for longest makes room */

typedef struct {
    uint8_t key[OPS_GRAPH_KEY_BYTES];
    cudaGraphExec_t exec; /* NULL: empty */
    uint64_t last_used;
} graph_slot;

typedef struct {
    device device; /* first */
    ops ops;
    cuda_context context;
    bool eager;
    uint64_t clock; /* counts uses of graphs */
    graph_slot graphs[GRAPHS];
} device_cuda;

static device_cuda *device_of_ops(ops *o) {
    return (device_cuda *)((char *)o - offsetof(device_cuda, ops));
}

static f5_status cuda_status(device_cuda *c, const char *what, cudaError_t e) {
    if (e == cudaSuccess) return F5_OK;
    return f5_fail(&c->context.error, F5_E_DEVICE, "%s: %s", what, cudaGetErrorString(e));
}

/* ---- the op table */

#define DEFINE_CUDA(name)                                                                                              \
    static f5_status name##_on_gpu(ops *o, const char *label, const name##_args *a) {                                  \
        f5_status status = name##_cuda(&device_of_ops(o)->context, a);                                                 \
        if (status != F5_OK) ops_call_name(o, label, o->failure, sizeof o->failure);                                   \
        return status;                                                                                                 \
    }
OPS_LIST(DEFINE_CUDA)

static f5_status copy_on_gpu(ops *o, void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    device_cuda *c = device_of_ops(o);
    if (bytes == 0) return F5_OK;
    return cuda_status(c, "copy", cudaMemcpyAsync(to, from, bytes, kind, c->context.stream));
}
static f5_status copy_in_gpu(ops *o, void *to, const void *from, size_t bytes) {
    return copy_on_gpu(o, to, from, bytes, cudaMemcpyHostToDevice);
}
static f5_status copy_out_gpu(ops *o, void *to, const void *from, size_t bytes) {
    return copy_on_gpu(o, to, from, bytes, cudaMemcpyDeviceToHost);
}
static f5_status copy_within_gpu(ops *o, void *to, const void *from, size_t bytes) {
    return copy_on_gpu(o, to, from, bytes, cudaMemcpyDeviceToDevice);
}

static f5_status finish_on_gpu(ops *o) {
    return cuda_context_finish(&device_of_ops(o)->context);
}

/* ---- graphs */

static graph_slot *find_graph(device_cuda *c, const uint8_t *key) {
    for (int i = 0; i < GRAPHS; i++) {
        if (c->graphs[i].exec && memcmp(c->graphs[i].key, key, OPS_GRAPH_KEY_BYTES) == 0) return &c->graphs[i];
    }
    return NULL;
}

/* Empties the slot unused for longest. False: there is no graph at all. */
static bool drop_oldest_graph(device_cuda *c) {
    graph_slot *oldest = NULL;
    for (int i = 0; i < GRAPHS; i++) {
        if (c->graphs[i].exec && (!oldest || c->graphs[i].last_used < oldest->last_used)) oldest = &c->graphs[i];
    }
    if (!oldest) return false;
    cudaGraphExecDestroy(oldest->exec);
    oldest->exec = NULL;
    return true;
}

static graph_slot *free_graph_slot(device_cuda *c) {
    for (int i = 0; i < GRAPHS; i++) {
        if (!c->graphs[i].exec) return &c->graphs[i];
    }
    drop_oldest_graph(c);
    return free_graph_slot(c);
}

/* A graph needs memory of the driver's. Where there is none left, older graphs make room; with none of those either,
 * *exec stays NULL and the size goes without: its requests are launched op by op. */
static f5_status instantiate(device_cuda *c, cudaGraph_t graph, cudaGraphExec_t *exec) {
    cudaError_t e = cudaGraphInstantiate(exec, graph, 0);
    while (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        *exec = NULL;
        if (!drop_oldest_graph(c)) return F5_OK;
        e = cudaGraphInstantiate(exec, graph, 0);
    }
    return cuda_status(c, "graph", e);
}

static f5_status capture(device_cuda *c, const uint8_t *key, ops_body body, void *user) {
    cudaStream_t stream = c->context.stream;
    F5_TRY(cuda_status(c, "capture", cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal)));
    f5_status status = body(user);
    cudaGraph_t graph = NULL;
    f5_status ended = cuda_status(c, "capture", cudaStreamEndCapture(stream, &graph));
    if (status == F5_OK) status = ended;
    cudaGraphExec_t exec = NULL;
    if (status == F5_OK) status = instantiate(c, graph, &exec);
    if (graph) cudaGraphDestroy(graph);
    if (status != F5_OK || !exec) return status;
    graph_slot *slot = free_graph_slot(c);
    memcpy(slot->key, key, OPS_GRAPH_KEY_BYTES);
    slot->exec = exec;
    slot->last_used = ++c->clock;
    c->ops.graphs_captured += 1;
    return F5_OK;
}

static f5_status graph_on_gpu(ops *o, const uint8_t *key, ops_body body, void *user) {
    device_cuda *c = device_of_ops(o);
    if (c->eager) return body(user);
    graph_slot *slot = find_graph(c, key);
    if (slot) {
        slot->last_used = ++c->clock;
        return cuda_status(c, "graph", cudaGraphLaunch(slot->exec, c->context.stream));
    }
    F5_TRY(body(user));
    return capture(c, key, body, user);
}

/* ---- memory */

static f5_status gpu_enter(device *d) {
    device_cuda *c = (device_cuda *)d;
    (void)cudaGetLastError(); /* whatever this thread failed at before, here or elsewhere, is no failure of ours */
    c->context.error.message[0] = 0;
    return cuda_status(c, "device", cudaSetDevice(c->context.device));
}

static f5_status gpu_alloc(device *d, size_t bytes, const char *what, void **memory, f5_error *error) {
    cudaStream_t stream = ((device_cuda *)d)->context.stream;
    cudaError_t e = cudaMalloc(memory, bytes > 0 ? bytes : 1);
    /* inert tails of buckets are multiplied too, and thrown away: let even those be numbers that somebody wrote */
    if (e == cudaSuccess) e = cudaMemsetAsync(*memory, 0, bytes, stream);
    if (e == cudaSuccess) {
        d->bytes += (int64_t)bytes;
        return F5_OK;
    }
    (void)cudaGetLastError(); /* not sticky: the device can still be used with less */
    size_t free_bytes = 0, total = 0;
    cudaMemGetInfo(&free_bytes, &total);
    return f5_fail(error, e == cudaErrorMemoryAllocation ? F5_E_MEMORY : F5_E_DEVICE,
                   "%s needs %.1f MB on %s, where %.1f MB are free: lower max_frames or max_evaluations", what,
                   (double)bytes / 1e6, d->name, (double)free_bytes / 1e6);
}

static void gpu_release(device *d, void *memory) {
    (void)d;
    cudaFree(memory);
}

static f5_status gpu_alloc_host(device *d, size_t bytes, const char *what, void **memory, f5_error *error) {
    (void)d;
    if (cudaMallocHost(memory, bytes > 0 ? bytes : 1) == cudaSuccess) return F5_OK;
    (void)cudaGetLastError();
    return f5_fail(error, F5_E_MEMORY, "%s needs %.1f MB of pinned memory, which is not to be had: lower max_frames",
                   what, (double)bytes / 1e6);
}

static void gpu_release_host(device *d, void *memory) {
    (void)d;
    cudaFreeHost(memory);
}

static f5_status gpu_upload(device *d, void *to, const void *from, size_t bytes, f5_error *error) {
    /* in the stream of the ops, which does not wait for the default one: cudaMemcpy may return before the bytes of
     * pageable memory have arrived */
    cudaStream_t stream = ((device_cuda *)d)->context.stream;
    cudaError_t e = cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream);
    if (e == cudaSuccess) e = cudaStreamSynchronize(stream);
    if (e == cudaSuccess) return F5_OK;
    return f5_fail(error, F5_E_DEVICE, "copy to %s failed: %s", d->name, cudaGetErrorString(e));
}

static f5_status gpu_poison(device *d, void *memory, size_t bytes) {
    device_cuda *c = (device_cuda *)d;
    return cuda_status(c, "poison", cudaMemsetAsync(memory, 0xff, bytes, c->context.stream));
}

static const char *gpu_failure(const device *d) {
    const device_cuda *c = (const device_cuda *)d;
    return c->context.error.message[0] ? c->context.error.message : NULL;
}

static void gpu_close(device *d) {
    device_cuda *c = (device_cuda *)d;
    for (int i = 0; i < GRAPHS; i++) {
        if (c->graphs[i].exec) cudaGraphExecDestroy(c->graphs[i].exec);
    }
    cuda_context_close(&c->context);
    free(c);
}

bool device_cuda_usable(void) {
    int major = 0;
    cudaError_t e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    if (e != cudaSuccess) (void)cudaGetLastError(); /* no driver or no device: not the caller's concern */
    return e == cudaSuccess && major >= CUDA_OLDEST_MAJOR;
}

f5_status device_cuda_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error) {
    device_cuda *c = calloc(1, sizeof *c);
    if (!c) return f5_fail(error, F5_E_MEMORY, "no memory for a device");
    size_t workspace = cuda_workspace_bytes(needs->rows, needs->dim, needs->out);
    f5_status status = cuda_context_open(&c->context, choice->ordinal, workspace, error);
    if (status != F5_OK) {
        free(c);
        return status;
    }
    c->context.force_portable = needs->portable;
    c->eager = needs->eager;
    c->ops = (ops){
#define ENTRY(name) .name = name##_on_gpu,
        OPS_LIST(ENTRY)
#undef ENTRY
            .copy_in = copy_in_gpu,
        .copy_out = copy_out_gpu,
        .copy_within = copy_within_gpu,
        .graph = graph_on_gpu,
        .finish = finish_on_gpu,
        .precision = {.operands = choice->precision},
        .deferred = true,
        .index = -1,
    };
    c->device = (device){.ops = &c->ops,
                         .precision = choice->precision,
                         .bytes = (int64_t)workspace,
                         .bucket_rows = 64,
                         .batch_frames = BATCH_FRAMES,
                         .fixed_slots = true,
                         .enter = gpu_enter,
                         .alloc = gpu_alloc,
                         .release = gpu_release,
                         .alloc_host = gpu_alloc_host,
                         .release_host = gpu_release_host,
                         .upload = gpu_upload,
                         .poison = gpu_poison,
                         .failure = gpu_failure,
                         .close = gpu_close};
    memcpy(c->device.name, c->context.name, sizeof c->device.name);
    *d = &c->device;
    return F5_OK;
}
