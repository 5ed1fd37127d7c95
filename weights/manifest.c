#include "weights/manifest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A dimension is a number, or one of these symbols of the configuration. */
enum {
    D = -1,       /* dim */
    F = -2,       /* ff_dim */
    I = -3,       /* heads * 64, the attention's inner width */
    T = -4,       /* text_dim */
    C = -5,       /* vocos_dim */
    E = -6,       /* vocos_ff_dim */
    V1 = -7,      /* vocab_size + 1 */
    I3 = -8,      /* 3 I */
    T2 = -9,      /* 2 T */
    D2 = -10,     /* 2 D */
    D6 = -11,     /* 6 D */
    GROUP = -12,  /* D / 16, a group of conv_pos */
    INPUT = -13,  /* 100 + 100 + T, the width that upstream's input projection reads */
    MODULE = -14, /* (6 depth + 2) D */
    HEAD_BINS = 1026,
    MELS = 100,
    MELS2 = 200,
    HEAD = 64,
    TAPS = 7,      /* of every depthwise convolution and of the vocoder's embedding */
    POS_TAPS = 31, /* of the position embedding */
    POS_GROUPS = 16,
};

/* Which tensors a line stands for. */
typedef enum { ONCE, BLOCKS, TEXT_BLOCKS, VOCOS_BLOCKS } repetition;
typedef enum { ALWAYS, QK_NORM, LONG_SKIP } condition;
typedef enum { MATRIX, VOCODER, PLAIN } type_class; /* VOCODER: the vocoder's matrices; PLAIN: F32 always */

struct manifest_line {
    const char *name; /* %d: the block */
    int16_t dims[MANIFEST_MAX_RANK];
    type_class class;
    manifest_packing packing;
    const char *keys; /* upstream; a key with '*' stands for all blocks in order; '|' separates stacked sources */
    size_t address, stride;
    repetition repeat;
    condition when;
    int16_t first, columns; /* PACK_COLUMNS: first column, columns of the source */
};

#define AT(field) .address = offsetof(model, field)
#define IN_BLOCK(field)                                                                                                \
    .address = offsetof(model, dit.block[0].field), .stride = sizeof(dit_block_weights), .repeat = BLOCKS
#define IN_TEXT(field)                                                                                                 \
    .address = offsetof(model, dit.text_block[0].field), .stride = sizeof(convnext_weights), .repeat = TEXT_BLOCKS
#define IN_VOCOS(field)                                                                                                \
    .address = offsetof(model, vocos.block[0].field), .stride = sizeof(convnext_weights), .repeat = VOCOS_BLOCKS
#define DIT "transformer."
#define BLOCK "transformer.transformer_blocks.%d."
#define TEXT "transformer.text_embed.text_blocks.%d."
#define NEXT "backbone.convnext.%d."

/* clang-format off */
static const manifest_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in `model` */
    {"dit.time.0.weight",      {D, 256},       MATRIX, PACK_COPY,    DIT "time_embed.time_mlp.0.weight", AT(dit.time1.w)},
    {"dit.time.0.bias",        {D},            PLAIN,  PACK_COPY,    DIT "time_embed.time_mlp.0.bias", AT(dit.time1.b)},
    {"dit.time.1.weight",      {D, D},         MATRIX, PACK_COPY,    DIT "time_embed.time_mlp.2.weight", AT(dit.time2.w)},
    {"dit.time.1.bias",        {D},            PLAIN,  PACK_COPY,    DIT "time_embed.time_mlp.2.bias", AT(dit.time2.b)},

    {"text.embedding",         {V1, T},        PLAIN,  PACK_COPY,    DIT "text_embed.text_embed.weight", AT(dit.text_embedding)},
    {"text.blocks.%d.dwconv.weight", {TAPS, T}, PLAIN, PACK_DEPTHWISE, TEXT "dwconv.weight", IN_TEXT(dwconv_w)},
    {"text.blocks.%d.dwconv.bias",   {T},      PLAIN,  PACK_COPY,    TEXT "dwconv.bias",    IN_TEXT(dwconv_b)},
    {"text.blocks.%d.norm.weight",   {T},      PLAIN,  PACK_COPY,    TEXT "norm.weight",    IN_TEXT(norm.scale)},
    {"text.blocks.%d.norm.bias",     {T},      PLAIN,  PACK_COPY,    TEXT "norm.bias",      IN_TEXT(norm.shift)},
    {"text.blocks.%d.pw1.weight",    {T2, T},  MATRIX, PACK_COPY,    TEXT "pwconv1.weight", IN_TEXT(pw1.w)},
    {"text.blocks.%d.pw1.bias",      {T2},     PLAIN,  PACK_COPY,    TEXT "pwconv1.bias",   IN_TEXT(pw1.b)},
    {"text.blocks.%d.grn.gamma",     {T2},     PLAIN,  PACK_SQUEEZE, TEXT "grn.gamma",      IN_TEXT(grn_gamma)},
    {"text.blocks.%d.grn.beta",      {T2},     PLAIN,  PACK_SQUEEZE, TEXT "grn.beta",       IN_TEXT(grn_beta)},
    {"text.blocks.%d.pw2.weight",    {T, T2},  MATRIX, PACK_COPY,    TEXT "pwconv2.weight", IN_TEXT(pw2.w)},
    {"text.blocks.%d.pw2.bias",      {T},      PLAIN,  PACK_COPY,    TEXT "pwconv2.bias",   IN_TEXT(pw2.b)},

    /* upstream's projection of [x | cond | text] as three, since cond and text do not change over the ODE;
     * small, and in F32 everywhere: it reads the ODE state as it is */
    {"dit.input.x.weight",     {D, MELS},      PLAIN,  PACK_COLUMNS, DIT "input_embed.proj.weight", AT(dit.input_x.w), .first = 0, .columns = INPUT},
    {"dit.input.cond.weight",  {D, MELS},      PLAIN,  PACK_COLUMNS, DIT "input_embed.proj.weight", AT(dit.input_cond.w), .first = MELS, .columns = INPUT},
    {"dit.input.text.weight",  {D, T},         PLAIN,  PACK_COLUMNS, DIT "input_embed.proj.weight", AT(dit.input_text.w), .first = MELS2, .columns = INPUT},
    {"dit.input.bias",         {D},            PLAIN,  PACK_COPY,    DIT "input_embed.proj.bias", AT(dit.input_cond.b)},
    {"dit.conv_pos.0.weight",  {POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, DIT "input_embed.conv_pos_embed.conv1d.0.weight", AT(dit.conv_pos_w[0])},
    {"dit.conv_pos.0.bias",    {D},            PLAIN,  PACK_COPY,    DIT "input_embed.conv_pos_embed.conv1d.0.bias", AT(dit.conv_pos_b[0])},
    {"dit.conv_pos.1.weight",  {POS_TAPS, D, GROUP}, MATRIX, PACK_TAP_FIRST, DIT "input_embed.conv_pos_embed.conv1d.2.weight", AT(dit.conv_pos_w[1])},
    {"dit.conv_pos.1.bias",    {D},            PLAIN,  PACK_COPY,    DIT "input_embed.conv_pos_embed.conv1d.2.bias", AT(dit.conv_pos_b[1])},

    /* every block's modulation and the exit's in one matrix: one product per time computes them all */
    {"dit.modulation.weight",  {MODULE, D},    MATRIX, PACK_STACK,   DIT "transformer_blocks.*.attn_norm.linear.weight|" DIT "norm_out.linear.weight", AT(dit.modulation.w)},
    {"dit.modulation.bias",    {MODULE},       PLAIN,  PACK_STACK,   DIT "transformer_blocks.*.attn_norm.linear.bias|" DIT "norm_out.linear.bias", AT(dit.modulation.b)},

    {"dit.blocks.%d.qkv.weight",    {I3, D},   MATRIX, PACK_STACK,   BLOCK "attn.to_q.weight|" BLOCK "attn.to_k.weight|" BLOCK "attn.to_v.weight", IN_BLOCK(qkv.w)},
    {"dit.blocks.%d.qkv.bias",      {I3},      PLAIN,  PACK_STACK,   BLOCK "attn.to_q.bias|" BLOCK "attn.to_k.bias|" BLOCK "attn.to_v.bias", IN_BLOCK(qkv.b)},
    {"dit.blocks.%d.q_norm",        {HEAD},    PLAIN,  PACK_COPY,    BLOCK "attn.q_norm.weight",   IN_BLOCK(q_norm), .when = QK_NORM},
    {"dit.blocks.%d.k_norm",        {HEAD},    PLAIN,  PACK_COPY,    BLOCK "attn.k_norm.weight",   IN_BLOCK(k_norm), .when = QK_NORM},
    {"dit.blocks.%d.out.weight",    {D, I},    MATRIX, PACK_COPY,    BLOCK "attn.to_out.0.weight", IN_BLOCK(out.w)},
    {"dit.blocks.%d.out.bias",      {D},       PLAIN,  PACK_COPY,    BLOCK "attn.to_out.0.bias",   IN_BLOCK(out.b)},
    {"dit.blocks.%d.ff1.weight",    {F, D},    MATRIX, PACK_COPY,    BLOCK "ff.ff.0.0.weight",     IN_BLOCK(ff1.w)},
    {"dit.blocks.%d.ff1.bias",      {F},       PLAIN,  PACK_COPY,    BLOCK "ff.ff.0.0.bias",       IN_BLOCK(ff1.b)},
    {"dit.blocks.%d.ff2.weight",    {D, F},    MATRIX, PACK_COPY,    BLOCK "ff.ff.2.weight",       IN_BLOCK(ff2.w)},
    {"dit.blocks.%d.ff2.bias",      {D},       PLAIN,  PACK_COPY,    BLOCK "ff.ff.2.bias",         IN_BLOCK(ff2.b)},

    {"dit.long_skip.x.weight",  {D, D},        MATRIX, PACK_COLUMNS, DIT "long_skip_connection.weight", AT(dit.long_skip_x), .when = LONG_SKIP, .first = 0, .columns = D2},
    {"dit.long_skip.x0.weight", {D, D},        MATRIX, PACK_COLUMNS, DIT "long_skip_connection.weight", AT(dit.long_skip_x0), .when = LONG_SKIP, .first = D, .columns = D2},
    {"dit.proj_out.weight",    {MELS, D},      MATRIX, PACK_COPY,    DIT "proj_out.weight", AT(dit.proj_out.w)},
    {"dit.proj_out.bias",      {MELS},         PLAIN,  PACK_COPY,    DIT "proj_out.bias",   AT(dit.proj_out.b)},

    {"vocos.embed.weight",     {TAPS, C, MELS},   VOCODER, PACK_TAP_FIRST, "backbone.embed.weight", AT(vocos.embed_w)},
    {"vocos.embed.bias",       {C},            PLAIN,  PACK_COPY,    "backbone.embed.bias",  AT(vocos.embed_b)},
    {"vocos.norm.weight",      {C},            PLAIN,  PACK_COPY,    "backbone.norm.weight", AT(vocos.norm.scale)},
    {"vocos.norm.bias",        {C},            PLAIN,  PACK_COPY,    "backbone.norm.bias",   AT(vocos.norm.shift)},
    {"vocos.blocks.%d.dwconv.weight", {TAPS, C}, PLAIN, PACK_DEPTHWISE, NEXT "dwconv.weight", IN_VOCOS(dwconv_w)},
    {"vocos.blocks.%d.dwconv.bias", {C},       PLAIN,  PACK_COPY,    NEXT "dwconv.bias",    IN_VOCOS(dwconv_b)},
    {"vocos.blocks.%d.norm.weight", {C},       PLAIN,  PACK_COPY,    NEXT "norm.weight",    IN_VOCOS(norm.scale)},
    {"vocos.blocks.%d.norm.bias",   {C},       PLAIN,  PACK_COPY,    NEXT "norm.bias",      IN_VOCOS(norm.shift)},
    {"vocos.blocks.%d.pw1.weight",  {E, C},    VOCODER, PACK_COPY,    NEXT "pwconv1.weight", IN_VOCOS(pw1.w)},
    {"vocos.blocks.%d.pw1.bias",    {E},       PLAIN,  PACK_COPY,    NEXT "pwconv1.bias",   IN_VOCOS(pw1.b)},
    {"vocos.blocks.%d.pw2.weight",  {C, E},    VOCODER, PACK_COPY,    NEXT "pwconv2.weight", IN_VOCOS(pw2.w)},
    {"vocos.blocks.%d.pw2.bias",    {C},       PLAIN,  PACK_COPY,    NEXT "pwconv2.bias",   IN_VOCOS(pw2.b)},
    {"vocos.blocks.%d.layer_scale", {C},       PLAIN,  PACK_COPY,    NEXT "gamma",          IN_VOCOS(layer_scale)},
    {"vocos.final_norm.weight", {C},           PLAIN,  PACK_COPY,    "backbone.final_layer_norm.weight", AT(vocos.final_norm.scale)},
    {"vocos.final_norm.bias",  {C},            PLAIN,  PACK_COPY,    "backbone.final_layer_norm.bias",   AT(vocos.final_norm.shift)},
    {"vocos.head.weight",      {HEAD_BINS, C}, VOCODER, PACK_COPY,    "head.out.weight", AT(vocos.head.w)},
    {"vocos.head.bias",        {HEAD_BINS},    PLAIN,  PACK_COPY,    "head.out.bias",   AT(vocos.head.b)},
};
/* clang-format on */

#define LINES ((int32_t)(sizeof lines / sizeof *lines))

/* The greatest size, of dit.modulation.weight, is about 2.6e10 elements at the limits of the configuration
 * (config.c): nothing here overflows 64 bits. */
static int64_t dimension(const model_config *c, int16_t symbol) {
    switch (symbol) {
    case D:
        return c->dim;
    case F:
        return c->ff_dim;
    case I:
        return (int64_t)c->heads * HEAD;
    case T:
        return c->text_dim;
    case C:
        return c->vocos_dim;
    case E:
        return c->vocos_ff_dim;
    case V1:
        return (int64_t)c->vocab_size + 1;
    case I3:
        return (int64_t)c->heads * HEAD * 3;
    case T2:
        return (int64_t)c->text_dim * 2;
    case D2:
        return (int64_t)c->dim * 2;
    case D6:
        return (int64_t)c->dim * 6;
    case GROUP:
        return c->dim / POS_GROUPS;
    case INPUT:
        return (int64_t)c->text_dim + MELS2;
    case MODULE:
        return (int64_t)c->dim * (6 * (int64_t)c->depth + 2);
    default:
        return symbol;
    }
}

static int32_t repetitions(const model_config *c, const manifest_line *line) {
    if ((line->when == QK_NORM && !c->qk_norm) || (line->when == LONG_SKIP && !c->long_skip)) return 0;
    switch (line->repeat) {
    case BLOCKS:
        return c->depth;
    case TEXT_BLOCKS:
        return c->text_blocks;
    case VOCOS_BLOCKS:
        return c->vocos_layers;
    default:
        return 1;
    }
}

/* Copies a name or key up to '\0' or '|', with the number in place of "%d" or "*". All our names fit their buffers. */
static void expand(char *out, size_t size, const char *pattern, int32_t number) {
    size_t used = 0;
    for (const char *s = pattern; *s && *s != '|' && used + 1 < size; s++) {
        bool block = s[0] == '%' && s[1] == 'd';
        if (block || *s == '*') {
            int digits = snprintf(out + used, size - used, "%d", (int)number);
            used += (size_t)digits;
            s += block;
        } else {
            out[used++] = *s;
        }
    }
    out[used < size ? used : size - 1] = '\0';
}

/* A stacked key's patterns are tried in order; one with '*' before its '|' stands for `depth` sources. */
static const char *source_pattern(const model_config *c, const char *keys, int32_t s, int32_t *number) {
    for (;;) {
        size_t length = strcspn(keys, "|");
        bool all_blocks = memchr(keys, '*', length) != NULL;
        int32_t stands_for = all_blocks ? c->depth : 1;
        if (s < stands_for) {
            if (all_blocks) *number = s;
            return keys;
        }
        s -= stands_for;
        keys += length + 1;
    }
}

static int32_t count_sources(const model_config *c, const char *keys) {
    int32_t sources = 0;
    for (;;) {
        size_t length = strcspn(keys, "|");
        sources += memchr(keys, '*', length) ? c->depth : 1;
        if (!keys[length]) return sources;
        keys += length + 1;
    }
}

static int64_t product(const int64_t dims[MANIFEST_MAX_RANK]) {
    int64_t elements = 1;
    for (int32_t i = 0; i < MANIFEST_MAX_RANK; i++) elements *= dims[i];
    return elements;
}

static manifest_tensor tensor_of(const model_config *c, const manifest_line *line, int32_t index,
                                 manifest_types types) {
    manifest_tensor t = {.matrix = line->class == MATRIX,
                         .type = line->class == MATRIX    ? types.matrices
                                 : line->class == VOCODER ? types.vocoder
                                                          : F5_F32,
                         .origin = strncmp(line->name, "vocos.", 6) == 0 ? ORIGIN_VOCODER : ORIGIN_ACOUSTIC,
                         .packing = line->packing,
                         .first_column = dimension(c, line->first),
                         .sources = count_sources(c, line->keys),
                         .address = line->address + (size_t)index * line->stride,
                         .line = line,
                         .index = index};
    expand(t.name, sizeof t.name, line->name, index);
    for (int32_t i = 0; i < MANIFEST_MAX_RANK; i++) {
        t.dims[i] = line->dims[i] ? dimension(c, line->dims[i]) : 1;
        t.rank += line->dims[i] != 0;
    }
    t.elements = product(t.dims);
    t.bytes = (size_t)t.elements * (t.type == F5_F32 ? 4 : 2);
    return t;
}

static int alignment_rank(const manifest_tensor *t) {
    return t->bytes % 64 == 0 ? 0 : t->bytes % 16 == 0 ? 1 : 2;
}

f5_status manifest_list(const model_config *config, manifest_types types, manifest_tensor **list, int32_t *count,
                        f5_error *error) {
    int32_t total = 0, written = 0;
    for (int32_t i = 0; i < LINES; i++) total += repetitions(config, &lines[i]);
    manifest_tensor *tensors = malloc((size_t)total * sizeof *tensors);
    if (!tensors) return f5_fail(error, F5_E_MEMORY, "out of memory for the list of %d tensors", (int)total);
    for (int pass = 0; pass < 3; pass++) /* in three passes, so that the order is stable */
        for (int32_t i = 0; i < LINES; i++)
            for (int32_t index = 0; index < repetitions(config, &lines[i]); index++) {
                manifest_tensor t = tensor_of(config, &lines[i], index, types);
                if (alignment_rank(&t) == pass) tensors[written++] = t;
            }
    *list = tensors;
    *count = written;
    return F5_OK;
}

void manifest_source_at(const model_config *config, const manifest_tensor *t, int32_t s, manifest_source *source) {
    int32_t number = t->index;
    const char *pattern = source_pattern(config, t->line->keys, s, &number);
    *source = (manifest_source){.rank = t->rank, .dims = {t->dims[0], t->dims[1], t->dims[2]}};
    expand(source->key, sizeof source->key, pattern, number);
    int64_t *dims = source->dims;
    switch (t->packing) {
    case PACK_COPY:
        break;
    case PACK_SQUEEZE: /* [C] from [1,1,C] */
        source->rank = 3;
        dims[2] = t->dims[0], dims[1] = dims[0] = 1;
        break;
    case PACK_DEPTHWISE: /* [k,C] from [C,1,k] */
        source->rank = 3;
        dims[0] = t->dims[1], dims[1] = 1, dims[2] = t->dims[0];
        break;
    case PACK_TAP_FIRST: /* [k,o,i] from [o,i,k] */
        dims[0] = t->dims[1], dims[1] = t->dims[2], dims[2] = t->dims[0];
        break;
    case PACK_STACK: /* q, k, v alike; or six vectors of each block and the two of the exit */
        dims[0] = t->dims[0] / t->sources;
        if (strchr(t->line->keys, '*')) dims[0] = dimension(config, s < config->depth ? D6 : D2);
        break;
    case PACK_COLUMNS:
        dims[1] = dimension(config, t->line->columns);
        break;
    }
    source->elements = product(dims);
}

bool manifest_ignores(manifest_origin origin, const char *key) {
    static const char *const acoustic[] = {"initted", "step", "mel_spec.", "transformer.rotary_embed."};
    static const char *const vocoder[] = {"feature_extractor.", "head.istft."};
    const char *const *prefixes = origin == ORIGIN_ACOUSTIC ? acoustic : vocoder;
    size_t count = origin == ORIGIN_ACOUSTIC ? sizeof acoustic / sizeof *acoustic : sizeof vocoder / sizeof *vocoder;
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(prefixes[i]);
        bool whole = prefixes[i][length - 1] != '.';
        if (whole ? strcmp(key, prefixes[i]) == 0 : strncmp(key, prefixes[i], length) == 0) return true;
    }
    return false;
}
