/* test_attention_sm80_plan.c — warps to a block of attention's sm80 kernel: the figures that plan/attention_sm80.h
 * promises, and that the choice is the cheaper one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/cuda/plan/attention_sm80.h"
#include "tests/c/seed.h"

enum { PLENTY = 227 << 10, SCARCE = 99 << 10 }; /* shared memory of a block on H100 and on sm_86, 89, 120 */

static void standard_sizes(void **state) {
    (void)state;
    static const struct {
        int32_t rows;
        int64_t four, two; /* costs */
        int warps;
    } expected[] = {{1876, 5120, 5376, 4}, {2812, 7680, 8064, 4}, {4124, 12800, 10752, 2}, {1, 2560, 1344, 2}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(attention_sm80_cost(expected[i].rows, 16, 132, 4), expected[i].four);
        assert_int_equal(attention_sm80_cost(expected[i].rows, 16, 132, 2), expected[i].two);
        assert_int_equal(attention_sm80_warps(expected[i].rows, 16, 132, PLENTY), expected[i].warps);
        assert_int_equal(attention_sm80_warps(expected[i].rows, 16, 132, SCARCE), 4);
    }
}

static void never_the_more_expensive(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, i % 2 ? 20000 : INT32_MAX);
        const int32_t heads = 1 + random_below(&random, i % 2 ? 32 : 65535), sms = 1 + random_below(&random, 160);
        const int warps = attention_sm80_warps(rows, heads, sms, PLENTY);
        assert_true(warps == 2 || warps == 4);
        const int64_t cost = attention_sm80_cost(rows, heads, sms, warps);
        assert_true(cost > 0 && cost <= attention_sm80_cost(rows, heads, sms, 6 - warps));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(standard_sizes), cmocka_unit_test(never_the_more_expensive)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
