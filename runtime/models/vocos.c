/* vocos.c — Vocos, mel to samples (runtime/MODEL.md §6.1), in F32 throughout, with the mel that it was trained on.
 *   conv1d 7 -> norm -> layers x ConvNeXt block with layer scale -> norm -> head -> inverse STFT */
#include <string.h>

#include "kernels/conv1d.h"
#include "kernels/istft.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "kernels/norm.h"
#include "runtime/models/layers.h"
#include "runtime/models/vocoder.h"
#include "weights/convert/upstream.h"

#define MAX_LAYERS 32

typedef struct {
    int32_t dim, ff_dim, layers; /* C, F */
    bool same_padding;
} vocos_config;

typedef struct {          /* F32 always */
    f5_matrix embed_w;    /* [7,C,100] tap first */
    const float *embed_b; /* [C] */
    norm_weights norm;
    convnext_weights block[MAX_LAYERS];
    norm_weights final_norm;
    linear_weights head; /* [1026,C] */
} vocos_weights;

enum { MEL_BANK, WINDOW }; /* the tables: [513,100], [1024] periodic Hann */

_Static_assert(sizeof(vocos_config) <= PART_CONFIG_BYTES, "settings fit");

static const vocos_config *settings_of(const model_config *config) {
    return config_of(config, PART_VOCODER);
}

static const vocos_config *vocos_config_of(const stage_context *c) {
    return settings_of(&c->model->config);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"dim", "vocos_dim", offsetof(vocos_config, dim), FIELD_INTEGER, 1, 8192, 512},
    {"ff_dim", "vocos_ff_dim", offsetof(vocos_config, ff_dim), FIELD_INTEGER, 1, 65536, 1536},
    {"layers", "vocos_layers", offsetof(vocos_config, layers), FIELD_INTEGER, 1, MAX_LAYERS, 8},
    {"same_padding", "vocos_same_padding", offsetof(vocos_config, same_padding), FIELD_FLAG, 0, 1, 0},
};

static void read_backbone(upstream *from, vocos_config *v) {
    static const char *const names[] = {
        "input_channels",         "dim", "intermediate_dim", "num_layers", "layer_scale_init_value",
        "adanorm_num_embeddings", NULL};
    upstream_require_text(from, "backbone.class_path", NULL, "vocos.models.VocosBackbone");
    upstream_require_known(from, "backbone.init_args.", names);
    upstream_require_int(from, "backbone.init_args.input_channels", -1, 100);
    if (upstream_has(from, "backbone.init_args.adanorm_num_embeddings"))
        upstream_fail(from, F5_E_UNSUPPORTED, "backbone.init_args.adanorm_num_embeddings", "set",
                      "a Vocos conditioned on bandwidth is not supported");
    upstream_text(from, "backbone.init_args.dim", NULL); /* these three have no default */
    upstream_text(from, "backbone.init_args.intermediate_dim", NULL);
    upstream_text(from, "backbone.init_args.num_layers", NULL);
    v->dim = upstream_int(from, "backbone.init_args.dim", 0);
    v->ff_dim = upstream_int(from, "backbone.init_args.intermediate_dim", 0);
    v->layers = upstream_int(from, "backbone.init_args.num_layers", 0);
}

static void read_head(upstream *from, vocos_config *v) {
    static const char *const names[] = {"dim", "n_fft", "hop_length", "padding", NULL};
    upstream_require_text(from, "head.class_path", NULL, "vocos.heads.ISTFTHead");
    upstream_require_known(from, "head.init_args.", names);
    upstream_require_int(from, "head.init_args.dim", -1, v->dim);
    upstream_require_int(from, "head.init_args.n_fft", -1, 1024);
    upstream_require_int(from, "head.init_args.hop_length", -1, 256);
    const char *padding = upstream_text(from, "head.init_args.padding", "same");
    v->same_padding = strcmp(padding, "same") == 0;
    if (!v->same_padding && strcmp(padding, "center") != 0)
        upstream_fail(from, F5_E_UNSUPPORTED, "head.init_args.padding", padding, "known are center and same");
}

static void read_upstream(upstream *from, model_config *config) {
    vocos_config *v = (vocos_config *)(void *)config->settings[PART_VOCODER].bytes;
    upstream_require_text(from, "feature_extractor.class_path", NULL,
                          "vocos.feature_extractors.MelSpectrogramFeatures");
    upstream_require_int(from, "feature_extractor.init_args.sample_rate", 24000, 24000);
    upstream_require_int(from, "feature_extractor.init_args.n_fft", 1024, 1024);
    upstream_require_int(from, "feature_extractor.init_args.hop_length", 256, 256);
    upstream_require_int(from, "feature_extractor.init_args.n_mels", 100, 100);
    read_backbone(from, v);
    read_head(from, v);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum { C = -1, F = -2, TAPS = 7, MELS = MEL_BANDS, HEAD = 2 * ISTFT_BINS, BLOCKS = 1 };

static int64_t dimension(const model_config *config, int16_t symbol) {
    return symbol == C ? settings_of(config)->dim : settings_of(config)->ff_dim;
}

static int32_t count(const model_config *config, int16_t repeat) {
    (void)repeat;
    return settings_of(config)->layers;
}

#define AT(field) .address = offsetof(vocos_weights, field)
#define IN_BLOCK(field)                                                                                                \
    .address = offsetof(vocos_weights, block[0].field), .stride = sizeof(convnext_weights), .repeat = BLOCKS
#define KEY "backbone.convnext.%d."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in vocos_weights */
    {"vocos.embed.weight",            {TAPS, C, MELS}, MATRIX, PACK_TAP_FIRST, "backbone.embed.weight", AT(embed_w)},
    {"vocos.embed.bias",              {C},       PLAIN,  PACK_COPY,      "backbone.embed.bias",  AT(embed_b)},
    {"vocos.norm.weight",             {C},       PLAIN,  PACK_COPY,      "backbone.norm.weight", AT(norm.scale)},
    {"vocos.norm.bias",               {C},       PLAIN,  PACK_COPY,      "backbone.norm.bias",   AT(norm.shift)},
    {"vocos.blocks.%d.dwconv.weight", {TAPS, C}, PLAIN,  PACK_DEPTHWISE, KEY "dwconv.weight",  IN_BLOCK(dwconv_w)},
    {"vocos.blocks.%d.dwconv.bias",   {C},       PLAIN,  PACK_COPY,      KEY "dwconv.bias",    IN_BLOCK(dwconv_b)},
    {"vocos.blocks.%d.norm.weight",   {C},       PLAIN,  PACK_COPY,      KEY "norm.weight",    IN_BLOCK(norm.scale)},
    {"vocos.blocks.%d.norm.bias",     {C},       PLAIN,  PACK_COPY,      KEY "norm.bias",      IN_BLOCK(norm.shift)},
    {"vocos.blocks.%d.pw1.weight",    {F, C},    MATRIX, PACK_COPY,      KEY "pwconv1.weight", IN_BLOCK(pw1.w)},
    {"vocos.blocks.%d.pw1.bias",      {F},       PLAIN,  PACK_COPY,      KEY "pwconv1.bias",   IN_BLOCK(pw1.b)},
    {"vocos.blocks.%d.pw2.weight",    {C, F},    MATRIX, PACK_COPY,      KEY "pwconv2.weight", IN_BLOCK(pw2.w)},
    {"vocos.blocks.%d.pw2.bias",      {C},       PLAIN,  PACK_COPY,      KEY "pwconv2.bias",   IN_BLOCK(pw2.b)},
    {"vocos.blocks.%d.layer_scale",   {C},       PLAIN,  PACK_COPY,      KEY "gamma",          IN_BLOCK(layer_scale)},
    {"vocos.final_norm.weight",       {C},       PLAIN,  PACK_COPY,      "backbone.final_layer_norm.weight", AT(final_norm.scale)},
    {"vocos.final_norm.bias",         {C},       PLAIN,  PACK_COPY,      "backbone.final_layer_norm.bias",   AT(final_norm.shift)},
    {"vocos.head.weight",             {HEAD, C}, MATRIX, PACK_COPY,      "head.out.weight", AT(head.w)},
    {"vocos.head.bias",               {HEAD},    PLAIN,  PACK_COPY,      "head.out.bias",   AT(head.b)},
};
/* clang-format on */

static const char *const ignored[] = {"feature_extractor.", "head.istft.", NULL};

/* ---- its mel ----------------------------------------------------------------------------------------------------- */

static int64_t bank_elements(const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    return MEL_BINS * MEL_BANDS;
}

static void bank_fill(float *to, const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    mel_bank_fill(to);
}

static int64_t window_elements(const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    return MEL_FFT;
}

static void window_fill(float *to, const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    hann_window_fill(to);
}

static int64_t mel_frames(int64_t n_samples) {
    return n_samples / MEL_HOP + 1;
}

static f5_status mel(const stage_context *c, const float *samples, int64_t n, float *y) {
    ops *o = c->ops;
    ops_at(o, "mel", -1);
    return o->mel(o, "mel",
                  &(mel_args){.n_samples = n, .samples = samples, .bank = c->tables->vocoder[MEL_BANK], .y = y});
}

/* ---- the vocoder ------------------------------------------------------------------------------------------------- */

static int64_t samples_of(const model_config *config, int32_t frames) {
    if (frames <= 0) return 0;
    return (int64_t)MEL_HOP * (settings_of(config)->same_padding ? frames : frames - 1);
}

/* With 8 and 27 the ends of 36 outputs had no burst. 27 is half its reach: a convolution of 7 frames, and 8 blocks of
 * another each. */
static void around(const model_config *config, int32_t *before, int32_t *after) {
    (void)config;
    *before = 8;
    *after = 27;
}

static f5_status layer_norm(const stage_context *c, const f5_pack *pack, const char *label, const norm_weights *w,
                            const float *x, float *y) {
    norm_args a = {
        .rows = pack->rows, .dim = vocos_config_of(c)->dim, .x = x, .scale = w->scale, .shift = w->shift, .y = y};
    return c->ops->norm(c->ops, label, &a);
}

static f5_status decode(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                        float *samples) {
    const vocos_config *config = vocos_config_of(c);
    const vocos_weights *w = c->model->weights[PART_VOCODER];
    ops *o = c->ops;
    size_t R = (size_t)pack->rows, dim = (size_t)config->dim;

    size_t mark = arena_mark(c->arena);
    float *x = arena_take(c->arena, R * dim, sizeof(float));
    float *normed = arena_take(c->arena, R * dim, sizeof(float));
    convnext_buffers block = {.dim = config->dim,
                              .hidden_dim = config->ff_dim,
                              .type = F5_F32,
                              .normed = normed,
                              .hidden = arena_take(c->arena, R * (size_t)config->ff_dim, sizeof(float))};
    float *head = arena_take(c->arena, R * 2 * ISTFT_BINS, sizeof(float));
    float *frames = arena_take(c->arena, R * MEL_FFT, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;

    ops_at(o, "vocos", -1);
    F5_TRY(o->conv1d(o, "embed",
                     &(conv1d_args){.pack = pack,
                                    .in = MEL_BANDS,
                                    .out = config->dim,
                                    .taps = 7,
                                    .rate = 1,
                                    .dilation = 1,
                                    .gain = 1,
                                    .x = mel,
                                    .w = w->embed_w.data,
                                    .bias = w->embed_b,
                                    .y = normed}));
    F5_TRY(layer_norm(c, pack, "norm", &w->norm, normed, x));
    for (int32_t i = 0; i < config->layers; i++) {
        ops_at(o, "vocos", i);
        F5_TRY(convnext_block(c, pack, &w->block[i], &block, x));
    }
    ops_at(o, "vocos", -1);
    F5_TRY(layer_norm(c, pack, "final_norm", &w->final_norm, x, normed));
    F5_TRY(o->linear(o, "head",
                     &(linear_args){.pack = pack,
                                    .in = config->dim,
                                    .out = 2 * ISTFT_BINS,
                                    .x = {normed, F5_F32},
                                    .w = w->head.w,
                                    .bias = w->head.b,
                                    .y = {head, F5_F32}}));
    F5_TRY(o->istft(o, "samples",
                    &(istft_args){.pack = pack,
                                  .padding = config->same_padding ? ISTFT_SAME : ISTFT_CENTER,
                                  .h = head,
                                  .window = c->tables->vocoder[WINDOW],
                                  .sample_offsets = sample_offsets,
                                  .scratch = frames,
                                  .y = samples}));
    arena_release(c->arena, mark);
    return F5_OK;
}

static const stage_table bank_table = {bank_elements, bank_fill}, window_table = {window_elements, window_fill};
static const stage_table *const tables[] = {[MEL_BANK] = &bank_table, [WINDOW] = &window_table};

const vocoder vocoder_vocos = {
    .part = {.kind = "Vocos",
             .upstream = "vocos",
             .prefix = "vocos.",
             .title = "vocoder",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(vocos_weights),
             .dimension = dimension,
             .count = count,
             .read_upstream = read_upstream},
    STAGE_TABLES(tables),
    .min_samples = MEL_FFT / 2 + 1,
    .mel_frames = mel_frames,
    .mel = mel,
    .samples = samples_of,
    .around = around,
    .decode = decode,
};
