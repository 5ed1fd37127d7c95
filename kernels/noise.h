/* noise.h — standard normal noise by counter: any element can be computed on its own, on any device.
 *
 * Element e = frame * dim + band of a sequence lies in block k = e / 4, counted in 64 bits. Philox4x32-10 with
 *   counter = (k low, k high, 0, 0)   key = (seed low, seed high)
 * gives the block four words w[0..3]: w[0], w[1] make its elements 0 and 1; w[2], w[3] its elements 2 and 3. By
 * Box-Muller, a pair of words (a, b) makes
 *   u = ((a >> 8) + 1) 2^-24  in (0,1]      v = (b >> 8) 2^-24  in [0,1)       both exact in F32
 *   r = sqrt(-2 ln u)                       y[first] = r cos(2 pi v)   y[second] = r sin(2 pi v)
 * cos and sin take 2 pi v unrounded (sincospi of 2 v, or double), so devices differ only by the rounding of ln, sqrt,
 * cos and sin: relative L2 <= 1e-6. u = 1 gives exactly 0; the largest |y| is sqrt(48 ln 2) = 5.77.
 *
 * Each sequence of the pack has its own seed and starts again at element 0: independent of batching, and a longer
 * sequence begins with the shorter one's noise. Elements past the last whole block drop the words they do not need.
 * dim >= 1, else F5_E_SHAPE. The tail is left as it was.
 * Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011). */
#ifndef F5_NOISE_H
#define F5_NOISE_H

#include "kernels/f5_status.h"
#include "kernels/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct noise_args {
    const f5_pack *pack;
    int32_t dim;
    const uint64_t *seeds; /* [n_seq] */
    float *y;              /* [rows,dim] */
} noise_args;

/* The generator itself, ten rounds, apart so that it can be held against the published answers. */
void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

#ifdef __cplusplus
}
#endif
#endif
