/* engine_plan.c — what a call would take: it is run under the plan table. */
#include "kernels/mel.h"
#include "runtime/engine_inside.h"
#include "runtime/plan_report.h"
#include "runtime/request_check.h"
#include "runtime/synth.h"

f5_status engine_plan_synth(const engine *e, const model *m, const batch_size *size, const synth_solver *solver,
                            arena *a, ops_plan *plan) {
    float t[TIME_GRID_MAX_EVALUATIONS + 1], times[TIME_GRID_MAX_EVALUATIONS];
    time_grid grid = {.max_evaluations = TIME_GRID_MAX_EVALUATIONS,
                      .width = e->grid.width,
                      .t = t,
                      .times = times,
                      .rows = e->grid.rows};
    synth_solver silent = *solver;
    silent.progress = NULL;
    stage_context c = {.model = m, .ops = &plan->ops, .arena = a, .tables = &e->tables};
    batch_arrays none = {0};
    return synth_run(&c, &grid, &silent, size, &none, NULL, NULL);
}

/* A batch of so many frames in so many sequences, all of which are spoken; before it is rounded to a bucket. */
static f5_status planned_size(int32_t frames, int32_t sequences, const synth_solver *solver, batch_size *size,
                              f5_error *error) {
    if (frames < 1 || frames > REQUEST_MAX_FRAMES || sequences < 1 || sequences > frames ||
        sequences > REQUEST_MAX_BATCH)
        return f5_fail(error, F5_E_ARGUMENT, "plan of %d frames in %d sequences: frames 1 to %d, sequences 1 to %d",
                       frames, sequences, REQUEST_MAX_FRAMES, REQUEST_MAX_BATCH);
    if (solver->nfe < 1 || solver_evaluations(solver) > TIME_GRID_MAX_EVALUATIONS)
        return f5_fail(error, F5_E_ARGUMENT, "nfe is %d: must be 1 to %d", solver->nfe,
                       TIME_GRID_MAX_EVALUATIONS / solver_evaluations_a_step(solver));
    *size = (batch_size){.sequences = sequences,
                         .branches = solver_branches(solver),
                         .frames = frames,
                         .tokens = frames / 4, /* more than speech has, and what a plan counts on */
                         .slice_frames = frames,
                         .samples = (int64_t)MEL_HOP * frames};
    return F5_OK;
}

f5_status engine_plan(const engine *e, int32_t frames, int32_t sequences, const synth_solver *solver, engine_cost *cost,
                      f5_error *error) {
    batch_size size;
    F5_TRY(planned_size(frames, sequences, solver, &size, error));
    batch_round(&e->model.config, &size, &e->bucket);
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    ops_plan_init(&plan, e->ops->precision, size.sequences * size.branches);
    if (engine_plan_synth(e, engine_placed(e), &size, solver, &a, &plan) != F5_OK)
        return f5_fail(error, F5_E_MEMORY, "planning failed: %d frames exceed what can be addressed", frames);
    *cost = (engine_cost){.arena_bytes = (int64_t)a.high_water, .op_calls = plan.calls, .flop = plan.flop};
    return F5_OK;
}

f5_status engine_plan_ops(const engine *e, int32_t frames, int32_t sequences, const synth_solver *solver,
                          const char *as, f5_dtype operands, f5_dtype of_vocoder, ops_plan_fn fn, void *user,
                          f5_error *error) {
    cuda_arch arch;
    batch_size size;
    if (operands == F5_I8) F5_TRY(manifest_check_int8(&e->model.config, "the plan", error));
    F5_TRY(planned_size(frames, sequences, solver, &size, error));
    F5_TRY(plan_report_arch(&arch, as, e->device->arch, error));
    batch_round(&e->model.config, &size, &(batch_bucket){.rows = arch.bucket_rows, .slots = e->limits.max_batch});
    arena a;
    ops_plan plan;
    arena_init_plan(&a);
    f5_precision precision = plan_report_precision(operands);
    precision.vocoder = of_vocoder;
    ops_plan_init(&plan, precision, size.sequences * size.branches);
    ops_plan_report(&plan, &arch, fn, user);
    model twin;
    F5_TRY(model_twin_held(&twin, engine_placed(e), precision, error));
    const f5_status status = engine_plan_synth(e, &twin, &size, solver, &a, &plan);
    model_twin_free(&twin);
    if (status != F5_OK)
        return f5_fail(error, F5_E_MEMORY, "planning failed: %d frames exceed what can be addressed", frames);
    return F5_OK;
}
