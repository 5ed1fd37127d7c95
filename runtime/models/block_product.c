/* block_product.c — a product of a backbone's block, in the operands that its weights have. */
#include "kernels/linear_int8.h"
#include "kernels/quantize.h"
#include "runtime/models/layers.h"

int8_rows block_rows(const stage_context *c, size_t rows, size_t dim, size_t ff_dim) {
    if (!c->ops->precision.int8) return (int8_rows){0};
    int8_t *whole = arena_take(c->arena, rows * (dim > ff_dim ? dim : ff_dim), sizeof(int8_t));
    return (int8_rows){whole, arena_take(c->arena, rows, sizeof(float))};
}

f5_status block_product(const stage_context *c, const char *label, const linear_weights *w, const int8_rows *x,
                        linear_args a) {
    ops *o = c->ops;
    a.w = w->w;
    a.bias = w->b;
    a.bias_rounded = w->b_rounded;
    if (!product_int8(w)) return o->linear(o, label, &a);
    return o->linear_int8(o, label,
                          &(linear_int8_args){.pack = a.pack,
                                              .rows = a.rows,
                                              .in = a.in,
                                              .out = a.out,
                                              .x = x->whole,
                                              .x_scale = x->scale,
                                              .w = w->w.data,
                                              .w_scale = w->scale,
                                              .bias = a.bias,
                                              .gate = a.gate,
                                              .addend = a.addend,
                                              .rope = a.rope,
                                              .rope_heads = a.rope_heads,
                                              .max_position = a.max_position,
                                              .y = a.y,
                                              .epilogue = a.epilogue});
}

f5_status block_quantize(const stage_context *c, const char *label, const linear_weights *reader, int32_t rows,
                         int32_t dim, const void *x, const int8_rows *y) {
    ops *o = c->ops;
    if (!product_int8(reader)) return F5_OK;
    return o->quantize(
        o, label,
        &(quantize_args){.rows = rows, .dim = dim, .x = {x, o->precision.operands}, .y = y->whole, .scale = y->scale});
}
