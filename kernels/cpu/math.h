/* math.h — the functions inside the CPU references' loops: exp and what is made of it.
 *
 * Written so that a loop over an array vectorises without -ffast-math: no branches, no calls, no tables. NaN comes out
 * of every one as NaN (comparisons are phrased so that a NaN takes the side it came from), infinities where the limit
 * has them. Errors are stated against the exact function; polynomials were fitted for this file (minimax, by iterated
 * reweighting). */
#ifndef F5_CPU_MATH_H
#define F5_CPU_MATH_H

#include "kernels/half.h"

/* e^x, 1 ulp. x = n ln 2 + r, e^x = 2^n p(r); 2^n in two factors so that overflow and underflow round by themselves. */
static inline float cpu_exp(float x) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
    x = x > 89.0f ? 89.0f : x;
    x = x < -105.0f ? -105.0f : x;
    const float t = x * 1.44269504f + round;
    const float n = t - round;
    const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f; /* ln 2, high part exact in 15 bits */

    float p = 1.99184477e-4f;
    p = p * r + 1.39461202e-3f;
    p = p * r + 8.33326392e-3f;
    p = p * r + 4.16662693e-2f;
    p = p * r + 0.166666672f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;

    const int32_t i = (int32_t)(half_bits_of_float(t) - half_bits_of_float(round)), half = i >> 1;
    const float low = half_float_of_bits((uint32_t)(half + 127) << 23);
    const float high = half_float_of_bits((uint32_t)(i - half + 127) << 23);
    return p * low * high;
}

static inline float cpu_silu(float x) {
    return x / (1.0f + cpu_exp(-x));
}

/* x/2 (1 + tanh u), which is x sigmoid(2u): exact in both tails, where 1 + tanh would cancel. */
static inline float cpu_gelu_tanh(float x) {
    const float u = 0.797884561f * (x + 0.044715f * x * x * x); /* sqrt(2/pi) */
    return x / (1.0f + cpu_exp(-2.0f * u));
}

/* erfc(z) for z >= 0, absolute error 1e-7: a polynomial in t = 1/(1 + 0.45 z) times e^(-z^2). */
static inline float cpu_erfc_positive(float z) {
    const float t = 1.0f / (1.0f + 0.45f * z);
    float p = 0.0884520784f;
    p = p * t - 0.474233985f;
    p = p * t + 0.817480385f;
    p = p * t - 0.333820015f;
    p = p * t + 0.435370088f;
    p = p * t + 0.208764255f;
    p = p * t + 0.257987201f;
    return p * t * cpu_exp(-(z * z));
}

/* x/2 (1 + erf(x / sqrt 2)): the tail probability on the side where it is small. */
static inline float cpu_gelu_erf(float x) {
    const float z = (x < 0.0f ? -x : x) * 0.707106781f;
    const float tail = 0.5f * x * cpu_erfc_positive(z);
    return x > 0.0f ? x - tail : tail;
}

/* x tanh(ln(1 + e^x)) = x w / (w + 2) with w = e^x (e^x + 2). Past 20 the quotient is 1 in F32. */
static inline float cpu_mish(float x) {
    const float e = cpu_exp(x > 20.0f ? 20.0f : x);
    const float w = e * (e + 2.0f);
    return x * (w / (w + 2.0f));
}

/* sin² z, 4e-7 absolute for |z| up to 1e9, beyond that some number of 0 to 1; NaN of an infinity. z is brought to
 * within pi/2 of 0 by whole turns of half a circle, of which sin² does not see the sign, in double: adding 1.5 * 2^52
 * leaves the nearest integer. */
static inline float cpu_sin_squared(float z) {
    const double round = 6755399441055744.0, turns = (double)z * 0.31830988618379067;
    float r = (float)((double)z - ((turns + round) - round) * 3.141592653589793);
    r = r > 1.6f ? 1.6f : r; /* where z has no turns left to count */
    r = r < -1.6f ? -1.6f : r;
    const float s = r * r;
    float p = 2.59045614e-6f;
    p = p * s - 1.98008818e-4f;
    p = p * s + 8.33289957e-3f;
    p = p * s - 0.166666476f;
    p = p * s + 0.999999977f;
    return p * r * (p * r);
}

/* RoPE: each pair (y[2i], y[2i+1]) is rotated by the angle whose (cos, sin) is angles[2i], angles[2i+1]. n is even. */
static inline void cpu_rotate(int32_t n, const float *restrict angles, float *restrict y) {
    for (int32_t i = 0; i < n; i += 2) {
        const float a = y[i], b = y[i + 1], c = angles[i], s = angles[i + 1];
        y[i] = a * c - b * s;
        y[i + 1] = b * c + a * s;
    }
}

#endif
