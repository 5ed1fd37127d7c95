/* dit.c — one evaluation of the DiT: state and time to velocity (runtime/MODEL.md §2.3 to 2.5), all branches and
 * sequences packed.
 *
 *   x -> input projection (+ base) -> conv position embedding -> depth x block -> (long skip) -> exit norm -> velocity
 *   block: AdaLN, QKV with RoPE, attention, out + gate + residual, AdaLN, FF1 + GELU, FF2 + gate + residual */
#include "runtime/models/stages.h"

#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/conv_pos.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "kernels/norm.h"

bool dit_buffers_take(const stage_context *c, int32_t rows, dit_buffers *b) {
    const model_config *config = &c->model->config;
    arena *a = c->arena;
    size_t R = (size_t)rows, D = (size_t)config->dim, inner = (size_t)config->heads * ATTENTION_HEAD;
    size_t width = f5_dtype_bytes(c->ops->type), qkv = 3 * inner, forward = D + (size_t)config->ff_dim;
    *b = (dit_buffers){
        .h = arena_take(a, R * D, sizeof(float)),
        .h0 = config->long_skip ? arena_take(a, R * D, sizeof(float)) : NULL,
        .attended = arena_take(a, R * (inner > D ? inner : D), width),
        .qkv = arena_take(a, R * (qkv > forward ? qkv : forward), width),
    };
    b->normed_a = b->attended;
    b->normed_m = b->qkv;
    b->hidden = a->overflow ? NULL : (char *)b->qkv + R * D * width;
    return !a->overflow;
}

static f5_status input_embed(const stage_context *c, const dit_buffers *b, const f5_pack *pack, const float *x,
                             const float *base) {
    const dit_weights *w = &c->model->dit;
    ops *o = c->ops;
    int32_t D = c->model->config.dim;
    void *operand = o->type == F5_F32 ? b->h : b->normed_m; /* h as the convolution reads it */
    F5_TRY(o->linear(o, "input",
                     &(linear_args){.pack = pack,
                                    .in = MEL_BANDS,
                                    .out = D,
                                    .x = x,
                                    .w = w->input_x.w,
                                    .addend = base,
                                    .y = b->h,
                                    .y_rounded = operand == b->h ? NULL : operand,
                                    .rounded_type = o->type,
                                    .epilogue = LINEAR_RESIDUAL,
                                    .y_f32 = true}));
    F5_TRY(o->conv_pos(o, "conv_pos0",
                       &(conv_pos_args){.pack = pack,
                                        .dim = D,
                                        .x = operand,
                                        .w = w->conv_pos_w[0],
                                        .bias = w->conv_pos_b[0],
                                        .y = b->attended,
                                        .type = o->type}));
    return o->conv_pos(o, "conv_pos1",
                       &(conv_pos_args){.pack = pack,
                                        .dim = D,
                                        .x = b->attended,
                                        .w = w->conv_pos_w[1],
                                        .bias = w->conv_pos_b[1],
                                        .residual = b->h,
                                        .y = b->h,
                                        .type = o->type,
                                        .y_f32 = true});
}

/* normed = LN(h) (1 + scale) + shift */
static f5_status modulate(const stage_context *c, const dit_buffers *b, const f5_pack *pack, const char *label,
                          const float *scale, const float *shift, void *normed) {
    ops *o = c->ops;
    norm_args a = {.rows = pack->rows,
                   .dim = c->model->config.dim,
                   .x = b->h,
                   .scale = scale,
                   .shift = shift,
                   .y = normed,
                   .one_plus_scale = true,
                   .type = o->type};
    return o->norm(o, label, &a);
}

/* h += gate (x w^T + bias) */
static f5_status gated_residual(const stage_context *c, const dit_buffers *b, const f5_pack *pack, const char *label,
                                const void *x, int32_t in, const linear_weights *w, const float *gate) {
    ops *o = c->ops;
    linear_args a = {.pack = pack,
                     .in = in,
                     .out = c->model->config.dim,
                     .x = x,
                     .w = w->w,
                     .bias = w->b,
                     .gate = gate,
                     .addend = b->h,
                     .y = b->h,
                     .epilogue = LINEAR_RESIDUAL,
                     .type = o->type,
                     .y_f32 = true};
    return o->linear(o, label, &a);
}

static f5_status dit_block(const stage_context *c, const dit_buffers *b, const f5_pack *pack,
                           const dit_block_weights *w, const float *modulation) {
    const model_config *config = &c->model->config;
    ops *o = c->ops;
    int32_t D = config->dim, inner = config->heads * ATTENTION_HEAD;
    const int32_t rope_heads = config->pe_attn_head < 0 ? config->heads : config->pe_attn_head;
    const bool rotate_first = !w->q_norm; /* the norm of q and k, where a model has one, comes before RoPE */
    const float *shift_a = modulation, *scale_a = modulation + D, *gate_a = modulation + 2 * D;
    const float *shift_m = modulation + 3 * D, *scale_m = modulation + 4 * D, *gate_m = modulation + 5 * D;

    F5_TRY(modulate(c, b, pack, "norm_a", scale_a, shift_a, b->normed_a));
    F5_TRY(o->linear(o, "qkv",
                     &(linear_args){.pack = pack,
                                    .in = D,
                                    .out = 3 * inner,
                                    .x = b->normed_a,
                                    .w = w->qkv.w,
                                    .bias = w->qkv.b,
                                    .bias_as_type = w->qkv.b_as_type,
                                    .rope = c->tables->rope,
                                    .rope_heads = rope_heads,
                                    .max_position = c->tables->max_position,
                                    .y = b->qkv,
                                    .epilogue = rotate_first ? LINEAR_ROPE : LINEAR_NONE,
                                    .type = o->type}));
    F5_TRY(o->attention(o, "attention",
                        &(attention_args){.pack = pack,
                                          .heads = config->heads,
                                          .rope_heads = rotate_first ? 0 : rope_heads,
                                          .max_position = c->tables->max_position,
                                          .qkv = b->qkv,
                                          .rope = c->tables->rope,
                                          .q_norm = w->q_norm,
                                          .k_norm = w->k_norm,
                                          .y = b->attended,
                                          .type = o->type}));
    F5_TRY(gated_residual(c, b, pack, "out", b->attended, inner, &w->out, gate_a));

    F5_TRY(modulate(c, b, pack, "norm_m", scale_m, shift_m, b->normed_m));
    F5_TRY(o->linear(o, "ff1",
                     &(linear_args){.pack = pack,
                                    .in = D,
                                    .out = config->ff_dim,
                                    .x = b->normed_m,
                                    .w = w->ff1.w,
                                    .bias = w->ff1.b,
                                    .bias_as_type = w->ff1.b_as_type,
                                    .y = b->hidden,
                                    .epilogue = LINEAR_GELU_TANH,
                                    .type = o->type}));
    return gated_residual(c, b, pack, "ff2", b->hidden, config->ff_dim, &w->ff2, gate_m);
}

/* h = [h | h0] w^T, as two products; normed_m holds their operands. */
static f5_status long_skip(const stage_context *c, const dit_buffers *b, const f5_pack *pack) {
    const dit_weights *w = &c->model->dit;
    ops *o = c->ops;
    int32_t D = c->model->config.dim;
    int64_t n = (int64_t)pack->rows * D;
    F5_TRY(o->cast(o, "skip_x", &(cast_args){.n = n, .x = b->h, .y = b->normed_m, .type = o->type}));
    F5_TRY(o->linear(o, "long_skip_x",
                     &(linear_args){.pack = pack,
                                    .in = D,
                                    .out = D,
                                    .x = b->normed_m,
                                    .w = w->long_skip_x,
                                    .y = b->h,
                                    .type = o->type,
                                    .y_f32 = true}));
    F5_TRY(o->cast(o, "skip_x0", &(cast_args){.n = n, .x = b->h0, .y = b->normed_m, .type = o->type}));
    return o->linear(o, "long_skip_x0",
                     &(linear_args){.pack = pack,
                                    .in = D,
                                    .out = D,
                                    .x = b->normed_m,
                                    .w = w->long_skip_x0,
                                    .addend = b->h,
                                    .y = b->h,
                                    .epilogue = LINEAR_RESIDUAL,
                                    .type = o->type,
                                    .y_f32 = true});
}

f5_status dit_velocity(const stage_context *c, const dit_buffers *b, const f5_pack *pack, const float *x,
                       const float *base, const float *modulation, float *v) {
    const model_config *config = &c->model->config;
    const dit_weights *w = &c->model->dit;
    ops *o = c->ops;
    size_t D = (size_t)config->dim;
    ops_at(o, "dit", -1);
    F5_TRY(input_embed(c, b, pack, x, base));
    if (b->h0) F5_TRY(o->copy_within(o, b->h0, b->h, (size_t)pack->rows * D * sizeof(float)));
    for (int32_t i = 0; i < config->depth; i++) {
        ops_at(o, "dit", i);
        F5_TRY(dit_block(c, b, pack, &w->block[i], modulation + (size_t)i * 6 * D));
    }
    ops_at(o, "dit", -1);
    if (b->h0) F5_TRY(long_skip(c, b, pack));
    const float *scale = modulation + (size_t)config->depth * 6 * D, *shift = scale + D; /* the exit has scale first */
    F5_TRY(modulate(c, b, pack, "norm_out", scale, shift, b->normed_a));
    return o->linear(o, "velocity",
                     &(linear_args){.pack = pack,
                                    .in = config->dim,
                                    .out = MEL_BANDS,
                                    .x = b->normed_a,
                                    .w = w->proj_out.w,
                                    .bias = w->proj_out.b,
                                    .y = v,
                                    .type = o->type,
                                    .y_f32 = true});
}
