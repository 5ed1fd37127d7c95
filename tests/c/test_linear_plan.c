/* test_linear_plan.c — how linear's Hopper kernel cuts products: the figures its header promises, and no better choice
 * among the widths it has. The table is printed: `test_linear_plan` is also how to look at a choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/cuda/plan/linear.h"
#include "tests/c/seed.h"

static const int32_t kWidths[] = {128, 176, 192, 256};

static void standard_sizes(void **state) {
    (void)state;
    static const struct {
        int32_t rows, out, columns;
        int64_t rounds;
    } expected[] = {
        {1876, 3072, 192, 2}, {1876, 1024, 128, 1}, {1876, 2048, 256, 1}, /* S: 15 tiles high */
        {2812, 3072, 256, 2}, {2812, 1024, 176, 1}, {2812, 2048, 176, 2}, /* M: 22 */
        {4124, 3072, 256, 3}, {4124, 1024, 256, 1}, {4124, 2048, 256, 2}, /* L: 33 */
        {1, 1024, 128, 1},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const linear_plan p = linear_choose(expected[i].rows, expected[i].out, 132, 16);
        printf("%5d rows -> %4d: %3lld x %2lld tiles of %d, %lld rounds, %.0f %% busy\n", expected[i].rows,
               expected[i].out, (long long)p.row_tiles, (long long)(p.tiles / p.row_tiles), p.columns,
               (long long)p.rounds,
               100.0 * expected[i].rows * expected[i].out / (132.0 * 128 * (double)p.rounds * p.columns));
        assert_int_equal(p.columns, expected[i].columns);
        assert_int_equal(p.rounds, expected[i].rounds);
    }
}

static void covers_and_none_is_cheaper(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, i % 2 ? 5000 : INT32_MAX);
        const int32_t out = 64 * (1 + random_below(&random, 512)), sms = 1 + random_below(&random, 160);
        const linear_plan p = linear_choose(rows, out, sms, 16);
        assert_true(p.row_tiles * LINEAR_TILE_ROWS >= rows && (p.row_tiles - 1) * LINEAR_TILE_ROWS < rows);
        assert_true(p.tiles / p.row_tiles * p.columns >= out && (p.tiles / p.row_tiles - 1) * p.columns < out);
        assert_true(p.rounds * sms >= p.tiles && (p.rounds - 1) * sms < p.tiles);
        int known = 0;
        for (size_t k = 0; k < sizeof kWidths / sizeof *kWidths; k++) {
            const linear_plan other = linear_plan_of(rows, out, sms, kWidths[k]);
            known += p.columns == kWidths[k];
            assert_true(p.rounds * p.columns <= other.rounds * other.columns);
        }
        assert_int_equal(known, 1);
    }
}

/* RoPE's angles serve whole heads: tiles start at multiples of 64 columns, so 176 is not among its widths. */
static void whole_heads(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, 5000), out = 192 * (1 + random_below(&random, 32));
        const int32_t sms = 1 + random_below(&random, 160);
        const linear_plan p = linear_choose(rows, out, sms, 64);
        assert_int_equal(p.columns % 64, 0);
        for (size_t k = 0; k < sizeof kWidths / sizeof *kWidths; k++) {
            const linear_plan other = linear_plan_of(rows, out, sms, kWidths[k]);
            assert_true(kWidths[k] % 64 != 0 || p.rounds * p.columns <= other.rounds * other.columns);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(standard_sizes), cmocka_unit_test(covers_and_none_is_cheaper),
                                       cmocka_unit_test(whole_heads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
