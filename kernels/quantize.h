/* quantize.h — rows as whole numbers from -127 to 127, each row with a scale of its own: the operands of linear_int8.
 *
 *   scale[row] = m / 127                       m = max |x| of the row
 *   y[row]     = x * (127 / m), rounded to the nearest whole number, to even in the middle; 0 where m < 2^-120
 *
 * Every step is one operation of F32: the same x gives the same whole numbers on every device. The scale of a row that
 * holds NaN or an infinity is NaN, so that what is made of the row is NaN too, whatever its whole numbers are.
 *
 * x [rows,dim] F32, F16 or BF16; the reference takes F32 only, else F5_E_UNSUPPORTED. dim is a multiple of 16, else
 * F5_E_SHAPE. x and y are 16-byte aligned. Rows of a pack's tail may hold anything. */
#ifndef F5_QUANTIZE_H
#define F5_QUANTIZE_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quantize_args {
    int32_t rows, dim;
    f5_matrix x;  /* [rows,dim] */
    int8_t *y;    /* [rows,dim] */
    float *scale; /* [rows] */
} quantize_args;

#ifdef __cplusplus
}
#endif
#endif
