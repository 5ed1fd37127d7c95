/* test_plan.c — what the plan table counts of a pack whose slots are not all live, as on a GPU, what it reports of
 * calls as a GPU would run them, and the keys by which a GPU finds a graph that it recorded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/attention.h"
#include "kernels/conv_pos.h"
#include "kernels/linear.h"
#include "kernels/norm.h"
#include "runtime/models/models.h"
#include "runtime/ops/ops.h"
#include "runtime/synth.h"
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

typedef struct {
    int calls;
    ops_plan_call last;
    char label[96];
} seen;

static void see(void *user, const ops_plan_call *call) {
    seen *s = user;
    s->calls++;
    s->last = *call;
    snprintf(s->label, sizeof s->label, "%s", call->label);
}

/* A request of two branches of 1406 frames on an H200: a block's calls by hand. */
static void reports_what_an_h200_does(void **state) {
    (void)state;
    const f5_pack pack = {.rows = 2816, .n_seq = 2};
    cuda_arch h200;
    assert_true(arch_of_card(&h200, "h200"));
    ops_plan plan;
    seen s = {0};
    ops_plan_init(&plan, (f5_precision){.operands = F5_F16}, 2);
    ops_plan_report(&plan, &h200, see, &s);
    ops_at(&plan.ops, "dit", 3);

    const linear_args qkv = {.pack = &pack,
                             .in = 1024,
                             .out = 3072,
                             .x = {NULL, F5_F16},
                             .w = {NULL, F5_F16},
                             .y = {NULL, F5_F16},
                             .epilogue = LINEAR_ROPE,
                             .max_position = 4096};
    assert_int_equal(plan.ops.linear(&plan.ops, "qkv", &qkv), F5_OK);
    assert_string_equal(s.label, "dit.3.qkv");
    assert_string_equal(s.last.op, "linear");
    assert_string_equal(s.last.line.shape, "2816x1024 -> 3072 fp16");
    assert_string_equal(s.last.line.path, "sm90");
    assert_string_equal(s.last.line.tile, "128x256");
    assert_int_equal(s.last.line.stages, 4);
    assert_true(s.last.line.waves == 2);
    assert_true(s.last.flop == 2.0 * 2816 * 1024 * 3072);
    assert_true(s.last.bytes == 2.0 * (2816 * 1024 + 1024 * 3072 + 2816 * 3072));
    assert_true(s.last.floor_us > 22.4 && s.last.floor_us < 22.5); /* 17.7 GFLOP at 790 TFLOP/s */

    const attention_args attention = {.pack = &pack, .heads = 16, .type = F5_F16};
    assert_int_equal(plan.ops.attention(&plan.ops, "attention", &attention), F5_OK);
    assert_string_equal(s.last.line.shape, "2x1408, 16 heads fp16");
    assert_string_equal(s.last.line.path, "sm90");
    assert_string_equal(s.last.line.tile, "192x128");
    assert_true(s.last.line.waves == 2); /* 256 tiles, not worth a split */

    const conv_pos_args conv = {.pack = &pack, .dim = 1024, .type = F5_F16};
    assert_int_equal(plan.ops.conv_pos(&plan.ops, "conv_pos0", &conv), F5_OK);
    assert_string_equal(s.last.line.path, "sm90");
    assert_string_equal(s.last.line.tile, "176x64");
    assert_int_equal(s.last.line.shared_bytes, 1024 + 4 * 8192 + 8 * 207 * 16);
    assert_true(s.last.line.waves == 2); /* 8 tiles a sequence and group, 16 groups: 256 tiles */

    const norm_args norm = {.rows = 2816, .dim = 1024, .type = F5_F16};
    assert_int_equal(plan.ops.norm(&plan.ops, "norm_a", &norm), F5_OK);
    assert_string_equal(s.last.line.path, "cuda");
    assert_string_equal(s.last.line.shape, "2816x1024 fp16");
    assert_true(s.last.bytes == 6.0 * 2816 * 1024 && s.last.floor_us > 4.0 && s.last.floor_us < 4.1);
    assert_int_equal(s.calls, 4);
    assert_int_equal(plan.calls, 4);
    assert_int_equal(plan.largest_output, 2816 * 3072);
}

/* RoPE's tiles hold whole heads; the same product without it takes the narrower ones, which are cheaper. */
static void reports_whole_heads(void **state) {
    (void)state;
    const f5_pack pack = {.rows = 2812, .n_seq = 2};
    cuda_arch h200;
    assert_true(arch_of_card(&h200, "h200"));
    ops_plan plan;
    seen s = {0};
    ops_plan_init(&plan, (f5_precision){.operands = F5_F16}, 2);
    ops_plan_report(&plan, &h200, see, &s);
    linear_args a = {.pack = &pack, .in = 1024, .out = 1024, .x = {NULL, F5_F16}, .y = {NULL, F5_F16}};
    assert_int_equal(plan.ops.linear(&plan.ops, "product", &a), F5_OK);
    assert_string_equal(s.last.line.tile, "128x176");
    a.epilogue = LINEAR_ROPE;
    assert_int_equal(plan.ops.linear(&plan.ops, "product", &a), F5_OK);
    assert_string_equal(s.last.line.tile, "128x192");
}

/* Where sequences do not fill whole waves of tiles, attention splits them. */
static void reports_split_tiles(void **state) {
    (void)state;
    const f5_pack pack = {.rows = 1876, .n_seq = 2};
    cuda_arch h200;
    assert_true(arch_of_card(&h200, "h200"));
    ops_plan plan;
    seen s = {0};
    ops_plan_init(&plan, (f5_precision){.operands = F5_BF16}, 2);
    ops_plan_report(&plan, &h200, see, &s);
    const attention_args attention = {.pack = &pack, .heads = 16, .type = F5_BF16};
    assert_int_equal(plan.ops.attention(&plan.ops, "attention", &attention), F5_OK);
    assert_true(s.last.line.waves > 1.21 && s.last.line.waves < 1.22); /* 160 tiles on 132 multiprocessors */
}

static void knows_its_cards(void **state) {
    (void)state;
    char names[128];
    int count = 0;
    cuda_arch arch, other;
    snprintf(names, sizeof names, "%s", arch_cards());
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", "), count++) {
        assert_true(arch_of_card(&arch, name));
        assert_string_equal(arch.card, name);
        assert_true(arch.sm >= 80 && arch.sm_count > 0 && arch.shared_bytes >= 99 << 10);
        assert_true(arch.rate_8bit > arch.rate_16bit && arch.rate_16bit > arch.rate_f32 && arch.rate_f32 > 0 &&
                    arch.bandwidth > 0);
        assert_true(arch.bucket_rows > 0 && arch.plan_rows % arch.bucket_rows == 0 && arch.batch_frames > 0);
    }
    assert_int_equal(count, 6);
    assert_false(arch_of_card(&arch, "h300"));

    arch = arch_of_device("NVIDIA H200", 90, 132, 227 << 10, true);
    assert_string_equal(arch.card, "h200");
    assert_string_equal(arch_path(&arch), "sm90");
    other = arch_of_device("NVIDIA H200 MIG 1g.18gb", 90, 16, 227 << 10, true); /* a part of a card has other rates */
    assert_null(other.card);
    assert_true(other.bandwidth == 0 && other.sm_count == 16);
    other = arch_of_device("NVIDIA H200", 90, 132, 227 << 10, false); /* a build without code for sm_90a */
    assert_string_equal(arch_path(&other), "sm80");
    assert_true(other.split_f32);
    other = arch_limited(arch, ARCH_SM80);
    assert_string_equal(arch_path(&other), "sm80");
    assert_false(other.split_f32);
    other = arch_limited(arch, ARCH_SM90A);
    assert_true(other.code == ARCH_SM90A && other.split_f32);
    other = arch_of_device("NVIDIA L40S", 89, 142, 99 << 10, true);
    assert_null(other.card);
    assert_false(other.split_f32);
}

/* ---- keys of graphs */

typedef struct {
    ops_plan plan; /* first */
    uint8_t key[OPS_GRAPH_KEY_BYTES];
} recorder;

static f5_status record_key(ops *o, const uint8_t *key, ops_body body, void *user) {
    (void)body, (void)user;
    memcpy(((recorder *)o)->key, key, OPS_GRAPH_KEY_BYTES);
    return F5_OK;
}

/* The key under which a synthesis of this size is looked for. */
static void find_key(const model *m, const synth_solver *solver, const batch_size *size, recorder *r) {
    arena a;
    float t[65], times[64];
    time_grid grid = {.max_evaluations = 64, .t = t, .times = times};
    const stage_tables tables = {.max_frames = 4096};
    const batch_arrays none = {0};
    arena_init_plan(&a);
    ops_plan_init(&r->plan, (f5_precision){.operands = F5_F16}, 2);
    r->plan.ops.graph = record_key;
    const stage_context c = {.model = m, .ops = &r->plan.ops, .arena = &a, .tables = &tables};
    assert_int_equal(synth_run(&c, &grid, solver, size, &none, NULL, NULL), F5_OK);
}

static int ignored_progress(void *user, int32_t step, int32_t steps) {
    (void)user, (void)step, (void)steps;
    return 0;
}

/* A graph holds addresses, which follow from the bucket, and constants, which follow from the solver: whatever changes
 * one of them changes the key, and nothing else does. */
static void a_graph_is_found_by_all_it_depends_on(void **state) {
    (void)state;
    f5_error error;
    model m = {0};
    assert_int_equal(model_config_parts(&m.config, &models_catalogue, "DiT", "Vocos", "test", &error), F5_OK);
    for (int p = 0; p < PARTS; p++) m.weights[p] = calloc(1, m.config.part[p]->weights_bytes);
    const batch_size size = {.sequences = 1, .branches = 2, .frames = 40, .rows = 96, .slots = 8, .slice_slots = 4};
    const synth_solver solver = {SOLVER_DEFAULTS};
    enum { OTHERS = 13 };
    synth_solver other[OTHERS];
    batch_size bucket[OTHERS];
    for (int i = 0; i < OTHERS; i++) other[i] = solver, bucket[i] = size;
    bucket[0].rows = 112;
    bucket[1].slots = 10;
    other[2].nfe = 16;
    other[3].cfg = 3;
    other[4].sway = 0.5f;
    other[5].use_sway = false;
    other[6].use_epss = false;
    other[7].method = SOLVER_MIDPOINT;
    other[8].cfg = 0, bucket[8].branches = 1;
    other[9].method = SOLVER_AB2;
    other[10].method = SOLVER_AB2, other[10].grid = GRID_OF_CURVE;
    other[11].method = SOLVER_AB2, other[11].grid = GRID_OF_SWAY;
    other[12].grid = GRID_OF_CURVE;
    recorder r[OTHERS + 1], again;
    for (int i = 0; i < OTHERS; i++) find_key(&m, &other[i], &bucket[i], &r[i]);
    find_key(&m, &solver, &size, &r[OTHERS]);
    for (int i = 0; i <= OTHERS; i++)
        for (int k = 0; k < i; k++)
            if (memcmp(r[i].key, r[k].key, sizeof again.key) == 0) fail_msg("%d and %d have one key", k, i);

    batch_size fuller = size;
    fuller.sequences = 2, fuller.frames = 47;
    find_key(&m, &solver, &fuller, &again);
    assert_memory_equal(again.key, r[OTHERS].key, sizeof again.key);
    synth_solver watched = solver;
    watched.progress = ignored_progress;
    find_key(&m, &watched, &size, &again);
    assert_memory_equal(again.key, r[OTHERS].key, sizeof again.key);
    synth_solver off = other[5];
    off.sway = 7; /* of no effect */
    find_key(&m, &off, &size, &again);
    assert_memory_equal(again.key, r[5].key, sizeof again.key);
    off = other[9];
    off.sway = 0.5f, off.use_epss = false; /* nor here: the grid is AB2's own */
    find_key(&m, &off, &size, &again);
    assert_memory_equal(again.key, r[9].key, sizeof again.key);
    off = solver;
    off.grid = GRID_OF_SWAY; /* which is Euler's own */
    find_key(&m, &off, &size, &again);
    assert_memory_equal(again.key, r[OTHERS].key, sizeof again.key);
    for (int p = 0; p < PARTS; p++) free(m.weights[p]);
}

/* ---- memory */

/* The op table's linear, with a look at where its result ends; found by the arena that the stage takes from. */
static arena *watched;
static f5_status (*linear_of_plan)(ops *o, const char *label, const linear_args *a);

static f5_status linear_inside(ops *o, const char *label, const linear_args *a) {
    const size_t rows = (size_t)(a->pack ? a->pack->rows : a->rows);
    const uintptr_t end = (uintptr_t)a->y.data + rows * (size_t)a->out * f5_dtype_bytes(a->y.type);
    if (a->y.data && end > (uintptr_t)watched->base + watched->used) fail_msg("%s ends beyond the arena", label);
    return linear_of_plan(o, label, a);
}

/* Buffers that share a place are as large as the larger of the two, whichever that is. */
static void products_end_inside_the_arena(void **state) {
    (void)state;
    static const struct { int32_t heads, ff_dim; } shapes[] = {{16, 2048}, {3, 4096}, {20, 64}};
    f5_error error;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        model m = {0};
        assert_int_equal(model_config_parts(&m.config, &models_catalogue, "DiT", "Vocos", "test", &error), F5_OK);
        assert_true(model_config_set(&m.config, PART_BACKBONE, "heads", shapes[i].heads));
        assert_true(model_config_set(&m.config, PART_BACKBONE, "ff_dim", shapes[i].ff_dim));
        for (int p = 0; p < PARTS; p++) m.weights[p] = calloc(1, m.config.part[p]->weights_bytes);
        const batch_size size = {.sequences = 1, .branches = 2, .frames = 40, .rows = 96, .slots = 8, .slice_slots = 4};
        const synth_solver solver = {SOLVER_DEFAULTS};
        const stage_tables tables = {.max_frames = 4096};
        const batch_arrays none = {0};
        float t[65], times[64];
        time_grid grid = {.max_evaluations = 64, .t = t, .times = times};
        arena a;
        ops_plan plan;
        arena_init_plan(&a);
        ops_plan_init(&plan, (f5_precision){.operands = F5_F16}, 2);
        watched = &a;
        linear_of_plan = plan.ops.linear;
        plan.ops.linear = linear_inside;
        const stage_context c = {.model = &m, .ops = &plan.ops, .arena = &a, .tables = &tables};
        assert_int_equal(synth_run(&c, &grid, &solver, &size, &none, NULL, NULL), F5_OK);
        for (int p = 0; p < PARTS; p++) free(m.weights[p]);
    }
}

/* AB2 keeps the guided velocity of one branch, which its plan counts. */
static void the_kept_velocity_is_counted(void **state) {
    (void)state;
    static const int32_t rows = 96;
    f5_error error;
    model m = {0};
    assert_int_equal(model_config_parts(&m.config, &models_catalogue, "DiT", "Vocos", "test", &error), F5_OK);
    for (int p = 0; p < PARTS; p++) m.weights[p] = calloc(1, m.config.part[p]->weights_bytes);
    const stage_tables tables = {.max_frames = 4096};
    float t[65], times[64];
    for (int32_t branches = 1; branches <= 2; branches++) {
        size_t used[2], last = (size_t)(rows / branches) * 100 * sizeof(float);
        for (int ab2 = 0; ab2 < 2; ab2++) {
            const batch_size size = {
                .sequences = 1, .branches = branches, .frames = 40, .rows = rows, .slots = 8, .slice_slots = 4};
            const synth_solver solver = {SOLVER_DEFAULTS, .method = ab2 ? SOLVER_AB2 : SOLVER_EULER};
            const batch_arrays none = {0};
            time_grid grid = {.max_evaluations = 64, .t = t, .times = times};
            arena a;
            ops_plan plan;
            arena_init_plan(&a);
            ops_plan_init(&plan, (f5_precision){.operands = F5_F16}, branches);
            const stage_context c = {.model = &m, .ops = &plan.ops, .arena = &a, .tables = &tables};
            assert_int_equal(synth_run(&c, &grid, &solver, &size, &none, NULL, NULL), F5_OK);
            used[ab2] = a.high_water;
        }
        assert_in_range(used[1] - used[0], last, last + 512);
    }
    for (int p = 0; p < PARTS; p++) free(m.weights[p]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_counts_live_sequences),
                                       cmocka_unit_test(reports_what_an_h200_does),
                                       cmocka_unit_test(reports_whole_heads),
                                       cmocka_unit_test(reports_split_tiles),
                                       cmocka_unit_test(knows_its_cards),
                                       cmocka_unit_test(a_graph_is_found_by_all_it_depends_on),
                                       cmocka_unit_test(products_end_inside_the_arena),
                                       cmocka_unit_test(the_kept_velocity_is_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
