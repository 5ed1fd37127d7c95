/* grow.h — memory that grows by doubling. */
#ifndef F5_GROW_H
#define F5_GROW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Room for n items of `size` bytes behind the used ones. False: no memory; what is there stays. */
static inline bool grow(void **memory, int64_t used, int64_t n, int64_t *room, size_t size) {
    if (used + n <= *room) return true;
    int64_t wanted = 2 * *room > used + n ? 2 * *room : used + n;
    void *more = realloc(*memory, (size_t)wanted * size);
    if (!more) return false;
    *memory = more, *room = wanted;
    return true;
}

#endif
