/* device.h — where an engine computes: an op table, and memory that its ops can read.
 *
 * On the CPU device memory is host memory. On a GPU it is not: copies go through the op table (in order with the ops)
 * once the engine runs, and through `upload` while it opens. */
#ifndef F5_DEVICE_H
#define F5_DEVICE_H

#include "kernels/cuda/arch.h"
#include "kernels/dtype.h"
#include "kernels/error.h"
#include "runtime/ops/ops.h"

typedef struct device device;

struct device {
    ops *ops;
    char name[256];
    const char *path;      /* which kernels run: "sm90", "sm80"; on the CPU the instruction set, "avx2" */
    const cuda_arch *arch; /* of a GPU, in use; NULL on the CPU */
    f5_dtype precision;
    bool host_memory;     /* device pointers can be read by the host */
    int32_t bucket_rows;  /* rows of a branch are rounded up to a multiple of this; 1: not at all */
    int32_t batch_frames; /* batch size, in frames, beyond which more requests no longer repay the added latency */
    int64_t bytes;        /* held by alloc and by the device itself */
    bool fixed_slots;     /* a pack always has the engine's max_batch slots */

    /* makes it the calling thread's current device: first thing in every call, for callers change threads */
    f5_status (*enter)(device *d);
    f5_status (*alloc)(device *d, size_t bytes, const char *what, void **memory, f5_error *error);
    void (*release)(device *d, void *memory);
    /* host memory that copies at full speed (pinned) */
    f5_status (*alloc_host)(device *d, size_t bytes, const char *what, void **memory, f5_error *error);
    void (*release_host)(device *d, void *memory);
    /* copies and waits; for opening only */
    f5_status (*upload)(device *d, void *to, const void *from, size_t bytes, f5_error *error);
    /* fills memory with NaN, in order with the ops */
    f5_status (*poison)(device *d, void *memory, size_t bytes);
    /* message of the last failed op, or NULL */
    const char *(*failure)(const device *d);
    void (*close)(device *d);
};

/* How large the device's own scratch must be. */
typedef struct {
    int64_t rows;    /* most rows of a pack, all branches */
    int64_t dim;     /* widest activation */
    int64_t out;     /* widest product */
    bool eager;      /* launch op by op instead of replaying graphs */
    bool portable;   /* do not use architecture-specific code paths (for testing the portable ones) */
    int32_t threads; /* CPU: at most so many; 0: one for each CPU that the calling thread may run on */
} device_needs;

#define DEVICE_SET_BYTES 16

typedef struct {
    bool cuda;
    int32_t ordinal;
    f5_dtype precision;             /* of the operands */
    bool int8;                      /* those of a backbone's blocks are of 8 bits instead */
    f5_dtype vocoder;               /* of the vocoder's operands */
    char cpu_set[DEVICE_SET_BYTES]; /* instruction set asked for; empty: the best that the CPU has */
} device_choice;

/* Reads "auto", "cpu", "cpu:avx2", "cuda", "cuda:N" and "fp32", "fp16", "bf16", "int8" or NULL (the device's best), and
 * of the vocoder "fp32", "fp16", "bf16" or NULL (fp32). auto takes a GPU when this build has the backend and the
 * machine a usable device. Errors: F5_E_ARGUMENT, F5_E_DEVICE, F5_E_UNSUPPORTED. */
f5_status device_choose(const char *spec, const char *precision, const char *vocoder, device_choice *choice,
                        f5_error *error);

/* "fp32", "fp16", "bf16". F5_E_ARGUMENT. */
f5_status device_read_vocoder(const char *text, f5_dtype *vocoder, f5_error *error);

f5_status device_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error);

/* Backends: device_cpu.c always; device_cuda.c where the build has CUDA. */
f5_status device_cpu_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error);
f5_status device_cuda_open(const device_choice *choice, const device_needs *needs, device **d, f5_error *error);
bool device_cuda_usable(void); /* is there a device 0, and of an architecture we support? */

#endif
