/* mmdit.c — the MMDiT (runtime/MODEL.md §5): its settings, its tensors, and one evaluation of the velocity, all
 * branches and sequences packed.
 *
 *   x -> input projection (+ base) -> conv position embedding -> depth x block -> exit norm -> velocity
 *   block: of each stream AdaLN and QKV with RoPE; one attention over both; of each stream out + gate + residual,
 * AdaLN, FF1 + GELU, FF2 + gate + residual. In the last block the text gives its keys and values, and ends.
 *
 * Text is a stream beside the frames, a row a token, in a pack of the backbone's own. The attention is over a second
 * one of its packs: of each sequence the rows of frames, then those of text. */
#include "kernels/attention.h"
#include "kernels/conv_pos.h"
#include "kernels/joint_qkv.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "kernels/norm.h"
#include "kernels/take_rows.h"
#include "kernels/timestep.h"
#include "runtime/models/backbone.h"
#include "runtime/models/layers.h"
#include "runtime/models/text_stream.h"
#include "weights/convert/upstream.h"

#define MAX_DEPTH 64

typedef struct {
    int32_t dim;    /* D, % 16 == 0 (conv_pos) */
    int32_t depth;  /* blocks */
    int32_t heads;  /* H; inner width H*64 */
    int32_t ff_dim; /* F = dim * ff_mult */
    int32_t rotary; /* f5_dtype that RoPE's frequencies are rounded to; F5_F32: they are exact */
    bool qk_norm;
} mmdit_config;

typedef struct {
    block_weights audio;
    block_weights text; /* in the last block qkv and the norms alone */
} mmdit_block_weights;

typedef struct {
    time_weights time;
    input_weights input;     /* [D,100 + 100], and the convolutions */
    linear_weights of_audio; /* [(6*depth+2)*D, D] modulations, per block shift_a, scale_a, gate_a, shift_m, scale_m,
                                gate_m; at the end scale, shift of the exit */
    linear_weights of_text;  /* [(6*(depth-1)+2)*D, D] the same; of the last block scale, shift */
    mmdit_block_weights block[MAX_DEPTH];
    linear_weights proj_out; /* [100,D] */
} mmdit_weights;

/* What lasts over the ODE, and the working memory of one evaluation. R rows of frames, T of text, S of both. The
 * results of the attention lie where q, k and v of the frames were, what is hidden in the feed-forwards where those of
 * both. */
typedef struct {
    block_stream audio; /* [R] a row a frame; `attended` also [R,D] between the two convolutions */
    block_stream text;  /* [T] a row a token */
    block_stream joint; /* [S] of a sequence its frames, then its tokens: pack, qkv and attended alone */
    float *base;        /* [R,D] the part of the input that the reference has */
    float *words;       /* [T,D] the text as the blocks get it */
    void *normed;       /* [R,D] operand type, of one stream after the other */
} mmdit_state;

enum { TEXT_PACK, JOINT_PACK, PACKS };
enum { ROPE, POSITIONS }; /* the tables */

_Static_assert(sizeof(mmdit_config) <= PART_CONFIG_BYTES && sizeof(mmdit_state) <= BACKBONE_STATE_BYTES, "they fit");
_Static_assert(PACKS <= BACKBONE_MAX_PACKS, "they fit");

static const mmdit_config *settings_of(const model_config *config) {
    return config_of(config, PART_BACKBONE);
}

static const mmdit_config *mmdit_config_of(const stage_context *c) {
    return settings_of(&c->model->config);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"dim", NULL, offsetof(mmdit_config, dim), FIELD_INTEGER, 16, 8192, 1024},
    {"depth", NULL, offsetof(mmdit_config, depth), FIELD_INTEGER, 1, MAX_DEPTH, 8},
    {"heads", NULL, offsetof(mmdit_config, heads), FIELD_INTEGER, 1, 128, 8},
    {"ff_dim", NULL, offsetof(mmdit_config, ff_dim), FIELD_INTEGER, 1, 65536, 4096},
    {"qk_norm", NULL, offsetof(mmdit_config, qk_norm), FIELD_FLAG, 0, 1, 0},
    {"rotary", NULL, offsetof(mmdit_config, rotary), FIELD_INTEGER, 0, 2, 0},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const mmdit_config *m = settings_of(config);
    F5_TRY(input_check(config, m->dim, where, error));
    if (text_stream_dim(config) != m->dim)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: text.dim is %d, backbone.dim %d: an MMDiT has one",
                       where, (int)text_stream_dim(config), (int)m->dim);
    return F5_OK;
}

static void read_upstream(upstream *from, model_config *config) {
    static const char *const names[] = {"dim",
                                        "depth",
                                        "heads",
                                        "dim_head",
                                        "ff_mult",
                                        "mel_dim",
                                        "text_mask_padding",
                                        "qk_norm",
                                        "dropout",
                                        "attn_backend",
                                        "attn_mask_enabled",
                                        "checkpoint_activations",
                                        NULL};
    mmdit_config *m = (mmdit_config *)(void *)config->settings[PART_BACKBONE].bytes;
    upstream_require_known(from, "model.arch.", names);
    upstream_text(from, "model.arch.dim", NULL); /* the one that has no default */
    m->dim = upstream_int(from, "model.arch.dim", 0);
    m->depth = upstream_int(from, "model.arch.depth", 8);
    m->heads = upstream_int(from, "model.arch.heads", 8);
    upstream_require_int(from, "model.arch.dim_head", 64, 64);
    upstream_require_int(from, "model.arch.mel_dim", 100, 100);
    m->ff_dim = upstream_times(from, "model.arch.ff_mult", 4, m->dim);
    m->qk_norm = upstream_has(from, "model.arch.qk_norm");
    if (m->qk_norm) upstream_require_text(from, "model.arch.qk_norm", "", "rms_norm");
    (void)upstream_bool(from, "model.arch.text_mask_padding", true); /* a text alone has no padding */
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* I: heads * 64, the attention's inner width. GROUP: D / 16, a group of conv_pos. OF_AUDIO, OF_TEXT: rows of the
 * modulations. LAST: the number of the last block. */
enum { D = -1, F = -2, I = -3, I3 = -4, D6 = -5, GROUP = -6, OF_AUDIO = -7, OF_TEXT = -8, LAST = -9 };
enum { MELS = MEL_BANDS, MELS2 = 2 * MEL_BANDS, HEAD = ATTENTION_HEAD };
enum { BLOCKS = 1, NORMED_BLOCKS, TEXT_BLOCKS }; /* what lines repeat by; the last block's text is cut short */

static int64_t dimension(const model_config *config, int16_t symbol) {
    const mmdit_config *m = settings_of(config);
    switch (symbol) {
    case D:
        return m->dim;
    case F:
        return m->ff_dim;
    case I:
        return (int64_t)m->heads * HEAD;
    case I3:
        return (int64_t)m->heads * HEAD * 3;
    case D6:
        return (int64_t)m->dim * 6;
    case GROUP:
        return m->dim / CONV_POS_GROUPS;
    case OF_AUDIO:
        return (int64_t)m->dim * (6 * (int64_t)m->depth + 2);
    case OF_TEXT:
        return (int64_t)m->dim * (6 * (int64_t)m->depth - 4);
    default:
        return m->depth - 1;
    }
}

static int32_t count(const model_config *config, int16_t repeat) {
    const mmdit_config *m = settings_of(config);
    if (repeat == TEXT_BLOCKS) return m->depth - 1;
    return repeat == BLOCKS || m->qk_norm ? m->depth : 0;
}

#define AT(field) .address = offsetof(mmdit_weights, field)
#define IN(field, lines_of)                                                                                            \
    .address = offsetof(mmdit_weights, block[0].field), .stride = sizeof(mmdit_block_weights), .repeat = (lines_of)
#define IN_8(field, lines_of) IN(field.w, lines_of), .scale = offsetof(mmdit_weights, block[0].field.scale)
#define ROUNDED(field) .rounded = offsetof(mmdit_weights, block[0].field)
#define KEY "transformer."
#define BLOCK "transformer.transformer_blocks.%d."
#define EACH "transformer.transformer_blocks.*."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in mmdit_weights */
    {"mmdit.proj_out.weight",    {MELS, D}, MATRIX, PACK_COPY,   KEY "proj_out.weight", AT(proj_out.w)},
    {"mmdit.proj_out.bias",      {MELS},    PLAIN,  PACK_COPY,   KEY "proj_out.bias",   AT(proj_out.b)},
    {"mmdit.time.0.weight",      {D, TIMESTEP_DIM}, MATRIX, PACK_COPY, KEY "time_embed.time_mlp.0.weight", AT(time.first.w)},
    {"mmdit.time.0.bias",        {D},       PLAIN,  PACK_COPY,   KEY "time_embed.time_mlp.0.bias",   AT(time.first.b)},
    {"mmdit.time.1.weight",      {D, D},    MATRIX, PACK_COPY,   KEY "time_embed.time_mlp.2.weight", AT(time.second.w)},
    {"mmdit.time.1.bias",        {D},       PLAIN,  PACK_COPY,   KEY "time_embed.time_mlp.2.bias",   AT(time.second.b)},

    {"mmdit.input.x.weight",     {D, MELS}, PLAIN,  PACK_COLUMNS, KEY "audio_embed.linear.weight", AT(input.x), .first = 0, .columns = MELS2},
    {"mmdit.input.cond.weight",  {D, MELS}, PLAIN,  PACK_COLUMNS, KEY "audio_embed.linear.weight", AT(input.cond), .first = MELS, .columns = MELS2},
    {"mmdit.input.bias",         {D},       PLAIN,  PACK_COPY,   KEY "audio_embed.linear.bias",   AT(input.bias)},
    {"mmdit.conv_pos.0.weight",  {CONV_POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, KEY "audio_embed.conv_pos_embed.conv1d.0.weight", AT(input.conv_pos_w[0])},
    {"mmdit.conv_pos.0.bias",    {D},       PLAIN,  PACK_COPY,   KEY "audio_embed.conv_pos_embed.conv1d.0.bias", AT(input.conv_pos_b[0])},
    {"mmdit.conv_pos.1.weight",  {CONV_POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, KEY "audio_embed.conv_pos_embed.conv1d.2.weight", AT(input.conv_pos_w[1])},
    {"mmdit.conv_pos.1.bias",    {D},       PLAIN,  PACK_COPY,   KEY "audio_embed.conv_pos_embed.conv1d.2.bias", AT(input.conv_pos_b[1])},

    /* a stream's modulations of all blocks in one matrix: two products for all times compute them */
    {"mmdit.audio.modulation.weight", {OF_AUDIO, D}, MATRIX, PACK_STACK, EACH "attn_norm_x.linear.weight|" KEY "norm_out.linear.weight", AT(of_audio.w), .scale = offsetof(mmdit_weights, of_audio.scale), .star = BLOCKS, .star_rows = D6},
    {"mmdit.audio.modulation.bias",   {OF_AUDIO},    PLAIN,  PACK_STACK, EACH "attn_norm_x.linear.bias|" KEY "norm_out.linear.bias", AT(of_audio.b), .star = BLOCKS, .star_rows = D6},
    {"mmdit.text.modulation.weight",  {OF_TEXT, D},  MATRIX, PACK_STACK, EACH "attn_norm_c.linear.weight|" BLOCK "attn_norm_c.linear.weight", AT(of_text.w), .scale = offsetof(mmdit_weights, of_text.scale), .star = TEXT_BLOCKS, .star_rows = D6, .key_from = LAST},
    {"mmdit.text.modulation.bias",    {OF_TEXT},     PLAIN,  PACK_STACK, EACH "attn_norm_c.linear.bias|" BLOCK "attn_norm_c.linear.bias", AT(of_text.b), .star = TEXT_BLOCKS, .star_rows = D6, .key_from = LAST},

    {"mmdit.blocks.%d.audio.qkv.weight", {I3, D}, MATRIX, PACK_STACK, BLOCK "attn.to_q.weight|" BLOCK "attn.to_k.weight|" BLOCK "attn.to_v.weight", IN_8(audio.qkv, BLOCKS)},
    {"mmdit.blocks.%d.audio.qkv.bias",   {I3},    PLAIN,  PACK_STACK, BLOCK "attn.to_q.bias|" BLOCK "attn.to_k.bias|" BLOCK "attn.to_v.bias", IN(audio.qkv.b, BLOCKS), ROUNDED(audio.qkv.b_rounded)},
    {"mmdit.blocks.%d.audio.q_norm",     {HEAD},  PLAIN,  PACK_COPY,  BLOCK "attn.q_norm.weight",   IN(audio.q_norm, NORMED_BLOCKS)},
    {"mmdit.blocks.%d.audio.k_norm",     {HEAD},  PLAIN,  PACK_COPY,  BLOCK "attn.k_norm.weight",   IN(audio.k_norm, NORMED_BLOCKS)},
    {"mmdit.blocks.%d.audio.out.weight", {D, I},  MATRIX, PACK_COPY,  BLOCK "attn.to_out.0.weight", IN_8(audio.out, BLOCKS)},
    {"mmdit.blocks.%d.audio.out.bias",   {D},     PLAIN,  PACK_COPY,  BLOCK "attn.to_out.0.bias",   IN(audio.out.b, BLOCKS)},
    {"mmdit.blocks.%d.audio.ff1.weight", {F, D},  MATRIX, PACK_COPY,  BLOCK "ff_x.ff.0.0.weight",   IN_8(audio.ff1, BLOCKS)},
    {"mmdit.blocks.%d.audio.ff1.bias",   {F},     PLAIN,  PACK_COPY,  BLOCK "ff_x.ff.0.0.bias",     IN(audio.ff1.b, BLOCKS), ROUNDED(audio.ff1.b_rounded)},
    {"mmdit.blocks.%d.audio.ff2.weight", {D, F},  MATRIX, PACK_COPY,  BLOCK "ff_x.ff.2.weight",     IN_8(audio.ff2, BLOCKS)},
    {"mmdit.blocks.%d.audio.ff2.bias",   {D},     PLAIN,  PACK_COPY,  BLOCK "ff_x.ff.2.bias",       IN(audio.ff2.b, BLOCKS)},

    {"mmdit.blocks.%d.text.qkv.weight",  {I3, D}, MATRIX, PACK_STACK, BLOCK "attn.to_q_c.weight|" BLOCK "attn.to_k_c.weight|" BLOCK "attn.to_v_c.weight", IN_8(text.qkv, BLOCKS)},
    {"mmdit.blocks.%d.text.qkv.bias",    {I3},    PLAIN,  PACK_STACK, BLOCK "attn.to_q_c.bias|" BLOCK "attn.to_k_c.bias|" BLOCK "attn.to_v_c.bias", IN(text.qkv.b, BLOCKS), ROUNDED(text.qkv.b_rounded)},
    {"mmdit.blocks.%d.text.q_norm",      {HEAD},  PLAIN,  PACK_COPY,  BLOCK "attn.c_q_norm.weight", IN(text.q_norm, NORMED_BLOCKS)},
    {"mmdit.blocks.%d.text.k_norm",      {HEAD},  PLAIN,  PACK_COPY,  BLOCK "attn.c_k_norm.weight", IN(text.k_norm, NORMED_BLOCKS)},
    {"mmdit.blocks.%d.text.out.weight",  {D, I},  MATRIX, PACK_COPY,  BLOCK "attn.to_out_c.weight", IN_8(text.out, TEXT_BLOCKS)},
    {"mmdit.blocks.%d.text.out.bias",    {D},     PLAIN,  PACK_COPY,  BLOCK "attn.to_out_c.bias",   IN(text.out.b, TEXT_BLOCKS)},
    {"mmdit.blocks.%d.text.ff1.weight",  {F, D},  MATRIX, PACK_COPY,  BLOCK "ff_c.ff.0.0.weight",   IN_8(text.ff1, TEXT_BLOCKS)},
    {"mmdit.blocks.%d.text.ff1.bias",    {F},     PLAIN,  PACK_COPY,  BLOCK "ff_c.ff.0.0.bias",     IN(text.ff1.b, TEXT_BLOCKS), ROUNDED(text.ff1.b_rounded)},
    {"mmdit.blocks.%d.text.ff2.weight",  {D, F},  MATRIX, PACK_COPY,  BLOCK "ff_c.ff.2.weight",     IN_8(text.ff2, TEXT_BLOCKS)},
    {"mmdit.blocks.%d.text.ff2.bias",    {D},     PLAIN,  PACK_COPY,  BLOCK "ff_c.ff.2.bias",       IN(text.ff2.b, TEXT_BLOCKS)},
};
/* clang-format on */

static const char *const ignored[] = {"initted", "step", "mel_spec.", "transformer.rotary_embed.", NULL};

/* ---- time -------------------------------------------------------------------------------------------------------- */

static int64_t row_width(const model_config *config) {
    return dimension(config, OF_AUDIO) + dimension(config, OF_TEXT);
}

/* Modulations of one stream into columns `first` .. of the rows. */
static f5_status fill_columns(const stage_context *c, const char *label, const linear_weights *w, const void *embedded,
                              int32_t n, int64_t first, int64_t width, float *rows) {
    const int64_t whole = row_width(&c->model->config);
    const size_t mark = arena_mark(c->arena);
    float *made = arena_take(c->arena, (size_t)n * (size_t)width, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    F5_TRY(time_modulation(c, label, w, mmdit_config_of(c)->dim, embedded, n, (int32_t)width, made));
    for (int32_t i = 0; i < n; i++)
        F5_TRY(c->ops->copy_within(c->ops, rows + i * whole + first, made + i * width, (size_t)width * sizeof(float)));
    arena_release(c->arena, mark);
    return F5_OK;
}

/* Of an evaluation: the modulations of the frames, then those of the text. */
static f5_status fill_rows(const stage_context *c, const float *times, int32_t n, float *rows) {
    const mmdit_weights *w = c->model->weights[PART_BACKBONE];
    const f5_dtype type = c->ops->precision.operands;
    const int32_t dim = mmdit_config_of(c)->dim;
    const int64_t of_audio = dimension(&c->model->config, OF_AUDIO), of_text = dimension(&c->model->config, OF_TEXT);
    f5_rows embedded = {arena_take(c->arena, (size_t)n * (size_t)dim, f5_dtype_bytes(type)), type};
    F5_TRY(time_embed(c, &w->time, dim, times, n, LINEAR_SILU, embedded));
    F5_TRY(fill_columns(c, "modulation", &w->of_audio, embedded.data, n, 0, of_audio, rows));
    return fill_columns(c, "text_modulation", &w->of_text, embedded.data, n, of_audio, of_text, rows);
}

/* ---- what stays the same over the ODE ---------------------------------------------------------------------------- */

static bool take_buffers(const stage_context *c, mmdit_state *b) {
    const mmdit_config *config = mmdit_config_of(c);
    arena *a = c->arena;
    size_t R = (size_t)b->audio.pack->rows, T = (size_t)b->text.pack->rows, S = (size_t)b->joint.pack->rows;
    size_t dim = (size_t)config->dim, inner = (size_t)config->heads * ATTENTION_HEAD, ff_dim = (size_t)config->ff_dim;
    size_t width = f5_dtype_bytes(c->ops->precision.operands), hidden = R * ff_dim, joint = S * 3 * inner;
    b->base = arena_take(a, R * dim, sizeof(float));
    b->words = arena_take(a, T * dim, sizeof(float));
    b->audio.h = arena_take(a, R * dim, sizeof(float));
    b->text.h = arena_take(a, T * dim, sizeof(float));
    b->normed = arena_take(a, R * dim, width);
    b->audio.qkv = arena_take(a, R * (3 * inner > dim ? 3 * inner : dim), width);
    b->text.qkv = arena_take(a, T * 3 * inner, width);
    b->joint.qkv = arena_take(a, joint > hidden ? joint : hidden, width);
    b->joint.attended = arena_take(a, S * inner, width);
    b->audio.attended = b->audio.qkv;
    b->text.attended = a->overflow ? NULL : (char *)b->audio.qkv + R * inner * width; /* T <= R */
    b->audio.hidden = b->text.hidden = b->joint.qkv;
    b->audio.x8 = b->text.x8 = block_rows(c, R, dim > inner ? dim : inner, ff_dim);
    return !a->overflow;
}

static f5_status begin(const stage_context *c, const backbone_input *in, void *state) {
    const mmdit_weights *w = c->model->weights[PART_BACKBONE];
    mmdit_state *b = state;
    *b = (mmdit_state){
        .audio.pack = in->pack, .text.pack = &in->own_packs[TEXT_PACK], .joint.pack = &in->own_packs[JOINT_PACK]};
    if (!take_buffers(c, b)) return F5_E_MEMORY;
    /* the words are embedded where the frames will be: they are rows of the frames' pack */
    F5_TRY(text_stream_embed(c, in, b->text.pack, c->tables->backbone[POSITIONS], b->audio.h, b->words));
    return input_cond(c, in->pack, &w->input, mmdit_config_of(c)->dim, in->cond, b->base);
}

/* ---- one evaluation ---------------------------------------------------------------------------------------------- */

static block_shape shape_of(const stage_context *c) {
    const mmdit_config *config = mmdit_config_of(c);
    return (block_shape){.dim = config->dim,
                         .heads = config->heads,
                         .ff_dim = config->ff_dim,
                         .rope_heads = config->heads,
                         .max_position = c->tables->max_frames,
                         .rope = c->tables->backbone[ROPE]};
}

/* LN(h) (1 + scale) + shift */
static norm_args modulated(const float *scale, const float *shift) {
    return (norm_args){.scale = scale, .shift = shift, .one_plus_scale = true};
}

/* Queries, keys and values of a stream. */
static f5_status project(const stage_context *c, const block_shape *s, const mmdit_state *b, const block_stream *r,
                         const block_weights *w, norm_args norm) {
    F5_TRY(block_norm(c, s, r, "norm_a", norm, b->normed, &w->qkv));
    return block_qkv(c, s, r, w, b->normed);
}

static f5_status take(const stage_context *c, const mmdit_state *b, const block_stream *r, take_rows_mode mode) {
    return c->ops->take_rows(c->ops, mode == TAKE_FIRST ? "audio" : "text",
                             &(take_rows_args){.pack = b->joint.pack,
                                               .y_pack = r->pack,
                                               .dim = mmdit_config_of(c)->heads * ATTENTION_HEAD,
                                               .mode = mode,
                                               .x = b->joint.attended,
                                               .y = r->attended,
                                               .type = c->ops->precision.operands});
}

/* The attention of both streams, each row back in its own. The last block needs what it gives the frames alone. */
static f5_status attend(const stage_context *c, const block_shape *s, const mmdit_state *b,
                        const mmdit_block_weights *w, bool last) {
    ops *o = c->ops;
    const f5_dtype type = o->precision.operands;
    F5_TRY(o->joint_qkv(o, "joint",
                        &(joint_qkv_args){.pack = b->audio.pack,
                                          .c_pack = b->text.pack,
                                          .y_pack = b->joint.pack,
                                          .heads = s->heads,
                                          .rope_heads = w->audio.q_norm ? s->rope_heads : 0, /* else block_qkv did it */
                                          .max_position = s->max_position,
                                          .x = b->audio.qkv,
                                          .c = b->text.qkv,
                                          .rope = s->rope,
                                          .q_norm = w->audio.q_norm,
                                          .k_norm = w->audio.k_norm,
                                          .c_q_norm = w->text.q_norm,
                                          .c_k_norm = w->text.k_norm,
                                          .y = b->joint.qkv,
                                          .type = type}));
    F5_TRY(o->attention(o, "attention",
                        &(attention_args){.pack = b->joint.pack,
                                          .heads = s->heads,
                                          .max_position = 2 * s->max_position, /* rows of a sequence; none is rotated */
                                          .qkv = b->joint.qkv,
                                          .rope = s->rope,
                                          .y = b->joint.attended,
                                          .type = type}));
    F5_TRY(take(c, b, &b->audio, TAKE_FIRST));
    return last ? F5_OK : take(c, b, &b->text, TAKE_LAST);
}

/* A stream behind the attention. modulation: the block's six of it. */
static f5_status finish(const stage_context *c, const block_shape *s, const mmdit_state *b, const block_stream *r,
                        const block_weights *w, const float *modulation) {
    const int32_t dim = s->dim, inner = s->heads * ATTENTION_HEAD;
    const float *gate_a = modulation + 2 * dim, *shift_m = modulation + 3 * dim, *scale_m = modulation + 4 * dim,
                *gate_m = modulation + 5 * dim;
    F5_TRY(block_quantize(c, "attended8", &w->out, r->pack->rows, inner, r->attended, &r->x8));
    F5_TRY(block_add(c, s, r, "out", r->attended, inner, &w->out, gate_a, NULL));
    F5_TRY(block_norm(c, s, r, "norm_m", modulated(scale_m, shift_m), b->normed, &w->ff1));
    F5_TRY(block_hidden(c, s, r, w, b->normed));
    return block_add(c, s, r, "ff2", r->hidden, s->ff_dim, &w->ff2, gate_m, NULL);
}

/* of_audio, of_text: the block's modulations: shift first, but scale first in the last block's text. */
static f5_status mmdit_block(const stage_context *c, const mmdit_state *b, int32_t index, const float *of_audio,
                             const float *of_text) {
    const mmdit_block_weights *w = &((const mmdit_weights *)c->model->weights[PART_BACKBONE])->block[index];
    const block_shape s = shape_of(c);
    const bool last = index == mmdit_config_of(c)->depth - 1;
    const norm_args text_norm = last ? modulated(of_text, of_text + s.dim) : modulated(of_text + s.dim, of_text);
    ops_at(c->ops, "mmdit_text", index);
    F5_TRY(project(c, &s, b, &b->text, &w->text, text_norm));
    ops_at(c->ops, "mmdit", index);
    F5_TRY(project(c, &s, b, &b->audio, &w->audio, modulated(of_audio + s.dim, of_audio)));
    F5_TRY(attend(c, &s, b, w, last));
    F5_TRY(finish(c, &s, b, &b->audio, &w->audio, of_audio));
    ops_at(c->ops, "mmdit_text", index);
    return last ? F5_OK : finish(c, &s, b, &b->text, &w->text, of_text);
}

static f5_status velocity(const stage_context *c, const void *state, const float *x, const float *row, float *v) {
    const mmdit_state *b = state;
    const mmdit_config *config = mmdit_config_of(c);
    const mmdit_weights *w = c->model->weights[PART_BACKBONE];
    const block_shape s = shape_of(c);
    const size_t dim = (size_t)config->dim;
    const float *of_text = row + dimension(&c->model->config, OF_AUDIO);
    ops *o = c->ops;
    ops_at(o, "mmdit", -1);
    const input_buffers input = {.base = b->base, .y = b->audio.h, .rounded = b->normed, .between = b->audio.attended};
    F5_TRY(input_embed(c, b->audio.pack, &w->input, config->dim, x, &input));
    F5_TRY(o->copy_within(o, b->text.h, b->words, (size_t)b->text.pack->rows * dim * sizeof(float)));
    for (int32_t i = 0; i < config->depth; i++)
        F5_TRY(mmdit_block(c, b, i, row + (size_t)i * 6 * dim, of_text + (size_t)i * 6 * dim));
    ops_at(o, "mmdit", -1);
    const float *scale = row + (size_t)config->depth * 6 * dim, *shift = scale + dim; /* the exit has scale first */
    F5_TRY(block_norm(c, &s, &b->audio, "norm_out", modulated(scale, shift), b->normed, NULL));
    return o->linear(o, "velocity",
                     &(linear_args){.pack = b->audio.pack,
                                    .in = config->dim,
                                    .out = MEL_BANDS,
                                    .x = {b->normed, o->precision.operands},
                                    .w = w->proj_out.w,
                                    .bias = w->proj_out.b,
                                    .y = {v, F5_F32}});
}

/* ---- products in 8 bits ------------------------------------------------------------------------------------------ */

/* Scale and shift of the frames' AdaLN take factors. Those of the text change places in the last block, and both
 * streams share the attention: what comes of these takes none. */
#define MODULATION(row, plus)                                                                                          \
    {"mmdit.audio.modulation.weight", row, 6, false}, {                                                                \
        "mmdit.audio.modulation.bias", row, 6, plus                                                                    \
    }

/* clang-format off */
static const backbone_product products[] = {
    {"mmdit.%d.qkv", "mmdit.%d.norm_a", "mmdit.blocks.%d.audio.qkv.weight", {MODULATION(0, false), MODULATION(1, true)}},
    {"mmdit.%d.out", "mmdit.%d.audio", "mmdit.blocks.%d.audio.out.weight", {{0}}},
    {"mmdit.%d.ff1", "mmdit.%d.norm_m", "mmdit.blocks.%d.audio.ff1.weight", {MODULATION(3, false), MODULATION(4, true)}},
    {"mmdit.%d.ff2", "mmdit.%d.ff1", "mmdit.blocks.%d.audio.ff2.weight", {{0}}},
    {"mmdit_text.%d.qkv", "mmdit_text.%d.norm_a", "mmdit.blocks.%d.text.qkv.weight", {{0}}},
    {"mmdit_text.%d.out", "mmdit.%d.text", "mmdit.blocks.%d.text.out.weight", {{0}}},
    {"mmdit_text.%d.ff1", "mmdit_text.%d.norm_m", "mmdit.blocks.%d.text.ff1.weight", {{0}}},
    {"mmdit_text.%d.ff2", "mmdit_text.%d.ff1", "mmdit.blocks.%d.text.ff2.weight", {{0}}},
};
/* clang-format on */

/* ---- the backbone ------------------------------------------------------------------------------------------------ */

static int32_t pack_length(int k, int32_t frames, int32_t n_tokens) {
    return k == TEXT_PACK ? n_tokens : frames + n_tokens;
}

/* Texts get an eighth of the frames' rows, or a quarter, a half, or as many: a product's time is that of its rows,
 * whether text fills them or not, and speech has a token for six frames or so. */
static int64_t pack_rows(int k, const backbone_load *load) {
    int64_t share = 8;
    while (share > 1 && load->tokens * share > load->rows) share /= 2;
    const int64_t text = (load->rows + share - 1) / share;
    return k == TEXT_PACK ? text : load->rows + text;
}

static int32_t max_frames(const model_config *config) {
    (void)config;
    return INT32_MAX;
}

static void widths(const model_config *config, int64_t *activation, int64_t *product) {
    const mmdit_config *m = settings_of(config);
    block_widths(m->dim, m->heads, m->ff_dim, activation, product);
}

static const stage_table *const tables[] = {[ROPE] = &rope_table, [POSITIONS] = &text_stream_positions_table};

const backbone backbone_mmdit = {
    .part = {.kind = "MMDiT",
             .upstream = "MMDiT",
             .prefix = "mmdit.",
             .title = "transformer",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(mmdit_weights),
             .text = &text_stream_part,
             .dimension = dimension,
             .count = count,
             .check = check,
             .read_upstream = read_upstream},
    STAGE_TABLES(tables),
    .n_packs = PACKS,
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
