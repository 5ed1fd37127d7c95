/* text_encoder.c — tokens to features [R,T]: embedding, positions, ConvNeXt V2 blocks (runtime/MODEL.md §2.2).
 * Both branches go through it at once: the null branch has all-zero ids but the same mask. */
#include "runtime/models/stages.h"

#include "kernels/embed.h"
#include "kernels/text_rows.h"

f5_status text_encode(const stage_context *c, const f5_pack *pack, const int32_t *ids, const uint8_t *keep, float *y) {
    const model_config *config = &c->model->config;
    const dit_weights *w = &c->model->dit;
    ops *o = c->ops;
    size_t R = (size_t)pack->rows, T = (size_t)config->text_dim, width = f5_dtype_bytes(o->type);
    bool masked = config->text_mask_padding && config->text_blocks > 0; /* upstream masks only around the blocks */

    size_t mark = arena_mark(c->arena);
    float *x = config->text_average_upsampling ? arena_take(c->arena, R * T, sizeof(float)) : y;
    convnext_buffers block = {.dim = config->text_dim,
                              .hidden_dim = 2 * config->text_dim,
                              .type = o->type,
                              .normed = arena_take(c->arena, R * T, width),
                              .hidden = arena_take(c->arena, R * 2 * T, width),
                              .grn_scratch = arena_take(c->arena, (size_t)pack->n_seq * 2 * T, sizeof(float))};
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
        F5_TRY(convnext_block(c, pack, &w->text_block[i], &block, x));
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
