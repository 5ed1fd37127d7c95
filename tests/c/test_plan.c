/* test_plan.c — what the plan table counts of a pack whose slots are not all live, as on a GPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/attention.h"
#include "runtime/ops/ops.h"
#include "tests/c/seed.h"

static void attention_counts_live_sequences(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 100; i++) {
        int32_t sequences = 1 + random_below(&random, 8), length = 1 + random_below(&random, 3000);
        int32_t heads = 1 + random_below(&random, 16);
        double flops[2];
        for (int slack = 0; slack < 2; slack++) {
            const f5_pack pack = {.rows = sequences * length, .n_seq = sequences + 24 * slack};
            const attention_args args = {.pack = &pack, .heads = heads};
            ops_plan plan;
            ops_plan_init(&plan, (f5_precision){.operands = F5_F16}, sequences);
            assert_int_equal(plan.ops.attention(&plan.ops, "attention", &args), F5_OK);
            assert_int_equal(plan.calls, 1);
            flops[slack] = plan.flop;
        }
        double pairs = (double)sequences * length * length;
        assert_true(flops[0] == 4 * pairs * heads * ATTENTION_HEAD);
        assert_true(flops[1] == flops[0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_counts_live_sequences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
