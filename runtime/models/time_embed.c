/* time_embed.c — times as vectors: sines and cosines, then an MLP of two products. All times are rows of one batch. */
#include "kernels/timestep.h"
#include "runtime/models/layers.h"

/* y [n,out] = epilogue(x [n,in] w^T + bias) */
static f5_status product(const stage_context *c, const char *label, int32_t n, int32_t in, int32_t out, const void *x,
                         const linear_weights *w, linear_epilogue epilogue, f5_rows y) {
    linear_args a = {.rows = n,
                     .in = in,
                     .out = out,
                     .x = {x, c->ops->precision.operands},
                     .w = w->w,
                     .bias = w->b,
                     .y = y,
                     .epilogue = epilogue};
    return c->ops->linear(c->ops, label, &a);
}

f5_status time_embed(const stage_context *c, const time_weights *w, int32_t dim, const float *times, int32_t n,
                     linear_epilogue last, f5_rows y) {
    ops *o = c->ops;
    f5_dtype type = o->precision.operands;
    size_t mark = arena_mark(c->arena);
    void *features = arena_take(c->arena, (size_t)n * TIMESTEP_DIM, f5_dtype_bytes(type));
    f5_rows hidden = {arena_take(c->arena, (size_t)n * (size_t)dim, f5_dtype_bytes(type)), type};
    if (c->arena->overflow) return F5_E_MEMORY;
    ops_at(o, "schedule", -1);
    F5_TRY(o->timestep(
        o, "features",
        &(timestep_args){.n = n, .t = times, .y = features, .type = type, .dim = TIMESTEP_DIM, .scale = 1000}));
    F5_TRY(product(c, "time1", n, TIMESTEP_DIM, dim, features, &w->first, LINEAR_SILU, hidden));
    F5_TRY(product(c, "time2", n, dim, dim, hidden.data, &w->second, last, y));
    arena_release(c->arena, mark);
    return F5_OK;
}

f5_status time_modulation(const stage_context *c, const char *label, const linear_weights *w, int32_t dim,
                          const void *embedded, int32_t n, int32_t width, float *y) {
    return c->ops->linear(c->ops, label,
                          &(linear_args){.rows = n,
                                         .in = dim,
                                         .out = width,
                                         .x = {embedded, c->ops->precision.operands},
                                         .w = w->w,
                                         .w_scale = w->scale,
                                         .bias = w->b,
                                         .y = {y, F5_F32}});
}
