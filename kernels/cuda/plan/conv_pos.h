/* conv_pos_plan.h — how many rows of time a tile of conv_pos's Hopper kernel has: a pure function of the launch's rows
 * and of the device. Plain C, printed and tested without a GPU: tests/c/test_conv_pos_plan.c.
 *
 * A block has one of 16 groups of channels and a tile of 128 or 176 rows; a launch works in rounds, a tile to a
 * multiprocessor, and a round costs its rows, full or not. Lengths are not known on the host: rows are taken for one
 * request, that is two sequences of the same length; where there are many the choice hardly matters. On 132
 * multiprocessors:
 *
 *   rows    of 128                 of 176                 rows in all rounds
 *   1876    256 tiles, 2 rounds    192 tiles, 2 rounds    256 : 352
 *   2812    352 tiles, 3 rounds    256 tiles, 2 rounds    384 : 352
 *   4124    544 tiles, 5 rounds    384 tiles, 3 rounds    640 : 528
 *
 * A row's bits do not depend on the choice: each element is one sum, in one order. */
#ifndef F5_PLAN_CONV_POS_H
#define F5_PLAN_CONV_POS_H

#include <stdint.h>

#define CONV_POS_PLAN_GROUPS 16

/* Rows in all rounds, with tiles of `tile_rows`. rows, sm_count >= 1. */
static inline int64_t conv_pos_plan_cost(int32_t rows, int32_t sm_count, int32_t tile_rows) {
    const int64_t length = ((int64_t)rows + 1) / 2;
    const int64_t tiles = (length + tile_rows - 1) / tile_rows * 2 * CONV_POS_PLAN_GROUPS;
    return (tiles + sm_count - 1) / sm_count * tile_rows;
}

/* 128 or 176; among equals 176, which read weights less often. */
static inline int32_t conv_pos_choose_rows(int32_t rows, int32_t sm_count) {
    return conv_pos_plan_cost(rows, sm_count, 128) < conv_pos_plan_cost(rows, sm_count, 176) ? 128 : 176;
}

#endif
