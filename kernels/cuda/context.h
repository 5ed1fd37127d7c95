/* context.h — what every CUDA op is given besides its arguments: a stream, the device's measure, a workspace.
 *
 * Plain C: the runtime includes it without CUDA's headers. One context serves one host thread at a time. Every op is
 * asynchronous on the stream, allocates nothing, never synchronises, and so can be captured into a CUDA graph; all
 * pointers in its arguments are device pointers, those inside its f5_pack included, and every tensor starts at a
 * multiple of 16 bytes. Grids are sized from the host integers (pack->rows, pack->n_seq: the bucket); live lengths are
 * read on the device, so that a captured graph serves any composition of its bucket. The host cannot check what depends
 * on lengths: the caller must ensure that no sequence is longer than a table.
 *
 * Ops follow each other on the stream, but an op may read its weights, its tables and its pack while the kernel in
 * front still runs. Copies and kernels that have ended write these, never an op just before.
 *
 * An op that fails returns its status and leaves the message in context.error. */
#ifndef F5_CUDA_CONTEXT_H
#define F5_CUDA_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/cuda/arch.h"
#include "kernels/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_OLDEST_MAJOR 8 /* compute capability 8.0: cp.async, bf16 */

typedef struct cuda_context {
    struct CUstream_st *stream; /* cudaStream_t; the context's own unless the caller replaces it */
    struct CUstream_st *owned;  /* the stream made at open */
    int device;                 /* ordinal */
    cuda_arch arch;             /* in use: the device's own, or what cuda_context_limit leaves of it */
    cuda_arch device_arch;      /* the device's own, with the kernels that this build has for it */
    bool early_start;           /* kernels may start before the one in front ends (sm_90): common/launch.cuh */
    void *encode_tensor_map;    /* cuTensorMapEncodeTiled of the driver (where arch.code is ARCH_SM90A) */

    /* Scratch of the op that runs, free again when it is done; 256-byte aligned. */
    void *fixed_scratch; /* of a size that no pack changes: cuBLASLt's workspace, attention's partial tiles */
    size_t fixed_bytes;
    void *row_scratch; /* of a size that grows with rows: attention's prepared keys, linear's F32 products */
    size_t row_bytes;
    uint32_t *flags; /* [sm_count] by which blocks of a kernel wait for each other; 0 between kernels */

    struct cuda_blas *blas; /* cuBLASLt and its plans: blas.h */

    char name[256]; /* of the device */
    f5_error error;
} cuda_context;

/* Scratch that the ops need to serve packs of `rows` rows in models of width `dim` and widest linear output `out`. */
size_t cuda_workspace_bytes(int64_t rows, int64_t dim, int64_t out);

/* Opens device `ordinal` with a workspace of so many bytes. F5_E_DEVICE: no such device, one older than sm_80, or one
 * that this build has no code for; F5_E_MEMORY: the workspace does not fit. *c is a caller's struct; on failure it
 * needs no close. */
f5_status cuda_context_open(cuda_context *c, int ordinal, size_t workspace_bytes, f5_error *error);
void cuda_context_close(cuda_context *c);

/* Waits for the stream; reports a failure of anything launched on it. */
f5_status cuda_context_finish(cuda_context *c);

/* Leaves kernels newer than `limit` alone from now on (arch_limited); ARCH_SM90A: none of them. For testing the kernels
 * of older architectures on a newer card. */
void cuda_context_limit(cuda_context *c, arch_code limit);

#ifdef __cplusplus
}
#endif
#endif
