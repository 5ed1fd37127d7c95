/* unett.c — E2-TTS's backbone, the flat UNet transformer (runtime/MODEL.md §4): its settings, its tensors, and one
 * evaluation of the velocity, all branches and sequences packed.
 *
 *   x -> input embedding -> time as row 0 -> depth x layer -> RMSNorm -> velocity
 *   layer: (skip), RMSNorm, QKV with RoPE, attention, out + residual, RMSNorm, FF1 + GELU, FF2 + residual
 *
 * The layers' rows are those of a pack of the backbone's own: a sequence has a row more than frames, its first. What
 * layer i of the first half begins with, layer depth - 1 - i gets once more: joined to its own input and projected
 * (concat), or added. */
#include <string.h>

#include "kernels/add.h"
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/conv_pos.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "kernels/norm.h"
#include "kernels/take_rows.h"
#include "kernels/time_row.h"
#include "kernels/timestep.h"
#include "runtime/models/backbone.h"
#include "runtime/models/text_encoder.h"
#include "weights/convert/upstream.h"

#define MAX_DEPTH 64
#define MAX_TEXT_FRAMES 4096 /* rows of UNetT's position table, where it has ConvNeXt blocks */

enum { SKIP_CONCAT, SKIP_ADD, SKIP_NONE };

typedef struct {
    int32_t dim;          /* D, % 16 == 0 (conv_pos) */
    int32_t depth;        /* layers, even */
    int32_t heads;        /* H; inner width H*64 */
    int32_t ff_dim;       /* F = dim * ff_mult */
    int32_t pe_attn_head; /* heads rotated; -1: all */
    int32_t skip;         /* SKIP_ */
    bool qk_norm;
} unett_config;

typedef struct {
    const float *attn_norm; /* [D] */
    const float *ff_norm;   /* [D] */
    block_weights block;
} unett_layer_weights;

/* The projection of [x | skip] of a layer of the later half: the halves of one matrix [D,2D]. */
typedef struct {
    f5_matrix x;    /* [D,D] */
    f5_matrix skip; /* [D,D] */
} unett_skip_weights;

typedef struct {
    time_weights time;
    input_weights input; /* [D,100 + 100 + T], and the convolutions */
    unett_layer_weights layer[MAX_DEPTH];
    unett_skip_weights skip[MAX_DEPTH / 2]; /* of layers depth/2, depth/2 + 1, ...; NULL but with SKIP_CONCAT */
    const float *norm_out;                  /* [D] */
    linear_weights proj_out;                /* [100,D] */
} unett_weights;

/* What lasts over the ODE, and the working memory of one evaluation. R rows of frames, S rows of frames and time. */
typedef struct {
    const f5_pack *pack; /* a row a frame */
    block_stream rows;   /* [S] a row more, for time, in front of each sequence; `attended` also [R,D] between the two
                            convolutions */
    float *base;         /* [R,D] input_base: the part of the input that x has no share in */
    float *frames;       /* [R,D] input of the layers, without time */
    void *normed;        /* [S,D] operand type */
    void *skips;         /* [depth/2][S,D] inputs of the first half's layers: operand type (concat) or F32 (add) */
    void *joined;        /* [S,D] operand type: the input of a later layer, as its projection reads it (concat) */
    float *v;            /* [S,100] velocity, time's row too */
} unett_state;

enum { ROPE, POSITIONS }; /* the tables */

_Static_assert(sizeof(unett_config) <= PART_CONFIG_BYTES && sizeof(unett_state) <= BACKBONE_STATE_BYTES, "they fit");

static const unett_config *settings_of(const model_config *config) {
    return config_of(config, PART_BACKBONE);
}

static const unett_config *unett_config_of(const stage_context *c) {
    return settings_of(&c->model->config);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"dim", NULL, offsetof(unett_config, dim), FIELD_INTEGER, 16, 8192, 1024},
    {"depth", NULL, offsetof(unett_config, depth), FIELD_INTEGER, 2, MAX_DEPTH, 8},
    {"heads", NULL, offsetof(unett_config, heads), FIELD_INTEGER, 1, 128, 8},
    {"ff_dim", NULL, offsetof(unett_config, ff_dim), FIELD_INTEGER, 1, 65536, 4096},
    {"pe_attn_head", NULL, offsetof(unett_config, pe_attn_head), FIELD_INTEGER, -1, 128, -1},
    {"skip", NULL, offsetof(unett_config, skip), FIELD_INTEGER, SKIP_CONCAT, SKIP_NONE, SKIP_CONCAT},
    {"qk_norm", NULL, offsetof(unett_config, qk_norm), FIELD_FLAG, 0, 1, 0},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const unett_config *u = settings_of(config);
    F5_TRY(input_check(config, u->dim, where, error));
    if (u->depth % 2)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: backbone.depth is %d, not even", where,
                       (int)u->depth);
    if (u->pe_attn_head > u->heads)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: backbone.pe_attn_head is %d of %d heads", where,
                       (int)u->pe_attn_head, (int)u->heads);
    return F5_OK;
}

static void read_skip(upstream *from, unett_config *u) {
    static const char *const kinds[] = {[SKIP_CONCAT] = "concat", [SKIP_ADD] = "add", [SKIP_NONE] = "none"};
    const char *key = "model.arch.skip_connect_type", *kind = upstream_text(from, key, "concat");
    for (u->skip = SKIP_CONCAT; u->skip <= SKIP_NONE; u->skip++)
        if (strcmp(kind, kinds[u->skip]) == 0) return;
    upstream_fail(from, F5_E_UNSUPPORTED, key, kind, "only concat, add and none are known");
}

static void read_upstream(upstream *from, model_config *config) {
    /* clang-format off */
    static const char *const names[] = {
        "dim", "depth", "heads", "dim_head", "ff_mult", "mel_dim", "text_dim", "text_mask_padding", "qk_norm",
        "conv_layers", "pe_attn_head", "skip_connect_type", "dropout", "attn_backend", "attn_mask_enabled", NULL};
    /* clang-format on */
    unett_config *u = (unett_config *)(void *)config->settings[PART_BACKBONE].bytes;
    upstream_require_known(from, "model.arch.", names);
    upstream_text(from, "model.arch.dim", NULL); /* the one that has no default */
    u->dim = upstream_int(from, "model.arch.dim", 0);
    u->depth = upstream_int(from, "model.arch.depth", 8);
    u->heads = upstream_int(from, "model.arch.heads", 8);
    upstream_require_int(from, "model.arch.dim_head", 64, 64);
    upstream_require_int(from, "model.arch.mel_dim", 100, 100);
    u->ff_dim = upstream_times(from, "model.arch.ff_mult", 4, u->dim);
    u->pe_attn_head = upstream_int(from, "model.arch.pe_attn_head", -1);
    u->qk_norm = upstream_has(from, "model.arch.qk_norm");
    if (u->qk_norm) upstream_require_text(from, "model.arch.qk_norm", "", "rms_norm");
    read_skip(from, u);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* I: heads * 64, the attention's inner width. GROUP: D / 16, a group of conv_pos. INPUT: 100 + 100 + T, the width that
 * upstream's input projection reads. LATER: depth / 2, the number of the first layer that has a skip. */
enum { D = -1, F = -2, I = -3, T = -4, I3 = -5, D2 = -6, GROUP = -7, INPUT = -8, LATER = -9 };
enum { MELS = MEL_BANDS, MELS2 = 2 * MEL_BANDS, HEAD = ATTENTION_HEAD };
enum { LAYERS = 1, NORMED_LAYERS, SKIPS }; /* what lines repeat by */

static int64_t dimension(const model_config *config, int16_t symbol) {
    const unett_config *u = settings_of(config);
    switch (symbol) {
    case D:
        return u->dim;
    case F:
        return u->ff_dim;
    case I:
        return (int64_t)u->heads * HEAD;
    case T:
        return text_config_of(config)->dim;
    case I3:
        return (int64_t)u->heads * HEAD * 3;
    case D2:
        return (int64_t)u->dim * 2;
    case GROUP:
        return u->dim / CONV_POS_GROUPS;
    case INPUT:
        return (int64_t)text_config_of(config)->dim + MELS2;
    default:
        return u->depth / 2;
    }
}

static int32_t count(const model_config *config, int16_t repeat) {
    const unett_config *u = settings_of(config);
    if (repeat == SKIPS) return u->skip == SKIP_CONCAT ? u->depth / 2 : 0;
    return repeat == LAYERS || u->qk_norm ? u->depth : 0;
}

#define AT(field) .address = offsetof(unett_weights, field)
#define IN_LAYER(field)                                                                                                \
    .address = offsetof(unett_weights, layer[0].field), .stride = sizeof(unett_layer_weights), .repeat = LAYERS
#define IN_NORMED(field)                                                                                               \
    .address = offsetof(unett_weights, layer[0].field), .stride = sizeof(unett_layer_weights), .repeat = NORMED_LAYERS
#define IN_SKIP(field)                                                                                                 \
    .address = offsetof(unett_weights, skip[0].field), .stride = sizeof(unett_skip_weights), .repeat = SKIPS
#define IN_LAYER_8(field) IN_LAYER(field.w), .scale = offsetof(unett_weights, layer[0].field.scale)
#define ROUNDED(field) .rounded = offsetof(unett_weights, layer[0].field)
#define KEY "transformer."
#define LAYER "transformer.layers.%d."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in unett_weights */
    {"unett.proj_out.weight",    {MELS, D},  MATRIX, PACK_COPY,    KEY "proj_out.weight", AT(proj_out.w)},
    {"unett.proj_out.bias",      {MELS},     PLAIN,  PACK_COPY,    KEY "proj_out.bias",   AT(proj_out.b)},
    {"unett.norm_out",           {D},        PLAIN,  PACK_COPY,    KEY "norm_out.g",      AT(norm_out)},
    {"unett.time.0.weight",      {D, TIMESTEP_DIM}, MATRIX, PACK_COPY, KEY "time_embed.time_mlp.0.weight", AT(time.first.w)},
    {"unett.time.0.bias",        {D},        PLAIN,  PACK_COPY,    KEY "time_embed.time_mlp.0.bias",   AT(time.first.b)},
    {"unett.time.1.weight",      {D, D},     MATRIX, PACK_COPY,    KEY "time_embed.time_mlp.2.weight", AT(time.second.w)},
    {"unett.time.1.bias",        {D},        PLAIN,  PACK_COPY,    KEY "time_embed.time_mlp.2.bias",   AT(time.second.b)},

    {"unett.input.x.weight",     {D, MELS},  PLAIN,  PACK_COLUMNS, KEY "input_embed.proj.weight", AT(input.x), .first = 0, .columns = INPUT},
    {"unett.input.cond.weight",  {D, MELS},  PLAIN,  PACK_COLUMNS, KEY "input_embed.proj.weight", AT(input.cond), .first = MELS, .columns = INPUT},
    {"unett.input.text.weight",  {D, T},     PLAIN,  PACK_COLUMNS, KEY "input_embed.proj.weight", AT(input.text), .first = MELS2, .columns = INPUT},
    {"unett.input.bias",         {D},        PLAIN,  PACK_COPY,    KEY "input_embed.proj.bias",   AT(input.bias)},
    {"unett.conv_pos.0.weight",  {CONV_POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, KEY "input_embed.conv_pos_embed.conv1d.0.weight", AT(input.conv_pos_w[0])},
    {"unett.conv_pos.0.bias",    {D},        PLAIN,  PACK_COPY,    KEY "input_embed.conv_pos_embed.conv1d.0.bias", AT(input.conv_pos_b[0])},
    {"unett.conv_pos.1.weight",  {CONV_POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, KEY "input_embed.conv_pos_embed.conv1d.2.weight", AT(input.conv_pos_w[1])},
    {"unett.conv_pos.1.bias",    {D},        PLAIN,  PACK_COPY,    KEY "input_embed.conv_pos_embed.conv1d.2.bias", AT(input.conv_pos_b[1])},

    {"unett.layers.%d.attn_norm",   {D},     PLAIN,  PACK_COPY,    LAYER "1.g", IN_LAYER(attn_norm)},
    {"unett.layers.%d.qkv.weight",  {I3, D}, MATRIX, PACK_STACK,   LAYER "2.to_q.weight|" LAYER "2.to_k.weight|" LAYER "2.to_v.weight", IN_LAYER_8(block.qkv)},
    {"unett.layers.%d.qkv.bias",    {I3},    PLAIN,  PACK_STACK,   LAYER "2.to_q.bias|" LAYER "2.to_k.bias|" LAYER "2.to_v.bias", IN_LAYER(block.qkv.b), ROUNDED(block.qkv.b_rounded)},
    {"unett.layers.%d.q_norm",      {HEAD},  PLAIN,  PACK_COPY,    LAYER "2.q_norm.weight",   IN_NORMED(block.q_norm)},
    {"unett.layers.%d.k_norm",      {HEAD},  PLAIN,  PACK_COPY,    LAYER "2.k_norm.weight",   IN_NORMED(block.k_norm)},
    {"unett.layers.%d.out.weight",  {D, I},  MATRIX, PACK_COPY,    LAYER "2.to_out.0.weight", IN_LAYER_8(block.out)},
    {"unett.layers.%d.out.bias",    {D},     PLAIN,  PACK_COPY,    LAYER "2.to_out.0.bias",   IN_LAYER(block.out.b)},
    {"unett.layers.%d.ff_norm",     {D},     PLAIN,  PACK_COPY,    LAYER "3.g", IN_LAYER(ff_norm)},
    {"unett.layers.%d.ff1.weight",  {F, D},  MATRIX, PACK_COPY,    LAYER "4.ff.0.0.weight",   IN_LAYER_8(block.ff1)},
    {"unett.layers.%d.ff1.bias",    {F},     PLAIN,  PACK_COPY,    LAYER "4.ff.0.0.bias",     IN_LAYER(block.ff1.b), ROUNDED(block.ff1.b_rounded)},
    {"unett.layers.%d.ff2.weight",  {D, F},  MATRIX, PACK_COPY,    LAYER "4.ff.2.weight",     IN_LAYER_8(block.ff2)},
    {"unett.layers.%d.ff2.bias",    {D},     PLAIN,  PACK_COPY,    LAYER "4.ff.2.bias",       IN_LAYER(block.ff2.b)},

    {"unett.skips.%d.x.weight",     {D, D},  MATRIX, PACK_COLUMNS, LAYER "0.weight", IN_SKIP(x), .first = 0, .columns = D2, .key_from = LATER},
    {"unett.skips.%d.skip.weight",  {D, D},  MATRIX, PACK_COLUMNS, LAYER "0.weight", IN_SKIP(skip), .first = D, .columns = D2, .key_from = LATER},
};
/* clang-format on */

static const char *const ignored[] = {"initted", "step", "mel_spec.", "transformer.rotary_embed.", NULL};

static int64_t row_width(const model_config *config) {
    return settings_of(config)->dim;
}

static f5_status fill_rows(const stage_context *c, const float *times, int32_t n, float *rows) {
    const unett_weights *w = c->model->weights[PART_BACKBONE];
    return time_embed(c, &w->time, unett_config_of(c)->dim, times, n, LINEAR_NONE, (f5_rows){rows, F5_F32});
}

/* ---- what stays the same over the ODE ---------------------------------------------------------------------------- */

static bool take_buffers(const stage_context *c, unett_state *b) {
    const unett_config *config = unett_config_of(c);
    arena *a = c->arena;
    block_stream *r = &b->rows;
    size_t R = (size_t)b->pack->rows, S = (size_t)r->pack->rows, dim = (size_t)config->dim;
    size_t inner = (size_t)config->heads * ATTENTION_HEAD, width = f5_dtype_bytes(c->ops->precision.operands);
    size_t longest = S * inner > R * dim ? S * inner : R * dim, half = (size_t)config->depth / 2;
    b->frames = arena_take(a, R * dim, sizeof(float));
    r->h = arena_take(a, S * dim, sizeof(float));
    b->normed = arena_take(a, S * dim, width);
    r->qkv = arena_take(a, S * 3 * inner, width);
    r->attended = arena_take(a, longest, width);
    r->hidden = arena_take(a, S * (size_t)config->ff_dim, width);
    b->skips = config->skip == SKIP_NONE
                   ? NULL
                   : arena_take(a, half * S * dim, config->skip == SKIP_CONCAT ? width : sizeof(float));
    b->joined = config->skip == SKIP_CONCAT ? arena_take(a, S * dim, width) : NULL;
    b->v = arena_take(a, S * MEL_BANDS, sizeof(float));
    r->x8 = block_rows(c, S, dim > inner ? dim : inner, (size_t)config->ff_dim);
    return !a->overflow;
}

static f5_status begin(const stage_context *c, const backbone_input *in, void *state) {
    const unett_weights *w = c->model->weights[PART_BACKBONE];
    unett_state *b = state;
    *b = (unett_state){.pack = in->pack, .rows.pack = &in->own_packs[0]};
    F5_TRY(input_base(c, in, &w->input, unett_config_of(c)->dim, c->tables->backbone[POSITIONS], &b->base));
    return take_buffers(c, b) ? F5_OK : F5_E_MEMORY;
}

/* ---- one evaluation ---------------------------------------------------------------------------------------------- */

static f5_dtype kept_type(const stage_context *c) {
    return unett_config_of(c)->skip == SKIP_CONCAT ? c->ops->precision.operands : F5_F32;
}

/* Where the stream at the start of a layer is kept: in the first half among the skips; in the later half, for the
 * projection of concat, in `joined`. NULL: nowhere. */
static void *kept(const stage_context *c, const unett_state *b, int32_t layer) {
    const unett_config *config = unett_config_of(c);
    if (layer >= config->depth || !b->skips) return NULL;
    if (layer >= config->depth / 2) return b->joined;
    return (char *)b->skips +
           (size_t)layer * (size_t)b->rows.pack->rows * (size_t)config->dim * f5_dtype_bytes(kept_type(c));
}

static f5_status keep(const stage_context *c, const unett_state *b, int32_t layer) {
    void *to = kept(c, b, layer);
    if (!to) return F5_OK;
    return c->ops->cast(
        c->ops, "kept",
        &(cast_args){
            .n = (int64_t)b->rows.pack->rows * unett_config_of(c)->dim, .x = b->rows.h, .y = to, .type = kept_type(c)});
}

/* The state [R,100] at a time [D] becomes the layers' input. */
static f5_status enter(const stage_context *c, const unett_state *b, const float *x, const float *time) {
    const unett_weights *w = c->model->weights[PART_BACKBONE];
    const int32_t dim = unett_config_of(c)->dim;
    const input_buffers input = {.base = b->base, .y = b->frames, .rounded = b->normed, .between = b->rows.attended};
    F5_TRY(input_embed(c, b->pack, &w->input, dim, x, &input));
    F5_TRY(c->ops->time_row(c->ops, "time",
                            &(time_row_args){.pack = b->pack,
                                             .y_pack = b->rows.pack,
                                             .dim = dim,
                                             .mode = TIME_ROW_PUT,
                                             .x = b->frames,
                                             .row = time,
                                             .y = b->rows.h}));
    return keep(c, b, 0);
}

static block_shape shape_of(const stage_context *c) {
    const unett_config *config = unett_config_of(c);
    return (block_shape){.dim = config->dim,
                         .heads = config->heads,
                         .ff_dim = config->ff_dim,
                         .rope_heads = config->pe_attn_head < 0 ? config->heads : config->pe_attn_head,
                         .max_position = c->tables->max_frames + 1,
                         .rope = c->tables->backbone[ROPE]};
}

static norm_args rms(const float *scale) {
    return (norm_args){.scale = scale, .rms = true};
}

/* A layer of the later half begins: its input and the kept stream of its partner. */
static f5_status skip(const stage_context *c, const unett_state *b, int32_t layer) {
    const unett_config *config = unett_config_of(c);
    const unett_weights *weights = c->model->weights[PART_BACKBONE];
    const void *partner = kept(c, b, config->depth - 1 - layer);
    const f5_dtype type = kept_type(c);
    ops *o = c->ops;
    if (config->skip == SKIP_NONE) return F5_OK;
    if (config->skip == SKIP_ADD)
        return o->add(
            o, "skip",
            &(add_args){
                .n = (int64_t)b->rows.pack->rows * config->dim, .x = b->rows.h, .addend = partner, .y = b->rows.h});
    const unett_skip_weights *w = &weights->skip[layer - config->depth / 2];
    return o->linear(o, "skip",
                     &(linear_args){.pack = b->rows.pack,
                                    .in = config->dim,
                                    .out = config->dim,
                                    .x = {b->joined, type},
                                    .w = w->x,
                                    .x2 = {partner, type},
                                    .w2 = w->skip,
                                    .y = {b->rows.h, F5_F32}});
}

static f5_status unett_layer(const stage_context *c, const unett_state *b, int32_t layer) {
    const unett_layer_weights *w = &((const unett_weights *)c->model->weights[PART_BACKBONE])->layer[layer];
    const block_shape s = shape_of(c);
    const block_stream *r = &b->rows;
    /* a product writes what is kept of it, where it can; 8-bit ones cannot */
    const bool beside = kept_type(c) != F5_F32 && !product_int8(&w->block.ff2);
    void *next = beside ? kept(c, b, layer + 1) : NULL;

    if (layer >= unett_config_of(c)->depth / 2) F5_TRY(skip(c, b, layer));
    F5_TRY(block_norm(c, &s, r, "norm_a", rms(w->attn_norm), b->normed, &w->block.qkv));
    F5_TRY(block_qkv(c, &s, r, &w->block, b->normed));
    F5_TRY(block_attention(c, &s, r, &w->block));
    F5_TRY(block_add(c, &s, r, "out", r->attended, s.heads * ATTENTION_HEAD, &w->block.out, NULL, NULL));

    F5_TRY(block_norm(c, &s, r, "norm_m", rms(w->ff_norm), b->normed, &w->block.ff1));
    F5_TRY(block_hidden(c, &s, r, &w->block, b->normed));
    F5_TRY(block_add(c, &s, r, "ff2", r->hidden, s.ff_dim, &w->block.ff2, NULL, next));
    return beside ? F5_OK : keep(c, b, layer + 1);
}

static f5_status velocity(const stage_context *c, const void *state, const float *x, const float *row, float *v) {
    const unett_state *b = state;
    const unett_config *config = unett_config_of(c);
    const unett_weights *w = c->model->weights[PART_BACKBONE];
    ops *o = c->ops;
    ops_at(o, "unett", -1);
    F5_TRY(enter(c, b, x, row));
    for (int32_t i = 0; i < config->depth; i++) {
        ops_at(o, "unett", i);
        F5_TRY(unett_layer(c, b, i));
    }
    ops_at(o, "unett", -1);
    const block_shape s = shape_of(c);
    F5_TRY(block_norm(c, &s, &b->rows, "norm_out", rms(w->norm_out), b->normed, NULL));
    F5_TRY(o->linear(o, "velocity_rows",
                     &(linear_args){.pack = b->rows.pack,
                                    .in = config->dim,
                                    .out = MEL_BANDS,
                                    .x = {b->normed, o->precision.operands},
                                    .w = w->proj_out.w,
                                    .bias = w->proj_out.b,
                                    .y = {b->v, F5_F32}}));
    return o->take_rows(o, "velocity",
                        &(take_rows_args){.pack = b->rows.pack,
                                          .y_pack = b->pack,
                                          .dim = MEL_BANDS,
                                          .mode = TAKE_LAST,
                                          .x = b->v,
                                          .y = v,
                                          .type = F5_F32});
}

/* ---- products in 8 bits ------------------------------------------------------------------------------------------ */

#define VALUES                                                                                                         \
    {"unett.layers.%d.qkv.weight", 2, 0, false}, {                                                                     \
        "unett.layers.%d.qkv.bias", 2, 0, false                                                                        \
    }

static const backbone_product products[] = {
    {"unett.%d.qkv", "unett.%d.norm_a", "unett.layers.%d.qkv.weight", {{"unett.layers.%d.attn_norm", 0, 0, false}}},
    {"unett.%d.out", "unett.%d.attention", "unett.layers.%d.out.weight", {VALUES}},
    {"unett.%d.ff1", "unett.%d.norm_m", "unett.layers.%d.ff1.weight", {{"unett.layers.%d.ff_norm", 0, 0, false}}},
    {"unett.%d.ff2", "unett.%d.ff1", "unett.layers.%d.ff2.weight", {{0}}},
};

/* ---- the backbone ------------------------------------------------------------------------------------------------ */

static int32_t pack_length(int k, int32_t frames, int32_t n_tokens) {
    (void)k, (void)n_tokens;
    return frames + 1;
}

/* Live rows are counted and then rounded: added to rounded frames, the rows of time would begin a tile of their own. */
static int64_t pack_rows(int k, const backbone_load *load) {
    (void)k;
    const int64_t live = (load->frames + load->sequences + load->step - 1) / load->step * load->step;
    return live > load->rows ? live : load->rows; /* the frames' pack is longer where the vocoder's slices are */
}

static int32_t max_frames(const model_config *config) {
    return text_config_of(config)->blocks > 0 ? MAX_TEXT_FRAMES : text_max_frames(config);
}

static void widths(const model_config *config, int64_t *activation, int64_t *product) {
    const unett_config *u = settings_of(config);
    block_widths(u->dim, u->heads, u->ff_dim, activation, product);
}

static const stage_table *const tables[] = {[ROPE] = &rope_table, [POSITIONS] = &text_positions_table};

const backbone backbone_unett = {
    .part = {.kind = "UNetT",
             .upstream = "UNetT",
             .prefix = "unett.",
             .title = "transformer",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(unett_weights),
             .text = &text_encoder_part,
             .dimension = dimension,
             .count = count,
             .check = check,
             .read_upstream = read_upstream},
    STAGE_TABLES(tables),
    .n_packs = 1,
    .pack_length = pack_length,
    .pack_rows = pack_rows,
    .max_frames = max_frames,
    .widths = widths,
    .row_width = row_width,
    .fill_rows = fill_rows,
    .begin = begin,
    .velocity = velocity,
    .products = products,
    .n_products = sizeof products / sizeof *products,
};
