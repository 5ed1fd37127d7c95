/* convnext.c — the block that the text encoder and the vocoder are made of (runtime/MODEL.md §2.2, §6.1):
 *   x += layer_scale * pw2(GRN(GELU(pw1(LN(dwconv x)))))
 * The text encoder's (ConvNeXt V2) has GRN and no layer scale, the vocoder's has a layer scale and no GRN. */
#include "runtime/models/layers.h"

#include "kernels/dwconv_norm.h"
#include "kernels/grn.h"
#include "kernels/linear.h"

f5_status convnext_block(const stage_context *c, const f5_pack *pack, const convnext_weights *w,
                         const convnext_buffers *b, float *x) {
    ops *o = c->ops;
    F5_TRY(o->dwconv_norm(o, "dwconv_norm",
                          &(dwconv_norm_args){.pack = pack,
                                              .dim = b->dim,
                                              .x = x,
                                              .w = w->dwconv_w,
                                              .bias = w->dwconv_b,
                                              .scale = w->norm.scale,
                                              .shift = w->norm.shift,
                                              .y = b->normed,
                                              .type = b->type,
                                              .eps = b->eps}));
    F5_TRY(o->linear(o, "pw1",
                     &(linear_args){.pack = pack,
                                    .in = b->dim,
                                    .out = b->hidden_dim,
                                    .x = {b->normed, b->type},
                                    .w = w->pw1.w,
                                    .bias = w->pw1.b,
                                    .y = {b->hidden, b->type},
                                    .epilogue = LINEAR_GELU_ERF}));
    if (w->grn_gamma) {
        F5_TRY(o->grn(o, "grn",
                      &(grn_args){.pack = pack,
                                  .dim = b->hidden_dim,
                                  .x = b->hidden,
                                  .gamma = w->grn_gamma,
                                  .beta = w->grn_beta,
                                  .scratch = b->grn_scratch,
                                  .y = b->hidden,
                                  .type = b->type}));
    }
    return o->linear(o, "pw2",
                     &(linear_args){.pack = pack,
                                    .in = b->hidden_dim,
                                    .out = b->dim,
                                    .x = {b->hidden, b->type},
                                    .w = w->pw2.w,
                                    .bias = w->pw2.b,
                                    .gate = w->layer_scale,
                                    .addend = x,
                                    .y = {x, F5_F32},
                                    .epilogue = LINEAR_RESIDUAL});
}
