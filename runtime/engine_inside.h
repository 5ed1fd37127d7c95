/* engine_inside.h — what an engine is, for the files that it is made of: engine.c opens, closes and runs it,
 * engine_plan.c plans calls without running them, engine_duration.c asks for durations. */
#ifndef F5_ENGINE_INSIDE_H
#define F5_ENGINE_INSIDE_H

#include "runtime/batch.h"
#include "runtime/devices/device.h"
#include "runtime/engine.h"
#include "runtime/models/vocoder.h"
#include "runtime/solver/time_grid.h"

struct engine {
    model model;          /* as opened: configuration, vocabulary, tensors on the host */
    model placed;         /* its tensors where the device reads them; shares the rest. Unused (zero) where the device
                             reads the host's in place */
    void *device_weights; /* NULL where the host's are read in place */
    size_t weight_bytes;
    engine_options limits;
    device *device;
    ops_trace trace;
    ops *ops; /* the table in use: the device's, or the trace of it */
    batch_bucket bucket;
    arena arena; /* working memory of a call, on the device */
    stage_tables tables;
    time_grid grid;
    batch_arrays host; /* staging, for the largest batch */
    batch_size largest;
    void *device_memory; /* tables and the time grid's rows */
    void *host_memory;   /* time grid and staging */
    void *arena_memory;
    void *trace_memory; /* a trace's staging, where the host cannot read the device's memory */
    char dead[256];     /* why the device is lost for good; empty: it is not */
};

/* The model whose tensors the device reads. */
static inline const model *engine_placed(const engine *e) {
    return e->device->host_memory ? &e->model : &e->placed;
}

static inline stage_context engine_context(engine *e) {
    return (stage_context){.model = engine_placed(e), .ops = e->ops, .arena = &e->arena, .tables = &e->tables};
}

/* Before every call that runs something. */
f5_status engine_begin(engine *e, f5_error *error);

/* Gives a failed run its message, when nothing of the run is under way any more: what was launched before the failure
 * may still read the staging, or write to memory of the caller's. A device that is lost says so at once. */
f5_status engine_report(engine *e, f5_status status, f5_error *error);

/* Runs a synthesis of this size under the plan table, with the types that m has: the placed model, or a twin of it. The
 * engine's own grid is left alone. */
f5_status engine_plan_synth(const engine *e, const model *m, const batch_size *size, const synth_solver *solver,
                            arena *a, ops_plan *plan);

#endif
