/* test_attention_plan.c — groups to a block of attention's Hopper kernel: the figures its header promises, and that the
 * choice is the cheaper one. The table is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cuda/attention_plan.h"
#include "seed.h"

static void standard_sizes(void **state) {
    (void)state;
    static const struct {
        int32_t rows;
        int64_t two, three; /* costs */
        int groups;
    } expected[] = {{1876, 8, 10, 2}, {2812, 12, 10, 3}, {4124, 20, 15, 3}, {8192, 32, 30, 3}, {1, 4, 5, 2}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const int64_t two = attention_plan_cost(expected[i].rows, 16, 132, 2);
        const int64_t three = attention_plan_cost(expected[i].rows, 16, 132, 3);
        printf("%5d rows x 16 heads: 2 groups %lld, 3 groups %lld\n", expected[i].rows, (long long)two,
               (long long)three);
        assert_int_equal(two, expected[i].two);
        assert_int_equal(three, expected[i].three);
        assert_int_equal(attention_choose_groups(expected[i].rows, 16, 132), expected[i].groups);
    }
}

static void never_the_dearer(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, i % 2 ? 20000 : INT32_MAX);
        const int32_t heads = 1 + random_below(&random, i % 2 ? 32 : 65535), sms = 1 + random_below(&random, 160);
        const int groups = attention_choose_groups(rows, heads, sms);
        assert_true(groups == 2 || groups == 3);
        const int64_t cost = attention_plan_cost(rows, heads, sms, groups);
        assert_true(cost > 0 && cost <= attention_plan_cost(rows, heads, sms, 5 - groups));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(standard_sizes), cmocka_unit_test(never_the_dearer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
