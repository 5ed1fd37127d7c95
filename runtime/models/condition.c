/* condition.c — the input projection is linear in [x | cond | text] and only x moves during the ODE: the other two
 * parts are projected once. Both in F32: they are a small share of the work and enter every evaluation. */
#include "runtime/models/layers.h"

#include "kernels/linear.h"
#include "kernels/mel.h"

f5_status condition_project(const stage_context *c, const f5_pack *pack, const input_weights *w, int32_t dim,
                            int32_t text_dim, const float *cond, const float *text, float *y) {
    ops *o = c->ops;
    ops_at(o, "condition", -1);
    F5_TRY(o->linear(o, "cond",
                     &(linear_args){.pack = pack,
                                    .in = MEL_BANDS,
                                    .out = dim,
                                    .x = {cond, F5_F32},
                                    .w = {w->cond, F5_F32},
                                    .bias = w->bias,
                                    .y = {y, F5_F32}}));
    return o->linear(o, "text",
                     &(linear_args){.pack = pack,
                                    .in = text_dim,
                                    .out = dim,
                                    .x = {text, F5_F32},
                                    .w = {w->text, F5_F32},
                                    .addend = y,
                                    .y = {y, F5_F32},
                                    .epilogue = LINEAR_RESIDUAL});
}
