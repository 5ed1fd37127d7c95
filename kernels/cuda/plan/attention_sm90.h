/* attention_sm90.h — stream-K style split of a persistent launch: which steps of which tiles a block of attention's
 * sm90 kernel has. Pure functions of lengths, so that host and device agree and tests/c/test_attention_sm90_plan.c
 * needs no GPU.
 *
 * A tile is 192 queries of one head of one sequence: three warpgroups of 64, of which the last tile of a sequence may
 * have fewer that are live. It is multiplied in steps of 128 keys. All tiles of a launch, one after the other, are a
 * line of costs, and every block gets an equal range of it: with whole tiles, multiprocessors would idle for up to a
 * tile each. A range may begin and end inside a tile. The block that has a tile's first steps hands its partial result
 * to the block that has the rest, which continues as if it had done the first steps itself, so a query's bits do not
 * depend on the split. If whole tiles balance nearly as well, no tile is split, because each split adds a prologue and
 * an epilogue.
 *
 *   2 x 16 heads, 132 blocks    tiles    waves x cost of a tile     mean range    H100, µs, whole | split
 *   938 queries                   160       2 x  392 =  784             475            27.6    22.2
 *   1406                          256       2 x  560 = 1120            1043            38.5    39.8
 *   2062                          352       3 x  812 = 2436            2165            80.0    75.3
 *   4096                          704       6 x 1568 = 9408            8238           311.5   271.1
 *
 * The unit of cost is a twelfth of what three live warpgroups take for 32 keys. One warpgroup took 1398 cycles for 128
 * keys, two 1834, three 2270: 8, 10 and 12 of the unit are near enough. */
#ifndef F5_PLAN_ATTENTION_SM90_H
#define F5_PLAN_ATTENTION_SM90_H

#include <stdint.h>

#if defined(__CUDACC__)
#define ATTENTION_PLAN static __host__ __device__ __forceinline__
#else
#define ATTENTION_PLAN static inline
#endif

enum {
    ATTENTION_GROUPS = 3,
    ATTENTION_GROUP_ROWS = 64,
    ATTENTION_TILE_ROWS = ATTENTION_GROUPS * ATTENTION_GROUP_ROWS,
    ATTENTION_STEP_KEYS = 128,
    /* Fewest steps of a tile on either side of a split: each part has its own prologue and epilogue. */
    ATTENTION_MIN_STEPS = 2,
    /* Prologue and epilogue of a tile, in the unit of attention_quarter_cost. */
    ATTENTION_TILE_COST = 32,
    /* A further prologue and epilogue, and the rounding of splits to steps. */
    ATTENTION_SPLIT_COST = 96,
    /* Of a range, so that two splits are at least the fewest steps apart: that many and one, for rounding. */
    ATTENTION_MIN_COST = 48 * (ATTENTION_MIN_STEPS + 1)
};

/* 32 keys by so many live groups. */
ATTENTION_PLAN int attention_quarter_cost(int groups) {
    return 6 + 2 * groups;
}

ATTENTION_PLAN int32_t attention_tiles(int32_t length) {
    return (int32_t)(((int64_t)length + ATTENTION_TILE_ROWS - 1) / ATTENTION_TILE_ROWS);
}

/* Steps of every tile of a sequence. */
ATTENTION_PLAN int32_t attention_steps(int32_t length) {
    return (int32_t)(((int64_t)length + ATTENTION_STEP_KEYS - 1) / ATTENTION_STEP_KEYS);
}

/* Groups of the tile from row `first` on that have a row of the sequence; none where first >= length. */
ATTENTION_PLAN int attention_live_groups(int32_t length, int32_t first) {
    const int32_t groups = (length - first + ATTENTION_GROUP_ROWS - 1) / ATTENTION_GROUP_ROWS;
    return groups < ATTENTION_GROUPS ? (int)groups : ATTENTION_GROUPS;
}

ATTENTION_PLAN int64_t attention_tile_cost(int32_t length, int groups) {
    const int64_t quarters = ((int64_t)length + 31) / 32;
    return ATTENTION_TILE_COST + quarters * attention_quarter_cost(groups);
}

/* All tiles of one head of a sequence. */
ATTENTION_PLAN int64_t attention_sequence_cost(int32_t length) {
    const int32_t whole = length / ATTENTION_TILE_ROWS, first = whole * ATTENTION_TILE_ROWS;
    return whole * attention_tile_cost(length, ATTENTION_GROUPS) +
           (first < length ? attention_tile_cost(length, attention_live_groups(length, first)) : 0);
}

/* Whether ranges of this launch begin and end inside tiles: where waves of whole tiles take longer than the mean range
 * and the two steps that a split costs, and costs fit 32 bits. cost: of all heads; max_tile_cost: of the tiles. */
ATTENTION_PLAN int attention_splits_tiles(int64_t cost, int64_t max_tile_cost, int32_t tiles, int blocks) {
    const int64_t waves = ((int64_t)tiles + blocks - 1) / blocks;
    return tiles > blocks && cost <= INT32_MAX && waves * max_tile_cost > cost / blocks + ATTENTION_SPLIT_COST;
}

/* Where the range of block `index` begins and that of the block before ends, index 0 .. blocks: in whole tiles, and in
 * cost. The last ranges may be empty. */
ATTENTION_PLAN int32_t attention_whole_tiles_before(int32_t tiles, int blocks, int index) {
    if (tiles > blocks) return (int32_t)((int64_t)tiles * index / blocks);
    return index < tiles ? index : tiles;
}
ATTENTION_PLAN int32_t attention_cost_before(int32_t cost, int blocks, int index) {
    const int32_t max_ranges = cost / ATTENTION_MIN_COST > 1 ? cost / ATTENTION_MIN_COST : 1;
    const int32_t ranges = blocks < max_ranges ? blocks : max_ranges, each = cost / ranges, rest = cost % ranges;
    if (index > ranges) index = ranges;
    return each * index + (index < rest ? index : rest);
}

/* A position in the line: in front of `step` of `tile`; step 0 is between two tiles. */
typedef struct {
    int32_t tile, step;
} attention_position;

/* The position nearest to `cost`, 0 <= cost < attention_sequence_cost(length) < 2^31; tiles count from the sequence's
 * first. */
ATTENTION_PLAN attention_position attention_position_at(int32_t length, int32_t cost) {
    const int32_t tile_cost = (int32_t)attention_tile_cost(length, ATTENTION_GROUPS);
    attention_position at;
    at.tile = cost / tile_cost;
    const int32_t first = at.tile * ATTENTION_TILE_ROWS, steps = attention_steps(length);
    const int32_t step_cost = 4 * attention_quarter_cost(attention_live_groups(length, first));
    at.step = (cost - at.tile * tile_cost - ATTENTION_TILE_COST + step_cost / 2) / step_cost;
    if (at.step < ATTENTION_MIN_STEPS)
        at.step = 0;
    else if (at.step > steps - ATTENTION_MIN_STEPS)
        at.tile++, at.step = 0;
    return at;
}

#endif
