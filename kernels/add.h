/* add.h — the sum of two streams.
 *   y = x + addend        all [n] F32; y may be x or addend; 16-byte aligned for the CUDA twin */
#ifndef F5_ADD_H
#define F5_ADD_H

#include "kernels/f5_status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct add_args {
    int64_t n;
    const float *x;      /* [n] */
    const float *addend; /* [n] */
    float *y;            /* [n] */
} add_args;

#ifdef __cplusplus
}
#endif
#endif
