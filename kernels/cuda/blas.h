/* blas.h — matrix products by cuBLASLt: its handle, and the algorithm that it chose for each product, kept so that it
 * is asked once. Plain C. A context's stream orders the products; its fixed scratch is cuBLASLt's workspace. */
#ifndef F5_CUDA_BLAS_H
#define F5_CUDA_BLAS_H

#include "kernels/cuda/context.h"
#include "kernels/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

/* D [rows,out] = epilogue(x [rows,in] . w [out,in]^T + (add ? C : 0)), x and w of `type`. */
typedef struct {
    int32_t rows, in, out;
    f5_dtype type;
    bool f32_out;      /* of D and C; else `type` */
    bool add;          /* C counts */
    bool gelu;         /* tanh's GELU in the epilogue */
    int32_t plan_rows; /* rows that the algorithm is chosen for */
} blas_product;

f5_status blas_open(cuda_context *c, f5_error *error);
void blas_close(cuda_context *c);

/* bias [out] in D's type, or NULL. The same bits every time: split-K and its reductions are excluded, so each element
 * is one sum in one fixed order, and tile and order along `in` are the algorithm's, not the row count's. A plan that is
 * not known yet is made, which allocates nothing. Failures: F5_E_UNSUPPORTED, F5_E_DEVICE. */
f5_status blas_multiply(cuda_context *c, blas_product p, const void *x, const void *w, const void *bias,
                        const void *addend, void *y);

/* Products that have a plan. */
int32_t blas_plan_count(const cuda_context *c);

#ifdef __cplusplus
}
#endif
#endif
