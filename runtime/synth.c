/* synth.c — one batch end to end; the page to read first.
 *
 *   noise              seeds          -> x
 *   text_encode        ids            -> text features        once
 *   condition_project  cond, text     -> base                 once
 *   ode_run            x, base        -> mel                  nfe steps: dit_velocity, guide
 *   vocos_decode       mel slices     -> samples */
#include "runtime/synth.h"

#include <assert.h>
#include <string.h>

#include "kernels/mel.h"
#include "kernels/noise.h"
#include "runtime/clock.h"

/* Rows of the state that come from the caller instead of the seeds. */
static f5_status given_noise(ops *o, const batch_size *size, const batch_arrays *host, const synth_job *jobs,
                             float *x) {
    for (int32_t slot = 0; jobs && slot < size->branches * size->sequences; slot++) {
        const synth_job *job = &jobs[slot % size->sequences];
        if (!job->noise) continue;
        size_t first = (size_t)host->offsets[slot] * MEL_BANDS, n = (size_t)job->frames * MEL_BANDS;
        F5_TRY(o->copy_in(o, x + first, host->noise + first, n * sizeof(float)));
    }
    return F5_OK;
}

/* What the vocoder reads and writes: the slices of a batch, packed. */
typedef struct {
    f5_pack pack;
    float *mel;     /* [vocos_rows,100] */
    float *samples; /* [samples] */
} vocoder_buffers;

static bool vocoder_buffers_take(const stage_context *c, const batch_size *size, const batch_arrays *device,
                                 vocoder_buffers *v) {
    *v = (vocoder_buffers){
        .pack = {.rows = size->vocos_rows,
                 .n_seq = size->vocos_slots,
                 .offsets = device->vocos_offsets,
                 .seq_of_row = device->vocos_seq_of_row},
        .mel = arena_take(c->arena, (size_t)size->vocos_rows * MEL_BANDS, sizeof(float)),
        .samples = arena_take(c->arena, (size_t)size->samples, sizeof(float)),
    };
    return !c->arena->overflow;
}

/* The samples of slice i to their owner. */
static f5_status slice_out(ops *o, const vocoder_buffers *v, const batch_arrays *host, int32_t i, float *samples) {
    int64_t first = host->sample_offsets[i], n = host->sample_offsets[i + 1] - first;
    return o->copy_out(o, samples, v->samples + first, (size_t)n * sizeof(float));
}

/* The vocoder on slices of x, and the samples to their owners. */
static f5_status vocode_slices(const stage_context *c, const batch_size *size, const batch_arrays *device,
                               const batch_arrays *host, const synth_job *jobs, const float *x) {
    ops *o = c->ops;
    if (size->vocos_frames == 0) return F5_OK;
    vocoder_buffers v;
    if (!vocoder_buffers_take(c, size, device, &v)) return F5_E_MEMORY;
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        size_t from = (size_t)(host->offsets[i] + jobs[i].vocode_from) * MEL_BANDS;
        size_t to = (size_t)host->vocos_offsets[i] * MEL_BANDS;
        size_t n = (size_t)(host->vocos_offsets[i + 1] - host->vocos_offsets[i]) * MEL_BANDS;
        F5_TRY(o->copy_within(o, v.mel + to, x + from, n * sizeof(float)));
    }
    F5_TRY(vocos_decode(c, &v.pack, v.mel, device->sample_offsets, v.samples));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        if (jobs[i].samples) F5_TRY(slice_out(o, &v, host, i, jobs[i].samples));
    }
    return F5_OK;
}

/* The part of a synthesis that a device may record and replay: text and condition once, then the whole ODE. */
typedef struct {
    const stage_context *context;
    const schedule *schedule;
    const synth_solver *solver;
    const f5_pack *pack;
    int32_t branches;
    batch_arrays device;
    float *base; /* [R,D] */
    float *x;    /* [R,100] */
} solve_args;

static f5_status solve(void *user) {
    const solve_args *a = user;
    const stage_context *c = a->context;
    size_t mark = arena_mark(c->arena);
    float *text = arena_take(c->arena, (size_t)a->pack->rows * (size_t)c->model->config.text_dim, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(text_encode(c, a->pack, a->device.ids, a->device.text_keep, text));
    F5_TRY(condition_project(c, a->pack, a->device.cond, text, a->base));
    arena_release(c->arena, mark);
    return ode_run(c, a->schedule, a->solver,
                   &(ode_args){.pack = a->pack,
                               .branches = a->branches,
                               .base = a->base,
                               .keep = a->device.keep,
                               .kept = a->device.cond,
                               .x = a->x});
}

/* All that solve's calls depend on: addresses follow from rows and slots, constants from the solver. */
static void solve_key(const batch_size *size, const synth_solver *solver, uint8_t key[OPS_GRAPH_KEY_BYTES]) {
    int32_t numbers[] = {size->rows, size->slots, size->branches, solver->nfe,
                         solver->use_epss | solver->use_sway << 1 | solver->midpoint << 2};
    float values[] = {solver->cfg, solver->use_sway ? solver->sway : 0};
    static_assert(sizeof numbers + sizeof values <= OPS_GRAPH_KEY_BYTES, "the key must hold all of it");
    memset(key, 0, OPS_GRAPH_KEY_BYTES);
    memcpy(key, numbers, sizeof numbers);
    memcpy(key + sizeof numbers, values, sizeof values);
}

f5_status synth_run(const stage_context *c, schedule *s, const synth_solver *solver, const batch_size *size,
                    const batch_arrays *host, const synth_job *jobs, synth_times *times) {
    ops *o = c->ops;
    double start = clock_ms();
    arena_reset(c->arena);
    F5_TRY(schedule_prepare(s, c->model, o, c->arena, solver));

    synth_solver quiet = *solver;
    if (o->deferred) quiet.progress = NULL; /* steps are over long after they are called */
    solve_args a = {.context = c, .schedule = s, .solver = &quiet, .branches = size->branches};
    if (!batch_take(c->arena, size, &a.device)) return F5_E_MEMORY;
    f5_pack pack = {
        .rows = size->rows, .n_seq = size->slots, .offsets = a.device.offsets, .seq_of_row = a.device.seq_of_row};
    a.pack = &pack;
    a.base = arena_take(c->arena, (size_t)size->rows * (size_t)c->model->config.dim, sizeof(float));
    a.x = arena_take(c->arena, (size_t)size->rows * MEL_BANDS, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;

    F5_TRY(batch_upload(o, size, &a.device, host));
    ops_at(o, "noise", -1);
    F5_TRY(o->noise(o, "x", &(noise_args){.pack = &pack, .dim = MEL_BANDS, .seeds = a.device.seeds, .y = a.x}));
    F5_TRY(given_noise(o, size, host, jobs, a.x));
    double ready = clock_ms();

    uint8_t key[OPS_GRAPH_KEY_BYTES];
    solve_key(size, solver, key);
    F5_TRY(o->graph(o, key, solve, &a));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        if (!jobs[i].mel) continue;
        size_t first = (size_t)host->offsets[i] * MEL_BANDS, n = (size_t)jobs[i].frames * MEL_BANDS;
        F5_TRY(o->copy_out(o, jobs[i].mel, a.x + first, n * sizeof(float)));
    }
    if (times) F5_TRY(o->finish(o));
    double solved = clock_ms();

    F5_TRY(vocode_slices(c, size, &a.device, host, jobs, a.x));
    F5_TRY(o->finish(o));
    double end = clock_ms();
    if (o->deferred && solver->progress && solver->progress(solver->progress_user, solver->nfe, solver->nfe))
        return F5_E_CANCELLED;
    if (times) {
        *times = (synth_times){
            .prepare_ms = ready - start, .ode_ms = solved - ready, .vocos_ms = end - solved, .total_ms = end - start};
    }
    return F5_OK;
}

f5_status synth_vocode(const stage_context *c, const batch_size *size, const batch_arrays *host,
                       const vocode_job *jobs) {
    ops *o = c->ops;
    arena_reset(c->arena);
    batch_arrays device;
    if (!batch_take(c->arena, size, &device)) return F5_E_MEMORY;
    vocoder_buffers v;
    if (!vocoder_buffers_take(c, size, &device, &v)) return F5_E_MEMORY;
    F5_TRY(vocode_upload(o, size, &device, host));
    for (int32_t i = 0; jobs && i < size->sequences; i++) {
        size_t first = (size_t)host->vocos_offsets[i] * MEL_BANDS, n = (size_t)jobs[i].frames * MEL_BANDS;
        F5_TRY(o->copy_in(o, v.mel + first, jobs[i].mel, n * sizeof(float)));
    }
    F5_TRY(vocos_decode(c, &v.pack, v.mel, device.sample_offsets, v.samples));
    for (int32_t i = 0; jobs && i < size->sequences; i++) F5_TRY(slice_out(o, &v, host, i, jobs[i].samples));
    return o->finish(o);
}

f5_status synth_mel(const stage_context *c, const float *samples, int64_t n, float *mel) {
    ops *o = c->ops;
    int64_t frames = n / MEL_HOP + 1;
    arena_reset(c->arena);
    float *x = arena_take(c->arena, (size_t)n, sizeof(float));
    float *y = arena_take(c->arena, (size_t)frames * MEL_BANDS, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(o->copy_in(o, x, samples, (size_t)n * sizeof(float)));
    ops_at(o, "mel", -1);
    mel_args args = {.n_samples = n, .samples = x, .bank = c->tables->mel_bank, .y = y};
    F5_TRY(o->mel(o, "mel", &args));
    F5_TRY(o->copy_out(o, mel, y, (size_t)frames * MEL_BANDS * sizeof(float)));
    return o->finish(o);
}
