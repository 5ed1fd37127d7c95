/* hopper.c — mbarriers, tensor maps and descriptors as the PTX ISA tells of them. */
#include "tests/emulate/hopper.h"

#include <string.h>

#include "tests/emulate/emulator.h"

/* ---- mbarrier: 64 bits of shared memory. All ones, which fresh memory holds, are none. */

enum { MOST_ARRIVALS = 1022 };

typedef struct {
    uint32_t count : 10, pending : 10, parity : 1,
        unused : 11; /* arrivals of a phase, and how many are still to come */
    int32_t bytes;   /* to come; less than none before they are expected */
} phase;
_Static_assert(sizeof(phase) == sizeof(uint64_t), "an mbarrier");

static phase *phase_of(const char *file, int line, const uint64_t *barrier) {
    phase *p = (phase *)barrier;
    if (p->count > MOST_ARRIVALS) emulator_fail(file, line, "an mbarrier that was not initialised");
    return p;
}

static void end_if_complete(phase *p) {
    if (p->pending > 0 || p->bytes != 0) return;
    p->pending = p->count, p->parity ^= 1;
    emulator_wake(p);
}

void hopper_barrier_init(uint64_t *barrier, uint32_t arrivals) {
    phase *p = (phase *)emulator_shared_at(emulator_shared_address(barrier), sizeof *barrier);
    if (arrivals < 1 || arrivals > MOST_ARRIVALS) emulator_fail("?", 0, "an mbarrier of no or too many arrivals");
    *p = (phase){.count = arrivals, .pending = arrivals};
}

void hopper_barrier_arrive(const char *file, int line, uint64_t *barrier, uint32_t bytes) {
    phase *p = phase_of(file, line, barrier);
    if (p->pending == 0) emulator_fail(file, line, "more arrivals at an mbarrier than a phase has");
    p->bytes += (int32_t)bytes;
    p->pending--;
    end_if_complete(p);
}

void hopper_barrier_wait(const char *file, int line, const uint64_t *barrier, uint32_t parity) {
    const phase *p = phase_of(file, line, barrier);
    while (p->parity == parity) emulator_wait(file, line, p);
}

/* ---- TMA */

enum { RANK = 5 };
enum { SWIZZLE_NONE = 0, SWIZZLE_128 = 3 };

typedef struct {
    const char *base;
    uint64_t size[RANK], stride[RANK - 1];
    uint32_t box[RANK];
    uint8_t rank, element, swizzle, made;
} tensor;
_Static_assert(sizeof(tensor) <= 128, "a CUtensorMap");

static int bytes_of(int kind) {
    return kind == 0 ? 1 : kind == 6 || kind == 9 ? 2 : kind == 7 ? 4 : 0; /* cuda.h */
}

int hopper_encode(void *map, int kind, uint32_t rank, void *base, const uint64_t *size, const uint64_t *stride,
                  const uint32_t *box, const uint32_t *step, int interleave, int swizzle, int promotion, int fill) {
    tensor t = {.base = base, .rank = (uint8_t)rank, .element = (uint8_t)bytes_of(kind), .made = 1};
    (void)promotion, (void)fill;
    t.swizzle = (uint8_t)swizzle;
    if (rank < 1 || rank > RANK || t.element == 0 || interleave != 0 || (uintptr_t)base % 16 != 0) return 1;
    for (uint32_t i = 0; i < rank; i++) {
        if (size[i] < 1 || size[i] > 1ull << 32 || box[i] < 1 || box[i] > 256 || step[i] != 1) return 1;
        t.size[i] = size[i], t.box[i] = box[i];
        if (i + 1 == rank) break;
        if (stride[i] % 16 != 0 || stride[i] >= 1ull << 40) return 1;
        t.stride[i] = stride[i];
    }
    const uint32_t row = box[0] * t.element;
    if (row % 16 != 0 || (swizzle == SWIZZLE_128 && row > 128) || (swizzle != SWIZZLE_128 && swizzle != SWIZZLE_NONE))
        return 1;
    memcpy(map, &t, sizeof t);
    return 0;
}

typedef struct {
    uint32_t shared;
    const tensor *map;
    int corner[RANK];
    phase *barrier;
} load;

/* 128-byte swizzle: chunks of 16 bytes are permuted by bits 7 to 9 of their address. */
static uint32_t permuted(uint32_t address) {
    return address ^ (address >> 7 & 7) << 4;
}

static void load_row(const load *l, const int *at, uint32_t to, bool inside) {
    const tensor *t = l->map;
    const char *row = t->base;
    for (int i = 1; i < t->rank; i++) row += (int64_t)t->stride[i - 1] * at[i];
    const uint32_t in_chunk = 16u / t->element;
    for (uint32_t e = 0; e < t->box[0]; e += in_chunk) {
        const uint32_t linear = to + e * t->element;
        char *chunk = emulator_shared_at(t->swizzle == SWIZZLE_128 ? permuted(linear) : linear, 16);
        memset(chunk, 0, 16);
        for (uint32_t i = 0; i < in_chunk; i++) {
            const int64_t column = (int64_t)l->corner[0] + e + i;
            if (inside && column >= 0 && (uint64_t)column < t->size[0])
                memcpy(chunk + i * t->element, row + column * t->element, t->element);
        }
    }
}

static void load_box(const void *of) {
    const load *l = of;
    const tensor *t = l->map;
    const uint32_t row_bytes = t->box[0] * t->element;
    uint32_t rows = 1;
    for (int i = 1; i < t->rank; i++) rows *= t->box[i];
    for (uint32_t r = 0; r < rows; r++) {
        int at[RANK];
        bool inside = true;
        uint32_t rest = r;
        for (int i = 1; i < t->rank; i++) {
            at[i] = l->corner[i] + (int)(rest % t->box[i]);
            rest /= t->box[i];
            inside = inside && at[i] >= 0 && (uint64_t)at[i] < t->size[i];
        }
        load_row(l, at, l->shared + r * row_bytes, inside);
    }
    l->barrier->bytes -= (int32_t)(rows * row_bytes);
    end_if_complete(l->barrier);
}

void hopper_load(const char *file, int line, void *shared, const void *map, const int *corner, int rank,
                 uint64_t *barrier) {
    load l = {.shared = emulator_shared_address(shared), .map = map, .barrier = phase_of(file, line, barrier)};
    if (!l.map->made || l.map->rank != rank) emulator_fail(file, line, "a tensor map of another rank, or none");
    if (l.shared % (l.map->swizzle == SWIZZLE_128 ? 1024 : 128) != 0)
        emulator_fail(file, line, "a misaligned place for a box");
    memcpy(l.corner, corner, (size_t)rank * sizeof *corner);
    emulator_later(load_box, &l, sizeof l);
}

/* ---- descriptors: start, the stride between chunks and that between eights of rows, in units of 16 bytes */

static uint32_t field(uint64_t descriptor, int from) {
    return (uint32_t)(descriptor >> from & 0x3fff) << 4;
}

const void *hopper_operand(uint64_t descriptor, int row, int chunk) {
    const uint32_t first = field(descriptor, 0) + (uint32_t)(row / 8) * field(descriptor, 32);
    if (descriptor >> 62 == 1) return emulator_shared_at(permuted(first + (uint32_t)(row % 8 * 128 + chunk * 16)), 16);
    if (descriptor >> 62 != 0) emulator_fail("?", 0, "a descriptor of another swizzle");
    return emulator_shared_at(first + (uint32_t)chunk * field(descriptor, 16) + (uint32_t)(row % 8) * 16, 16);
}
