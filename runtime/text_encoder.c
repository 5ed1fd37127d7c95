/* text_encoder.c — tokens to features [R,T]: embedding, positions, ConvNeXt V2 blocks (spec.md §2.2).
 * Both branches go through it at once: the null branch has all-zero ids but the same mask. */
#include "stages.h"

static f5_status convnext_v2_block(const stage_context *c, const f5_pack *pack, const convnext_weights *w, float *x,
                                   void *normed, void *hidden, float *grn_scratch) {
    ops *o = c->ops;
    int32_t T = c->model->config.text_dim, F = 2 * T;
    F5_TRY(o->dwconv_norm(o, "dwconv_norm",
                          &(dwconv_norm_args){.pack = pack,
                                              .dim = T,
                                              .x = x,
                                              .w = w->dwconv_w,
                                              .bias = w->dwconv_b,
                                              .scale = w->norm.scale,
                                              .shift = w->norm.shift,
                                              .y = normed,
                                              .type = o->type}));
    F5_TRY(o->linear(o, "pw1",
                     &(linear_args){.pack = pack,
                                    .in = T,
                                    .out = F,
                                    .x = normed,
                                    .w = w->pw1.w,
                                    .bias = w->pw1.b,
                                    .y = hidden,
                                    .epilogue = LINEAR_GELU_ERF,
                                    .type = o->type}));
    F5_TRY(o->grn(o, "grn",
                  &(grn_args){.pack = pack,
                              .dim = F,
                              .x = hidden,
                              .gamma = w->grn_gamma,
                              .beta = w->grn_beta,
                              .scratch = grn_scratch,
                              .y = hidden,
                              .type = o->type}));
    return o->linear(o, "pw2",
                     &(linear_args){.pack = pack,
                                    .in = F,
                                    .out = T,
                                    .x = hidden,
                                    .w = w->pw2.w,
                                    .bias = w->pw2.b,
                                    .addend = x,
                                    .y = x,
                                    .epilogue = LINEAR_RESIDUAL,
                                    .type = o->type,
                                    .y_f32 = true});
}

f5_status text_encode(const stage_context *c, const f5_pack *pack, const int32_t *ids, const uint8_t *keep, float *y) {
    const model_config *config = &c->model->config;
    const dit_weights *w = &c->model->dit;
    ops *o = c->ops;
    size_t R = (size_t)pack->rows, T = (size_t)config->text_dim, width = f5_dtype_bytes(o->type);
    bool masked = config->text_mask_padding && config->text_blocks > 0; /* upstream masks only around the blocks */

    size_t mark = arena_mark(c->arena);
    float *x = config->text_average_upsampling ? arena_take(c->arena, R * T, sizeof(float)) : y;
    void *normed = arena_take(c->arena, R * T, width);
    void *hidden = arena_take(c->arena, R * 2 * T, width);
    float *grn_scratch = arena_take(c->arena, (size_t)pack->n_seq * 2 * T, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;

    ops_at(o, "text", -1);
    F5_TRY(o->embed(o, "embed",
                    &(embed_args){.pack = pack,
                                  .dim = config->text_dim,
                                  .table_rows = config->vocab_size + 1,
                                  .max_position = c->tables->text_positions,
                                  .ids = ids,
                                  .keep = masked ? keep : NULL,
                                  .table = w->text_embedding,
                                  .positions = config->text_blocks > 0 ? c->tables->positions : NULL,
                                  .y = x}));
    text_rows_args mask = {.pack = pack, .dim = config->text_dim, .mode = TEXT_ROWS_MASK, .keep = keep, .x = x, .y = x};
    for (int32_t i = 0; i < config->text_blocks; i++) {
        ops_at(o, "text", i);
        F5_TRY(convnext_v2_block(c, pack, &w->text_block[i], x, normed, hidden, grn_scratch));
        if (masked) F5_TRY(o->text_rows(o, "mask", &mask));
    }
    ops_at(o, "text", -1);
    if (config->text_average_upsampling) {
        text_rows_args upsample = {
            .pack = pack, .dim = config->text_dim, .mode = TEXT_ROWS_UPSAMPLE, .keep = keep, .x = x, .y = y};
        F5_TRY(o->text_rows(o, "upsample", &upsample));
    }
    arena_release(c->arena, mark);
    return F5_OK;
}
