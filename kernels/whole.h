/* whole.h — a row of F32 as whole numbers of 8 bits and a scale (quantize.h says which), for the CPU: the reference of
 * quantize, that of norm, and weights. The loops vectorise. */
#ifndef F5_WHOLE_H
#define F5_WHOLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WHOLE_MAX 127.0f
#define WHOLE_SMALLEST 0x1p-120f  /* a row without larger numbers is zeros: 127 / m would be infinite */
#define WHOLE_MULTIPLE 16         /* of the numbers in a row, where a row is an operand */
#define WHOLE_WEIGHTS_MULTIPLE 64 /* and in a row of weights */

/* max |x|, by bits: NaN is above all, an infinity above all numbers. */
static inline float whole_largest(const float *x, int32_t n) {
    int32_t largest = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    float m;
    memcpy(&m, &largest, sizeof m);
    return m;
}

/* y = x in steps of the scale, which is returned. Adding 1.5 * 2^23 rounds to the nearest whole number and leaves it in
 * the low bits. The product is rounded before, by itself: it passes through memory, or a compiler could make one
 * multiply-add of both, whose result is another one near the middle. */
static inline float whole_row(const float *x, int32_t n, int8_t *y) {
    enum { BLOCK = 256 };
    float product[BLOCK];
    const float m = whole_largest(x, n), by = m >= WHOLE_SMALLEST ? WHOLE_MAX / m : 0.0f, round = 12582912.0f;
    if (!(m - m == 0.0f)) { /* NaN or an infinity */
        memset(y, 0, (size_t)n);
        return m - m;
    }
    for (int32_t begin = 0; begin < n; begin += BLOCK) {
        const int32_t some = n - begin < BLOCK ? n - begin : BLOCK;
        for (int32_t i = 0; i < some; i++) product[i] = x[begin + i] * by;
        for (int32_t i = 0; i < some; i++) {
            const float at = product[i] + round;
            int32_t bits;
            memcpy(&bits, &at, sizeof bits);
            y[begin + i] = (int8_t)(bits - 0x4b400000);
        }
    }
    return m / WHOLE_MAX;
}

#endif
