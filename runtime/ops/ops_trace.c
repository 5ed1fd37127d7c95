/* ops_trace.c — the op table that runs another one and hands every output, with its time, to a callback.
 *
 * On the CPU an output is read where it lies. On a GPU (inner->deferred) each call is waited for, its live rows are
 * copied to staging, and 16-bit numbers are widened to F32; the time is then from the launch to the end of the kernel.
 * A range of NVTX around each call names it to Nsight Systems, where the build has NVTX (F5_HAVE_NVTX) and only here:
 * in a captured graph ranges would appear at capture, not at replay. */
#include <string.h>

#include "kernels/error.h"
#include "runtime/clock.h"
#include "runtime/ops/ops.h"

#ifdef F5_HAVE_NVTX
#include <nvtx3/nvToolsExt.h>

static void range_begin(const char *name) {
    nvtxRangePushA(name);
}
static void range_end(void) {
    nvtxRangePop();
}
#else
static void range_begin(const char *name) {
    (void)name;
}
static void range_end(void) {}
#endif

/* What the callback is given of an output. */
typedef struct {
    const float *data;
    int64_t rows, cols;
} traced_output;

/* One number that lies in the ops' memory, or in the host's where that is the same. */
static f5_status read_number(ops_trace *t, void *to, const void *from, size_t bytes) {
    if (!t->staging.raw) {
        memcpy(to, from, bytes);
        return F5_OK;
    }
    F5_TRY(t->inner->copy_out(t->inner, t->staging.raw, from, bytes));
    F5_TRY(t->inner->finish(t->inner));
    memcpy(to, t->staging.raw, bytes);
    return F5_OK;
}

/* Rows that belong to a sequence, and columns. */
static f5_status read_size(ops_trace *t, const op_output *y, traced_output *traced) {
    traced->rows = y->rows, traced->cols = y->cols;
    if (y->pack) {
        int32_t live;
        F5_TRY(read_number(t, &live, y->pack->offsets + y->pack->n_seq, sizeof live));
        traced->rows = live;
    }
    return y->cols_at ? read_number(t, &traced->cols, y->cols_at, sizeof traced->cols) : F5_OK;
}

/* The output as F32 on the host. */
static f5_status read_output(ops_trace *t, const op_output *y, traced_output *traced) {
    F5_TRY(read_size(t, y, traced));
    traced->data = y->data;
    if (!t->staging.raw && y->type == F5_F32) return F5_OK;
    const int64_t elements = traced->rows * traced->cols;
    if (elements > t->staging.elements) return F5_E_MEMORY;
    if (t->staging.raw) {
        F5_TRY(t->inner->copy_out(t->inner, t->staging.raw, y->data, (size_t)elements * dtype(y->type)->bytes));
        F5_TRY(t->inner->finish(t->inner));
        traced->data = t->staging.raw;
    }
    if (y->type == F5_F32) return F5_OK;
    dtype(y->type)->widen(t->staging.widened, traced->data, elements);
    traced->data = t->staging.widened;
    return F5_OK;
}

/* After a call: its failure is named, or its output reported. */
static f5_status reported(ops_trace *t, const char *op, const char *call, const op_output *y, f5_status status,
                          double elapsed) {
    traced_output traced;
    if (status == F5_OK) status = read_output(t, y, &traced);
    if (status != F5_OK) {
        memcpy(t->ops.failure, call, sizeof t->ops.failure);
        return status;
    }
    t->fn(t->user, op, call, traced.data, traced.rows, traced.cols, elapsed);
    return F5_OK;
}

#define DEFINE_TRACE(name)                                                                                             \
    static f5_status name##_traced(ops *o, const char *label, const name##_args *a) {                                  \
        ops_trace *t = (ops_trace *)o;                                                                                 \
        char call[sizeof o->failure];                                                                                  \
        ops_at(t->inner, o->stage, o->index);                                                                          \
        ops_call_name(o, label, call, sizeof call);                                                                    \
        range_begin(call);                                                                                             \
        const double start = clock_ms();                                                                               \
        f5_status status = t->inner->name(t->inner, label, a);                                                         \
        if (status == F5_OK && t->inner->deferred) status = t->inner->finish(t->inner);                                \
        const double elapsed = clock_ms() - start;                                                                     \
        range_end();                                                                                                   \
        const op_output y = name##_output(a);                                                                          \
        return reported(t, #name, call, &y, status, elapsed);                                                          \
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

void ops_trace_init(ops_trace *t, ops *inner, const ops_trace_staging *staging, engine_trace_fn fn, void *user) {
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
    if (staging) t->staging = *staging;
}
