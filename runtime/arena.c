/* arena.c — one pointer that moves up by aligned steps and back to a mark. */
#include "runtime/arena.h"

void arena_init(arena *a, void *base, size_t capacity) {
    *a = (arena){.base = base, .capacity = capacity};
}

void arena_init_plan(arena *a) {
    /* any address but NULL, which ops read as "absent" */
    *a = (arena){.base = (uint8_t *)(uintptr_t)ARENA_ALIGN, .capacity = SIZE_MAX / 4};
}

void *arena_take(arena *a, size_t count, size_t size) {
    if (size != 0 && count > (SIZE_MAX - ARENA_ALIGN) / size) {
        a->overflow = true;
        return NULL;
    }
    size_t bytes = (count * size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (bytes > a->capacity - a->used) {
        a->overflow = true;
        return NULL;
    }
    void *p = a->base + a->used;
    a->used += bytes;
    if (a->used > a->high_water) a->high_water = a->used;
    return p;
}

size_t arena_mark(const arena *a) {
    return a->used;
}

void arena_reset(arena *a) {
    a->used = 0;
    a->overflow = false;
}

void arena_release(arena *a, size_t mark) {
    a->used = mark;
}
