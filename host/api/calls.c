/* calls.c — between the API and the scheduler: which calls may share a batch, how a batch is run on its leader's
 * thread, and how a call waits for its turn. */
#include "host/api/calls.h"

#include <string.h>

#include "runtime/batch.h"

static bool together(const scheduler_call *first, const scheduler_call *second) {
    const api_call *a = (const api_call *)first, *b = (const api_call *)second;
    if (a->kind != b->kind || a->kind == CALL_MEL || a->kind == CALL_DURATION) return false;
    return a->kind == CALL_VOCODE || solver_same(&a->solver, &b->solver);
}

/* ---- a batch, on the leader's thread */

static f5_status run_synth(f5_engine *e, scheduler_call *const *calls, int32_t n, f5_error *error) {
    synth_solver solver = ((const api_call *)calls[0])->solver;
    solver.progress = NULL;
    solver.progress_user = &e->scheduler;
    bool timed = false;
    int32_t jobs = 0;
    for (int32_t i = 0; i < n; i++) {
        const api_call *call = (const api_call *)calls[i];
        memcpy(e->jobs + jobs, call->jobs, (size_t)call->n * sizeof *e->jobs);
        size_t at = (size_t)call->turn.store_at;
        for (int32_t k = jobs; k < jobs + call->n && call->turn.store_frames > 0; k++) {
            e->jobs[k].mel = e->mel + at * (size_t)e->bands;
            e->jobs[k].samples = e->samples + at * F5_HOP;
            at += (size_t)e->jobs[k].frames;
        }
        if (call->turn.progress) solver.progress = scheduler_step;
        timed |= call->timed;
        jobs += call->n;
    }
    synth_times times = {0};
    F5_TRY(engine_synth(e->core, &solver, e->jobs, jobs, timed ? &times : NULL, error));
    for (int32_t i = 0; i < n; i++) ((api_call *)calls[i])->times = times;
    return F5_OK;
}

static f5_status run_vocode(f5_engine *e, scheduler_call *const *calls, int32_t n, f5_error *error) {
    int32_t jobs = 0;
    for (int32_t i = 0; i < n; i++) {
        const api_call *call = (const api_call *)calls[i];
        memcpy(e->vocode_jobs + jobs, call->vocode_jobs, (size_t)call->n * sizeof *e->vocode_jobs);
        jobs += call->n;
    }
    return engine_vocode(e->core, e->vocode_jobs, jobs, error);
}

static f5_status run(void *user, scheduler_call *const *calls, int32_t n, f5_error *error) {
    f5_engine *e = user;
    const api_call *first = (const api_call *)calls[0];
    f5_status status = F5_OK;
    switch (first->kind) {
    case CALL_SYNTH:
        status = run_synth(e, calls, n, error);
        break;
    case CALL_VOCODE:
        status = run_vocode(e, calls, n, error);
        break;
    case CALL_MEL:
        status = engine_mel(e->core, first->samples, first->n_samples, first->mel, error);
        break;
    case CALL_DURATION:
        status = engine_duration(e->core, first->tokens, first->n_tokens, first->scale, first->frames, error);
        break;
    }
    atomic_store(&e->graphs, engine_graphs_captured(e->core));
    return status;
}

f5_status calls_init(f5_engine *e, f5_error *error) {
    const engine_options *l = engine_limits(e->core);
    const scheduler_options options = {.max_sequences = l->max_batch,
                                       .batch_frames = l->batch_frames,
                                       .store_frames = e->store_frames,
                                       .together = together,
                                       .run = run,
                                       .user = e};
    atomic_init(&e->graphs, engine_graphs_captured(e->core));
    return scheduler_init(&e->scheduler, &options, e->batch, error);
}

/* ---- a call, on its own thread */

static f5_status check(const f5_engine *e, const api_call *call, f5_error *error) {
    switch (call->kind) {
    case CALL_SYNTH:
        return engine_check_synth(e->core, &call->solver, call->jobs, call->n, error);
    case CALL_VOCODE:
        return engine_check_vocode(e->core, call->vocode_jobs, call->n, error);
    case CALL_MEL:
        return engine_check_mel(e->core, call->samples, call->n_samples, error);
    case CALL_DURATION:
        return engine_check_duration(e->core, call->tokens, call->n_tokens, call->scale, error);
    }
    return F5_OK;
}

f5_status call_refuse_inside(f5_engine *e, f5_error *error) {
    if (desk_room_has_me(&e->desks))
        return f5_fail(error, F5_E_ARGUMENT, "a callback calls the engine it comes from: call it after the callback");
    return scheduler_refuse_inside(&e->scheduler, error);
}

f5_status call_refuse_recording(const f5_engine *e, f5_error *error) {
    if (!engine_has_one_voice(e->core)) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s has one voice of its own: it takes no recording",
                   engine_model(e->core)->config.name);
}

f5_status call_serve(f5_engine *e, api_call *call, f5_error *error) {
    F5_TRY(check(e, call, error));
    if (!call->of_speech) F5_TRY(call_refuse_inside(e, error));
    scheduler_call *c = &call->turn;
    c->sequences = call->n;
    for (int32_t i = 0; i < call->n && call->kind == CALL_SYNTH; i++) c->frames += batch_frames_taken(&call->jobs[i]);
    for (int32_t i = 0; i < call->n && call->kind == CALL_VOCODE; i++) c->frames += call->vocode_jobs[i].frames;
    c->progress = call->solver.progress;
    c->waits = call->solver.waits;
    c->progress_user = call->solver.progress_user;
    return scheduler_serve(&e->scheduler, c, error);
}

void call_release(f5_engine *e, api_call *call) {
    scheduler_release(&e->scheduler, &call->turn);
}
