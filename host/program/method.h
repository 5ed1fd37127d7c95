/* method.h — the solver's methods by name, as `--method` takes them. */
#ifndef F5_PROGRAM_METHOD_H
#define F5_PROGRAM_METHOD_H

#include <string.h>

#include "host/api/f5tts.h"

#define METHOD_NAMES "euler (default), midpoint (two evaluations a step) or ab2 (10 to 16 steps are enough)"

/* An f5_method; -1: no such name. NULL is Euler. */
static inline int32_t method_from_name(const char *name) {
    if (!name || strcmp(name, "euler") == 0) return F5_METHOD_EULER;
    if (strcmp(name, "midpoint") == 0) return F5_METHOD_MIDPOINT;
    return strcmp(name, "ab2") == 0 ? F5_METHOD_AB2 : -1;
}

#endif
