/* memory.c — the memory of tensors, between fences; and what the sanitizers call. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/emulate/emulator.h"

enum { FENCE = 64 << 20 }; /* bytes on either side of a tensor that cannot be touched */

typedef struct block {
    struct block *next;
    char *pages, *begin;
    size_t bytes, mapped;
} block;
static block *blocks;

void *emulator_alloc(size_t bytes) {
    enum { PAGE = 4096, UNIT = 16 };
    const size_t body_bytes = (bytes + UNIT - 1) / UNIT * UNIT, mapped = (body_bytes + 2 * PAGE - 1) / PAGE * PAGE;
    block *b = malloc(sizeof *b);
    char *whole =
        b ? mmap(NULL, mapped + 2 * FENCE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) : NULL;
    if (!b || whole == MAP_FAILED || mprotect(whole + FENCE, mapped, PROT_READ | PROT_WRITE) != 0) abort();
    char *pages = whole + FENCE;
    memset(pages, 0xff, mapped);
    *b = (block){blocks, pages, pages + mapped - body_bytes, bytes, mapped};
    blocks = b;
    return b->begin;
}

bool emulator_holds_poison(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != (char)0xff) return false;
    return true;
}

bool emulator_free(void *memory) {
    for (block **at = &blocks; *at; at = &(*at)->next) {
        block *b = *at;
        if (b->begin != memory) continue;
        const char *end = b->begin + b->bytes;
        const bool good = emulator_holds_poison(b->pages, (size_t)(b->begin - b->pages)) &&
                          emulator_holds_poison(end, (size_t)(b->pages + b->mapped - end));
        *at = b->next;
        munmap(b->pages - FENCE, b->mapped + 2 * FENCE);
        free(b);
        return good;
    }
    return false;
}

/* ---- sanitizers */

/* What -fsanitize calls; each description begins with the place in the source. */
typedef struct {
    const char *file;
    uint32_t line, column;
} ubsan_place;
#define F5_UBSAN(name, what)                                                                                           \
    void __ubsan_handle_##name##_abort(const ubsan_place *place);                                                      \
    void __ubsan_handle_##name##_abort(const ubsan_place *place) {                                                     \
        emulator_fail(place->file, (int)place->line, what);                                                            \
    }
F5_UBSAN(type_mismatch_v1, "a misaligned or NULL access")
F5_UBSAN(out_of_bounds, "an index outside its array")
F5_UBSAN(add_overflow, "a sum overflows")
F5_UBSAN(sub_overflow, "a difference overflows")
F5_UBSAN(mul_overflow, "a product overflows")
F5_UBSAN(negate_overflow, "a negation overflows")
F5_UBSAN(divrem_overflow, "a division by zero")
F5_UBSAN(shift_out_of_bounds, "a shift by too many bits")
