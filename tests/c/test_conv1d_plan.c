/* test_conv1d_plan.c — the ways that conv1d takes: of BigVGAN's convolutions on some cards, by the conditions that
 * plan/conv1d.h names, and that no shape asks for more shared memory than every GPU has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/cuda/plan/conv1d.h"
#include "tests/c/seed.h"

static cuda_arch card(const char *name) {
    cuda_arch arch;
    assert_true(arch_of_card(&arch, name));
    return arch;
}

static void paths_of_bigvgan(void **state) {
    (void)state;
    static const struct {
        int32_t in, out, taps;
        conv1d_activation activation;
        int in_f32, in_f16;
    } expected[] = {{100, 1536, 7, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM80},
                    {1536, 3072, 3, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM90},
                    {768, 768, 11, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM90},
                    {96, 96, 11, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM90},
                    {96, 96, 3, CONV1D_LEAKY_RELU, CONV1D_SPLIT_F32, CONV1D_SM90},
                    {48, 48, 7, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM90},
                    {24, 24, 3, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM90},
                    {24, 48, 3, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM80},
                    {88, 24, 3, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM80},
                    {80, 96, 3, CONV1D_LINEAR, CONV1D_SPLIT_F32, CONV1D_SM80},
                    {24, 1, 7, CONV1D_CLAMP, CONV1D_FEW_OUTPUTS, CONV1D_FEW_OUTPUTS},
                    {24, 34, 7, CONV1D_TANH, CONV1D_F32_UNITS, CONV1D_F32_UNITS},
                    {256, 1, 1, CONV1D_LINEAR, CONV1D_F32_UNITS, CONV1D_F32_UNITS},
                    {26, 34, 7, CONV1D_LINEAR, CONV1D_F32_UNITS, CONV1D_F32_UNITS},
                    {24, 33, 7, CONV1D_LINEAR, CONV1D_F32_UNITS, CONV1D_F32_UNITS}};
    const cuda_arch h200 = card("h200"), l4 = card("l4");
    const f5_pack pack = {.rows = 938, .n_seq = 1};
    assert_true(h200.split_f32 && !l4.split_f32);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        conv1d_args a = {
            .pack = &pack, .rate = 4, .in = expected[i].in, .out = expected[i].out, .taps = expected[i].taps};
        a.dilation = 1, a.activation = expected[i].activation;
        assert_int_equal(conv1d_path_of(&h200, &a), expected[i].in_f32);
        assert_int_equal(conv1d_path_of(&l4, &a),
                         expected[i].in_f32 == CONV1D_SPLIT_F32 ? CONV1D_F32_UNITS : expected[i].in_f32);
        a.type = F5_F16;
        assert_int_equal(conv1d_path_of(&h200, &a), expected[i].in_f16);
        assert_int_equal(conv1d_path_of(&l4, &a), expected[i].in_f16 == CONV1D_SM90 ? CONV1D_SM80 : expected[i].in_f16);
    }
}

static void alignment_decides(void **state) {
    (void)state;
    const cuda_arch h200 = card("h200");
    const f5_pack pack = {.rows = 9, .n_seq = 1};
    const char *at = (const char *)(uintptr_t)4096;
    conv1d_args a = {.pack = &pack, .rate = 1, .in = 64, .out = 64, .taps = 3, .dilation = 1, .x = at, .w = at + 64};
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_SPLIT_F32);
    a.w = at + 8;
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_F32_UNITS);
    a.w = at, a.residual = (const float *)(const void *)(at + 4);
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_F32_UNITS);
    a.residual = (const float *)(const void *)(at + 8), a.type = F5_BF16;
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_SM80);
    a.out = 96;
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_SM80);
    a.residual = (const float *)(const void *)(at + 16);
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_SM90);
    a.bias = (const float *)(const void *)(at + 4);
    assert_int_equal(conv1d_path_of(&h200, &a), CONV1D_SM80);
}

/* A multiprocessor of 228 KB has room for as many blocks as registers are planned for; 1 KB of each is the
 * system's. */
static void blocks_share_a_multiprocessor(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int32_t in = 8; in <= 1536; in += 8)
        for (int32_t out = 24; out <= 1536; out += 24) {
            const int32_t outs = conv1d_sm90_outs(in, out);
            if (outs == 0) continue;
            conv1d_args a = {.in = in, .out = out, .taps = 1 + 2 * random_below(&random, 6)};
            a.dilation = 1 + random_below(&random, a.taps > 1 ? CONV1D_MAX_REACH / (a.taps - 1) : CONV1D_MAX_REACH);
            assert_int_equal(out % outs, 0);
            assert_int_equal(conv1d_sm90_pitch(outs, conv1d_reach(&a)) % 2, 1);
            assert_true(conv1d_sm90_shared_bytes(&a) <= 227 << 10);
            assert_true(CONV1D_SM90_BLOCKS(outs) * (conv1d_sm90_shared_bytes(&a) + 1024) <= 228 << 10);
        }
}

static void shared_memory_suffices(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int i = 0; i < 20000; i++) {
        conv1d_args a = {.in = 1 + random_below(&random, 2000), .out = 1 + random_below(&random, 2000)};
        a.taps = 1 + 2 * random_below(&random, (CONV1D_MAX_TAPS + 1) / 2);
        a.dilation = 1 + random_below(&random, a.taps > 1 ? CONV1D_MAX_REACH / (a.taps - 1) : CONV1D_MAX_REACH);
        if (i % 2) a.in = 4 + a.in / 4 * 4, a.out = 1 + a.out % 100;
        assert_true(conv1d_reach(&a) <= CONV1D_MAX_REACH);
        assert_true(conv1d_sm80_shared_bytes(&a) <= 99 << 10);
        assert_true(conv1d_split_shared_bytes(&a) <= 99 << 10);
        assert_int_equal(conv1d_tile_outs(a.out) % 24 == 0 || conv1d_tile_outs(a.out) == 64, 1);
        assert_int_equal(conv1d_chunk(a.in, conv1d_tile_outs(a.out)) % 16, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_of_bigvgan), cmocka_unit_test(alignment_decides),
                                       cmocka_unit_test(blocks_share_a_multiprocessor),
                                       cmocka_unit_test(shared_memory_suffices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
