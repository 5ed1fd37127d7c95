/* ops_plan.c — the op table that runs nothing: it counts calls and arithmetic while the arena counts bytes. */
#include "ops.h"

static double pack_rows(const f5_pack *pack, int32_t rows) {
    return pack ? pack->rows : rows;
}

/* Arithmetic that grows with a width squared or a length squared; the rest is bytes, not FLOP. */
#define NO_FLOP(name)                                                                                                  \
    static double name##_flop(const ops_plan *p, const name##_args *a) {                                               \
        (void)p, (void)a;                                                                                              \
        return 0;                                                                                                      \
    }
NO_FLOP(cast)
NO_FLOP(norm)
NO_FLOP(dwconv_norm)
NO_FLOP(grn)
NO_FLOP(embed)
NO_FLOP(text_rows)
NO_FLOP(timestep)
NO_FLOP(guide)
NO_FLOP(noise)
NO_FLOP(mel)
NO_FLOP(istft)

static double linear_flop(const ops_plan *p, const linear_args *a) {
    (void)p;
    return 2.0 * pack_rows(a->pack, a->rows) * a->in * a->out;
}

/* A plan knows only how many sequences there are: they count as equally long. A pack may have more slots than that. */
static double attention_flop(const ops_plan *p, const attention_args *a) {
    double rows = a->pack->rows, length = rows / p->sequences;
    return 4.0 * rows * length * a->heads * ATTENTION_HEAD;
}

static double conv_pos_flop(const ops_plan *p, const conv_pos_args *a) {
    (void)p;
    return 2.0 * a->pack->rows * a->dim * (a->dim / CONV_POS_GROUPS) * CONV_POS_TAPS;
}

static double conv1d_flop(const ops_plan *p, const conv1d_args *a) {
    (void)p;
    return 2.0 * a->pack->rows * a->in * a->out * a->taps;
}

#define DEFINE_PLAN(name)                                                                                              \
    static f5_status name##_in_plan(ops *o, const char *label, const name##_args *a) {                                 \
        (void)label;                                                                                                   \
        ops_plan *p = (ops_plan *)o;                                                                                   \
        p->calls += 1;                                                                                                 \
        p->flop += name##_flop(p, a);                                                                                  \
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

void ops_plan_init(ops_plan *p, f5_dtype type, int32_t sequences) {
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
                        .type = type,
                        .index = -1,
                    }};
}
