/* noise.h — standard normal noise by counter: any element can be computed on its own, on any device.
 *
 * Philox4x32-10 with key = (seed low, seed high) and counter = (block low, block high, 0, 0) gives four 32-bit words
 * for elements 4*block .. 4*block+3 of a sequence (element = frame * dim + band). Words (a,b) make two normals by
 * Box-Muller: u = (a + 0.5) 2^-32, r = sqrt(-2 ln u), y = r cos(2 pi b 2^-32), r sin(2 pi b 2^-32), computed in F32
 * from 24-bit uniforms so that devices agree to rounding.
 * Each sequence of the pack has its own seed and starts again at element 0: independent of batching.
 * Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011). */
#ifndef F5_NOISE_H
#define F5_NOISE_H

#include "f5_status.h"
#include "pack.h"

typedef struct {
    const f5_pack *pack;
    int32_t dim;
    const uint64_t *seeds;  /* [n_seq] */
    float *y;               /* [rows,dim] */
} noise_args;

f5_status noise_ref(const noise_args *a);

#endif
