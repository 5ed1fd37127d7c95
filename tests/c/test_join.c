/* test_join.c — joining chunks against the rule done plainly on whole arrays; every sample is handed out once, at once
 * or at the end, and memory is written only where it may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/audio/join.h"
#include "tests/c/seed.h"

enum { MOST_CHUNKS = 12, LONGEST = 200 };

typedef struct {
    float *samples;
    int64_t n;
} wave;

/* What was joined so far, and one chunk more. */
static void lay_over(wave *all, const wave *next, int64_t fade) {
    int64_t n = fade < all->n ? fade : all->n;
    if (next->n < n) n = next->n;
    float *end = all->samples + all->n - n;
    for (int64_t i = 0; i < n; i++) {
        double rising = n == 1 ? 0 : (double)i / (double)(n - 1);
        end[i] = (float)((double)end[i] * (1 - rising) + (double)next->samples[i] * rising);
    }
    memcpy(end + n, next->samples + n, (size_t)(next->n - n) * sizeof(float));
    all->n += next->n - n;
}

static void test_against_the_rule(void **state) {
    uint64_t *random = *state;
    static const int64_t fades[] = {0, 1, 2, 3, 10, 50, 199, 200, 201, 1000};
    for (int i = 0; i < 4000; i++) {
        int64_t fade = fades[random_below(random, 10)], got = 0;
        float wanted[MOST_CHUNKS * LONGEST], out[MOST_CHUNKS * LONGEST];
        wave all = {.samples = wanted};
        join j = {.tail = malloc(fade ? (size_t)fade * sizeof(float) : 1), .fade = fade};
        int32_t chunks = 1 + random_below(random, MOST_CHUNKS), longest = 1 + random_below(random, LONGEST);
        for (int32_t k = 0; k < chunks; k++) {
            int64_t n = random_below(random, longest + 1), ready = -1; /* 0 too */
            wave next = {.samples = malloc(n ? (size_t)n * sizeof(float) : 1), .n = n};
            for (int64_t s = 0; s < n; s++) next.samples[s] = (float)random_below(random, 2001) / 1000 - 1;
            lay_over(&all, &next, fade);
            join_add(&j, next.samples, n, &ready);
            assert_true(ready >= 0 && ready <= n && j.held >= 0 && j.held <= fade);
            if (ready) memcpy(out + got, next.samples, (size_t)ready * sizeof(float));
            got += ready;
            assert_int_equal(got + j.held, all.n);
            free(next.samples);
        }
        int64_t rest;
        const float *tail = join_end(&j, &rest);
        assert_int_equal(got + rest, all.n);
        if (rest) memcpy(out + got, tail, (size_t)rest * sizeof(float));
        /* weights are reckoned in another way here, and a sample may have been faded by every chunk */
        for (int64_t s = 0; s < all.n; s++) assert_float_equal(out[s], wanted[s], 1e-6f);
        join_end(&j, &rest);
        assert_int_equal(rest, 0);
        free(j.tail);
    }
}

static void test_fades(void **state) {
    (void)state;
    for (int64_t n = 0; n < 130; n++) {
        float *in = malloc(n ? (size_t)n * sizeof *in : 1), *out = malloc(n ? (size_t)n * sizeof *out : 1);
        for (int64_t i = 0; i < n; i++) in[i] = out[i] = 1;
        join_fade_in(in, n);
        join_fade_out(out, n);
        for (int64_t i = 0; i < n; i++) {
            assert_true(in[i] == out[n - 1 - i]);
            assert_float_equal(in[i], (float)i / (float)n, 0);
        }
        free(in);
        free(out);
    }
}

int main(void) {
    uint64_t random = random_seed();
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_against_the_rule, &random),
                                       cmocka_unit_test(test_fades)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
