/* test_attention_sm90_plan.c — the ranges of attention's sm90 kernel: together they are every step of every tile once,
 * a tile passes from a block to the next one only, no part is too short, and none costs much more than the mean. The
 * table is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/cuda/plan/attention_sm90.h"
#include "tests/c/seed.h"

#define MAX_SEQUENCES 64

typedef struct {
    int32_t lengths[MAX_SEQUENCES];
    int n, heads, blocks;
} launch;

static int64_t head_cost(const launch *l) {
    int64_t cost = 0;
    for (int s = 0; s < l->n; s++) cost += attention_sequence_cost(l->lengths[s]);
    return cost;
}

static int32_t head_tiles(const launch *l) {
    int32_t tiles = 0;
    for (int s = 0; s < l->n; s++) tiles += attention_tiles(l->lengths[s]);
    return tiles;
}

/* The max_tile_cost tile of a launch. */
static int64_t most_expensive_tile(const launch *l) {
    int64_t max_tile_cost = 0;
    for (int s = 0; s < l->n; s++) {
        const int64_t cost = attention_tile_cost(l->lengths[s], attention_live_groups(l->lengths[s], 0));
        if (l->lengths[s] > 0 && cost > max_tile_cost) max_tile_cost = cost;
    }
    return max_tile_cost;
}

/* What the kernel's begin_of finds by whole warps. */
static attention_position begin_of(const launch *l, int index) {
    const int32_t per_head = head_tiles(l), tiles = per_head * l->heads;
    const int64_t cost = head_cost(l);
    if (!attention_splits_tiles(cost * l->heads, most_expensive_tile(l), tiles, l->blocks))
        return (attention_position){attention_whole_tiles_before(tiles, l->blocks, index), 0};
    int64_t target = attention_cost_before((int32_t)(cost * l->heads), l->blocks, index);
    const int head = (int)(target / cost);
    int32_t before = head * per_head;
    target -= head * cost;
    for (int s = 0; head < l->heads && s < l->n; s++) {
        if (target < attention_sequence_cost(l->lengths[s])) {
            attention_position found = attention_position_at(l->lengths[s], (int32_t)target);
            found.tile += before;
            return found;
        }
        target -= attention_sequence_cost(l->lengths[s]);
        before += attention_tiles(l->lengths[s]);
    }
    return (attention_position){before, 0};
}

/* Sequence and row of a tile. */
static int32_t find_tile(const launch *l, int32_t tile, int32_t *first) {
    tile %= head_tiles(l);
    int s = 0;
    while (tile >= attention_tiles(l->lengths[s])) tile -= attention_tiles(l->lengths[s++]);
    *first = tile * ATTENTION_TILE_ROWS;
    return l->lengths[s];
}

/* Checks all ranges; returns the most expensive, in the unit of attention_quarter_cost, without parts' own overhead. */
static int64_t check_ranges(const launch *l) {
    const int32_t tiles = head_tiles(l) * l->heads;
    int64_t max_tile_cost = 0;
    attention_position at = begin_of(l, 0);
    assert_int_equal(at.tile, 0);
    assert_int_equal(at.step, 0);
    for (int b = 0; b < l->blocks; b++) {
        const attention_position end = begin_of(l, b + 1);
        int64_t cost = 0;
        assert_true(end.tile > at.tile || (end.tile == at.tile && end.step >= at.step));
        while (at.tile < end.tile || at.step < end.step) {
            int32_t first;
            const int32_t length = find_tile(l, at.tile, &first), steps = attention_steps(length);
            const int groups = attention_live_groups(length, first);
            const int32_t to = at.tile < end.tile ? steps : end.step;
            assert_in_range(groups, 1, ATTENTION_GROUPS);
            assert_true(to <= steps && to > at.step);
            if (at.step > 0 || to < steps) assert_true(to - at.step >= ATTENTION_MIN_STEPS);
            cost += (int64_t)(to - at.step) * 4 * attention_quarter_cost(groups);
            if (to == steps)
                at.tile++, at.step = 0;
            else
                at.step = to;
        }
        // an empty range has nothing to hand on
        if (cost == 0) assert_int_equal(at.step, 0);
        if (cost > max_tile_cost) max_tile_cost = cost;
    }
    assert_int_equal(at.tile, tiles);
    assert_int_equal(at.step, 0);
    return max_tile_cost;
}

static void standard_sizes(void **state) {
    (void)state;
    static const struct {
        int32_t length, tiles;
        int64_t whole, mean;
        int splits;
    } expected[] = {
        {938, 160, 784, 475, 1}, {1406, 256, 1120, 1043, 0}, {2062, 352, 2436, 2165, 1}, {4096, 704, 9408, 8238, 1}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const launch l = {{expected[i].length, expected[i].length}, 2, 16, 132};
        const int32_t tiles = head_tiles(&l) * 16;
        const int64_t all = head_cost(&l) * 16, whole = (tiles + 131) / 132 * most_expensive_tile(&l);
        const int splits = attention_splits_tiles(all, most_expensive_tile(&l), tiles, 132);
        const int64_t max_tile_cost = check_ranges(&l);
        printf("2 x %4d queries, 16 heads: %d tiles, whole %lld, mean %lld, split %d, most expensive range %lld\n",
               expected[i].length, tiles, (long long)whole, (long long)(all / 132), splits, (long long)max_tile_cost);
        assert_int_equal(tiles, expected[i].tiles);
        assert_int_equal(whole, expected[i].whole);
        assert_int_equal(all / 132, expected[i].mean);
        assert_int_equal(splits, expected[i].splits);
        assert_true(max_tile_cost <= all / 132 + ATTENTION_SPLIT_COST);
    }
}

static void any_lengths(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 3000; i++) {
        launch l = {.n = 1 + random_below(&random, i % 3 ? 6 : MAX_SEQUENCES),
                    .heads = 1 + random_below(&random, 20),
                    .blocks = 1 + random_below(&random, 160)};
        for (int s = 0; s < l.n; s++)
            l.lengths[s] = random_below(&random, random_below(&random, 4) ? 300 : i % 2 ? 3000 : 9000);
        check_ranges(&l);
    }
    const launch none = {{0, 0}, 2, 16, 132}, long_one = {{20000000}, 1, 3, 132};
    check_ranges(&none);
    check_ranges(&long_one);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(standard_sizes), cmocka_unit_test(any_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
