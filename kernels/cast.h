/* cast.h — F32 values in the operand type of the matrix products.
 *   y = x rounded to nearest even        x [n] F32, y [n] type, apart; 16-byte aligned for the CUDA twin
 * Reference F32 only, where it is a copy. */
#ifndef F5_CAST_H
#define F5_CAST_H

#include "kernels/dtype.h"
#include "kernels/f5_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cast_args {
    int64_t n;
    const float *x; /* [n] */
    void *y;        /* [n] type */
    f5_dtype type;
} cast_args;

#ifdef __cplusplus
}
#endif
#endif
