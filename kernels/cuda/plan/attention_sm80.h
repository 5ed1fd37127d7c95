/* attention_sm80.h — how many warps of 32 queries a block of attention's sm80 kernel has, 2 or 4: a pure function of
 * the launch's shape and of the device. Plain C, tested without a GPU: tests/c/test_attention_sm80_plan.c.
 *
 * A multiprocessor holds 8 warps either way, if it has the shared memory for four blocks of two. Blocks of four read
 * keys half as often, blocks of two lose less where tiles do not divide evenly. The work of the busiest multiprocessor
 * decides. It is counted in queries, for one request, because lengths are not known on the host. On 132 multiprocessors
 * (H100), 16 heads:
 *
 *   rows    4 warps               2 warps                 queries x 20, x 21   measured µs
 *   1876    256 tiles, 2 a SM     480 tiles, 4 a SM        5120 :  5376         29.4 :  29.3
 *   2812    352 tiles, 3          704 tiles, 6             7680 :  8064         62.2 :  66.7
 *   4124    544 tiles, 5         1056 tiles, 8            12800 : 10752        142.8 : 111.2
 *
 * A query's bits do not depend on the choice: a warp does the same with the same tiles of keys. */
#ifndef F5_PLAN_ATTENTION_SM80_H
#define F5_PLAN_ATTENTION_SM80_H

#include <stdint.h>

/* rows, heads, sm_count >= 1; warps 2 or 4. */
static inline int64_t attention_sm80_cost(int32_t rows, int32_t heads, int32_t sm_count, int warps) {
    const int64_t queries = warps * 32, length = ((int64_t)rows + 1) / 2;
    const int64_t tiles = (length + queries - 1) / queries * 2 * heads;
    return (tiles + sm_count - 1) / sm_count * queries * (warps == 2 ? 21 : 20);
}

/* shared_bytes: the maximum of a block, 1 KB less than the multiprocessor has. */
static inline int attention_sm80_warps(int32_t rows, int32_t heads, int32_t sm_count, int32_t shared_bytes) {
    if (shared_bytes < 131 << 10) return 4;
    return attention_sm80_cost(rows, heads, sm_count, 2) < attention_sm80_cost(rows, heads, sm_count, 4) ? 2 : 4;
}

#endif
