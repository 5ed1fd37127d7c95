/* ops_trace.c — the op table that runs another one and hands every output, with its time, to a callback. */
#include "clock.h"
#include "ops.h"

typedef struct {
    const void *data; /* F32: tracing is offered on the reference backend */
    int64_t rows, cols;
} output;

static int64_t live_rows(const f5_pack *pack, int32_t rows) {
    return pack ? pack->offsets[pack->n_seq] : rows;
}

static output cast_output(const cast_args *a) {
    return (output){a->y, 1, a->n};
}
static output linear_output(const linear_args *a) {
    return (output){a->y, live_rows(a->pack, a->rows), a->out};
}
static output attention_output(const attention_args *a) {
    return (output){a->y, live_rows(a->pack, 0), (int64_t)a->heads * ATTENTION_HEAD};
}
static output norm_output(const norm_args *a) {
    return (output){a->y, a->rows, a->dim};
}
static output dwconv_norm_output(const dwconv_norm_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output grn_output(const grn_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output conv_pos_output(const conv_pos_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output conv1d_output(const conv1d_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->out};
}
static output embed_output(const embed_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output text_rows_output(const text_rows_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output timestep_output(const timestep_args *a) {
    return (output){a->y, a->n, TIMESTEP_DIM};
}
static output guide_output(const guide_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output noise_output(const noise_args *a) {
    return (output){a->y, live_rows(a->pack, 0), a->dim};
}
static output mel_output(const mel_args *a) {
    return (output){a->y, a->n_samples / MEL_HOP + 1, MEL_BANDS};
}
static output istft_output(const istft_args *a) {
    return (output){a->y, 1, a->sample_offsets[a->pack->n_seq]};
}

#define DEFINE_TRACE(name)                                                                                             \
    static f5_status name##_traced(ops *o, const char *label, const name##_args *a) {                                  \
        ops_trace *t = (ops_trace *)o;                                                                                 \
        ops_at(t->inner, o->stage, o->index);                                                                          \
        double start = clock_ms();                                                                                     \
        f5_status status = t->inner->name(t->inner, label, a);                                                         \
        double elapsed = clock_ms() - start;                                                                           \
        char call[96];                                                                                                 \
        ops_call_name(o, label, call, sizeof call);                                                                    \
        if (status != F5_OK) {                                                                                         \
            __builtin_memcpy(o->failure, call, sizeof call);                                                           \
            return status;                                                                                             \
        }                                                                                                              \
        output y = name##_output(a);                                                                                   \
        t->fn(t->user, #name, call, y.data, y.rows, y.cols, elapsed);                                                  \
        return F5_OK;                                                                                                  \
    }
OPS_LIST(DEFINE_TRACE)

static f5_status copy_in_traced(ops *o, void *device, const void *host, size_t bytes) {
    ops *inner = ((ops_trace *)o)->inner;
    return inner->copy_in(inner, device, host, bytes);
}
static f5_status copy_out_traced(ops *o, void *host, const void *device, size_t bytes) {
    ops *inner = ((ops_trace *)o)->inner;
    return inner->copy_out(inner, host, device, bytes);
}
static f5_status copy_within_traced(ops *o, void *to, const void *from, size_t bytes) {
    ops *inner = ((ops_trace *)o)->inner;
    return inner->copy_within(inner, to, from, bytes);
}

/* the body calls the traced table, so its ops are reported too */
static f5_status graph_traced(ops *o, const uint8_t *key, ops_body body, void *user) {
    (void)o, (void)key;
    return body(user);
}
static f5_status finish_traced(ops *o) {
    ops *inner = ((ops_trace *)o)->inner;
    return inner->finish(inner);
}

void ops_trace_init(ops_trace *t, ops *inner, engine_trace_fn fn, void *user) {
    *t = (ops_trace){.ops =
                         {
#define ENTRY(name) .name = name##_traced,
                             OPS_LIST(ENTRY)
#undef ENTRY
                                 .copy_in = copy_in_traced,
                             .copy_out = copy_out_traced,
                             .copy_within = copy_within_traced,
                             .graph = graph_traced,
                             .finish = finish_traced,
                             .type = inner->type,
                             .index = -1,
                         },
                     .inner = inner,
                     .fn = fn,
                     .user = user};
}
