/* duration.c — a text alone is one sequence, whose rows are its tokens: one pass of the backbone's predictor. */
#include "runtime/duration.h"

#include <math.h>
#include <string.h>

f5_status duration_run(const stage_context *c, const batch_arrays *host, const int32_t *tokens, int32_t n, float scale,
                       double *frames) {
    const model_config *config = &c->model->config;
    const own_rules *own = backbone_of(config)->own;
    const size_t rows = (size_t)n;
    ops *o = c->ops;
    arena_reset(c->arena);
    if (!own->predicts(config)) {
        if (tokens) *frames = own->frames(config, NULL, n, scale);
        return F5_OK;
    }
    int32_t *offsets = arena_take(c->arena, 2, sizeof(int32_t)), *owners = arena_take(c->arena, rows, sizeof(int32_t));
    int32_t *ids = arena_take(c->arena, rows, sizeof(int32_t));
    float *logarithms = arena_take(c->arena, rows, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    if (tokens) {
        host->offsets[0] = 0;
        host->offsets[1] = n;
        memset(host->seq_of_row, 0, rows * sizeof(int32_t));
        memcpy(host->ids, tokens, rows * sizeof(int32_t));
    }
    F5_TRY(o->copy_in(o, offsets, host->offsets, 2 * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, owners, host->seq_of_row, rows * sizeof(int32_t)));
    F5_TRY(o->copy_in(o, ids, host->ids, rows * sizeof(int32_t)));
    const f5_pack text = {.rows = n, .n_seq = 1, .offsets = offsets, .seq_of_row = owners};
    F5_TRY(own->log_durations(c, &text, ids, logarithms));
    F5_TRY(o->copy_out(o, host->noise, logarithms, rows * sizeof(float)));
    F5_TRY(o->finish(o));
    if (tokens) *frames = floor(own->frames(config, host->noise, n, scale));
    return F5_OK;
}
