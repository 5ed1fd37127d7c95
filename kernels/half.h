/* half.h — IEEE half and bfloat16 to float and back, exactly: round to nearest, ties to even; NaN stays NaN. */
#ifndef F5_HALF_H
#define F5_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t half_bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* 1 sign, 5 exponent (bias 15), 10 fraction. */
static inline float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
    if (exponent == 31) return half_float_of_bits(sign | 0x7f800000u | fraction << 13); /* inf, nan */
    if (exponent == 0) {                                                                /* zero, subnormal: exact */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    return half_float_of_bits(sign | (exponent + 112) << 23 | fraction << 13); /* 127 - 15 = 112 */
}

static inline uint16_t half_from_float(float value) {
    uint32_t bits = half_bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) /* nan: made quiet, top of the payload kept */
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and up rounds to infinity */
    if (magnitude >= 0x38800000u) {                                  /* 2^-14 and up: normal */
        uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
    }
    if (magnitude <= 0x33000000u) return (uint16_t)sign; /* 2^-25 is a tie with zero, which is even */
    /* subnormal: the 24-bit significand shifted down to units of 2^-24 */
    uint32_t shift = 126 - (magnitude >> 23), significand = (magnitude & 0x7fffffu) | 0x800000u;
    uint32_t kept = significand >> shift, rest = significand & ((1u << shift) - 1), tie = 1u << (shift - 1);
    if (rest > tie || (rest == tie && (kept & 1u))) kept++;
    return (uint16_t)(sign | kept);
}

/* The top half of a float. */
static inline float bfloat_to_float(uint16_t b) {
    return half_float_of_bits((uint32_t)b << 16);
}

static inline uint16_t bfloat_from_float(float value) {
    uint32_t bits = half_bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u); /* nan stays nan */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
