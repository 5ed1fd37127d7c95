/* linear_plan.h — how linear's Hopper kernel cuts a product into tiles: a pure function of its shape and of the device.
 * Plain C, so that it can be printed and tested without a GPU: tests/c/test_linear_plan.c.
 *
 * A tile is 128 rows by 128, 176, 192 or 256 columns; a launch works in rounds, a tile to a multiprocessor, and a round
 * costs its columns, the last one too, full or not. On 132 multiprocessors, 2812 rows are 22 tiles high:
 *
 *   1024 -> 3072   12 wide of 256   264 tiles, 2 rounds, 100 % busy
 *   1024 -> 1024    6 wide of 176   132 tiles, 1 round    97 %         (of 128: 2 rounds, 67 %)
 *   1024 -> 2048   12 wide of 176   264 tiles, 2 rounds   97 %
 *
 * The result's bits do not depend on the choice: each element is one sum, in one order. */
#ifndef F5_LINEAR_PLAN_H
#define F5_LINEAR_PLAN_H

#include <stdint.h>

#define LINEAR_TILE_ROWS 128

typedef struct {
    int32_t columns; /* of a tile */
    int64_t row_tiles, tiles;
    int64_t rounds; /* tiles that the busiest multiprocessor takes */
} linear_plan;

static inline linear_plan linear_plan_of(int32_t rows, int32_t out, int32_t sm_count, int32_t columns) {
    linear_plan p;
    p.columns = columns;
    p.row_tiles = ((int64_t)rows + LINEAR_TILE_ROWS - 1) / LINEAR_TILE_ROWS;
    p.tiles = p.row_tiles * (((int64_t)out + columns - 1) / columns);
    p.rounds = (p.tiles + sm_count - 1) / sm_count;
    return p;
}

/* The least columns in all rounds; among equals the widest tiles, which read the least. Widths are multiples of
 * `multiple`, 16 or 64. rows >= 1, out >= 1. */
static inline linear_plan linear_choose(int32_t rows, int32_t out, int32_t sm_count, int32_t multiple) {
    static const int32_t columns[] = {256, 192, 176, 128};
    linear_plan best = linear_plan_of(rows, out, sm_count, columns[0]);
    for (int i = 1; i < 4; i++) {
        if (columns[i] % multiple != 0) continue;
        const linear_plan p = linear_plan_of(rows, out, sm_count, columns[i]);
        if (p.rounds * p.columns < best.rounds * best.columns) best = p;
    }
    return best;
}

#endif
