/* linear.h — matrix product with a named epilogue, the op that most of the time goes to.
 *
 *   a = x . w^T + bias            x [rows,in]  w [out,in]  bias [out]
 *   a = x . w^T + x2 . w2^T + bias    where x2 and w2 are given: rows [x | x2] by one matrix [w | w2]
 *   y = epilogue(a)               y [rows,out]
 *
 * epilogue      y =
 *   NONE        a
 *   SILU        a / (1 + exp(-a))
 *   GELU_TANH   a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))
 *   GELU_ERF    a/2 (1 + erf(a / sqrt 2))
 *   RELU        a where a > 0, else 0          a NaN stays NaN
 *   RESIDUAL    addend + gate * a     gate [out], NULL = 1; addend [rows,out], may be y itself
 *   ROPE        a, rotated            y is [rows, 3, heads, 64], out = 192 heads: see below
 *
 * ROPE rotates pairs (2i, 2i+1) of heads < rope_heads of the first two thirds (q, k) by the row's position in its
 * sequence, as attention.h says; that op is then given rope_heads = 0.
 *
 * Types: x and w have one type, or w is whole numbers (I8) that w_scale multiplies: then x is F16, in the reference
 * F32, y F32, the epilogue NONE, and in a multiple of 64. y is F32 or has that type; with ROPE it has that type. bias,
 * gate, addend and rope are F32. also: where y is F32, y once more in another type, for the op that reads it as an
 * operand. x2 and w2 are as x and w, and of NONE alone, with an F32 y and no `also`; w is not I8 (else
 * F5_E_UNSUPPORTED). bias_rounded: the bias rounded to the type of w. cuBLASLt needs it where y is 16-bit; if NULL,
 * every such call rounds the bias again. The reference does not read it. It takes F32 only and no `also` (else
 * F5_E_UNSUPPORTED). Pointers of x, w, x2, w2, y, also and rope are 16-byte aligned; rows >= 0, in and out >= 1. Rows
 * of y that belong to no sequence are left as they were or hold anything. A row's result depends on its own sequence's
 * rows and length only (in the reference on its own row of x and, for ROPE, its position, whatever the number of
 * threads). pack NULL: all rows are one sequence. ROPE: every sequence <= max_position rows, out a multiple of 192, 0
 * <= rope_heads <= out / 192, else F5_E_SHAPE. */
#ifndef F5_LINEAR_H
#define F5_LINEAR_H

#include <stdbool.h>

#include "kernels/dtype.h"
#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    LINEAR_NONE = 0,
    LINEAR_SILU,
    LINEAR_GELU_TANH,
    LINEAR_GELU_ERF,
    LINEAR_RESIDUAL,
    LINEAR_ROPE,
    LINEAR_RELU
} linear_epilogue;

typedef struct linear_args {
    const f5_pack *pack;      /* how rows divide into sequences, or NULL */
    int32_t rows;             /* read only when pack is NULL */
    int32_t in, out;          /* widths */
    f5_matrix x;              /* [rows,in] */
    f5_matrix w;              /* [out,in], the type of x, or I8 */
    f5_matrix x2;             /* [rows,in] data NULL: there is no second product */
    f5_matrix w2;             /* [out,in] data NULL: likewise */
    const float *w_scale;     /* [out] of the rows of an I8 w */
    const float *bias;        /* [out] or NULL */
    const void *bias_rounded; /* [out] the type of w, or NULL */
    const float *gate;        /* [out] or NULL (RESIDUAL) */
    const float *addend;      /* [rows,out] (RESIDUAL) */
    const float *rope;        /* [max_position,32,2] (cos, sin), see rope_table_fill (ROPE) */
    int32_t rope_heads;       /* heads 0 .. rope_heads-1 are rotated (ROPE) */
    int32_t max_position;     /* rows of the rope table (ROPE) */
    f5_rows y;                /* [rows,out] F32 or the type of x */
    f5_rows also;             /* [rows,out] data NULL: not wanted */
    linear_epilogue epilogue;
} linear_args;

#ifdef __cplusplus
}
#endif
#endif
