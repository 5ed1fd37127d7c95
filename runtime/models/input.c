/* input.c — the input embedding of F5's backbones: a projection, and two convolutions that tell positions. The
 * projection is linear in [x | cond | text] and only x moves during the ODE: the other two parts are projected once.
 * Both in F32: they are a small share of the work and enter every evaluation. */
#include "runtime/models/text_encoder.h"

#include "kernels/conv_pos.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "runtime/models/vocoder.h"

f5_status input_check(const model_config *config, int32_t dim, const char *where, f5_error *error) {
    if (dim % CONV_POS_GROUPS)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: backbone.dim is %d, not a multiple of %d", where,
                       (int)dim, CONV_POS_GROUPS);
    const int32_t bands = model_mel_bands(config);
    if (bands == MEL_BANDS) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED,
                   "%s: configuration: the vocoder '%s' is of mels of %d bands, the backbone '%s' makes %d", where,
                   config->part[PART_VOCODER]->kind, (int)bands, config->part[PART_BACKBONE]->kind, MEL_BANDS);
}

f5_status input_cond(const stage_context *c, const f5_pack *pack, const input_weights *w, int32_t dim,
                     const float *cond, float *y) {
    ops_at(c->ops, "condition", -1);
    return c->ops->linear(c->ops, "cond",
                          &(linear_args){.pack = pack,
                                         .in = MEL_BANDS,
                                         .out = dim,
                                         .x = {cond, F5_F32},
                                         .w = {w->cond, F5_F32},
                                         .bias = w->bias,
                                         .y = {y, F5_F32}});
}

/* y [R,dim] += text W_t, text [R,text_dim] */
static f5_status add_text(const stage_context *c, const f5_pack *pack, const input_weights *w, int32_t dim,
                          int32_t text_dim, const float *text, float *y) {
    return c->ops->linear(c->ops, "text",
                          &(linear_args){.pack = pack,
                                         .in = text_dim,
                                         .out = dim,
                                         .x = {text, F5_F32},
                                         .w = {w->text, F5_F32},
                                         .addend = y,
                                         .y = {y, F5_F32},
                                         .epilogue = LINEAR_RESIDUAL});
}

f5_status input_base(const stage_context *c, const backbone_input *in, const input_weights *w, int32_t dim,
                     const float *positions, float **base) {
    const size_t rows = (size_t)in->pack->rows;
    const int32_t text_dim = text_config_of(&c->model->config)->dim;
    *base = arena_take(c->arena, rows * (size_t)dim, sizeof(float));
    const size_t mark = arena_mark(c->arena);
    float *text = arena_take(c->arena, rows * (size_t)text_dim, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(text_encode(c, in->pack, positions, in->ids, in->text_keep, text));
    F5_TRY(input_cond(c, in->pack, w, dim, in->cond, *base));
    F5_TRY(add_text(c, in->pack, w, dim, text_dim, text, *base));
    arena_release(c->arena, mark);
    return F5_OK;
}

f5_status input_embed(const stage_context *c, const f5_pack *pack, const input_weights *w, int32_t dim, const float *x,
                      const input_buffers *b) {
    ops *o = c->ops;
    f5_dtype type = o->precision.operands;
    bool rounded = type != o->precision.residual; /* then the convolution reads a copy of y */
    F5_TRY(o->linear(o, "input",
                     &(linear_args){.pack = pack,
                                    .in = MEL_BANDS,
                                    .out = dim,
                                    .x = {x, F5_F32},
                                    .w = {w->x, F5_F32},
                                    .addend = b->base,
                                    .y = {b->y, F5_F32},
                                    .also = {rounded ? b->rounded : NULL, type},
                                    .epilogue = LINEAR_RESIDUAL}));
    F5_TRY(o->conv_pos(o, "conv_pos0",
                       &(conv_pos_args){.pack = pack,
                                        .dim = dim,
                                        .x = rounded ? b->rounded : b->y,
                                        .w = w->conv_pos_w[0].data,
                                        .bias = w->conv_pos_b[0],
                                        .y = b->between,
                                        .type = type}));
    return o->conv_pos(o, "conv_pos1",
                       &(conv_pos_args){.pack = pack,
                                        .dim = dim,
                                        .x = b->between,
                                        .w = w->conv_pos_w[1].data,
                                        .bias = w->conv_pos_b[1],
                                        .residual = b->y,
                                        .y = b->y,
                                        .type = type,
                                        .y_f32 = true});
}
