/* finite.h — where numbers stop being numbers: the first NaN or infinity among many, found in blocks that vectorise. */
#ifndef F5_FINITE_H
#define F5_FINITE_H

#include <stdint.h>
#include <string.h>

#define FINITE_BLOCK 512

/* Whether one of n numbers has all bits of its exponent set. */
static inline uint32_t finite_lacks(const float *x, int64_t n) {
    uint32_t worst = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        worst |= (bits & 0x7f800000u) + 0x00800000u; /* the highest bit is set by such an exponent alone */
    }
    return worst >> 31;
}

/* The index of the first of n numbers that is not finite; n where all are. */
static inline int64_t finite_until(const float *x, int64_t n) {
    int64_t done = 0, size = FINITE_BLOCK;
    while (done < n) {
        if (size > n - done) size = n - done;
        if (!finite_lacks(x + done, size))
            done += size;
        else if (size == 1)
            return done;
        else
            size = (size + 1) / 2;
    }
    return n;
}

#endif
