/* linear_plan.h — how linear's Hopper kernel cuts a product into tiles: a pure function of its shape and of the device.
 * Plain C, so that it can be printed and tested without a GPU (tests/c/test_linear_plan.c).
 *
 * A tile is 128 rows by 128, 176, 192 or 256 columns; a launch works in rounds of one tile to a multiprocessor. The
 * last round costs as much as a full one, so the choice is the width that fills the rounds:
 *
 *   2812 rows, 132 multiprocessors     1024 -> 3072   22 x 12 tiles of 256, two rounds, 100 %
 *                                      1024 -> 1024   22 x 6 of 176, one round, 97 % (of 128: two rounds, 67 %)
 *                                      1024 -> 2048   22 x 12 of 176, two rounds, 97 %
 *
 * The result's bits do not depend on the choice: each element is one sum, in one order. */
#ifndef F5_LINEAR_PLAN_H
#define F5_LINEAR_PLAN_H

#include <stdint.h>

#define LINEAR_TILE_ROWS 128

/* What the two blocks of a cluster have in common, each fetching half of it for both. */
typedef enum {
    LINEAR_SHARE_NONE = 0,
    LINEAR_SHARE_X, /* tiles side by side */
    LINEAR_SHARE_W  /* one tile below the other */
} linear_share;

typedef struct {
    int32_t columns; /* of a tile */
    linear_share share;
    int32_t row_tiles, column_tiles;
    int32_t units;  /* tiles, or pairs of them: what a cluster takes at a time */
    int32_t rounds; /* units that the busiest cluster takes */
    int64_t cost;   /* cycles, of the busiest multiprocessor: only good for comparing */
} linear_plan;

/* Cycles of one step of 64 along `in` on a tile: 4 a column to multiply; shared memory has 128 bytes a cycle for
 * reading 2 x (64 + columns) rows and filling 128 + columns. */
static inline int64_t linear_step_cycles(int32_t columns) {
    const int64_t multiply = 4 * (int64_t)columns, memory = 3 * (int64_t)columns + 256;
    return multiply > memory ? multiply : memory;
}

static inline linear_plan linear_plan_of(int32_t rows, int32_t in, int32_t out, int32_t sm_count, int32_t columns,
                                         linear_share share) {
    linear_plan p;
    const int32_t cluster = share == LINEAR_SHARE_NONE ? 1 : 2, steps = (in + 63) / 64;
    int32_t clusters = sm_count / cluster;
    p.columns = columns, p.share = share;
    p.row_tiles = (rows + LINEAR_TILE_ROWS - 1) / LINEAR_TILE_ROWS;
    p.column_tiles = (out + columns - 1) / columns;
    if (share == LINEAR_SHARE_X)
        p.units = p.row_tiles * ((p.column_tiles + 1) / 2);
    else if (share == LINEAR_SHARE_W)
        p.units = (p.row_tiles + 1) / 2 * p.column_tiles;
    else
        p.units = p.row_tiles * p.column_tiles;
    if (clusters < 1) clusters = 1;
    p.rounds = (p.units + clusters - 1) / clusters;
    p.cost = p.rounds * (steps * linear_step_cycles(columns) + 8 * (int64_t)columns) + 2000;
    return p;
}

/* The cheapest. w is shared where rows pair up without loss: it is the larger operand of a tile. */
static inline linear_plan linear_choose(int32_t rows, int32_t in, int32_t out, int32_t sm_count) {
    static const int32_t columns[] = {256, 192, 176, 128};
    static const linear_share shares[] = {LINEAR_SHARE_NONE};
    linear_plan best = linear_plan_of(rows, in, out, sm_count, columns[0], shares[0]);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 1; j++) {
            if (columns[i] % 32 != 0 && shares[j] == LINEAR_SHARE_W) continue; /* half of it is no whole box */
            const linear_plan p = linear_plan_of(rows, in, out, sm_count, columns[i], shares[j]);
            if (p.cost < best.cost) best = p;
        }
    return best;
}

#endif
