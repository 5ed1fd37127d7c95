/* The arena: what fits exactly fits, what does not is remembered, and planning counts what taking takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/arena.h"

static void takes(arena *a) {
    arena_take(a, 3, 4);
    arena_take(a, 0, 8);
    size_t mark = arena_mark(a);
    arena_take(a, 1000, 7);
    arena_release(a, mark);
    arena_take(a, 64, 4);
}

static void test_plan_is_enough(void **state) {
    (void)state;
    _Alignas(ARENA_ALIGN) static uint8_t block[8192];
    arena plan, real;
    arena_init_plan(&plan);
    takes(&plan);
    assert_in_range(plan.high_water, 7000, sizeof block);
    arena_init(&real, block, plan.high_water);
    takes(&real);
    assert_false(real.overflow);
    assert_int_equal(real.high_water, plan.high_water);
    arena_init(&real, block, plan.high_water - 1);
    takes(&real);
    assert_true(real.overflow);
}

static void test_alignment_and_order(void **state) {
    (void)state;
    _Alignas(ARENA_ALIGN) static uint8_t block[1024];
    arena a;
    arena_init(&a, block, sizeof block);
    uint8_t *first = arena_take(&a, 1, 1), *second = arena_take(&a, 1, 1);
    assert_ptr_equal(first, block);
    assert_ptr_equal(second, block + ARENA_ALIGN);
}

static void test_hostile_sizes(void **state) {
    (void)state;
    arena a;
    arena_init_plan(&a);
    assert_null(arena_take(&a, SIZE_MAX / 2, 4));
    assert_true(a.overflow);
    arena_init_plan(&a);
    assert_null(arena_take(&a, SIZE_MAX, 1));
    assert_true(a.overflow);
    arena_init_plan(&a);
    arena_take(&a, SIZE_MAX / 8, 1);
    assert_false(a.overflow);
    assert_null(arena_take(&a, SIZE_MAX / 4, 1));
    assert_true(a.overflow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_is_enough),
        cmocka_unit_test(test_alignment_and_order),
        cmocka_unit_test(test_hostile_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
