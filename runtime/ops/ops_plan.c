/* ops_plan.c — the op table that runs nothing: it counts calls and arithmetic while the arena counts bytes, and can
 * report how a GPU would run each call. */
#include "runtime/ops/ops.h"

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* What the arithmetic and the bytes of a call take at the architecture's rates; 0 where these are not known. */
static double floor_us(const cuda_arch *arch, const ops_plan_call *call) {
    if (arch->bandwidth <= 0) return 0;
    const double arithmetic = call->flop > 0 && call->line.rate > 0 ? call->flop / call->line.rate : 0;
    return 1e6 * larger(arithmetic, call->bytes / arch->bandwidth);
}

static void report(ops_plan *p, const char *op, const char *label, const void *args, const op_output *output,
                   double flop, double bytes) {
    char name[96];
    ops_call_name(&p->ops, label, name, sizeof name);
    ops_plan_call call = {.label = name, .op = op, .evaluation = p->ops.evaluation, .flop = flop, .bytes = bytes};
    plan_describe(p->arch, op, args, output, (op_lengths){p->sequences}, &call.line);
    call.floor_us = floor_us(p->arch, &call);
    p->report(p->user, &call);
}

/* Columns that only the device knows are samples; the caller knows their count. */
static void measure(ops_plan *p, const op_output *y) {
    const int64_t rows = y->pack ? y->pack->rows : y->rows, elements = y->cols_at ? 0 : rows * y->cols;
    if (elements > p->largest_output) p->largest_output = elements;
}

#define DEFINE_PLAN(name)                                                                                              \
    static f5_status name##_in_plan(ops *o, const char *label, const name##_args *a) {                                 \
        ops_plan *p = (ops_plan *)o;                                                                                   \
        const op_output y = name##_output(a);                                                                          \
        const double flop = name##_flop(a, (op_lengths){p->sequences});                                                \
        p->calls += 1;                                                                                                 \
        p->flop += flop;                                                                                               \
        measure(p, &y);                                                                                                \
        if (p->report) report(p, #name, label, a, &y, flop, name##_bytes(a));                                          \
        return F5_OK;                                                                                                  \
    }
OPS_LIST(DEFINE_PLAN)

static f5_status copy_in_plan(ops *o, void *to, const void *from, size_t bytes) {
    (void)o, (void)to, (void)from, (void)bytes;
    return F5_OK;
}

static f5_status graph_in_plan(ops *o, const uint8_t *key, ops_body body, void *user) {
    (void)o, (void)key;
    return body(user);
}

static f5_status finish_in_plan(ops *o) {
    (void)o;
    return F5_OK;
}

void ops_plan_init(ops_plan *p, f5_precision precision, int32_t sequences) {
    *p = (ops_plan){.sequences = sequences,
                    .ops = {
#define ENTRY(name) .name = name##_in_plan,
                        OPS_LIST(ENTRY)
#undef ENTRY
                            .copy_in = copy_in_plan,
                        .copy_out = copy_in_plan,
                        .copy_within = copy_in_plan,
                        .graph = graph_in_plan,
                        .finish = finish_in_plan,
                        .precision = precision,
                        .index = -1,
                    }};
}

void ops_plan_report(ops_plan *p, const cuda_arch *arch, ops_plan_fn fn, void *user) {
    p->arch = arch;
    p->report = fn;
    p->user = user;
}
