/* ops_plan.c — the op table that runs nothing: it counts calls and arithmetic while the arena counts bytes. */
#include "runtime/ops/ops.h"

#define DEFINE_PLAN(name)                                                                                              \
    static f5_status name##_in_plan(ops *o, const char *label, const name##_args *a) {                                 \
        (void)label;                                                                                                   \
        ops_plan *p = (ops_plan *)o;                                                                                   \
        p->calls += 1;                                                                                                 \
        p->flop += name##_flop(a, (op_lengths){p->sequences});                                                         \
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
