/* arena.h — bump allocation from one block: take in order, give back to a mark.
 * The block is sized beforehand by running the model with a planning arena, which hands out addresses and only counts.
 * Planned and real takes are the same calls in the same order, so high_water <= capacity holds for every call within
 * the limits given at open; test_stage_memory checks it. f5_get_info shows the capacity. A take that does not fit is
 * remembered (overflow) and gets NULL: check once after a group of takes. */
#ifndef F5_ARENA_H
#define F5_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGN 256 /* bytes; every tensor starts on one */

typedef struct {
    uint8_t *base;     /* device memory; never dereferenced when planning */
    size_t capacity;   /* bytes */
    size_t used;       /* bytes */
    size_t high_water; /* most that was ever used at once */
    bool overflow;
} arena;

void arena_init(arena *a, void *base, size_t capacity);
void arena_init_plan(arena *a); /* unlimited, counts */

/* `count` elements of `size` bytes; NULL with overflow set if they do not fit or the product overflows. */
void *arena_take(arena *a, size_t count, size_t size);

size_t arena_mark(const arena *a);
void arena_reset(arena *a);                /* empty, without overflow; the high-water mark stays */
void arena_release(arena *a, size_t mark); /* everything taken since the mark is free again */

#endif
