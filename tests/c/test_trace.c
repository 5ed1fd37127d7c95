/* test_trace.c — the trace over a table whose memory the host cannot read, played by one that copies: outputs come
 * through staging, only live rows do, 16-bit numbers are widened, and a call is waited for before it is reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cast.h"
#include "kernels/embed.h"
#include "kernels/grn.h"
#include "kernels/istft.h"
#include "runtime/ops/ops.h"

enum { ELEMENTS = 64 };

/* A table that works later: what an op writes is there only after finish. */
typedef struct {
    ops ops;
    uint8_t *to;
    const uint8_t *from;
    size_t bytes;
    int copies, finishes;
} late_ops;

static f5_status late_copy_out(ops *o, void *host, const void *device, size_t bytes) {
    late_ops *l = (late_ops *)o;
    l->to = host, l->from = device, l->bytes = bytes;
    l->copies++;
    return F5_OK;
}

static f5_status late_finish(ops *o) {
    late_ops *l = (late_ops *)o;
    if (l->to) memcpy(l->to, l->from, l->bytes);
    l->to = NULL;
    l->finishes++;
    return F5_OK;
}

/* Stands for a kernel: fills y with numbers by their index. */
static f5_status late_cast(ops *o, const char *label, const cast_args *a) {
    (void)o, (void)label;
    float numbers[ELEMENTS];
    for (int64_t i = 0; i < a->n; i++) numbers[i] = (float)i / 8;
    (void)dtype(a->type)->narrow(a->y, numbers, a->n);
    return F5_OK;
}

static f5_status late_embed(ops *o, const char *label, const embed_args *a) {
    (void)o, (void)label;
    for (int32_t i = 0; i < a->pack->rows * a->dim; i++) a->y[i] = (float)i;
    return F5_OK;
}

static f5_status late_istft(ops *o, const char *label, const istft_args *a) {
    (void)o, (void)label;
    for (int i = 0; i < 5; i++) a->y[i] = (float)-i;
    return F5_OK;
}

static f5_status failing_grn(ops *o, const char *label, const grn_args *a) {
    (void)o, (void)label, (void)a;
    return F5_E_DEVICE;
}

typedef struct {
    int calls;
    char op[32], label[96];
    float data[ELEMENTS];
    const float *where;
    int64_t rows, cols;
} seen;

static void see(void *user, const char *op, const char *label, const float *data, int64_t rows, int64_t cols,
                double milliseconds) {
    seen *s = user;
    s->calls++;
    strncpy(s->op, op, sizeof s->op - 1);
    strncpy(s->label, label, sizeof s->label - 1);
    s->where = data, s->rows = rows, s->cols = cols;
    memcpy(s->data, data, (size_t)(rows * cols) * sizeof *data);
    assert_true(milliseconds >= 0);
}

static void outputs_come_through_staging(void **state) {
    (void)state;
    late_ops inner = {.ops = {.cast = late_cast,
                              .embed = late_embed,
                              .istft = late_istft,
                              .grn = failing_grn,
                              .copy_out = late_copy_out,
                              .finish = late_finish,
                              .precision = {.operands = F5_F16},
                              .deferred = true}};
    float raw[ELEMENTS], widened[ELEMENTS], device[ELEMENTS];
    const ops_trace_staging staging = {.elements = ELEMENTS, .raw = raw, .widened = widened};
    seen s = {0};
    ops_trace t;
    ops_trace_init(&t, &inner.ops, &staging, see, &s);
    ops *o = &t.ops;
    ops_at(o, "dit", 3);
    assert_int_equal(o->precision.operands, F5_F16);

    /* 16 bits, both kinds */
    for (f5_dtype type = F5_F16; type <= F5_BF16; type++) {
        assert_int_equal(o->cast(o, "skip", &(cast_args){.n = 24, .x = device, .y = device, .type = type}), F5_OK);
        assert_string_equal(s.op, "cast");
        assert_string_equal(s.label, "dit.3.skip");
        assert_ptr_equal(s.where, widened);
        assert_int_equal(s.rows * s.cols, 24);
        for (int i = 0; i < 24; i++) assert_true(s.data[i] == (float)i / 8);
    }

    /* F32 of a pack: live rows only, as the device counts them */
    const int32_t offsets[] = {0, 3, 5, 5};
    const f5_pack pack = {.rows = 8, .n_seq = 3, .offsets = offsets};
    assert_int_equal(o->embed(o, "text", &(embed_args){.pack = &pack, .dim = 4, .y = device}), F5_OK);
    assert_int_equal(s.rows, 5);
    assert_int_equal(s.cols, 4);
    assert_ptr_equal(s.where, raw);
    for (int i = 0; i < 20; i++) assert_true(s.data[i] == (float)i);

    /* columns that stand in the device's memory */
    const int64_t sample_offsets[] = {0, 2, 2, 5};
    assert_int_equal(o->istft(o, "y", &(istft_args){.pack = &pack, .sample_offsets = sample_offsets, .y = device}),
                     F5_OK);
    assert_int_equal(s.rows * s.cols, 5);
    for (int i = 0; i < 5; i++) assert_true(s.data[i] == (float)-i);
    assert_int_equal(s.calls, 4);
    assert_int_equal(inner.copies, 2 + 2 + 2); /* outputs, and the two sizes */
    assert_int_equal(inner.finishes, 4 + 6);   /* each op, and each copy */

    /* more than was staged for, and an op that fails: named, not reported */
    const int32_t many[] = {0, ELEMENTS};
    const f5_pack large = {.rows = ELEMENTS, .n_seq = 1, .offsets = many};
    float wide[2 * ELEMENTS];
    assert_int_equal(o->embed(o, "text", &(embed_args){.pack = &large, .dim = 2, .y = wide}), F5_E_MEMORY);
    assert_string_equal(o->failure, "dit.3.text");
    assert_int_equal(o->grn(o, "grn", &(grn_args){.pack = &pack, .dim = 4}), F5_E_DEVICE);
    assert_string_equal(o->failure, "dit.3.grn");
    assert_int_equal(s.calls, 4);
}

/* Where device memory is host memory outputs are read in place. */
static void outputs_are_read_in_place(void **state) {
    (void)state;
    ops_ref ref;
    f5_error error;
    assert_int_equal(cpu_context_open(&ref.context, 1, NULL, &error), F5_OK);
    ops_ref_init(&ref);
    seen s = {0};
    ops_trace t;
    ops_trace_init(&t, &ref.ops, NULL, see, &s);
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8];
    assert_int_equal(t.ops.cast(&t.ops, "skip", &(cast_args){.n = 8, .x = x, .y = y, .type = F5_F32}), F5_OK);
    assert_int_equal(s.calls, 1);
    assert_ptr_equal(s.where, y);
    for (int i = 0; i < 8; i++) assert_true(s.data[i] == x[i]);
    cpu_context_close(&ref.context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(outputs_come_through_staging),
                                       cmocka_unit_test(outputs_are_read_in_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
