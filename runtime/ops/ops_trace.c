/* ops_trace.c — the op table that runs another one and hands every output, with its time, to a callback. */
#include "runtime/clock.h"
#include "runtime/ops/ops.h"

/* Rows that belong to a sequence, read on the host: tracing is offered on the reference backend. */
static int64_t live_rows(const op_output *y) {
    return y->pack ? y->pack->offsets[y->pack->n_seq] : y->rows;
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
        op_output y = name##_output(a);                                                                                \
        t->fn(t->user, #name, call, y.data, live_rows(&y), y.cols_at ? *y.cols_at : y.cols, elapsed);                  \
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
                             .precision = inner->precision,
                             .index = -1,
                         },
                     .inner = inner,
                     .fn = fn,
                     .user = user};
}
