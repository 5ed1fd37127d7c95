/* linear_int8.h — the matrix product of linear.h with operands of 8 bits: whole numbers, a scale for each row of
 * either.
 *
 *   n = x . w^T                                  x [rows,in]  w [out,in], whole numbers; exact
 *   a = n * (x_scale[row] * w_scale[column]) + bias
 *   y = epilogue(a)                              as linear.h says, RESIDUAL and ROPE too; RELU it has not
 *
 * The sums n are the same on every device and in any order; what is rounded is a. y is F32, F16 or BF16; with ROPE 16
 * bits on a GPU or F32. The reference takes an F32 y only, else F5_E_UNSUPPORTED. in is a multiple of 16 and at most
 * 65536 (a sum then fits into 32 bits), else F5_E_SHAPE. x, w, y and rope are 16-byte aligned. What linear.h says of
 * rows, packs, gates, addends and rope holds. */
#ifndef F5_LINEAR_INT8_H
#define F5_LINEAR_INT8_H

#include "kernels/linear.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LINEAR_INT8_MAX_IN 65536
#define LINEAR_INT8_IN_MULTIPLE 16

typedef struct linear_int8_args {
    const f5_pack *pack;  /* how rows divide into sequences, or NULL */
    int32_t rows;         /* read only when pack is NULL */
    int32_t in, out;      /* widths */
    const int8_t *x;      /* [rows,in] */
    const float *x_scale; /* [rows] */
    const int8_t *w;      /* [out,in] */
    const float *w_scale; /* [out] */
    const float *bias;    /* [out] or NULL */
    const float *gate;    /* [out] or NULL (RESIDUAL) */
    const float *addend;  /* [rows,out] (RESIDUAL); may be y */
    const float *rope;    /* [max_position,32,2] (cos, sin), see rope_table_fill (ROPE) */
    int32_t rope_heads;   /* heads 0 .. rope_heads-1 are rotated (ROPE) */
    int32_t max_position; /* rows of the rope table (ROPE) */
    f5_rows y;            /* [rows,out] */
    linear_epilogue epilogue;
} linear_int8_args;

#ifdef __cplusplus
}
#endif
#endif
