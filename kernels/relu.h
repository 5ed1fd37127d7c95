/* relu.h — the rectifier, which may leak.
 *   y = slope x where x < 0, else x        all [n] F32; y may be x; 16-byte aligned for the CUDA twin. A NaN stays NaN.
 * Source: Flow-Matching-TTS (slope 0), HiFi-GAN's generators (0.1, 0.01). */
#ifndef F5_RELU_H
#define F5_RELU_H

#include "kernels/f5_status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct relu_args {
    int64_t n;
    float slope;
    const float *x; /* [n] */
    float *y;       /* [n] */
} relu_args;

#ifdef __cplusplus
}
#endif
#endif
