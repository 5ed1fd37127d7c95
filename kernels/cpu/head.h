/* head.h — one head of one row of q or k on its way into attention: RMSNorm, then RoPE. */
#ifndef F5_CPU_HEAD_H
#define F5_CPU_HEAD_H

#include <math.h>

#include "kernels/attention.h"
#include "kernels/cpu/math.h"

#define QK_NORM_EPS 1e-6f

/* y [64] from u [64]: RMSNorm where there is a weight [64], then RoPE where there is a row [32,2] of the table. */
static inline void cpu_prepare_head(const float *restrict u, const float *restrict weight, const float *restrict rope,
                                    float *restrict y) {
    float gain = 1.0f;
    if (weight) {
        float lane[16] = {0};
        for (int i = 0; i < ATTENTION_HEAD; i += 16)
            for (int j = 0; j < 16; j++) lane[j] += u[i + j] * u[i + j];
        float sum = 0.0f;
        for (int j = 0; j < 16; j++) sum += lane[j];
        gain = 1.0f / sqrtf(sum / (float)ATTENTION_HEAD + QK_NORM_EPS);
    }
    for (int i = 0; i < ATTENTION_HEAD; i++) y[i] = weight ? u[i] * gain * weight[i] : u[i];
    if (rope) cpu_rotate(ATTENTION_HEAD, rope, y);
}

#endif
