/* test_linear_plan.c — which way a product takes, and how linear's sm90 kernel tiles it: the figures that plan/linear.h
 * promises, and no better choice among the widths it has. The table is printed: `test_linear_plan` is also how to look
 * at a choice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernels/cuda/plan/linear.h"
#include "tests/c/seed.h"

static const int32_t kWidths[] = {64, 96, 128, 176, 192, 208, 256};

static void standard_sizes(void **state) {
    (void)state;
    static const struct {
        int32_t rows, out, columns;
        int64_t waves;
    } expected[] = {
        {1876, 3072, 192, 2}, {1876, 1024, 128, 1}, {1876, 2048, 256, 1}, /* S: 15 tiles high */
        {2812, 3072, 256, 2}, {2812, 1024, 176, 1}, {2812, 2048, 176, 2}, /* M: 22 */
        {4124, 3072, 256, 3}, {4124, 1024, 256, 1}, {4124, 2048, 256, 2}, /* L: 33 */
        {2818, 3072, 192, 3}, {2818, 1024, 208, 1},                       /* 23 tiles high */
        {940, 3072, 192, 1},  {940, 1024, 64, 1},                         /* first audio: 8 */
        {1400, 1024, 96, 1},  {2200, 1024, 176, 1}, {1, 1024, 64, 1},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const linear_plan p = linear_choose(expected[i].rows, expected[i].out, 132, LINEAR_RESIDUAL);
        printf("%5d rows -> %4d: %3lld x %2lld tiles of %d, %lld waves, %.0f %% busy\n", expected[i].rows,
               expected[i].out, (long long)p.row_tiles, (long long)(p.tiles / p.row_tiles), p.columns,
               (long long)p.waves,
               100.0 * expected[i].rows * expected[i].out / (132.0 * 128 * (double)p.waves * p.columns));
        assert_int_equal(p.columns, expected[i].columns);
        assert_int_equal(p.waves, expected[i].waves);
    }
}

static void covers_and_none_is_cheaper(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, i % 2 ? 5000 : INT32_MAX);
        const int32_t out = 64 * (1 + random_below(&random, 512)), sms = 1 + random_below(&random, 160);
        const linear_plan p = linear_choose(rows, out, sms, LINEAR_RESIDUAL);
        assert_true(p.row_tiles * LINEAR_TILE_ROWS >= rows && (p.row_tiles - 1) * LINEAR_TILE_ROWS < rows);
        assert_true(p.tiles / p.row_tiles * p.columns >= out && (p.tiles / p.row_tiles - 1) * p.columns < out);
        assert_true(p.waves * sms >= p.tiles && (p.waves - 1) * sms < p.tiles);
        int known = 0;
        for (size_t k = 0; k < sizeof kWidths / sizeof *kWidths; k++) {
            const linear_plan other = linear_plan_of(rows, out, sms, kWidths[k]);
            known += p.columns == kWidths[k];
            assert_true(linear_plan_cost(&p) <= linear_plan_cost(&other));
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
        const linear_plan p = linear_choose(rows, out, sms, LINEAR_ROPE);
        assert_int_equal(p.columns % 64, 0);
        for (size_t k = 0; k < sizeof kWidths / sizeof *kWidths; k++) {
            const linear_plan other = linear_plan_of(rows, out, sms, kWidths[k]);
            assert_true(kWidths[k] % 64 != 0 || kWidths[k] < 128 || linear_plan_cost(&p) <= linear_plan_cost(&other));
        }
    }
}

/* With GELU_TANH groups take turns where there are tiles for both; every other call is tiled as before. */
static void turns(void **state) {
    (void)state;
    static const struct {
        int32_t rows, out;
        bool turns;
        int64_t tiles, waves;
    } expected[] = {
        {1876, 2048, true, 240, 2}, {2812, 2048, true, 352, 3}, {4124, 2048, true, 528, 4}, /* S, M, L */
        {1025, 2048, true, 144, 2}, {1024, 2048, false, 0, 0},  {1, 2048, false, 0, 0},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const linear_plan p = linear_plan_for(expected[i].rows, expected[i].out, 132, LINEAR_GELU_TANH);
        assert_int_equal(p.turns, expected[i].turns);
        assert_int_equal(p.columns, LINEAR_TURN_COLUMNS);
        if (!p.turns) continue;
        assert_int_equal(p.tiles, expected[i].tiles);
        assert_int_equal(p.waves, expected[i].waves);
    }
    static const linear_epilogue others[] = {LINEAR_NONE, LINEAR_GELU_ERF, LINEAR_RELU, LINEAR_RESIDUAL, LINEAR_ROPE};
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        const int32_t rows = 1 + random_below(&random, 5000), out = 192 * (1 + random_below(&random, 32));
        const int32_t sms = 1 + random_below(&random, 160);
        const linear_epilogue epilogue = others[i % 5];
        assert_int_equal(linear_plan_for(rows, out, sms, LINEAR_GELU_TANH).columns, LINEAR_TURN_COLUMNS);
        const linear_plan p = linear_plan_for(rows, out, sms, epilogue), q = linear_choose(rows, out, sms, epilogue);
        assert_false(p.turns || q.turns);
        assert_true(p.columns == q.columns && p.tiles == q.tiles && p.waves == q.waves);
    }
}

/* The model's products, an odd width, and what each of them takes on four cards. */
static void every_way_is_taken(void **state) {
    (void)state;
    static const float aligned[4] __attribute__((aligned(16))) = {0};
    const f5_pack pack = {.rows = 2816, .n_seq = 2};
    const linear_args blocks = {.pack = &pack,
                                .in = 1024,
                                .out = 3072,
                                .x = {NULL, F5_F16},
                                .w = {NULL, F5_F16},
                                .y = {NULL, F5_F16},
                                .epilogue = LINEAR_ROPE};
    const linear_args vocos = {.pack = &pack, .in = 512, .out = 1536, .epilogue = LINEAR_GELU_ERF};
    const linear_args velocity = {.pack = &pack, .in = 1024, .out = 100, .x = {NULL, F5_BF16}, .w = {NULL, F5_BF16}};
    const linear_args input = {.pack = &pack, .in = 100, .out = 1024, .addend = aligned, .epilogue = LINEAR_RESIDUAL};
    const linear_args whole = {.rows = 32, .in = 1024, .out = 137216, .x = {NULL, F5_F16}, .w = {NULL, F5_I8}};
    linear_args odd = blocks, gate = blocks, askew = blocks, text = blocks, two = blocks, odd_two, two_f32;
    odd.in = 1000;
    gate.epilogue = LINEAR_SILU;
    text.epilogue = LINEAR_GELU_ERF;
    askew.bias = aligned + 1;
    two.x2.data = aligned, two.y.type = F5_F32, two.epilogue = LINEAR_NONE;
    odd_two = two_f32 = two;
    odd_two.in = 1000;
    two_f32.x.type = two_f32.w.type = F5_F32;
    const struct {
        const linear_args *a;
        int a100, l4, h200, limited;
    } expected[] = {
        {&blocks, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_SM90, LINEAR_CUBLASLT},
        {&vocos, LINEAR_SPLIT_F32, LINEAR_CUBLASLT, LINEAR_SPLIT_F32, LINEAR_CUBLASLT},
        {&velocity, LINEAR_FEW_OUTPUTS, LINEAR_FEW_OUTPUTS, LINEAR_FEW_OUTPUTS, LINEAR_FEW_OUTPUTS},
        {&input, LINEAR_SHORT_ROWS, LINEAR_SHORT_ROWS, LINEAR_SHORT_ROWS, LINEAR_SHORT_ROWS},
        {&text, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_SM90, LINEAR_CUBLASLT},
        {&whole, LINEAR_INT8_WEIGHTS, LINEAR_INT8_WEIGHTS, LINEAR_INT8_WEIGHTS, LINEAR_INT8_WEIGHTS},
        {&two, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS, LINEAR_SM90, LINEAR_TWO_CALLS},
        {&odd_two, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS},
        {&two_f32, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS, LINEAR_TWO_CALLS},
        {&odd, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_CUBLASLT},
        {&gate, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_CUBLASLT},
        {&askew, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_CUBLASLT, LINEAR_CUBLASLT},
    };
    cuda_arch a100, l4, h200;
    assert_true(arch_of_card(&a100, "a100") && arch_of_card(&l4, "l4") && arch_of_card(&h200, "h200"));
    const cuda_arch limited = arch_limited(h200, ARCH_SM80);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(linear_path_of(&a100, expected[i].a), expected[i].a100);
        assert_int_equal(linear_path_of(&l4, expected[i].a), expected[i].l4);
        assert_int_equal(linear_path_of(&h200, expected[i].a), expected[i].h200);
        assert_int_equal(linear_path_of(&limited, expected[i].a), expected[i].limited);
    }
}

/* A row's bits must not depend on how many rows there are: neither may the way. */
static void rows_do_not_choose(void **state) {
    (void)state;
    uint64_t random = random_seed();
    cuda_arch h200;
    assert_true(arch_of_card(&h200, "h200"));
    for (int i = 0; i < 20000; i++) {
        const f5_dtype type = (f5_dtype)random_below(&random, 3);
        f5_pack one = {.rows = 1, .n_seq = 1}, many = {.rows = 1 + random_below(&random, 100000), .n_seq = 1};
        linear_args a = {.pack = &one,
                         .in = 4 * (1 + random_below(&random, 300)),
                         .out = 2 * (1 + random_below(&random, 600)),
                         .x = {NULL, type},
                         .w = {NULL, type},
                         .y = {NULL, random_below(&random, 2) ? F5_F32 : type},
                         .epilogue = (linear_epilogue)random_below(&random, 6)};
        const int path = linear_path_of(&h200, &a);
        a.pack = &many;
        assert_in_range(path, 0, LINEAR_PATHS - 1);
        assert_int_equal(linear_path_of(&h200, &a), path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_sizes),     cmocka_unit_test(covers_and_none_is_cheaper),
        cmocka_unit_test(whole_heads),        cmocka_unit_test(turns),
        cmocka_unit_test(every_way_is_taken), cmocka_unit_test(rows_do_not_choose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
