/* test_batch.c — how sequences lie in a batch: the frames' pack, a backbone's own packs, and the inert tails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/mel.h"
#include "kernels/pack_check.h"
#include "runtime/batch.h"
#include "runtime/models/models.h"
#include "tests/c/seed.h"

/* Pack 0 has a row more than the frames, pack 1 a row a token. */
static int32_t pack_length(int k, int32_t frames, int32_t n_tokens) {
    return k == 0 ? frames + 1 : n_tokens;
}

static int64_t pack_rows(int k, int64_t rows, int32_t slots) {
    return k == 0 ? rows + slots : rows;
}

static const backbone with_packs = {.n_packs = 2, .pack_length = pack_length, .pack_rows = pack_rows};

static void check_own(const f5_pack *own, int k, const batch_size *size, const synth_job *jobs) {
    assert_int_equal(pack_check(own), F5_OK);
    for (int32_t slot = 0; slot < size->slots; slot++) {
        const synth_job *job = &jobs[slot % size->sequences];
        int32_t live = slot < size->branches * size->sequences;
        int32_t expected = live ? pack_length(k, job->frames, job->n_tokens) : 0;
        assert_int_equal(own->offsets[slot + 1] - own->offsets[slot], expected);
    }
    for (int32_t row = pack_live(own); row < own->rows; row++) assert_int_equal(own->seq_of_row[row], -1);
}

static void a_backbone_has_packs_of_its_own(void **state) {
    (void)state;
    uint64_t random = random_seed();
    f5_error error;
    model_config config = {0};
    assert_int_equal(model_config_parts(&config, &models_catalogue, "DiT", "Vocos", "test", &error), F5_OK);
    config.part[PART_BACKBONE] = &with_packs.part;
    for (int round = 0; round < 50; round++) {
        int32_t tokens[64] = {0}, n = 1 + random_below(&random, 4);
        synth_job jobs[4] = {{0}};
        for (int32_t i = 0; i < n; i++) {
            jobs[i].frames = 1 + random_below(&random, 60);
            jobs[i].tokens = tokens;
            jobs[i].n_tokens = random_below(&random, jobs[i].frames + 1);
        }
        synth_solver solver = {SOLVER_DEFAULTS};
        if (round % 2) solver.cfg = 0;
        batch_size size = batch_measure(&config, &solver, jobs, n);
        const batch_bucket bucket = {.rows = 16, .slots = 4};
        batch_round(&config, &size, &bucket);
        assert_int_equal(size.n_own, 2);

        size_t bytes = 1 << 20;
        void *memory = aligned_alloc(ARENA_ALIGN, bytes);
        arena a;
        batch_arrays arrays;
        memset(memory, 0xff, bytes);
        arena_init(&a, memory, bytes);
        assert_true(batch_take(&a, &size, &arrays));
        batch_fill(&config, &size, jobs, &arrays);

        f5_pack pack = batch_pack(&size, &arrays), own[BACKBONE_MAX_PACKS];
        batch_own_packs(&size, &arrays, own);
        assert_int_equal(pack_check(&pack), F5_OK);
        assert_int_equal(pack_live(&pack), size.branches * size.frames);
        for (int k = 0; k < 2; k++) check_own(&own[k], k, &size, jobs);
        free(memory);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_backbone_has_packs_of_its_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
