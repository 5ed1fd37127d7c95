/* test_half.c — half and bfloat16 against their definitions: every value up, and rounding down by an independent
 * search. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/dtype.h"
#include "kernels/half.h"
#include "tests/c/seed.h"

/* sign, exponent field, fraction field -> value, by the definition of a binary floating-point format */
static double value_of(uint16_t bits, int fraction_bits, int bias) {
    int fraction = bits & ((1 << fraction_bits) - 1), exponent = (bits & 0x7fff) >> fraction_bits;
    int all_ones = (1 << (15 - fraction_bits)) - 1;
    double sign = bits >> 15 ? -1 : 1;
    if (exponent == all_ones) return fraction ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(1 + ldexp(fraction, -fraction_bits), exponent - bias);
}

static void check_all(float (*up)(uint16_t), uint16_t (*down)(float), int fraction_bits, int bias) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        double expected = value_of((uint16_t)bits, fraction_bits, bias);
        float value = up((uint16_t)bits);
        if (isnan(expected)) {
            assert_true(isnan(value));
            assert_true(isnan(up(down(value))));
            assert_int_equal(down(value) >> 15, bits >> 15);
            continue;
        }
        if ((double)value != expected || !signbit(value) != !(bits >> 15))
            fail_msg("%04x reads as %a", bits, (double)value);
        if (down(value) != bits) fail_msg("%04x comes back as %04x", bits, down(value));
    }
}

/* Nearest of the two neighbours of |x|, ties to the even one, by comparing distances in double (exact: both formats'
 * neighbours and any float are within 53 bits of each other where it matters). */
static uint16_t nearest(float x, int fraction_bits, int bias) {
    double magnitude = fabs((double)x);
    uint16_t sign = signbit(x) ? 0x8000 : 0, infinity = (uint16_t)(((1 << (15 - fraction_bits)) - 1) << fraction_bits);
    if (isinf(x)) return sign | infinity;
    uint32_t low = 0, high = infinity; /* low <= |x| < high: positive formats are ordered as their bits are */
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (value_of((uint16_t)middle, fraction_bits, bias) <= magnitude)
            low = middle;
        else
            high = middle;
    }
    double below = value_of((uint16_t)low, fraction_bits, bias);
    double above = high == infinity ? below + (below - value_of((uint16_t)(low - 1), fraction_bits, bias))
                                    : value_of((uint16_t)high, fraction_bits, bias);
    double down = magnitude - below, up = above - magnitude;
    return sign | (uint16_t)(down < up || (down == up && low % 2 == 0) ? low : high);
}

static void check_rounding(uint64_t *random, uint16_t (*down)(float), int fraction_bits, int bias) {
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = (uint32_t)random_next(random);
        if (i % 3 == 1) { /* where the format has values */
            bits = half_bits_of_float((float)value_of((uint16_t)bits, fraction_bits, bias)) + (bits >> 16) % 5 - 2;
        } else if (i % 3 == 2) { /* at and beside the tie above a value */
            double low = value_of((uint16_t)bits & 0x7fff, fraction_bits, bias);
            double high = value_of((uint16_t)((bits & 0x7fff) + 1), fraction_bits, bias);
            bits = half_bits_of_float((float)((low + high) / 2)) + (bits >> 16) % 5 - 2;
        }
        float x = half_float_of_bits(bits);
        if (isnan(x)) {
            assert_true(isnan(value_of(down(x), fraction_bits, bias)));
            continue;
        }
        uint16_t expected = nearest(x, fraction_bits, bias);
        if (down(x) != expected) fail_msg("%a rounds to %04x, not %04x", (double)x, down(x), expected);
    }
}

static void test_half(void **state) {
    check_all(half_to_float, half_from_float, 10, 15);
    check_rounding(*state, half_from_float, 10, 15);
}

static void test_bfloat(void **state) {
    check_all(bfloat_to_float, bfloat_from_float, 7, 127);
    check_rounding(*state, bfloat_from_float, 7, 127);
}

static void test_edges(void **state) {
    (void)state;
    assert_int_equal(half_from_float(65504), 0x7bff);
    assert_int_equal(half_from_float(65519.996f), 0x7bff);
    assert_int_equal(half_from_float(65520), 0x7c00);
    assert_int_equal(half_from_float(-65520), 0xfc00);
    assert_int_equal(half_from_float(0x1p-24f), 1);
    assert_int_equal(half_from_float(0x1p-25f), 0);
    assert_int_equal(half_from_float(0x1.000002p-25f), 1);
    assert_int_equal(half_from_float(0x1.8p-24f), 2);
    assert_int_equal(half_from_float(0x1.ffbp-15f), 0x3ff);
    assert_int_equal(half_from_float(0x1.ffcp-15f), 0x400);
    assert_int_equal(half_from_float(-0.0f), 0x8000);
    assert_int_equal(bfloat_from_float(0x1.fffffep127f), 0x7f80);
    assert_int_equal(bfloat_from_float(0x1.01p0f), 0x3f80);
    assert_int_equal(bfloat_from_float(0x1.03p0f), 0x3f82);
}

/* Every type takes its greatest number, and names the first that it cannot hold, each on its own. */
static void test_narrowing(void **state) {
    (void)state;
    static const struct {
        f5_dtype type;
        float most, over; /* over: the smallest that rounds to infinity */
    } limits[] = {{F5_F32, 0x1.fffffep127f, INFINITY}, {F5_F16, 65504, 65520}, {F5_BF16, 0x1.fep127f, 0x1.ffp127f}};
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        const dtype_info *type = dtype(limits[k].type);
        const float most = limits[k].most, bad[] = {limits[k].over, -limits[k].over, NAN, INFINITY};
        float numbers[4] = {most, -most, nextafterf(limits[k].over, 0), 0x1p-30f}, held[4], back[4];
        assert_int_equal(type->narrow(held, numbers, 4), -1);
        type->widen(back, held, 4);
        assert_true(back[0] == most && back[1] == -most && back[2] == most && back[3] >= 0);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            numbers[1] = numbers[3] = bad[i];
            assert_int_equal(type->narrow(held, numbers, 4), 1);
            numbers[1] = most;
            assert_int_equal(type->narrow(held, numbers, 4), 3);
        }
    }
}

int main(void) {
    uint64_t random = random_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_half, &random),
        cmocka_unit_test_prestate(test_bfloat, &random),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_narrowing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
