/* attention_plan.h — how many groups of 64 queries a block of attention's Hopper kernel has: a pure function of the
 * launch's shape and of the device. Plain C, printed and tested without a GPU: tests/c/test_attention_plan.c.
 *
 * Tiles of 2 or 3 groups belong to one head of one sequence; a launch works in rounds, a tile to a multiprocessor.
 * Three groups take 5/4 as long over a tile of keys as two (H200: 1.47 and 1.2 µs per 128 keys), so two win only where
 * the last round of three would be nearly empty. Lengths are not known on the host: rows are taken for one request,
 * that is two sequences of the same length, where a round more or less weighs most. On 132 multiprocessors, 16 heads:
 *
 *   rows    2 groups               3 groups               rounds x cost, measured µs
 *   1876    256 tiles, 2 rounds    160 tiles, 2 rounds     8 : 10    24.0 : 29.5
 *   2812    352 tiles, 3 rounds    256 tiles, 2 rounds    12 : 10    46.4 : 39.8
 *   4124    544 tiles, 5 rounds    352 tiles, 3 rounds    20 : 15   105.2 : 79.8
 *   8192   1024 tiles, 8 rounds    704 tiles, 6 rounds    32 : 30   324 : 300
 *
 * A query's bits do not depend on the choice: a group is 64 queries and the same tiles of keys either way. */
#ifndef F5_ATTENTION_PLAN_H
#define F5_ATTENTION_PLAN_H

#include <stdint.h>

/* Time of a launch in quarters of what two groups take for one tile of queries. rows, heads, sm_count >= 1. */
static inline int64_t attention_plan_cost(int32_t rows, int32_t heads, int32_t sm_count, int groups) {
    const int64_t tile_rows = groups * 64, length = ((int64_t)rows + 1) / 2;
    const int64_t tiles = (length + tile_rows - 1) / tile_rows * 2 * heads;
    return (tiles + sm_count - 1) / sm_count * (groups == 3 ? 5 : 4);
}

/* 2 or 3; among equals 3, which read keys less often. */
static inline int attention_choose_groups(int32_t rows, int32_t heads, int32_t sm_count) {
    return attention_plan_cost(rows, heads, sm_count, 2) < attention_plan_cost(rows, heads, sm_count, 3) ? 2 : 3;
}

#endif
