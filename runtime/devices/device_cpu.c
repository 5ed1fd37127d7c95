/* device_cpu.c — the plain C references on host memory, with threads and scratch memory of the engine's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/arena.h"
#include "runtime/devices/device.h"

/* What a product does once for all its rows is shared: four requests of 128 frames take 9.7 s one by one and 7.6
 * together, four of 32 frames 1.31 and 1.06 (F5TTS_v1_Small, NFE 2, two threads of a busy machine). */
#define BATCH_FRAMES 512

typedef struct {
    device device; /* first */
    ops_ref ref;
} device_cpu;

static f5_status cpu_enter(device *d) {
    (void)d;
    return F5_OK;
}

static f5_status cpu_alloc(device *d, size_t bytes, const char *what, void **memory, f5_error *error) {
    *memory = aligned_alloc(ARENA_ALIGN, (bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    if (*memory) {
        d->bytes += (int64_t)bytes;
        return F5_OK;
    }
    return f5_fail(error, F5_E_MEMORY, "%s needs %.1f MB, which is not to be had: lower max_frames or max_evaluations",
                   what, (double)bytes / 1e6);
}

static void cpu_release(device *d, void *memory) {
    (void)d;
    free(memory);
}

static f5_status cpu_upload(device *d, void *to, const void *from, size_t bytes, f5_error *error) {
    (void)d, (void)error;
    memcpy(to, from, bytes);
    return F5_OK;
}

static f5_status cpu_poison(device *d, void *memory, size_t bytes) {
    (void)d;
    memset(memory, 0xff, bytes);
    return F5_OK;
}

static const char *cpu_failure(const device *d) {
    (void)d;
    return NULL;
}

static void cpu_close(device *d) {
    cpu_context_close(&((device_cpu *)d)->ref.context);
    free(d);
}

f5_status device_cpu_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error) {
    device_cpu *c = calloc(1, sizeof *c);
    if (!c) return f5_fail(error, F5_E_MEMORY, "no memory for a device");
    const char *set = choice->cpu_set[0] ? choice->cpu_set : NULL;
    f5_status status = cpu_context_open(&c->ref.context, needs->threads, set, error);
    if (status != F5_OK) {
        free(c);
        return status;
    }
    ops_ref_init(&c->ref);
    c->ref.ops.precision.int8 = choice->int8;
    c->device = (device){.ops = &c->ref.ops,
                         .path = c->ref.context.set,
                         .bytes = (int64_t)pool_bytes(c->ref.context.pool),
                         .precision = F5_F32,
                         .host_memory = true,
                         .bucket_rows = 1,
                         .batch_frames = BATCH_FRAMES,
                         .enter = cpu_enter,
                         .alloc = cpu_alloc,
                         .release = cpu_release,
                         .alloc_host = cpu_alloc,
                         .release_host = cpu_release,
                         .upload = cpu_upload,
                         .poison = cpu_poison,
                         .failure = cpu_failure,
                         .close = cpu_close};
    snprintf(c->device.name, sizeof c->device.name, "cpu");
    *d = &c->device;
    return F5_OK;
}
