/* seed.h — fresh random inputs each run: the seed is printed; F5_TEST_SEED fixes it. */
#ifndef F5_TEST_SEED_H
#define F5_TEST_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t random_seed(void) {
    const char *given = getenv("F5_TEST_SEED");
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec % 4294967296u;
    printf("F5_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline int32_t random_below(uint64_t *state, int32_t n) {
    return (int32_t)(random_next(state) % (uint64_t)n);
}

#endif
