/* dit.c — F5's backbone, the DiT (runtime/MODEL.md §2.3–2.5): its settings, its tensors, and one evaluation of the
 * velocity, all branches and sequences packed.
 *
 *   x -> input projection (+ base) -> conv position embedding -> depth x block -> (long skip) -> exit norm -> velocity
 *   block: AdaLN, QKV with RoPE, attention, out + gate + residual, AdaLN, FF1 + GELU, FF2 + gate + residual */
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/conv_pos.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "kernels/norm.h"
#include "kernels/timestep.h"
#include "runtime/models/backbone.h"
#include "runtime/models/text_encoder.h"
#include "weights/convert/upstream.h"

#define MAX_DEPTH 64

typedef struct {
    int32_t dim;          /* D, % 16 == 0 (conv_pos) */
    int32_t depth;        /* blocks */
    int32_t heads;        /* H; inner width H*64 */
    int32_t ff_dim;       /* F = dim * ff_mult */
    int32_t pe_attn_head; /* heads rotated; -1: all */
    int32_t rotary;       /* f5_dtype that RoPE's frequencies are rounded to; F5_F32: they are exact */
    bool qk_norm, long_skip;
} dit_config;

typedef struct {
    time_weights time;
    input_weights input;       /* [D,100 + 100 + T], and the convolutions */
    linear_weights modulation; /* [(6*depth+2)*D, D] per block shift_a, scale_a, gate_a, shift_m, scale_m, gate_m; at
                                  the end scale, shift of the exit */
    block_weights block[MAX_DEPTH];
    f5_matrix long_skip_x;   /* [D,D] left half of the long skip, multiplies x; NULL without */
    f5_matrix long_skip_x0;  /* [D,D] right half, multiplies x0 */
    linear_weights proj_out; /* [100,D] */
} dit_weights;

/* What lasts over the ODE, and the working memory of one evaluation. What a block needs in turn lies in the same place
 * where it can, so that more of it is found in a GPU's L2: the attention's operand where its result will be; the
 * feed-forward's, and what is hidden in it, where q, k and v were. */
typedef struct {
    block_stream rows; /* a row a frame; `attended` also [R,D] between the two convolutions */
    float *base;       /* [R,D] input_base: the part of the input that x has no share in */
    float *h0;         /* [R,D] input of the blocks, kept for the long skip; NULL without */
    void *normed_a;    /* [R,D] operand type: for the attention, and the exit */
    void *normed_m;    /* [R,D] for the feed-forward */
} dit_state;

enum { ROPE, POSITIONS }; /* the tables */

_Static_assert(sizeof(dit_config) <= PART_CONFIG_BYTES && sizeof(dit_state) <= BACKBONE_STATE_BYTES, "they fit");

static const dit_config *settings_of(const model_config *config) {
    return config_of(config, PART_BACKBONE);
}

static const dit_config *dit_config_of(const stage_context *c) {
    return settings_of(&c->model->config);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"dim", "dim", offsetof(dit_config, dim), FIELD_INTEGER, 16, 8192, 1024},
    {"depth", "depth", offsetof(dit_config, depth), FIELD_INTEGER, 1, MAX_DEPTH, 8},
    {"heads", "heads", offsetof(dit_config, heads), FIELD_INTEGER, 1, 128, 8},
    {"ff_dim", "ff_dim", offsetof(dit_config, ff_dim), FIELD_INTEGER, 1, 65536, 4096},
    {"pe_attn_head", "pe_attn_head", offsetof(dit_config, pe_attn_head), FIELD_INTEGER, -1, 128, -1},
    {"qk_norm", "qk_norm", offsetof(dit_config, qk_norm), FIELD_FLAG, 0, 1, 0},
    {"long_skip", "long_skip", offsetof(dit_config, long_skip), FIELD_FLAG, 0, 1, 0},
    {"rotary", NULL, offsetof(dit_config, rotary), FIELD_INTEGER, 0, 2, 0},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const dit_config *d = settings_of(config);
    F5_TRY(input_check(config, d->dim, where, error));
    if (d->pe_attn_head > d->heads)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: backbone.pe_attn_head is %d of %d heads", where,
                       (int)d->pe_attn_head, (int)d->heads);
    return F5_OK;
}

static void read_upstream(upstream *from, model_config *config) {
    /* clang-format off */
    static const char *const names[] = {
        "dim", "depth", "heads", "dim_head", "ff_mult", "mel_dim", "text_dim", "text_mask_padding",
        "text_embedding_average_upsampling", "qk_norm", "conv_layers", "pe_attn_head", "long_skip_connection", "dropout",
        "attn_backend", "attn_mask_enabled", "checkpoint_activations", NULL};
    /* clang-format on */
    dit_config *d = (dit_config *)(void *)config->settings[PART_BACKBONE].bytes;
    upstream_require_known(from, "model.arch.", names);
    upstream_text(from, "model.arch.dim", NULL); /* the one that has no default */
    d->dim = upstream_int(from, "model.arch.dim", 0);
    d->depth = upstream_int(from, "model.arch.depth", 8);
    d->heads = upstream_int(from, "model.arch.heads", 8);
    upstream_require_int(from, "model.arch.dim_head", 64, 64);
    upstream_require_int(from, "model.arch.mel_dim", 100, 100);
    d->ff_dim = upstream_times(from, "model.arch.ff_mult", 4, d->dim);
    d->pe_attn_head = upstream_int(from, "model.arch.pe_attn_head", -1);
    d->long_skip = upstream_bool(from, "model.arch.long_skip_connection", false);
    d->qk_norm = upstream_has(from, "model.arch.qk_norm");
    if (d->qk_norm) upstream_require_text(from, "model.arch.qk_norm", "", "rms_norm");
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* I: heads * 64, the attention's inner width. GROUP: D / 16, a group of conv_pos. INPUT: 100 + 100 + T, the width that
 * upstream's input projection reads. MODULE: (6 depth + 2) D. */
enum { D = -1, F = -2, I = -3, T = -4, I3 = -5, D2 = -6, D6 = -7, GROUP = -8, INPUT = -9, MODULE = -10 };
enum { MELS = MEL_BANDS, MELS2 = 2 * MEL_BANDS, HEAD = ATTENTION_HEAD };
enum { BLOCKS = 1, NORMED_BLOCKS, IF_LONG_SKIP }; /* what lines repeat by */

static int64_t dimension(const model_config *config, int16_t symbol) {
    const dit_config *d = settings_of(config);
    switch (symbol) {
    case D:
        return d->dim;
    case F:
        return d->ff_dim;
    case I:
        return (int64_t)d->heads * HEAD;
    case T:
        return text_config_of(config)->dim;
    case I3:
        return (int64_t)d->heads * HEAD * 3;
    case D2:
        return (int64_t)d->dim * 2;
    case D6:
        return (int64_t)d->dim * 6;
    case GROUP:
        return d->dim / CONV_POS_GROUPS;
    case INPUT:
        return (int64_t)text_config_of(config)->dim + MELS2;
    default:
        return (int64_t)d->dim * (6 * (int64_t)d->depth + 2);
    }
}

static int32_t count(const model_config *config, int16_t repeat) {
    const dit_config *d = settings_of(config);
    if (repeat == IF_LONG_SKIP) return d->long_skip;
    return repeat == BLOCKS || d->qk_norm ? d->depth : 0;
}

#define AT(field) .address = offsetof(dit_weights, field)
#define IN_BLOCK(field)                                                                                                \
    .address = offsetof(dit_weights, block[0].field), .stride = sizeof(block_weights), .repeat = BLOCKS
#define IN_BLOCK_8(field) IN_BLOCK(field.w), .scale = offsetof(dit_weights, block[0].field.scale)
#define IN_NORMED(field)                                                                                               \
    .address = offsetof(dit_weights, block[0].field), .stride = sizeof(block_weights), .repeat = NORMED_BLOCKS
#define ROUNDED(field) .rounded = offsetof(dit_weights, block[0].field)
#define KEY "transformer."
#define BLOCK "transformer.transformer_blocks.%d."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in dit_weights */
    {"dit.proj_out.weight",    {MELS, D},  MATRIX, PACK_COPY,    KEY "proj_out.weight", AT(proj_out.w)},
    {"dit.proj_out.bias",      {MELS},     PLAIN,  PACK_COPY,    KEY "proj_out.bias",   AT(proj_out.b)},
    {"dit.time.0.weight",      {D, TIMESTEP_DIM}, MATRIX, PACK_COPY, KEY "time_embed.time_mlp.0.weight", AT(time.first.w)},
    {"dit.time.0.bias",        {D},        PLAIN,  PACK_COPY,    KEY "time_embed.time_mlp.0.bias",   AT(time.first.b)},
    {"dit.time.1.weight",      {D, D},     MATRIX, PACK_COPY,    KEY "time_embed.time_mlp.2.weight", AT(time.second.w)},
    {"dit.time.1.bias",        {D},        PLAIN,  PACK_COPY,    KEY "time_embed.time_mlp.2.bias",   AT(time.second.b)},

    {"dit.input.x.weight",     {D, MELS},  PLAIN,  PACK_COLUMNS, KEY "input_embed.proj.weight", AT(input.x), .first = 0, .columns = INPUT},
    {"dit.input.cond.weight",  {D, MELS},  PLAIN,  PACK_COLUMNS, KEY "input_embed.proj.weight", AT(input.cond), .first = MELS, .columns = INPUT},
    {"dit.input.text.weight",  {D, T},     PLAIN,  PACK_COLUMNS, KEY "input_embed.proj.weight", AT(input.text), .first = MELS2, .columns = INPUT},
    {"dit.input.bias",         {D},        PLAIN,  PACK_COPY,    KEY "input_embed.proj.bias",   AT(input.bias)},
    {"dit.conv_pos.0.weight",  {CONV_POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, KEY "input_embed.conv_pos_embed.conv1d.0.weight", AT(input.conv_pos_w[0])},
    {"dit.conv_pos.0.bias",    {D},        PLAIN,  PACK_COPY,    KEY "input_embed.conv_pos_embed.conv1d.0.bias", AT(input.conv_pos_b[0])},
    {"dit.conv_pos.1.weight",  {CONV_POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, KEY "input_embed.conv_pos_embed.conv1d.2.weight", AT(input.conv_pos_w[1])},
    {"dit.conv_pos.1.bias",    {D},        PLAIN,  PACK_COPY,    KEY "input_embed.conv_pos_embed.conv1d.2.bias", AT(input.conv_pos_b[1])},

    /* every block's modulation and the exit's in one matrix: one product per time computes them all */
    {"dit.modulation.weight",  {MODULE, D}, MATRIX, PACK_STACK,  KEY "transformer_blocks.*.attn_norm.linear.weight|" KEY "norm_out.linear.weight", AT(modulation.w), .scale = offsetof(dit_weights, modulation.scale), .star = BLOCKS, .star_rows = D6},
    {"dit.modulation.bias",    {MODULE},    PLAIN,  PACK_STACK,  KEY "transformer_blocks.*.attn_norm.linear.bias|" KEY "norm_out.linear.bias", AT(modulation.b), .star = BLOCKS, .star_rows = D6},

    {"dit.blocks.%d.qkv.weight",  {I3, D}, MATRIX, PACK_STACK,   BLOCK "attn.to_q.weight|" BLOCK "attn.to_k.weight|" BLOCK "attn.to_v.weight", IN_BLOCK_8(qkv)},
    {"dit.blocks.%d.qkv.bias",    {I3},    PLAIN,  PACK_STACK,   BLOCK "attn.to_q.bias|" BLOCK "attn.to_k.bias|" BLOCK "attn.to_v.bias", IN_BLOCK(qkv.b), ROUNDED(qkv.b_rounded)},
    {"dit.blocks.%d.q_norm",      {HEAD},  PLAIN,  PACK_COPY,    BLOCK "attn.q_norm.weight",   IN_NORMED(q_norm)},
    {"dit.blocks.%d.k_norm",      {HEAD},  PLAIN,  PACK_COPY,    BLOCK "attn.k_norm.weight",   IN_NORMED(k_norm)},
    {"dit.blocks.%d.out.weight",  {D, I},  MATRIX, PACK_COPY,    BLOCK "attn.to_out.0.weight", IN_BLOCK_8(out)},
    {"dit.blocks.%d.out.bias",    {D},     PLAIN,  PACK_COPY,    BLOCK "attn.to_out.0.bias",   IN_BLOCK(out.b)},
    {"dit.blocks.%d.ff1.weight",  {F, D},  MATRIX, PACK_COPY,    BLOCK "ff.ff.0.0.weight",     IN_BLOCK_8(ff1)},
    {"dit.blocks.%d.ff1.bias",    {F},     PLAIN,  PACK_COPY,    BLOCK "ff.ff.0.0.bias",       IN_BLOCK(ff1.b), ROUNDED(ff1.b_rounded)},
    {"dit.blocks.%d.ff2.weight",  {D, F},  MATRIX, PACK_COPY,    BLOCK "ff.ff.2.weight",       IN_BLOCK_8(ff2)},
    {"dit.blocks.%d.ff2.bias",    {D},     PLAIN,  PACK_COPY,    BLOCK "ff.ff.2.bias",         IN_BLOCK(ff2.b)},

    {"dit.long_skip.x.weight",  {D, D},    MATRIX, PACK_COLUMNS, KEY "long_skip_connection.weight", AT(long_skip_x), .repeat = IF_LONG_SKIP, .first = 0, .columns = D2},
    {"dit.long_skip.x0.weight", {D, D},    MATRIX, PACK_COLUMNS, KEY "long_skip_connection.weight", AT(long_skip_x0), .repeat = IF_LONG_SKIP, .first = D, .columns = D2},
};
/* clang-format on */

static const char *const ignored[] = {"initted", "step", "mel_spec.", "transformer.rotary_embed.", NULL};

/* ---- time -------------------------------------------------------------------------------------------------------- */

static int64_t row_width(const model_config *config) {
    return dimension(config, MODULE);
}

/* All evaluations are rows of one batch: time MLP, SiLU, then one product for every modulation of the model. SiLU comes
 * twice: inside the MLP, and behind it because every modulation is Linear(SiLU(c)). */
static f5_status fill_rows(const stage_context *c, const float *times, int32_t n, float *rows) {
    const dit_weights *w = c->model->weights[PART_BACKBONE];
    f5_dtype type = c->ops->precision.operands;
    int32_t dim = dit_config_of(c)->dim;
    f5_rows embedded = {arena_take(c->arena, (size_t)n * (size_t)dim, f5_dtype_bytes(type)), type};
    F5_TRY(time_embed(c, &w->time, dim, times, n, LINEAR_SILU, embedded));
    return time_modulation(c, "modulation", &w->modulation, dim, embedded.data, n,
                           (int32_t)row_width(&c->model->config), rows);
}

/* ---- what stays the same over the ODE ---------------------------------------------------------------------------- */

static bool take_buffers(const stage_context *c, dit_state *b) {
    const dit_config *config = dit_config_of(c);
    arena *a = c->arena;
    block_stream *r = &b->rows;
    size_t R = (size_t)r->pack->rows, dim = (size_t)config->dim, inner = (size_t)config->heads * ATTENTION_HEAD;
    size_t width = f5_dtype_bytes(c->ops->precision.operands), qkv = 3 * inner, forward = dim + (size_t)config->ff_dim;
    r->h = arena_take(a, R * dim, sizeof(float));
    b->h0 = config->long_skip ? arena_take(a, R * dim, sizeof(float)) : NULL;
    r->attended = arena_take(a, R * (inner > dim ? inner : dim), width);
    r->qkv = arena_take(a, R * (qkv > forward ? qkv : forward), width);
    b->normed_a = r->attended;
    b->normed_m = r->qkv;
    r->hidden = a->overflow ? NULL : (char *)r->qkv + R * dim * width;
    r->x8 = block_rows(c, R, dim > inner ? dim : inner, (size_t)config->ff_dim);
    return !a->overflow;
}

static f5_status begin(const stage_context *c, const backbone_input *in, void *state) {
    const dit_weights *w = c->model->weights[PART_BACKBONE];
    dit_state *b = state;
    *b = (dit_state){.rows.pack = in->pack};
    F5_TRY(input_base(c, in, &w->input, dit_config_of(c)->dim, c->tables->backbone[POSITIONS], &b->base));
    return take_buffers(c, b) ? F5_OK : F5_E_MEMORY;
}

/* ---- one evaluation ---------------------------------------------------------------------------------------------- */

static block_shape shape_of(const stage_context *c) {
    const dit_config *config = dit_config_of(c);
    return (block_shape){.dim = config->dim,
                         .heads = config->heads,
                         .ff_dim = config->ff_dim,
                         .rope_heads = config->pe_attn_head < 0 ? config->heads : config->pe_attn_head,
                         .max_position = c->tables->max_frames,
                         .rope = c->tables->backbone[ROPE]};
}

/* LN(h) (1 + scale) + shift */
static norm_args modulated(const float *scale, const float *shift) {
    return (norm_args){.scale = scale, .shift = shift, .one_plus_scale = true};
}

static f5_status dit_block(const stage_context *c, const dit_state *b, const block_weights *w,
                           const float *modulation) {
    const block_shape s = shape_of(c);
    const block_stream *r = &b->rows;
    const float *shift_a = modulation, *scale_a = modulation + s.dim, *gate_a = modulation + 2 * s.dim;
    const float *shift_m = modulation + 3 * s.dim, *scale_m = modulation + 4 * s.dim, *gate_m = modulation + 5 * s.dim;

    F5_TRY(block_norm(c, &s, r, "norm_a", modulated(scale_a, shift_a), b->normed_a, &w->qkv));
    F5_TRY(block_qkv(c, &s, r, w, b->normed_a));
    F5_TRY(block_attention(c, &s, r, w));
    F5_TRY(block_add(c, &s, r, "out", r->attended, s.heads * ATTENTION_HEAD, &w->out, gate_a, NULL));

    F5_TRY(block_norm(c, &s, r, "norm_m", modulated(scale_m, shift_m), b->normed_m, &w->ff1));
    F5_TRY(block_hidden(c, &s, r, w, b->normed_m));
    return block_add(c, &s, r, "ff2", r->hidden, s.ff_dim, &w->ff2, gate_m, NULL);
}

/* h = [h | h0] w^T, as two products; normed_m holds their operands. */
static f5_status long_skip(const stage_context *c, const dit_state *b) {
    const dit_weights *w = c->model->weights[PART_BACKBONE];
    const block_stream *r = &b->rows;
    ops *o = c->ops;
    int32_t dim = dit_config_of(c)->dim;
    int64_t n = (int64_t)r->pack->rows * dim;
    f5_dtype type = o->precision.operands;
    linear_args product = {
        .pack = r->pack, .in = dim, .out = dim, .x = {b->normed_m, type}, .w = w->long_skip_x, .y = {r->h, F5_F32}};
    F5_TRY(o->cast(o, "skip_x", &(cast_args){.n = n, .x = r->h, .y = b->normed_m, .type = type}));
    F5_TRY(o->linear(o, "long_skip_x", &product));
    F5_TRY(o->cast(o, "skip_x0", &(cast_args){.n = n, .x = b->h0, .y = b->normed_m, .type = type}));
    product.w = w->long_skip_x0;
    product.addend = r->h;
    product.epilogue = LINEAR_RESIDUAL;
    return o->linear(o, "long_skip_x0", &product);
}

static f5_status velocity(const stage_context *c, const void *state, const float *x, const float *row, float *v) {
    const dit_state *b = state;
    const dit_config *config = dit_config_of(c);
    const dit_weights *w = c->model->weights[PART_BACKBONE];
    const block_stream *r = &b->rows;
    const block_shape s = shape_of(c);
    ops *o = c->ops;
    size_t dim = (size_t)config->dim;
    ops_at(o, "dit", -1);
    const input_buffers input = {.base = b->base, .y = r->h, .rounded = b->normed_m, .between = r->attended};
    F5_TRY(input_embed(c, r->pack, &w->input, config->dim, x, &input));
    if (b->h0) F5_TRY(o->copy_within(o, b->h0, r->h, (size_t)r->pack->rows * dim * sizeof(float)));
    for (int32_t i = 0; i < config->depth; i++) {
        ops_at(o, "dit", i);
        F5_TRY(dit_block(c, b, &w->block[i], row + (size_t)i * 6 * dim));
    }
    ops_at(o, "dit", -1);
    if (b->h0) F5_TRY(long_skip(c, b));
    const float *scale = row + (size_t)config->depth * 6 * dim, *shift = scale + dim; /* the exit has scale first */
    F5_TRY(block_norm(c, &s, r, "norm_out", modulated(scale, shift), b->normed_a, NULL));
    return o->linear(o, "velocity",
                     &(linear_args){.pack = r->pack,
                                    .in = config->dim,
                                    .out = MEL_BANDS,
                                    .x = {b->normed_a, o->precision.operands},
                                    .w = w->proj_out.w,
                                    .bias = w->proj_out.b,
                                    .y = {v, F5_F32}});
}

/* ---- products in 8 bits ------------------------------------------------------------------------------------------ */

/* AdaLN's scale and shift are rows of the modulation; attention is linear in v. What GELU makes can take no factor. */
#define MODULATION(row, plus)                                                                                          \
    {"dit.modulation.weight", row, 6, false}, {                                                                        \
        "dit.modulation.bias", row, 6, plus                                                                            \
    }
#define VALUES                                                                                                         \
    {"dit.blocks.%d.qkv.weight", 2, 0, false}, {                                                                       \
        "dit.blocks.%d.qkv.bias", 2, 0, false                                                                          \
    }

static const backbone_product products[] = {
    {"dit.%d.qkv", "dit.%d.norm_a", "dit.blocks.%d.qkv.weight", {MODULATION(0, false), MODULATION(1, true)}},
    {"dit.%d.out", "dit.%d.attention", "dit.blocks.%d.out.weight", {VALUES}},
    {"dit.%d.ff1", "dit.%d.norm_m", "dit.blocks.%d.ff1.weight", {MODULATION(3, false), MODULATION(4, true)}},
    {"dit.%d.ff2", "dit.%d.ff1", "dit.blocks.%d.ff2.weight", {{0}}},
};

/* ---- the backbone ------------------------------------------------------------------------------------------------ */

static void widths(const model_config *config, int64_t *activation, int64_t *product) {
    const dit_config *d = settings_of(config);
    block_widths(d->dim, d->heads, d->ff_dim, activation, product);
}

static const stage_table *const tables[] = {[ROPE] = &rope_table, [POSITIONS] = &text_positions_table};

const backbone backbone_dit = {
    .part = {.kind = "DiT",
             .upstream = "DiT",
             .prefix = "dit.",
             .title = "transformer",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(dit_weights),
             .text = &text_encoder_part,
             .dimension = dimension,
             .count = count,
             .check = check,
             .read_upstream = read_upstream},
    STAGE_TABLES(tables),
    .max_frames = text_max_frames,
    .widths = widths,
    .row_width = row_width,
    .fill_rows = fill_rows,
    .begin = begin,
    .velocity = velocity,
    .products = products,
    .n_products = sizeof products / sizeof *products,
};
