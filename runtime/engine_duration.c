/* engine_duration.c — models that have one voice and know how long a text is. */
#include "runtime/duration.h"
#include "runtime/engine_inside.h"
#include "runtime/request_check.h"

void engine_settle(const engine *e, synth_solver *s) {
    if (!backbone_of(&e->model.config)->own) return;
    s->cfg = 0;
    s->use_sway = s->use_sway && s->sway != 0;
    if (s->grid == GRID_OF_METHOD && s->method != SOLVER_AB2) s->grid = GRID_OF_QUADRATIC;
    if (s->grid == GRID_OF_QUADRATIC && s->use_sway) s->method = SOLVER_EULER;
}

bool engine_has_one_voice(const engine *e) {
    return backbone_of(&e->model.config)->own != NULL;
}

bool engine_predicts_durations(const engine *e) {
    const own_rules *own = backbone_of(&e->model.config)->own;
    return own && own->predicts(&e->model.config);
}

int32_t engine_most_tokens(const engine *e) {
    const own_rules *own = backbone_of(&e->model.config)->own;
    return own && own->max_tokens < e->limits.max_frames ? own->max_tokens : e->limits.max_frames;
}

f5_status engine_check_duration(const engine *e, const int32_t *tokens, int32_t n, float scale, f5_error *error) {
    const model_config *config = &e->model.config;
    const own_rules *own = backbone_of(config)->own;
    if (!own)
        return f5_fail(error, F5_E_ARGUMENT, "%s has no durations of its own: they follow from a recording",
                       config->part[PART_BACKBONE]->kind);
    if (!(scale >= 0.01f && scale <= 100))
        return f5_fail(error, F5_E_ARGUMENT, "scale %g: must be 0.01 to 100", (double)scale);
    if (n < 1 || n > engine_most_tokens(e))
        return f5_fail(error, F5_E_ARGUMENT, "%d tokens: must be 1 to %d, and at most max_frames, %d", n,
                       own->max_tokens, e->limits.max_frames);
    for (int32_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= config->vocab_size)
            return f5_fail(error, F5_E_ARGUMENT, "token %d is id %d; the vocabulary has %d", i, tokens[i],
                           config->vocab_size);
    return F5_OK;
}

f5_status engine_duration(engine *e, const int32_t *tokens, int32_t n, float scale, int32_t *frames, f5_error *error) {
    double wanted = 0;
    F5_TRY(engine_begin(e, error));
    stage_context c = engine_context(e);
    F5_TRY(engine_report(e, duration_run(&c, &e->host, tokens, n, scale, &wanted), error));
    if (!(wanted >= 1))
        return f5_fail(error, F5_E_FORMAT, "the duration predictor's numbers are not finite: convert the model again");
    *frames = wanted < REQUEST_MAX_FRAMES ? (int32_t)wanted : REQUEST_MAX_FRAMES;
    return F5_OK;
}
