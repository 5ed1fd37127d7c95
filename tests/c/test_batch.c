/* test_batch.c — how sequences lie in a batch: the frames' pack and what each of its rows holds, a backbone's own
 * packs, the vocoder's slices, and the inert tails. A CPU has no tails: only here are they seen without a GPU. */
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
#include "runtime/models/vocoder.h"
#include "tests/c/seed.h"

/* Pack 0 has a row more than the frames, pack 1 a row a token. */
static int32_t pack_length(int k, int32_t frames, int32_t n_tokens) {
    return k == 0 ? frames + 1 : n_tokens;
}

static int64_t pack_rows(int k, const backbone_load *load) {
    return k == 0 ? load->rows + load->sequences : load->tokens;
}

static const backbone with_packs = {.n_packs = 2, .pack_length = pack_length, .pack_rows = pack_rows};

/* Host arrays of a batch over memory that is full of ones. The caller frees what is returned. */
static void *take(const batch_size *size, batch_arrays *arrays) {
    const size_t bytes = 1 << 20;
    void *memory = aligned_alloc(ARENA_ALIGN, bytes);
    arena a;
    memset(memory, 0xff, bytes);
    arena_init(&a, memory, bytes);
    assert_true(batch_take(&a, size, arrays));
    return memory;
}

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

        batch_arrays arrays;
        void *memory = take(&size, &arrays);
        batch_fill(&config, &size, jobs, &arrays);

        f5_pack pack = batch_pack(&size, &arrays), own[BACKBONE_MAX_PACKS];
        batch_own_packs(&size, &arrays, own);
        assert_int_equal(pack_check(&pack), F5_OK);
        assert_int_equal(pack_live(&pack), size.branches * size.frames);
        for (int k = 0; k < 2; k++) check_own(&own[k], k, &size, jobs);
        free(memory);
    }
}

/* UNetT has a row more of every sequence. All live rows together are rounded once: frames that leave the row room in
 * their last tile take no other, and no batch takes more than the largest that may come. */
static void a_row_of_time_lies_in_the_tiles_of_its_frames(void **state) {
    (void)state;
    uint64_t random = random_seed();
    f5_error error;
    model_config config = {0};
    assert_int_equal(model_config_parts(&config, &models_catalogue, "UNetT", "Vocos", "test", &error), F5_OK);
    const batch_bucket bucket = {.rows = 64, .slots = 16};
    for (int round = 0; round < 200; round++) {
        batch_size largest = {.branches = 2, .sequences = 1 + random_below(&random, 16)};
        largest.frames = largest.tokens = largest.sequences + random_below(&random, 4000);
        batch_size size = {.branches = 1 + random_below(&random, 2)};
        size.sequences = 1 + random_below(&random, largest.sequences);
        size.frames = size.sequences + random_below(&random, largest.frames - size.sequences + 1);
        batch_round(&config, &largest, &bucket);
        batch_round(&config, &size, &bucket);
        const int32_t live = size.branches * (size.frames + size.sequences), step = 64 * size.branches;
        assert_int_equal(size.own_rows[0], (live + step - 1) / step * step);
        assert_true(size.own_rows[0] <= largest.own_rows[0]);
        assert_true(largest.own_rows[0] <= 2 * (largest.frames + 64) + 2 * largest.sequences); /* as devices are told */
    }
    batch_size m = {.branches = 2, .sequences = 1, .frames = 1406};
    batch_round(&config, &m, &bucket);
    assert_int_equal(m.rows, 2816);
    assert_int_equal(m.own_rows[0], 2816);
    batch_size edited = {.branches = 1, .sequences = 1, .frames = 120, .slice_frames = 155};
    batch_round(&config, &edited, &bucket);
    assert_int_equal(edited.rows, 192);
    assert_int_equal(edited.own_rows[0], 192); /* never fewer than the frames' pack, which is as long as the slices */
}

/* ---- what the rows hold */

enum { MAX_JOBS = 4, MAX_LENGTH = 60, TOKENS = 64 };

typedef struct {
    int32_t tokens[TOKENS];
    uint8_t edit_mask[MAX_LENGTH];
    float cond[MAX_LENGTH * MEL_BANDS], samples[1];
} job_arrays;

static void random_jobs(uint64_t *random, synth_job jobs[MAX_JOBS], job_arrays arrays[MAX_JOBS]) {
    for (int32_t i = 0; i < MAX_JOBS; i++) {
        job_arrays *a = &arrays[i];
        synth_job *j = &jobs[i];
        for (int k = 0; k < TOKENS; k++) a->tokens[k] = random_below(random, 1000);
        for (int k = 0; k < MAX_LENGTH; k++) a->edit_mask[k] = (uint8_t)random_below(random, 2);
        for (int k = 0; k < MAX_LENGTH * MEL_BANDS; k++) a->cond[k] = 1 + (float)random_below(random, 1000);
        *j = (synth_job){.tokens = a->tokens, .cond = a->cond, .frames = 2 + random_below(random, MAX_LENGTH - 2)};
        j->n_tokens = random_below(random, j->frames + 1);
        j->cond_frames = random_below(random, j->frames + 1);
        j->edit_mask = random_below(random, 2) ? a->edit_mask : NULL;
        j->seed = random_next(random);
        j->samples = random_below(random, 3) ? a->samples : NULL;
        j->vocode_from = random_below(random, j->frames);
        j->vocode_before = random_below(random, 9);
        j->vocode_after = random_below(random, 28);
    }
}

/* Row `row` of the pack, which is frame f of a job in one of the branches. */
static void check_row(const batch_arrays *h, int32_t row, const synth_job *job, int32_t f, bool null_branch) {
    const bool text = f < job->n_tokens;
    const bool keep = !null_branch && f < job->cond_frames && (!job->edit_mask || job->edit_mask[f]);
    assert_int_equal(h->ids[row], text && !null_branch ? job->tokens[f] + 1 : 0);
    assert_int_equal(h->text_keep[row], text);
    assert_int_equal(h->keep[row], keep);
    for (int32_t i = 0; i < MEL_BANDS; i++)
        assert_true(h->cond[row * MEL_BANDS + i] == (keep ? job->cond[f * MEL_BANDS + i] : 0));
}

static void check_tail(const batch_arrays *h, int32_t live, int32_t rows) {
    for (int32_t row = live; row < rows; row++) {
        assert_int_equal(h->seq_of_row[row], -1);
        assert_int_equal(h->ids[row], 0);
        assert_int_equal(h->text_keep[row], 0);
        assert_int_equal(h->keep[row], 0);
        for (int32_t i = 0; i < MEL_BANDS; i++) assert_true(h->cond[row * MEL_BANDS + i] == 0);
    }
}

/* The vocoder's pack of slices that are so long: in order, then nothing. */
static void check_slices(const model_config *config, const batch_size *size, const batch_arrays *h,
                         const int32_t *length) {
    int32_t row = 0;
    int64_t samples = 0;
    for (int32_t s = 0; s < size->slice_slots; s++) {
        const int32_t n = s < size->sequences ? length[s] : 0;
        assert_int_equal(h->slice_offsets[s], row);
        assert_int_equal(h->sample_offsets[s], samples);
        for (int32_t f = 0; f < n; f++) assert_int_equal(h->slice_seq_of_row[row++], s);
        samples += vocoder_of(config)->samples(config, n);
    }
    assert_int_equal(row, size->slice_frames);
    assert_int_equal(samples, size->samples);
    assert_int_equal(h->slice_offsets[size->slice_slots], row);
    assert_int_equal(h->sample_offsets[size->slice_slots], samples);
    for (; row < size->slice_rows; row++) assert_int_equal(h->slice_seq_of_row[row], -1);
}

/* The null branch has the text's mask and nothing else of it: no token, no reference, nothing kept. */
static void every_row_holds_what_it_should(void **state) {
    (void)state;
    static job_arrays arrays[MAX_JOBS];
    uint64_t random = random_seed();
    f5_error error;
    model_config config = {0};
    assert_int_equal(model_config_parts(&config, &models_catalogue, "DiT", "Vocos", "test", &error), F5_OK);
    for (int round = 0; round < 50; round++) {
        synth_job jobs[MAX_JOBS];
        random_jobs(&random, jobs, arrays);
        const int32_t n = 1 + random_below(&random, MAX_JOBS);
        const synth_solver solver = {SOLVER_DEFAULTS};
        batch_size size = batch_measure(&config, &solver, jobs, n);
        const batch_bucket bucket = {.rows = round % 3 ? 16 : 1, .slots = round % 3 ? 6 : 1};
        batch_round(&config, &size, &bucket);
        assert_int_equal(size.branches, 2);
        batch_arrays h;
        void *memory = take(&size, &h);
        batch_fill(&config, &size, jobs, &h);

        int32_t row = 0, length[MAX_JOBS];
        for (int32_t slot = 0; slot < size.slots; slot++) {
            const synth_job *job = &jobs[slot % n];
            assert_int_equal(h.offsets[slot], row);
            assert_true(h.seeds[slot] == (slot < 2 * n ? job->seed : 0));
            for (int32_t f = 0; slot < 2 * n && f < job->frames; f++, row++) {
                assert_int_equal(h.seq_of_row[row], slot);
                check_row(&h, row, job, f, slot >= n);
            }
        }
        assert_int_equal(h.offsets[size.slots], row);
        check_tail(&h, row, size.rows);
        for (int32_t i = 0; i < n; i++) {
            const synth_job *j = &jobs[i];
            length[i] = j->samples ? j->vocode_before + j->frames - j->vocode_from + j->vocode_after : 0;
        }
        check_slices(&config, &size, &h, length);
        free(memory);
    }
}

/* The vocoder alone, where the pack of the frames is empty. */
static void mels_lie_one_after_another(void **state) {
    (void)state;
    uint64_t random = random_seed();
    f5_error error;
    model_config config = {0};
    assert_int_equal(model_config_parts(&config, &models_catalogue, "DiT", "Vocos", "test", &error), F5_OK);
    for (int round = 0; round < 50; round++) {
        vocode_job jobs[MAX_JOBS];
        int32_t length[MAX_JOBS], n = 1 + random_below(&random, MAX_JOBS);
        for (int32_t i = 0; i < n; i++) jobs[i] = (vocode_job){.frames = length[i] = 1 + random_below(&random, 60)};
        batch_size size = vocode_measure(&config, jobs, n);
        const batch_bucket bucket = {.rows = round % 3 ? 16 : 1, .slots = round % 3 ? 6 : 1};
        batch_round(&config, &size, &bucket);
        batch_arrays h;
        void *memory = take(&size, &h);
        vocode_fill(&config, &size, jobs, &h);
        check_slices(&config, &size, &h, length);
        free(memory);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_backbone_has_packs_of_its_own),
                                       cmocka_unit_test(a_row_of_time_lies_in_the_tiles_of_its_frames),
                                       cmocka_unit_test(every_row_holds_what_it_should),
                                       cmocka_unit_test(mels_lie_one_after_another)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
