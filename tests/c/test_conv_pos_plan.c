/* test_conv_pos_plan.c — rows to a tile of conv_pos's sm90 kernel: the figures that plan/conv_pos.h promises, and
 * that the choice is the cheaper one. The table is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/cuda/plan/conv_pos.h"
#include "tests/c/seed.h"

static void standard_sizes(void **state) {
    (void)state;
    static const struct {
        int32_t rows;
        int64_t low, high; /* costs */
        int32_t tile;
    } expected[] = {{1876, 256, 352, 128}, {2812, 384, 352, 176}, {4124, 640, 528, 176}, {1, 128, 176, 128}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const int64_t low = conv_pos_plan_cost(expected[i].rows, 132, 128);
        const int64_t high = conv_pos_plan_cost(expected[i].rows, 132, 176);
        printf("%5d rows: tiles of 128 cost %lld, of 176 %lld\n", expected[i].rows, (long long)low, (long long)high);
        assert_int_equal(low, expected[i].low);
        assert_int_equal(high, expected[i].high);
        assert_int_equal(conv_pos_choose_rows(expected[i].rows, 132), expected[i].tile);
    }
}

static void never_the_more_expensive(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, i % 2 ? 20000 : INT32_MAX);
        const int32_t sms = 1 + random_below(&random, 160);
        const int32_t tile = conv_pos_choose_rows(rows, sms);
        assert_true(tile == 128 || tile == 176);
        const int64_t cost = conv_pos_plan_cost(rows, sms, tile);
        assert_true(cost > 0 && cost <= conv_pos_plan_cost(rows, sms, 128 + 176 - tile));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(standard_sizes), cmocka_unit_test(never_the_more_expensive)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
