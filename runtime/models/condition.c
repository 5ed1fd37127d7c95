/* condition.c — the input projection is linear in [x | cond | text] and only x moves during the ODE: the other two
 * parts are projected once. Both in F32: they are a small share of the work and enter every evaluation. */
#include "runtime/models/stages.h"

#include "kernels/linear.h"
#include "kernels/mel.h"

f5_status condition_project(const stage_context *c, const f5_pack *pack, const float *cond, const float *text,
                            float *y) {
    const model_config *config = &c->model->config;
    const dit_weights *w = &c->model->dit;
    ops *o = c->ops;
    ops_at(o, "condition", -1);
    F5_TRY(o->linear(o, "cond",
                     &(linear_args){.pack = pack,
                                    .in = MEL_BANDS,
                                    .out = config->dim,
                                    .x = cond,
                                    .w = w->input_cond.w,
                                    .bias = w->input_cond.b,
                                    .y = y,
                                    .y_f32 = true}));
    return o->linear(o, "text",
                     &(linear_args){.pack = pack,
                                    .in = config->text_dim,
                                    .out = config->dim,
                                    .x = text,
                                    .w = w->input_text.w,
                                    .addend = y,
                                    .y = y,
                                    .epilogue = LINEAR_RESIDUAL,
                                    .y_f32 = true});
}
