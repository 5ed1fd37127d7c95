/* cuda_context.h — what every CUDA op is given besides its arguments: a stream, the device's measure, a workspace.
 *
 * Plain C: the runtime includes it without CUDA's headers. One context serves one host thread at a time. Every op is
 * asynchronous on the stream, allocates nothing, never synchronises, and so can be captured into a CUDA graph; all
 * pointers in its arguments are device pointers, those inside its f5_pack included, and every tensor starts at a
 * multiple of 16 bytes. Grids are sized from the host integers (pack->rows, pack->n_seq: the bucket); live lengths are
 * read on the device, so that a captured graph serves any composition of its bucket. What only the lengths can tell,
 * that no sequence is longer than a table, the host cannot check: the caller answers for it.
 *
 * Ops follow each other on the stream, but one may read its weights, its tables and its pack while the kernel in front
 * still runs: those are written by copies, or by what has long ended, never by an op just before.
 *
 * An op that fails returns its status and leaves the message in context.error. */
#ifndef F5_CUDA_CONTEXT_H
#define F5_CUDA_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CUDA_OLDEST_MAJOR 8 /* compute capability 8.0: cp.async, bf16 */

/* Distinct matrix products a context remembers; a model has about 40, times the row counts planned for. */
#define CUDA_MATMUL_PLANS 512

/* One matrix product and the algorithm cuBLASLt chose for it. */
typedef struct {
    int32_t rows; /* planned for, see plan_rows */
    int32_t in, out;
    int32_t variant;  /* epilogue and types, packed by linear.cu */
    uint64_t algo[8]; /* cublasLtMatmulAlgo_t */
} cuda_matmul_plan;

typedef struct cuda_context {
    struct CUstream_st *stream;   /* cudaStream_t; the context's own unless the caller replaces it */
    struct CUstream_st *owned;    /* the stream made at open */
    struct cublasLtContext *blas; /* cublasLtHandle_t */
    int device;                   /* ordinal */
    int sm;                       /* compute capability: 80, 86, 89, 90, 100, 120 */
    int sm_count;
    int shared_bytes;        /* shared memory a block may ask for */
    bool hopper;             /* the device is sm_90 and this build has code for sm_90a */
    bool early_start;        /* kernels know to wait for the one in front (sm_90): cuda/launch.cuh */
    bool force_portable;     /* leave the paths that only one architecture has alone */
    void *encode_tensor_map; /* cuTensorMapEncodeTiled of the driver (where hopper) */

    /* Rows that a product over packed sequences is planned for, whatever its own count, so that a row's result is the
     * same bits in every bucket. 0: plan for each bucket's own rows. */
    int32_t plan_rows;

    void *workspace; /* an op's scratch, free again when the op is done; 256-byte aligned */
    size_t workspace_bytes;
    size_t blas_bytes; /* its first part, lent to cuBLASLt; attention's too while it runs */
    uint32_t *flags;   /* [sm_count] by which blocks of a kernel wait for each other; 0 between kernels */

    int32_t n_plans;
    cuda_matmul_plan plans[CUDA_MATMUL_PLANS];

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

/* Which instruction path the ops that have two take: "hopper" or "portable". */
const char *cuda_context_path(const cuda_context *c);

#ifdef __cplusplus
}
#endif
#endif
