/* phoneme_text.c — the symbols, the settings, and the duration predictor (runtime/MODEL.md §8):
 *   embedding -> conv 3 -> ReLU -> conv 3 -> 3 x (conv 3, LayerNorm, ReLU) -> one number a token, ln of its frames
 * All in F32: it runs once a text, and its sum is rounded down to a whole number of frames. */
#include "runtime/models/phoneme_text.h"

#include <math.h>

#include "kernels/conv1d.h"
#include "kernels/embed.h"
#include "kernels/norm.h"
#include "kernels/relu.h"
#include "weights/convert/upstream.h"

#define FRAMES_A_TOKEN 5 /* where there is no predictor */
#define NORM_EPS 1e-5f

enum { LAYERS = 3, FILTER = 256, TAPS = 3 };

/* upstream's text/symbols.py: the padding, punctuation, letters, IPA. A symbol that is there twice has its last number.
 */
static const char symbols[] =
    "_;:,.!?¡¿—…\"«»\"\" "
    "()[]{}'\"-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝ"
    "ɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ";

typedef struct {
    int32_t width; /* D of the encoder in front of the predictor */
    bool predicts_durations, add_blank;
} phoneme_config;

typedef struct {
    const float *embedding;                         /* [V,D] */
    const float *conv_w[2], *conv_b[2];             /* [3,D,D] tap first, [D] */
    const float *layer_w[LAYERS], *layer_b[LAYERS]; /* [3,256,D or 256] tap first, [256] */
    norm_weights norm[LAYERS];                      /* [256] */
    const float *last_w, *last_b;                   /* [256], [1] */
} phoneme_weights;

_Static_assert(sizeof(phoneme_config) <= PART_CONFIG_BYTES, "settings fit");

static const phoneme_config *settings_of(const model_config *config) {
    return config_of(config, PART_TEXT);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    {"width", NULL, offsetof(phoneme_config, width), FIELD_INTEGER, 1, 8192, 512},
    {"predicts_durations", NULL, offsetof(phoneme_config, predicts_durations), FIELD_FLAG, 0, 1, 1},
    {"add_blank", NULL, offsetof(phoneme_config, add_blank), FIELD_FLAG, 0, 1, 1},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const int32_t width = settings_of(config)->width;
    if (width % 2 == 0) return F5_OK;
    return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: text.width is %d: must be even", where, (int)width);
}

static void read_upstream(upstream *from, model_config *config) {
    phoneme_config *p = (phoneme_config *)(void *)config->settings[PART_TEXT].bytes;
    p->width = upstream_int(from, "model.flow_d_model", 512);
    p->predicts_durations = upstream_bool(from, "model.use_duration_predictor", true);
    p->add_blank = upstream_bool(from, "data.add_blank", true);
    config->vocab_size = upstream_int(from, "model.n_text_vocab", 200);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum { D = -1, V = -2, ONE = 1, PREDICTOR = 1, DEEPER };

static int64_t dimension(const model_config *config, int16_t symbol) {
    return symbol == D ? settings_of(config)->width : config->vocab_size;
}

static int32_t count(const model_config *config, int16_t repeat) {
    if (!settings_of(config)->predicts_durations) return 0;
    return repeat == PREDICTOR ? 1 : LAYERS - 1;
}

#define AT(field) .address = offsetof(phoneme_weights, field), .repeat = PREDICTOR
#define DEEPER_AT(field) .address = offsetof(phoneme_weights, field), .repeat = DEEPER, .key_from = 1
#define ENCODER "flow_tts.text_encoder."
#define KEY "flow_tts.duration_predictor."

/* clang-format off */
static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in phoneme_weights */
    {"duration.embedding",           {V, D},               PLAIN, PACK_COPY,      ENCODER "0.weight", AT(embedding)},
    {"duration.encoder.0.weight",    {TAPS, D, D},         PLAIN, PACK_TAP_FIRST, ENCODER "1.weight", AT(conv_w[0])},
    {"duration.encoder.0.bias",      {D},                  PLAIN, PACK_COPY,      ENCODER "1.bias",   AT(conv_b[0])},
    {"duration.encoder.1.weight",    {TAPS, D, D},         PLAIN, PACK_TAP_FIRST, ENCODER "3.weight", AT(conv_w[1])},
    {"duration.encoder.1.bias",      {D},                  PLAIN, PACK_COPY,      ENCODER "3.bias",   AT(conv_b[1])},
    {"duration.first.weight",        {TAPS, FILTER, D},    PLAIN, PACK_TAP_FIRST, KEY "conv_layers.0.weight", AT(layer_w[0])},
    {"duration.first.bias",          {FILTER},             PLAIN, PACK_COPY,      KEY "conv_layers.0.bias",   AT(layer_b[0])},
    {"duration.first.norm.weight",   {FILTER},             PLAIN, PACK_COPY,      KEY "norm_layers.0.weight", AT(norm[0].scale)},
    {"duration.first.norm.bias",     {FILTER},             PLAIN, PACK_COPY,      KEY "norm_layers.0.bias",   AT(norm[0].shift)},
    {"duration.layers.%d.weight",      {TAPS, FILTER, FILTER}, PLAIN, PACK_TAP_FIRST, KEY "conv_layers.%d.weight", DEEPER_AT(layer_w[1]), .stride = sizeof(const float *)},
    {"duration.layers.%d.bias",        {FILTER},           PLAIN, PACK_COPY,      KEY "conv_layers.%d.bias",   DEEPER_AT(layer_b[1]), .stride = sizeof(const float *)},
    {"duration.layers.%d.norm.weight", {FILTER},           PLAIN, PACK_COPY,      KEY "norm_layers.%d.weight", DEEPER_AT(norm[1].scale), .stride = sizeof(norm_weights)},
    {"duration.layers.%d.norm.bias",   {FILTER},           PLAIN, PACK_COPY,      KEY "norm_layers.%d.bias",   DEEPER_AT(norm[1].shift), .stride = sizeof(norm_weights)},
    {"duration.last.weight",         {ONE, ONE, FILTER},   PLAIN, PACK_TAP_FIRST, KEY "proj.weight", AT(last_w)},
    {"duration.last.bias",           {ONE},                PLAIN, PACK_COPY,      KEY "proj.bias",   AT(last_b)},
};
/* clang-format on */

const model_part phoneme_text_part = {
    .kind = "Phonemes",
    .prefix = "duration.",
    .title = "duration predictor",
    PART_FIELDS(fields),
    PART_LINES(lines),
    .weights_bytes = sizeof(phoneme_weights),
    .dimension = dimension,
    .count = count,
    .check = check,
    .read_upstream = read_upstream,
    .symbols = symbols,
};

/* ---- durations --------------------------------------------------------------------------------------------------- */

static f5_status convolve(const stage_context *c, const f5_pack *text, const char *label, int32_t taps, int32_t in,
                          int32_t out, const float *x, const float *w, const float *bias, float *y) {
    const conv1d_args a = {.pack = text,
                           .rate = 1,
                           .dilation = 1,
                           .gain = 1,
                           .in = in,
                           .out = out,
                           .taps = taps,
                           .x = x,
                           .w = w,
                           .bias = bias,
                           .y = y};
    return c->ops->conv1d(c->ops, label, &a);
}

static f5_status rectify(const stage_context *c, const f5_pack *text, const char *label, int32_t width, float *x) {
    return c->ops->relu(c->ops, label, &(relu_args){.n = (int64_t)text->rows * width, .x = x, .y = x});
}

/* x [T,256 of D or 256] -> y [T,256] */
static f5_status predictor_layer(const stage_context *c, const f5_pack *text, int32_t i, int32_t in, const float *x,
                                 float *y) {
    const phoneme_weights *w = c->model->weights[PART_TEXT];
    F5_TRY(convolve(c, text, "conv", TAPS, in, FILTER, x, w->layer_w[i], w->layer_b[i], y));
    F5_TRY(c->ops->norm(c->ops, "norm",
                        &(norm_args){.rows = text->rows,
                                     .dim = FILTER,
                                     .x = y,
                                     .scale = w->norm[i].scale,
                                     .shift = w->norm[i].shift,
                                     .y = y,
                                     .eps = NORM_EPS}));
    return rectify(c, text, "relu", FILTER, y);
}

static f5_status log_durations(const stage_context *c, const f5_pack *text, const int32_t *ids, float *y) {
    const phoneme_weights *w = c->model->weights[PART_TEXT];
    const int32_t dim = settings_of(&c->model->config)->width, widest = dim > FILTER ? dim : FILTER;
    ops *o = c->ops;
    const size_t mark = arena_mark(c->arena), numbers = (size_t)text->rows * (size_t)widest;
    float *a = arena_take(c->arena, numbers, sizeof(float)), *b = arena_take(c->arena, numbers, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;
    ops_at(o, "duration", -1);
    F5_TRY(o->embed(o, "embed",
                    &(embed_args){.pack = text,
                                  .dim = dim,
                                  .table_rows = c->model->config.vocab_size,
                                  .max_position = text->rows,
                                  .ids = ids,
                                  .table = w->embedding,
                                  .y = a}));
    F5_TRY(convolve(c, text, "encoder0", TAPS, dim, dim, a, w->conv_w[0], w->conv_b[0], b));
    F5_TRY(rectify(c, text, "encoder_relu", dim, b));
    F5_TRY(convolve(c, text, "encoder1", TAPS, dim, dim, b, w->conv_w[1], w->conv_b[1], a));
    for (int32_t i = 0; i < LAYERS; i++) {
        float *from = i % 2 ? b : a, *to = i % 2 ? a : b;
        ops_at(o, "duration", i);
        F5_TRY(predictor_layer(c, text, i, i == 0 ? dim : FILTER, from, to));
    }
    ops_at(o, "duration", -1);
    F5_TRY(convolve(c, text, "logarithms", 1, FILTER, 1, b, w->last_w, w->last_b, y));
    arena_release(c->arena, mark);
    return F5_OK;
}

static bool predicts(const model_config *config) {
    return settings_of(config)->predicts_durations;
}

/* A token has a frame at least. What upstream makes of NaN, no frames, is no length: it is told by the caller. */
static double frames_of(const model_config *config, const float *logarithms, int32_t n, float scale) {
    if (!predicts(config)) return (double)FRAMES_A_TOKEN * n;
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        const float d = expf(logarithms[i]) * scale;
        sum += (double)(d < 1 ? 1 : d);
    }
    return sum;
}

const own_rules phoneme_text_rules = {
    .text_pack = 0,
    .max_tokens = PHONEME_MAX_TOKENS,
    .predicts = predicts,
    .log_durations = log_durations,
    .frames = frames_of,
};
