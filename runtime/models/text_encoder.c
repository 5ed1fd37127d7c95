/* text_encoder.c — tokens to features [R,T]: embedding, positions, ConvNeXt V2 blocks (runtime/MODEL.md §2.2).
 * Both branches go through it at once: the null branch has all-zero ids but the same mask. */
#include "runtime/models/text_encoder.h"

#include <limits.h>

#include "kernels/embed.h"
#include "kernels/text_rows.h"
#include "weights/convert/upstream.h"

/* ---- settings ---------------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(text_config) <= PART_CONFIG_BYTES, "settings fit");

static const part_field fields[] = {
    {"dim", "text_dim", offsetof(text_config, dim), FIELD_INTEGER, 2, 8192, 100},
    {"blocks", "text_blocks", offsetof(text_config, blocks), FIELD_INTEGER, 0, TEXT_MAX_BLOCKS, 0},
    {"mask_padding", "text_mask_padding", offsetof(text_config, mask_padding), FIELD_FLAG, 0, 1, 1},
    {"average_upsampling", "text_average_upsampling", offsetof(text_config, average_upsampling), FIELD_FLAG, 0, 1, 0},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const text_config *t = text_config_of(config);
    if (t->dim % 2)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: text.dim is %d, not even", where, (int)t->dim);
    if (t->average_upsampling && !t->mask_padding)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: text.average_upsampling needs text.mask_padding",
                       where);
    return F5_OK;
}

static void read_upstream(upstream *from, model_config *config) {
    text_config *t = (text_config *)(void *)config->settings[PART_TEXT].bytes;
    t->dim = upstream_int(from, "model.arch.text_dim", 100);
    t->blocks = upstream_int(from, "model.arch.conv_layers", 0);
    t->mask_padding = upstream_bool(from, "model.arch.text_mask_padding", true);
    t->average_upsampling = upstream_bool(from, "model.arch.text_embedding_average_upsampling", false);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum { T = -1, T2 = -2, V1 = -3 /* vocab_size + 1 */, TAPS = 7, BLOCKS = 1 };

static int64_t dimension(const model_config *config, int16_t symbol) {
    switch (symbol) {
    case T:
        return text_config_of(config)->dim;
    case T2:
        return 2 * (int64_t)text_config_of(config)->dim;
    default:
        return (int64_t)config->vocab_size + 1;
    }
}

static int32_t count(const model_config *config, int16_t repeat) {
    (void)repeat;
    return text_config_of(config)->blocks;
}

#define IN_BLOCK(field)                                                                                                \
    .address = offsetof(text_weights, block[0].field), .stride = sizeof(convnext_weights), .repeat = BLOCKS
#define KEY "transformer.text_embed.text_blocks.%d."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in text_weights */
    {"text.embedding",               {V1, T},   PLAIN,  PACK_COPY,      "transformer.text_embed.text_embed.weight", .address = offsetof(text_weights, embedding)},
    {"text.blocks.%d.dwconv.weight", {TAPS, T}, PLAIN,  PACK_DEPTHWISE, KEY "dwconv.weight",  IN_BLOCK(dwconv_w)},
    {"text.blocks.%d.dwconv.bias",   {T},       PLAIN,  PACK_COPY,      KEY "dwconv.bias",    IN_BLOCK(dwconv_b)},
    {"text.blocks.%d.norm.weight",   {T},       PLAIN,  PACK_COPY,      KEY "norm.weight",    IN_BLOCK(norm.scale)},
    {"text.blocks.%d.norm.bias",     {T},       PLAIN,  PACK_COPY,      KEY "norm.bias",      IN_BLOCK(norm.shift)},
    {"text.blocks.%d.pw1.weight",    {T2, T},   MATRIX, PACK_COPY,      KEY "pwconv1.weight", IN_BLOCK(pw1.w)},
    {"text.blocks.%d.pw1.bias",      {T2},      PLAIN,  PACK_COPY,      KEY "pwconv1.bias",   IN_BLOCK(pw1.b)},
    {"text.blocks.%d.grn.gamma",     {T2},      PLAIN,  PACK_SQUEEZE,   KEY "grn.gamma",      IN_BLOCK(grn_gamma)},
    {"text.blocks.%d.grn.beta",      {T2},      PLAIN,  PACK_SQUEEZE,   KEY "grn.beta",       IN_BLOCK(grn_beta)},
    {"text.blocks.%d.pw2.weight",    {T, T2},   MATRIX, PACK_COPY,      KEY "pwconv2.weight", IN_BLOCK(pw2.w)},
    {"text.blocks.%d.pw2.bias",      {T},       PLAIN,  PACK_COPY,      KEY "pwconv2.bias",   IN_BLOCK(pw2.b)},
};
/* clang-format on */

const model_part text_encoder_part = {
    .kind = "ConvNeXtV2",
    .prefix = "text.",
    .title = "text encoder",
    PART_FIELDS(fields),
    PART_LINES(lines),
    .weights_bytes = sizeof(text_weights),
    .dimension = dimension,
    .count = count,
    .check = check,
    .read_upstream = read_upstream,
};

/* ---- positions --------------------------------------------------------------------------------------------------- */

static int32_t text_positions(int32_t max_frames) {
    return max_frames < TEXT_MAX_POSITIONS ? max_frames : TEXT_MAX_POSITIONS;
}

static int64_t positions_elements(const model_config *config, int32_t max_frames) {
    const text_config *t = text_config_of(config);
    return t->blocks > 0 ? (int64_t)text_positions(max_frames) * t->dim : 0;
}

static void positions_fill(float *to, const model_config *config, int32_t max_frames) {
    position_table_fill(to, text_positions(max_frames), text_config_of(config)->dim);
}

const stage_table text_positions_table = {positions_elements, positions_fill};

int32_t text_max_frames(const model_config *config) {
    return text_config_of(config)->blocks > 0 ? TEXT_MAX_POSITIONS : INT32_MAX;
}

/* ---- the encoder ------------------------------------------------------------------------------------------------- */

f5_status text_encode(const stage_context *c, const f5_pack *pack, const float *positions, const int32_t *ids,
                      const uint8_t *keep, float *y) {
    const text_config *config = text_config_of(&c->model->config);
    const text_weights *w = c->model->weights[PART_TEXT];
    ops *o = c->ops;
    f5_dtype type = o->precision.operands;
    size_t R = (size_t)pack->rows, dim = (size_t)config->dim, width = f5_dtype_bytes(type);
    bool masked = config->mask_padding && config->blocks > 0; /* upstream masks only around the blocks */

    size_t mark = arena_mark(c->arena);
    float *x = config->average_upsampling ? arena_take(c->arena, R * dim, sizeof(float)) : y;
    convnext_buffers block = {.dim = config->dim,
                              .hidden_dim = 2 * config->dim,
                              .type = type,
                              .normed = arena_take(c->arena, R * dim, width),
                              .hidden = arena_take(c->arena, R * 2 * dim, width),
                              .grn_scratch = arena_take(c->arena, (size_t)pack->n_seq * 2 * dim, sizeof(float))};
    if (c->arena->overflow) return F5_E_MEMORY;

    ops_at(o, "text", -1);
    F5_TRY(o->embed(o, "embed",
                    &(embed_args){.pack = pack,
                                  .dim = config->dim,
                                  .table_rows = c->model->config.vocab_size + 1,
                                  .max_position = text_positions(c->tables->max_frames),
                                  .ids = ids,
                                  .keep = masked ? keep : NULL,
                                  .table = w->embedding,
                                  .positions = positions,
                                  .y = x}));
    text_rows_args mask = {.pack = pack, .dim = config->dim, .mode = TEXT_ROWS_MASK, .keep = keep, .x = x, .y = x};
    for (int32_t i = 0; i < config->blocks; i++) {
        ops_at(o, "text", i);
        F5_TRY(convnext_block(c, pack, &w->block[i], &block, x));
        if (masked) F5_TRY(o->text_rows(o, "mask", &mask));
    }
    ops_at(o, "text", -1);
    if (config->average_upsampling) {
        text_rows_args upsample = {
            .pack = pack, .dim = config->dim, .mode = TEXT_ROWS_UPSAMPLE, .keep = keep, .x = x, .y = y};
        F5_TRY(o->text_rows(o, "upsample", &upsample));
    }
    arena_release(c->arena, mark);
    return F5_OK;
}
