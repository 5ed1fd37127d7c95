/* test_blocks.c — the blocks of a pack cover every row once, in order, and none is higher than its tile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/cpu/blocks.h"

static void test_height(void **state) {
    (void)state;
    for (int32_t most = 96; most <= 512; most += 160)
        for (int32_t unit = 4; unit <= 32; unit *= 2)
            for (int32_t rows = 0; rows <= 4096; rows++) {
                const int32_t height = block_height(rows, most, unit);
                if (height < 1 || height > most || height % unit != 0 || most % unit != 0)
                    fail_msg("%d rows in blocks of %d, at most %d, a multiple of %d", rows, height, most, unit);
            }
}

static void test_cover(void **state) {
    (void)state;
    enum { SLOTS = 6 };
    const int32_t offsets[SLOTS + 1] = {0, 0, 1, 257, 769, 769, 1281};
    const f5_pack pack = {.rows = 1300, .n_seq = SLOTS, .offsets = offsets};
    for (int32_t unit = 4; unit <= 8; unit *= 2) {
        int32_t next = 0, slot = 0;
        const int32_t count = block_count(&pack, 256, unit);
        for (int32_t i = 0; i < count; i++) {
            const row_block b = block_at(&pack, 256, unit, i);
            while (offsets[slot + 1] <= b.row) slot++;
            assert_int_equal(b.row, next);
            assert_int_equal(b.begin, offsets[slot]);
            assert_int_equal(b.end, offsets[slot + 1]);
            assert_true(b.rows >= 1 && b.rows <= 256 && b.row + b.rows <= b.end);
            next = b.row + b.rows;
        }
        assert_int_equal(next, offsets[SLOTS]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_height), cmocka_unit_test(test_cover)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
