/* clock.h — a clock that only goes forward: milliseconds of it, and waits that end by it. */
#ifndef F5_CLOCK_H
#define F5_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#define ASKED_SECONDS 0.05 /* between two questions to a call that waits, whether it is still wanted */

static inline double clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* A condition variable whose timed waits end by this clock. False: the system has none to give. */
static inline bool clock_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t steady;
    if (pthread_condattr_init(&steady) != 0) return false;
    bool made = pthread_condattr_setclock(&steady, CLOCK_MONOTONIC) == 0 && pthread_cond_init(cond, &steady) == 0;
    pthread_condattr_destroy(&steady);
    return made;
}

static inline struct timespec clock_from_now(double seconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)seconds;
    at.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

#endif
