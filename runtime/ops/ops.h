/* ops.h — the op table: the model is ordinary C calling through it, and what the calls do depends on the table.
 *
 *   ref    runs the plain C references                      (CPU)
 *   cuda   launches the CUDA twins on a stream           (GPU; device_cuda.c)
 *   plan   counts calls and arithmetic, touches no data     (sizes the arena; reports paths, tiles and floors)
 *   trace  runs another table and reports every output with its time
 *
 * Every op takes its label, which with `stage` and `index` names the call ("dit.3.qkv") in traces and errors. */
#ifndef F5_OPS_H
#define F5_OPS_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/cpu/context.h"
#include "kernels/cuda/plan/plan.h"
#include "kernels/dtype.h"
#include "kernels/op_list.h"
#include "runtime/request.h"

typedef struct ops ops;
typedef f5_status (*ops_body)(void *user);

#define OPS_GRAPH_KEY_BYTES 48

struct ops {
#define OPS_MEMBER(name) f5_status (*name)(ops * o, const char *label, const name##_args *a);
    OPS_LIST(OPS_MEMBER)
#undef OPS_MEMBER
    /* bytes between the caller's memory and the device's, in order with the ops */
    f5_status (*copy_in)(ops *o, void *device, const void *host, size_t bytes);
    f5_status (*copy_out)(ops *o, void *host, const void *device, size_t bytes);
    f5_status (*copy_within)(ops *o, void *to, const void *from, size_t bytes);
    /* runs body(user), which calls ops only; or replays what it did when last given this key. Everything that body's
     * calls depend on, pointers included, must follow from the key. */
    f5_status (*graph)(ops *o, const uint8_t key[OPS_GRAPH_KEY_BYTES], ops_body body, void *user);
    f5_status (*finish)(ops *o); /* waits until all results are there */

    f5_precision precision;
    bool deferred;      /* ops run later than they are called; finish waits for them */
    const char *stage;  /* set by the model as it goes */
    int32_t index;      /* block within the stage, or -1 */
    int32_t evaluation; /* of the velocity, from 1; 0: outside the ODE's steps. Reports of a plan read it */
    char failure[96];   /* name of the op call that failed */
    int64_t graphs_captured;
};

static inline void ops_at(ops *o, const char *stage, int32_t index) {
    o->stage = stage;
    o->index = index;
}

/* "dit.3.qkv" into text. */
void ops_call_name(const ops *o, const char *label, char *text, size_t bytes);

typedef struct {
    ops ops; /* first: the model sees only this */
    cpu_context context;
} ops_ref;

/* The table alone: the context is opened and closed by whoever owns it. */
void ops_ref_init(ops_ref *r);

/* One call as a plan sees it: how a GPU of a given architecture would run it. */
typedef struct {
    const char *label;  /* "dit.3.qkv"; during the callback only */
    const char *op;     /* "linear" */
    int32_t evaluation; /* of the velocity, from 1; 0: outside the ODE's steps */
    op_plan_line line;  /* shape, path, tile, stages, waves */
    double flop, bytes;
    double floor_us; /* the larger of flop / line.rate and bytes / bandwidth; 0: the rates are not known */
} ops_plan_call;
typedef void (*ops_plan_fn)(void *user, const ops_plan_call *call);

typedef struct {
    ops ops;           /* first: the model sees only this */
    int32_t sequences; /* of all branches, that the model's pack has live; >= 1 */
    int64_t calls;
    double flop;            /* of the matrix products, attention and dense convolutions; multiply-adds count twice */
    int64_t largest_output; /* elements that the largest call writes: what a trace on a GPU stages */
    const cuda_arch *arch;  /* of the report */
    ops_plan_fn report;     /* or NULL */
    void *user;
} ops_plan;

void ops_plan_init(ops_plan *p, f5_precision precision, int32_t sequences);

/* Every further call is reported, in order, as `arch` would run it; arch lives as long as the plan. */
void ops_plan_report(ops_plan *p, const cuda_arch *arch, ops_plan_fn fn, void *user);

/* Where a trace puts outputs that the host cannot read in place: memory of the host's, at best pinned, for the largest
 * output of any call. `elements` 0: device memory is host memory. */
typedef struct {
    int64_t elements;
    void *raw;      /* [elements] of 4 bytes: as the device has them */
    float *widened; /* [elements]: 16-bit outputs as F32 */
} ops_trace_staging;

typedef struct {
    ops ops; /* first */
    ops *inner;
    engine_trace_fn fn;
    void *user;
    ops_trace_staging staging;
} ops_trace;

/* Runs `inner` op by op: where it is deferred, each call is waited for, and its output is copied to staging. */
void ops_trace_init(ops_trace *t, ops *inner, const ops_trace_staging *staging, engine_trace_fn fn, void *user);

#endif
