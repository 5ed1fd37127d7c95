/* linear.h — matrix product with a named epilogue, the op that most of the time goes to.
 *
 *   a = x . w^T + bias            x [rows,in]  w [out,in]  bias [out]
 *   y = epilogue(a)               y [rows,out]
 *
 * epilogue      y =
 *   NONE        a
 *   SILU        a / (1 + exp(-a))
 *   GELU_TANH   a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))
 *   GELU_ERF    a/2 (1 + erf(a / sqrt 2))
 *   RESIDUAL    addend + gate * a     gate [out], NULL = 1; addend [rows,out], may be y itself
 *   ROPE        a, rotated            y is [rows, 3, heads, 64], out = 192 heads: see below
 *
 * ROPE rotates pairs (2i, 2i+1) of heads < rope_heads of the first two thirds (q, k) by the row's position in its
 * sequence, as attention.h says; that op is then given rope_heads = 0.
 *
 * Types: x and w are `type`; bias, gate, addend, rope are F32; y is F32 if y_f32, else `type` (ROPE: always `type`).
 * y_rounded: where y is F32, y once more in rounded_type, for the op that reads it as an operand.
 * The reference takes F32 only and no y_rounded (else F5_E_UNSUPPORTED).
 * x, w, y, y_rounded, rope 16-byte aligned; rows >= 0, in and out >= 1.
 * bias_as_type is the bias already rounded to `type`. cuBLASLt needs it when y is 16-bit; if it is NULL, every call
 * rounds it again. The reference does not read it. Rows of y that belong to no sequence are left as they
 * were or hold anything. A row's result depends on its own sequence's rows and length only (in the reference on its own
 * row of x and, for ROPE, its position, whatever the number of threads). pack NULL: all rows are one sequence. ROPE:
 * every sequence <= max_position rows, out a multiple of 192, 0 <= rope_heads <= out / 192, else F5_E_SHAPE. */
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
    LINEAR_ROPE
} linear_epilogue;

typedef struct linear_args {
    const f5_pack *pack;      /* how rows divide into sequences, or NULL */
    int32_t rows;             /* read only when pack is NULL */
    int32_t in, out;          /* widths */
    const void *x;            /* [rows,in] type */
    const void *w;            /* [out,in] type */
    const float *bias;        /* [out] or NULL */
    const float *gate;        /* [out] or NULL (RESIDUAL) */
    const float *addend;      /* [rows,out] (RESIDUAL) */
    const float *rope;        /* [max_position,32,2] (cos, sin), see rope_table_fill (ROPE) */
    int32_t rope_heads;       /* heads 0 .. rope_heads-1 are rotated (ROPE) */
    int32_t max_position;     /* rows of the rope table (ROPE) */
    void *y;                  /* [rows,out] F32 if y_f32, else type */
    void *y_rounded;          /* [rows,out] rounded_type or NULL */
    f5_dtype rounded_type;    /* of y_rounded */
    const void *bias_as_type; /* [out] type or NULL */
    linear_epilogue epilogue;
    f5_dtype type; /* of x and w */
    bool y_f32;
} linear_args;

#ifdef __cplusplus
}
#endif
#endif
