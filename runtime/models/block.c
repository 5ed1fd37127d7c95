/* block.c — the pieces of a transformer block that the backbones share: norm, queries, keys and values, attention,
 * feed-forward, and the sums into the residual stream. What differs, norms and gates, the backbones pass in. */
#include "kernels/attention.h"
#include "runtime/models/layers.h"

void block_widths(int32_t dim, int32_t heads, int32_t ff_dim, int64_t *activation, int64_t *product) {
    const int64_t inner = (int64_t)heads * ATTENTION_HEAD;
    *activation = dim > inner ? dim : inner;
    *product = 3 * inner > ff_dim ? 3 * inner : ff_dim;
}

f5_status block_norm(const stage_context *c, const block_shape *s, const block_stream *b, const char *label,
                     norm_args a, void *normed, const linear_weights *reader) {
    ops *o = c->ops;
    const bool int8 = reader && product_int8(reader);
    a.rows = b->pack->rows;
    a.dim = s->dim;
    a.x = b->h;
    a.y = int8 ? b->x8.whole : normed;
    a.y_scale = int8 ? b->x8.scale : NULL;
    a.type = int8 ? F5_I8 : o->precision.operands;
    return o->norm(o, label, &a);
}

f5_status block_qkv(const stage_context *c, const block_shape *s, const block_stream *b, const block_weights *w,
                    const void *normed) {
    const f5_dtype type = c->ops->precision.operands;
    return block_product(c, "qkv", &w->qkv, &b->x8,
                         (linear_args){.pack = b->pack,
                                       .in = s->dim,
                                       .out = 3 * s->heads * ATTENTION_HEAD,
                                       .x = {normed, type},
                                       .rope = s->rope,
                                       .rope_heads = s->rope_heads,
                                       .max_position = s->max_position,
                                       .y = {b->qkv, type},
                                       .epilogue = w->q_norm ? LINEAR_NONE : LINEAR_ROPE});
}

f5_status block_attention(const stage_context *c, const block_shape *s, const block_stream *b, const block_weights *w) {
    ops *o = c->ops;
    F5_TRY(o->attention(o, "attention",
                        &(attention_args){.pack = b->pack,
                                          .heads = s->heads,
                                          .rope_heads = w->q_norm ? s->rope_heads : 0,
                                          .max_position = s->max_position,
                                          .qkv = b->qkv,
                                          .rope = s->rope,
                                          .q_norm = w->q_norm,
                                          .k_norm = w->k_norm,
                                          .y = b->attended,
                                          .type = o->precision.operands}));
    return block_quantize(c, "attended8", &w->out, b->pack->rows, s->heads * ATTENTION_HEAD, b->attended, &b->x8);
}

f5_status block_hidden(const stage_context *c, const block_shape *s, const block_stream *b, const block_weights *w,
                       const void *normed) {
    const f5_dtype type = c->ops->precision.operands;
    F5_TRY(block_product(c, "ff1", &w->ff1, &b->x8,
                         (linear_args){.pack = b->pack,
                                       .in = s->dim,
                                       .out = s->ff_dim,
                                       .x = {normed, type},
                                       .y = {b->hidden, type},
                                       .epilogue = LINEAR_GELU_TANH}));
    return block_quantize(c, "hidden8", &w->ff2, b->pack->rows, s->ff_dim, b->hidden, &b->x8);
}

f5_status block_add(const stage_context *c, const block_shape *s, const block_stream *b, const char *label,
                    const void *x, int32_t in, const linear_weights *w, const float *gate, void *also) {
    const f5_dtype type = c->ops->precision.operands;
    return block_product(c, label, w, &b->x8,
                         (linear_args){.pack = b->pack,
                                       .in = in,
                                       .out = s->dim,
                                       .x = {x, type},
                                       .gate = gate,
                                       .addend = b->h,
                                       .y = {b->h, F5_F32},
                                       .also = {also, type},
                                       .epilogue = LINEAR_RESIDUAL});
}
