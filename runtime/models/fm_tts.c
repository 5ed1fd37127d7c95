/* fm_tts.c — Flow-Matching-TTS's backbone (runtime/MODEL.md §8): its settings, its tensors, and one evaluation of the
 * velocity, all sequences packed. It has one voice, no reference and no guidance.
 *
 *   text -> embedding and learned positions -> 4 x ConvNeXt                      once
 *   [text; x projected] + time -> depth x layer -> velocity of the rows of x
 *   layer: LayerNorm, QKV, attention, out + residual, LayerNorm, FF1 + ReLU, FF2 + residual
 *
 * The text's rows are those of a pack of the backbone's own, the layers' those of another, in which each sequence has
 * its text in front of its frames. There are no positions but the text's. */
#include <math.h>

#include "kernels/attention.h"
#include "kernels/embed.h"
#include "kernels/linear.h"
#include "kernels/norm.h"
#include "kernels/take_rows.h"
#include "kernels/time_row.h"
#include "kernels/timestep.h"
#include "runtime/models/phoneme_text.h"
#include "runtime/models/vocoder.h"
#include "weights/convert/upstream.h"

#define MAX_DEPTH 64
#define TEXT_BLOCKS 4
#define NORM_EPS 1e-5f

typedef struct {
    int32_t dim;    /* D = 64 heads */
    int32_t depth;  /* layers */
    int32_t heads;  /* H */
    int32_t ff_dim; /* F */
} fm_config;

typedef struct {
    norm_weights norm1, norm2; /* [D] */
    linear_weights qkv;        /* [3D,D] */
    linear_weights out;        /* [D,D] */
    linear_weights ff1;        /* [F,D] */
    linear_weights ff2;        /* [D,F] */
} fm_layer_weights;

typedef struct {
    linear_weights time1, time2;         /* [4D,D], [D,4D] */
    const float *embedding;              /* [V,D] */
    const float *positions;              /* [PHONEME_MAX_TOKENS,D] */
    convnext_weights block[TEXT_BLOCKS]; /* hidden 4D, no GRN, no layer scale */
    const float *mel_w, *mel_b;          /* [D,M], [D]: F32, they read the ODE's state */
    fm_layer_weights layer[MAX_DEPTH];
    const float *out_w, *out_b; /* [M,D], [M] */
} fm_weights;

enum { TEXT_PACK, JOINT_PACK };

/* What lasts over the ODE, and the working memory of one evaluation. R rows of frames, T of text, J of both. */
typedef struct {
    const f5_pack *pack, *joint;
    float *base;    /* [J,D] the text's features, and the bias of the frames' projection */
    float *x;       /* [J,M] zeros, and the state */
    float *h;       /* [J,D] residual stream */
    void *normed;   /* [J,D] operand type */
    void *qkv;      /* [J,3,H,64] */
    void *attended; /* [J,D] */
    void *hidden;   /* [J,F] */
    float *v;       /* [J,M] velocity, the text's rows too */
} fm_state;

_Static_assert(sizeof(fm_config) <= PART_CONFIG_BYTES && sizeof(fm_state) <= BACKBONE_STATE_BYTES, "they fit");

static const fm_config *settings_of(const model_config *config) {
    return config_of(config, PART_BACKBONE);
}

static const fm_config *fm_config_of(const stage_context *c) {
    return settings_of(&c->model->config);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"dim", NULL, offsetof(fm_config, dim), FIELD_INTEGER, 64, 8192, 512},
    {"depth", NULL, offsetof(fm_config, depth), FIELD_INTEGER, 1, MAX_DEPTH, 12},
    {"heads", NULL, offsetof(fm_config, heads), FIELD_INTEGER, 1, 128, 8},
    {"ff_dim", NULL, offsetof(fm_config, ff_dim), FIELD_INTEGER, 1, 65536, 2048},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const fm_config *f = settings_of(config);
    if (f->dim == (int64_t)f->heads * ATTENTION_HEAD) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: backbone.dim is %d of %d heads; a head is %d wide",
                   where, (int)f->dim, (int)f->heads, ATTENTION_HEAD);
}

static void read_upstream(upstream *from, model_config *config) {
    fm_config *f = (fm_config *)(void *)config->settings[PART_BACKBONE].bytes;
    f->dim = upstream_int(from, "model.flow_d_model", 512);
    f->heads = upstream_int(from, "model.flow_nhead", 8);
    f->depth = upstream_int(from, "model.flow_num_layers", 12);
    f->ff_dim = upstream_int(from, "model.flow_dim_feedforward", 2048);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum { D = -1, F = -2, D3 = -3, D4 = -4, V = -5, M = -6, TAPS = 7, ONE = 1, POSITIONS = PHONEME_MAX_TOKENS };
enum { LAYERS = 1, BLOCKS }; /* what lines repeat by */

static int64_t dimension(const model_config *config, int16_t symbol) {
    const fm_config *f = settings_of(config);
    switch (symbol) {
    case D:
        return f->dim;
    case F:
        return f->ff_dim;
    case D3:
        return (int64_t)f->dim * 3;
    case D4:
        return (int64_t)f->dim * 4;
    case V:
        return config->vocab_size;
    default:
        return model_mel_bands(config);
    }
}

static int32_t count(const model_config *config, int16_t repeat) {
    return repeat == LAYERS ? settings_of(config)->depth : TEXT_BLOCKS;
}

#define AT(field) .address = offsetof(fm_weights, field)
#define IN_LAYER(field)                                                                                                \
    .address = offsetof(fm_weights, layer[0].field), .stride = sizeof(fm_layer_weights), .repeat = LAYERS
#define IN_BLOCK(field)                                                                                                \
    .address = offsetof(fm_weights, block[0].field), .stride = sizeof(convnext_weights), .repeat = BLOCKS
#define ROUNDED(field) .rounded = offsetof(fm_weights, layer[0].field)
#define KEY "flow_tts.flow_matching.model."
#define LAYER KEY "transformer.layers.%d."
#define BLOCK KEY "convnext_blocks.%d."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in fm_weights */
    {"fm.time.0.weight",             {D4, D},        MATRIX, PACK_COPY,      KEY "time_mlp.0.weight", AT(time1.w)},
    {"fm.time.0.bias",               {D4},           PLAIN,  PACK_COPY,      KEY "time_mlp.0.bias",   AT(time1.b)},
    {"fm.time.1.weight",             {D, D4},        MATRIX, PACK_COPY,      KEY "time_mlp.2.weight", AT(time2.w)},
    {"fm.time.1.bias",               {D},            PLAIN,  PACK_COPY,      KEY "time_mlp.2.bias",   AT(time2.b)},
    {"fm.embedding",                 {V, D},         PLAIN,  PACK_COPY,      KEY "text_emb.weight",   AT(embedding)},
    {"fm.positions",                 {POSITIONS, D}, PLAIN,  PACK_SQUEEZE,   KEY "text_pos_enc",      AT(positions)},
    {"fm.text.%d.dwconv.weight",     {TAPS, D},      PLAIN,  PACK_DEPTHWISE, BLOCK "dwconv.weight",   IN_BLOCK(dwconv_w)},
    {"fm.text.%d.dwconv.bias",       {D},            PLAIN,  PACK_COPY,      BLOCK "dwconv.bias",     IN_BLOCK(dwconv_b)},
    {"fm.text.%d.norm.weight",       {D},            PLAIN,  PACK_COPY,      BLOCK "norm.weight",     IN_BLOCK(norm.scale)},
    {"fm.text.%d.norm.bias",         {D},            PLAIN,  PACK_COPY,      BLOCK "norm.bias",       IN_BLOCK(norm.shift)},
    {"fm.text.%d.pw1.weight",        {D4, D},        MATRIX, PACK_COPY,      BLOCK "pwconv1.weight",  IN_BLOCK(pw1.w)},
    {"fm.text.%d.pw1.bias",          {D4},           PLAIN,  PACK_COPY,      BLOCK "pwconv1.bias",    IN_BLOCK(pw1.b)},
    {"fm.text.%d.pw2.weight",        {D, D4},        MATRIX, PACK_COPY,      BLOCK "pwconv2.weight",  IN_BLOCK(pw2.w)},
    {"fm.text.%d.pw2.bias",          {D},            PLAIN,  PACK_COPY,      BLOCK "pwconv2.bias",    IN_BLOCK(pw2.b)},
    {"fm.mel.weight",                {ONE, D, M},    PLAIN,  PACK_TAP_FIRST, KEY "mel_proj.weight",   AT(mel_w)},
    {"fm.mel.bias",                  {D},            PLAIN,  PACK_COPY,      KEY "mel_proj.bias",     AT(mel_b)},
    {"fm.layers.%d.norm1.weight",    {D},            PLAIN,  PACK_COPY,      LAYER "norm1.weight",    IN_LAYER(norm1.scale)},
    {"fm.layers.%d.norm1.bias",      {D},            PLAIN,  PACK_COPY,      LAYER "norm1.bias",      IN_LAYER(norm1.shift)},
    {"fm.layers.%d.qkv.weight",      {D3, D},        MATRIX, PACK_COPY,      LAYER "self_attn.in_proj_weight", IN_LAYER(qkv.w)},
    {"fm.layers.%d.qkv.bias",        {D3},           PLAIN,  PACK_COPY,      LAYER "self_attn.in_proj_bias",   IN_LAYER(qkv.b), ROUNDED(qkv.b_rounded)},
    {"fm.layers.%d.out.weight",      {D, D},         MATRIX, PACK_COPY,      LAYER "self_attn.out_proj.weight", IN_LAYER(out.w)},
    {"fm.layers.%d.out.bias",        {D},            PLAIN,  PACK_COPY,      LAYER "self_attn.out_proj.bias",   IN_LAYER(out.b)},
    {"fm.layers.%d.norm2.weight",    {D},            PLAIN,  PACK_COPY,      LAYER "norm2.weight",    IN_LAYER(norm2.scale)},
    {"fm.layers.%d.norm2.bias",      {D},            PLAIN,  PACK_COPY,      LAYER "norm2.bias",      IN_LAYER(norm2.shift)},
    {"fm.layers.%d.ff1.weight",      {F, D},         MATRIX, PACK_COPY,      LAYER "linear1.weight",  IN_LAYER(ff1.w)},
    {"fm.layers.%d.ff1.bias",        {F},            PLAIN,  PACK_COPY,      LAYER "linear1.bias",    IN_LAYER(ff1.b), ROUNDED(ff1.b_rounded)},
    {"fm.layers.%d.ff2.weight",      {D, F},         MATRIX, PACK_COPY,      LAYER "linear2.weight",  IN_LAYER(ff2.w)},
    {"fm.layers.%d.ff2.bias",        {D},            PLAIN,  PACK_COPY,      LAYER "linear2.bias",    IN_LAYER(ff2.b)},
    {"fm.velocity.weight",           {ONE, M, D},    PLAIN,  PACK_TAP_FIRST, KEY "output_proj.weight", AT(out_w)},
    {"fm.velocity.bias",             {M},            PLAIN,  PACK_COPY,      KEY "output_proj.bias",  AT(out_b)},
};
/* clang-format on */

static const char *const ignored[] = {"mel_transform.", "dec.", NULL};

/* ---- time -------------------------------------------------------------------------------------------------------- */

static int64_t row_width(const model_config *config) {
    return settings_of(config)->dim;
}

static f5_status fill_rows(const stage_context *c, const float *times, int32_t n, float *rows) {
    const fm_weights *w = c->model->weights[PART_BACKBONE];
    const int32_t dim = fm_config_of(c)->dim;
    ops *o = c->ops;
    const f5_dtype type = o->precision.operands;
    const size_t mark = arena_mark(c->arena), width = f5_dtype_bytes(type);
    void *features = arena_take(c->arena, (size_t)n * (size_t)dim, width);
    void *hidden = arena_take(c->arena, (size_t)n * 4 * (size_t)dim, width);
    if (c->arena->overflow) return F5_E_MEMORY;
    ops_at(o, "schedule", -1);
    F5_TRY(o->timestep(o, "features",
                       &(timestep_args){.n = n, .t = times, .y = features, .type = type, .dim = dim, .scale = 1}));
    F5_TRY(o->linear(o, "time1",
                     &(linear_args){.rows = n,
                                    .in = dim,
                                    .out = 4 * dim,
                                    .x = {features, type},
                                    .w = w->time1.w,
                                    .bias = w->time1.b,
                                    .y = {hidden, type},
                                    .epilogue = LINEAR_GELU_ERF}));
    F5_TRY(o->linear(o, "time2",
                     &(linear_args){.rows = n,
                                    .in = 4 * dim,
                                    .out = dim,
                                    .x = {hidden, type},
                                    .w = w->time2.w,
                                    .bias = w->time2.b,
                                    .y = {rows, F5_F32}}));
    arena_release(c->arena, mark);
    return F5_OK;
}

/* ---- what stays the same over the ODE ---------------------------------------------------------------------------- */

/* The text's features x [T,D]. */
static f5_status encode_text(const stage_context *c, const f5_pack *text, const int32_t *ids, float *x) {
    const fm_weights *w = c->model->weights[PART_BACKBONE];
    const int32_t dim = fm_config_of(c)->dim;
    ops *o = c->ops;
    const f5_dtype type = o->precision.operands;
    const size_t T = (size_t)text->rows, width = f5_dtype_bytes(type);
    const convnext_buffers block = {.dim = dim,
                                    .hidden_dim = 4 * dim,
                                    .type = type,
                                    .eps = NORM_EPS,
                                    .normed = arena_take(c->arena, T * (size_t)dim, width),
                                    .hidden = arena_take(c->arena, T * 4 * (size_t)dim, width)};
    if (c->arena->overflow) return F5_E_MEMORY;
    ops_at(o, "text", -1);
    F5_TRY(o->embed(o, "embed",
                    &(embed_args){.pack = text,
                                  .dim = dim,
                                  .table_rows = c->model->config.vocab_size,
                                  .max_position = PHONEME_MAX_TOKENS,
                                  .ids = ids,
                                  .table = w->embedding,
                                  .positions = w->positions,
                                  .y = x}));
    for (int32_t i = 0; i < TEXT_BLOCKS; i++) {
        ops_at(o, "text", i);
        F5_TRY(convnext_block(c, text, &w->block[i], &block, x));
    }
    return F5_OK;
}

static bool take_buffers(const stage_context *c, fm_state *b) {
    const fm_config *config = fm_config_of(c);
    arena *a = c->arena;
    const size_t J = (size_t)b->joint->rows, dim = (size_t)config->dim,
                 bands = (size_t)model_mel_bands(&c->model->config);
    const size_t width = f5_dtype_bytes(c->ops->precision.operands);
    b->x = arena_take(a, J * bands, sizeof(float));
    b->h = arena_take(a, J * dim, sizeof(float));
    b->normed = arena_take(a, J * dim, width);
    b->qkv = arena_take(a, J * 3 * dim, width);
    b->attended = arena_take(a, J * dim, width);
    b->hidden = arena_take(a, J * (size_t)config->ff_dim, width);
    b->v = arena_take(a, J * bands, sizeof(float));
    return !a->overflow;
}

static f5_status begin(const stage_context *c, const backbone_input *in, void *state) {
    const fm_weights *w = c->model->weights[PART_BACKBONE];
    const f5_pack *text = &in->own_packs[TEXT_PACK];
    const size_t dim = (size_t)fm_config_of(c)->dim;
    fm_state *b = state;
    *b = (fm_state){.pack = in->pack, .joint = &in->own_packs[JOINT_PACK]};
    b->base = arena_take(c->arena, (size_t)b->joint->rows * dim, sizeof(float));
    const size_t mark = arena_mark(c->arena);
    float *features = arena_take(c->arena, (size_t)text->rows * dim, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(encode_text(c, text, in->ids, features));
    ops_at(c->ops, "text", -1);
    F5_TRY(c->ops->time_row(c->ops, "joined",
                            &(time_row_args){.pack = text,
                                             .y_pack = b->joint,
                                             .dim = (int32_t)dim,
                                             .mode = TIME_ROW_AFTER,
                                             .x = features,
                                             .row = w->mel_b,
                                             .y = b->base}));
    arena_release(c->arena, mark);
    return take_buffers(c, b) ? F5_OK : F5_E_MEMORY;
}

/* ---- one evaluation ---------------------------------------------------------------------------------------------- */

static f5_status normalize(const stage_context *c, const fm_state *b, const char *label, const norm_weights *w) {
    return c->ops->norm(c->ops, label,
                        &(norm_args){.rows = b->joint->rows,
                                     .dim = fm_config_of(c)->dim,
                                     .x = b->h,
                                     .scale = w->scale,
                                     .shift = w->shift,
                                     .y = b->normed,
                                     .type = c->ops->precision.operands,
                                     .eps = NORM_EPS});
}

/* y = epilogue(x w^T + bias) in the operand type */
static f5_status product(const stage_context *c, const fm_state *b, const char *label, const void *x, int32_t in,
                         int32_t out, const linear_weights *w, linear_epilogue epilogue, void *y) {
    const f5_dtype type = c->ops->precision.operands;
    return c->ops->linear(c->ops, label,
                          &(linear_args){.pack = b->joint,
                                         .in = in,
                                         .out = out,
                                         .x = {x, type},
                                         .w = w->w,
                                         .bias = w->b,
                                         .bias_rounded = w->b_rounded,
                                         .y = {y, type},
                                         .epilogue = epilogue});
}

/* h += x w^T + bias */
static f5_status add_product(const stage_context *c, const fm_state *b, const char *label, const void *x, int32_t in,
                             const linear_weights *w) {
    return c->ops->linear(c->ops, label,
                          &(linear_args){.pack = b->joint,
                                         .in = in,
                                         .out = fm_config_of(c)->dim,
                                         .x = {x, c->ops->precision.operands},
                                         .w = w->w,
                                         .bias = w->b,
                                         .addend = b->h,
                                         .y = {b->h, F5_F32},
                                         .epilogue = LINEAR_RESIDUAL});
}

static f5_status fm_layer(const stage_context *c, const fm_state *b, const fm_layer_weights *w) {
    const fm_config *config = fm_config_of(c);
    const int32_t dim = config->dim;
    F5_TRY(normalize(c, b, "norm_a", &w->norm1));
    F5_TRY(product(c, b, "qkv", b->normed, dim, 3 * dim, &w->qkv, LINEAR_NONE, b->qkv));
    F5_TRY(c->ops->attention(c->ops, "attention",
                             &(attention_args){.pack = b->joint,
                                               .heads = config->heads,
                                               .max_position = b->joint->rows,
                                               .qkv = b->qkv,
                                               .y = b->attended,
                                               .type = c->ops->precision.operands}));
    F5_TRY(add_product(c, b, "out", b->attended, dim, &w->out));
    F5_TRY(normalize(c, b, "norm_m", &w->norm2));
    F5_TRY(product(c, b, "ff1", b->normed, dim, config->ff_dim, &w->ff1, LINEAR_RELU, b->hidden));
    return add_product(c, b, "ff2", b->hidden, config->ff_dim, &w->ff2);
}

static f5_status velocity(const stage_context *c, const void *state, const float *x, const float *row, float *v) {
    const fm_state *b = state;
    const fm_config *config = fm_config_of(c);
    const fm_weights *w = c->model->weights[PART_BACKBONE];
    const int32_t bands = model_mel_bands(&c->model->config);
    ops *o = c->ops;
    ops_at(o, "fm", -1);
    F5_TRY(o->time_row(
        o, "state",
        &(time_row_args){.pack = b->pack, .y_pack = b->joint, .dim = bands, .mode = TIME_ROW_PUT, .x = x, .y = b->x}));
    F5_TRY(o->linear(o, "input",
                     &(linear_args){.pack = b->joint,
                                    .in = bands,
                                    .out = config->dim,
                                    .x = {b->x, F5_F32},
                                    .w = {w->mel_w, F5_F32},
                                    .bias = row,
                                    .addend = b->base,
                                    .y = {b->h, F5_F32},
                                    .epilogue = LINEAR_RESIDUAL}));
    for (int32_t i = 0; i < config->depth; i++) {
        ops_at(o, "fm", i);
        F5_TRY(fm_layer(c, b, &w->layer[i]));
    }
    ops_at(o, "fm", -1);
    F5_TRY(o->linear(o, "velocity_rows",
                     &(linear_args){.pack = b->joint,
                                    .in = config->dim,
                                    .out = bands,
                                    .x = {b->h, F5_F32},
                                    .w = {w->out_w, F5_F32},
                                    .bias = w->out_b,
                                    .y = {b->v, F5_F32}}));
    return o->take_rows(
        o, "velocity",
        &(take_rows_args){
            .pack = b->joint, .y_pack = b->pack, .dim = bands, .mode = TAKE_LAST, .x = b->v, .y = v, .type = F5_F32});
}

/* ---- the backbone ------------------------------------------------------------------------------------------------ */

static int32_t pack_length(int k, int32_t frames, int32_t n_tokens) {
    return k == TEXT_PACK ? n_tokens : n_tokens + frames;
}

static int64_t pack_rows(int k, const backbone_load *load) {
    return k == TEXT_PACK ? load->rows : 2 * load->rows;
}

static int32_t max_frames(const model_config *config) {
    (void)config;
    return INT32_MAX;
}

static void widths(const model_config *config, int64_t *activation, int64_t *product) {
    const fm_config *f = settings_of(config);
    *activation = f->dim;
    *product = 4 * (int64_t)f->dim > f->ff_dim ? 4 * (int64_t)f->dim : f->ff_dim;
}

const backbone backbone_fm_tts = {
    .part = {.kind = "FM_TTS",
             .upstream = "FM_TTS",
             .prefix = "fm.",
             .title = "transformer",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(fm_weights),
             .text = &phoneme_text_part,
             .dimension = dimension,
             .count = count,
             .check = check,
             .read_upstream = read_upstream},
    .n_packs = 2,
    .pack_length = pack_length,
    .pack_rows = pack_rows,
    .max_frames = max_frames,
    .widths = widths,
    .row_width = row_width,
    .fill_rows = fill_rows,
    .begin = begin,
    .velocity = velocity,
    .own = &phoneme_text_rules,
};
