/* synth.c — one batch end to end; the page to read first. README.md shows the six structs that it speaks of.
 *
 *   noise        seeds            -> x
 *   begin        ids, cond        -> what stays the same over the ODE           once
 *   ode_run      x                -> mel                                        nfe steps: velocity, guide
 *   decode       slices of mel    -> samples */
#include "runtime/synth.h"

#include <assert.h>
#include <string.h>

#include "kernels/noise.h"
#include "runtime/clock.h"
#include "runtime/solver/ode.h"
#include "runtime/vocode.h"

/* The part of a synthesis that a device may record and replay: from the text to the mel. */
typedef struct {
    const stage_context *context;
    const time_grid *grid;
    const synth_solver *solver;
    ode_args ode;
} solve_args;

static f5_status solve(void *user);
static void solve_key(const batch_size *size, const synth_solver *solver, uint8_t key[OPS_GRAPH_KEY_BYTES]);
static f5_status draw_noise(ops *o, const f5_pack *pack, const batch_size *size, const batch_arrays *device,
                            const batch_arrays *host, const synth_job *jobs, float *x);
static f5_status mels_out(ops *o, const batch_size *size, const batch_arrays *host, const synth_job *jobs,
                          const float *x);

f5_status synth_run(const stage_context *c, time_grid *grid, const synth_solver *solver, const batch_size *size,
                    const batch_arrays *host, const synth_job *jobs, synth_times *times) {
    ops *o = c->ops;
    double start = clock_ms();
    arena_reset(c->arena);
    F5_TRY(time_grid_prepare(grid, c, solver));

    /* where everything lies on the device */
    batch_arrays device;
    if (!batch_take(c->arena, size, &device)) return F5_E_MEMORY;
    float *x = arena_take(c->arena, (size_t)size->rows * (size_t)size->bands, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    f5_pack pack = batch_pack(size, &device), own[BACKBONE_MAX_PACKS];
    batch_own_packs(size, &device, own);

    F5_TRY(batch_upload(o, size, &device, host));
    F5_TRY(draw_noise(o, &pack, size, &device, host, jobs, x));
    double ready = clock_ms();

    synth_solver quiet = *solver;
    if (o->deferred) quiet.progress = NULL; /* steps are over long after they are called */
    solve_args args = {.context = c,
                       .grid = grid,
                       .solver = &quiet,
                       .ode = {.input = {.pack = &pack,
                                         .own_packs = own,
                                         .ids = device.ids,
                                         .text_keep = device.text_keep,
                                         .cond = device.cond},
                               .branches = size->branches,
                               .keep = device.keep,
                               .kept = device.cond,
                               .x = x}};
    uint8_t key[OPS_GRAPH_KEY_BYTES];
    solve_key(size, solver, key);
    F5_TRY(o->graph(o, key, solve, &args));
    F5_TRY(mels_out(o, size, host, jobs, x));
    if (times) F5_TRY(o->finish(o));
    double solved = clock_ms();

    F5_TRY(vocode_slices(c, size, &device, host, jobs, x));
    F5_TRY(o->finish(o));
    double end = clock_ms();
    if (o->deferred && solver->progress && solver->progress(solver->progress_user, solver->nfe, solver->nfe))
        return F5_E_CANCELLED;
    if (times) {
        *times = (synth_times){
            .prepare_ms = ready - start, .ode_ms = solved - ready, .vocode_ms = end - solved, .total_ms = end - start};
    }
    return F5_OK;
}

static f5_status solve(void *user) {
    const solve_args *a = user;
    return ode_run(a->context, a->grid, a->solver, &a->ode);
}

/* All that solve's calls depend on: addresses follow from rows, own_rows and slots, constants from the solver. */
static void solve_key(const batch_size *size, const synth_solver *solver, uint8_t key[OPS_GRAPH_KEY_BYTES]) {
    int32_t numbers[3 + BACKBONE_MAX_PACKS] = {size->rows, size->slots, size->branches};
    for (int k = 0; k < size->n_own; k++) numbers[3 + k] = size->own_rows[k];
    static_assert(sizeof numbers + SOLVER_KEY_BYTES <= OPS_GRAPH_KEY_BYTES, "the key must hold all of it");
    memset(key, 0, OPS_GRAPH_KEY_BYTES);
    memcpy(key, numbers, sizeof numbers);
    solver_key(solver, key + sizeof numbers);
}

/* x from the seeds, then the rows of the state that come from the caller instead. */
static f5_status draw_noise(ops *o, const f5_pack *pack, const batch_size *size, const batch_arrays *device,
                            const batch_arrays *host, const synth_job *jobs, float *x) {
    const size_t bands = (size_t)size->bands;
    ops_at(o, "noise", -1);
    F5_TRY(o->noise(o, "x", &(noise_args){.pack = pack, .dim = size->bands, .seeds = device->seeds, .y = x}));
    for (int32_t slot = 0; jobs && slot < size->branches * size->sequences; slot++) {
        const synth_job *job = &jobs[slot % size->sequences];
        if (!job->noise) continue;
        size_t first = (size_t)host->offsets[slot] * bands, n = (size_t)job->frames * bands;
        F5_TRY(o->copy_in(o, x + first, host->noise + first, n * sizeof(float)));
    }
    return F5_OK;
}

static f5_status mels_out(ops *o, const batch_size *size, const batch_arrays *host, const synth_job *jobs,
                          const float *x) {
    const size_t bands = (size_t)size->bands;
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        if (!jobs[i].mel) continue;
        size_t first = (size_t)host->offsets[i] * bands, n = (size_t)jobs[i].frames * bands;
        F5_TRY(o->copy_out(o, jobs[i].mel, x + first, n * sizeof(float)));
    }
    return F5_OK;
}
