/* device_cuda.c — one GPU: its context, its memory, and the CUDA op table. Graphs are kept per key, which is a bucket
 * and a solver (graph_cache.h). */
#include "runtime/devices/device.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/ops.h"
#include "runtime/devices/graph_cache.h"

typedef struct {
    device device; /* first */
    ops ops;
    cuda_context context;
    bool eager;
    graph_cache graphs;
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

static f5_status graph_on_gpu(ops *o, const uint8_t *key, ops_body body, void *user) {
    device_cuda *c = device_of_ops(o);
    if (c->eager) return body(user);
    f5_status status = graph_cache_run(&c->graphs, c->context.stream, key, body, user, &c->context.error);
    o->graphs_captured = c->graphs.captured;
    return status;
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
    /* the inert tails of buckets are multiplied too: zero them, so that no kernel ever reads uninitialised memory */
    if (e == cudaSuccess) e = cudaMemsetAsync(*memory, 0, bytes, stream);
    if (e == cudaSuccess) {
        d->bytes += (int64_t)bytes;
        return F5_OK;
    }
    (void)cudaGetLastError(); /* not sticky: the device can still be used with less */
    if (e != cudaErrorMemoryAllocation)
        return f5_fail(error, F5_E_DEVICE, "%s cannot be placed on %s: %s", what, d->name, cudaGetErrorString(e));
    size_t free_bytes = 0, total = 0;
    cudaMemGetInfo(&free_bytes, &total);
    return f5_fail(error, F5_E_MEMORY,
                   "%s needs %.1f MB on %s, where %.1f MB are free: lower max_frames or max_evaluations", what,
                   (double)bytes / 1e6, d->name, (double)free_bytes / 1e6);
}

static void gpu_release(device *d, void *memory) {
    (void)d;
    cudaFree(memory);
}

static f5_status gpu_alloc_host(device *d, size_t bytes, const char *what, void **memory, f5_error *error) {
    const cudaError_t e = cudaMallocHost(memory, bytes > 0 ? bytes : 1);
    if (e == cudaSuccess) return F5_OK;
    (void)cudaGetLastError();
    if (e != cudaErrorMemoryAllocation)
        return f5_fail(error, F5_E_DEVICE, "%s gets no pinned memory from %s: %s", what, d->name,
                       cudaGetErrorString(e));
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
    graph_cache_clear(&c->graphs);
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
    if (needs->portable) cuda_context_limit(&c->context, ARCH_SM80);
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
        .precision = {.operands = choice->precision, .vocoder = choice->vocoder, .int8 = choice->int8},
        .deferred = true,
        .index = -1,
    };
    c->device = (device){.ops = &c->ops,
                         .precision = choice->precision,
                         .bytes = (int64_t)workspace,
                         .arch = &c->context.arch,
                         .path = arch_path(&c->context.arch),
                         .bucket_rows = c->context.arch.bucket_rows,
                         .batch_frames = c->context.arch.batch_frames,
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
