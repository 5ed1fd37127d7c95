/* memory.c — glibc's malloc, told not to keep what it has. A heap that many threads share has holes, which it keeps
 * until it is asked: without that the server's size goes up and down by some MB, and seems to grow. */
#include "host/server/memory.h"

#include <malloc.h>
#include <stdlib.h>

#define SECONDS 5.0
#define HEAPS 4
#define LARGE_BYTES 262144 /* set by hand it stays there */

struct memory_keeper {
    loop *loop;
    loop_timer *timer;
};

void memory_settle(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    mallopt(M_ARENA_MAX, HEAPS);
#endif
}

static void trim(void *user) {
    (void)user;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void again(void *user) {
    memory_keeper *k = user;
    loop_timer_set(k->timer, SECONDS);
}

static void look(void *user) {
    memory_keeper *k = user;
    f5_error error;
    if (loop_background(k->loop, trim, again, k, &error) != F5_OK) again(k); /* much else waits */
}

memory_keeper *memory_keep(loop *l) {
    memory_keeper *k = calloc(1, sizeof *k);
    if (!k) return NULL;
    k->loop = l;
    k->timer = loop_timer_new(l, look, k);
    if (k->timer) {
        again(k);
        return k;
    }
    free(k);
    return NULL;
}

void memory_keeper_free(memory_keeper *k) {
    if (!k) return;
    loop_timer_free(k->timer);
    free(k);
}
