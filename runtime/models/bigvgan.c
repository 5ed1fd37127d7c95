/* bigvgan.c — BigVGAN v2, mel to samples (runtime/MODEL.md §6.2), with the mel that it was trained on.
 *   conv 7 -> stages x (transposed conv -> mean of three residual blocks) -> snake -> conv 7 -> clamp
 * A stage raises the rate and halves the channels. A residual block adds three times conv(snake(conv(snake(x)))) to x.
 * What convolutions read, and what lies between two of them, has the type of the vocoder; residual sums are F32. */
#include "kernels/mel.h"
#include "kernels/snake.h"
#include "runtime/models/generator.h"
#include "weights/convert/upstream.h"

enum { MAX_STAGES = GENERATOR_STAGES, BLOCKS = GENERATOR_BLOCKS, PAIRS = GENERATOR_PAIRS, TAPS = GENERATOR_TAPS };
enum { MELS = MEL_BANDS };

typedef struct {
    generator_shape shape;
    bool tanh, bias; /* at the end: tanh for clamp; the last convolution has a bias */
} bigvgan_config;

typedef struct {
    conv_weights first[PAIRS], second[PAIRS]; /* [taps,C,C] */
    const float *alpha, *beta;                /* [2 PAIRS,C]: before first[0], second[0], first[1], ... */
} block_weights;

typedef struct {
    conv_weights up; /* [k,rate C,2 C], bias [rate C] */
    block_weights block[BLOCKS];
} stage_weights;

typedef struct {
    conv_weights pre; /* [7,channels,100] */
    stage_weights stage[MAX_STAGES];
    const float *alpha, *beta; /* [C of the last stage] */
    conv_weights post;         /* [7,1,C of the last stage] */
} bigvgan_weights;

enum { MEL_BANK }; /* the table: [513,100] */

_Static_assert(sizeof(bigvgan_config) <= PART_CONFIG_BYTES, "settings fit");

static const bigvgan_config *settings_of(const model_config *config) {
    return config_of(config, PART_VOCODER);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    GENERATOR_INTEGER(bigvgan_config, "stages", shape.stages, 1, MAX_STAGES, 6),
    GENERATOR_INTEGER(bigvgan_config, "channels", shape.channels, 1, 16384, 1536),
    GENERATOR_STAGE(bigvgan_config, 0, 4, 8),
    GENERATOR_STAGE(bigvgan_config, 1, 4, 8),
    GENERATOR_STAGE(bigvgan_config, 2, 2, 4),
    GENERATOR_STAGE(bigvgan_config, 3, 2, 4),
    GENERATOR_STAGE(bigvgan_config, 4, 2, 4),
    GENERATOR_STAGE(bigvgan_config, 5, 2, 4),
    GENERATOR_STAGE(bigvgan_config, 6, 1, 1),
    GENERATOR_STAGE(bigvgan_config, 7, 1, 1),
    GENERATOR_BLOCK(bigvgan_config, 0, 3),
    GENERATOR_BLOCK(bigvgan_config, 1, 7),
    GENERATOR_BLOCK(bigvgan_config, 2, 11),
    {"tanh", NULL, offsetof(bigvgan_config, tanh), FIELD_FLAG, 0, 1, 0},
    {"bias", NULL, offsetof(bigvgan_config, bias), FIELD_FLAG, 0, 1, 0},
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    return generator_check(&settings_of(config)->shape, 1, MEL_HOP, where, error);
}

static void read_upstream(upstream *from, model_config *config) {
    bigvgan_config *v = (bigvgan_config *)(void *)config->settings[PART_VOCODER].bytes;
    upstream_require_text(from, "activation", NULL, "snakebeta");
    if (!upstream_bool(from, "snake_logscale", false))
        upstream_fail(from, F5_E_UNSUPPORTED, "snake_logscale", "false", "only true is supported");
    upstream_require_int(from, "sampling_rate", -1, MEL_RATE);
    upstream_require_int(from, "num_mels", -1, MEL_BANDS);
    upstream_require_int(from, "n_fft", -1, MEL_FFT);
    upstream_require_int(from, "win_size", -1, MEL_FFT);
    upstream_require_int(from, "hop_size", -1, MEL_HOP);
    upstream_require_int(from, "fmin", 0, 0);
    upstream_require_int(from, "fmax", MEL_RATE / 2, MEL_RATE / 2);
    generator_read(from, "", &v->shape);
    v->tanh = upstream_bool(from, "use_tanh_at_final", true);
    v->bias = upstream_bool(from, "use_bias_at_final", true);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum {
    CHANNELS = GENERATOR_CHANNELS,
    LAST = GENERATOR_LAST,
    SLOPES = -112 /* + i: alphas of a block of stage i */
};
enum { STAGE = GENERATOR_OF_STAGE, BIAS = 48 }; /* counts; BIAS: of the last bias */

static int64_t dimension(const model_config *config, int16_t symbol) {
    const generator_shape *v = &settings_of(config)->shape;
    const int i = symbol - SLOPES;
    return i >= 0 && i < 16 ? (int64_t)2 * PAIRS * (v->channels >> (i + 1)) : generator_dimension(v, symbol);
}

static int32_t count(const model_config *config, int16_t repeat) {
    const bigvgan_config *v = settings_of(config);
    return repeat == BIAS ? v->bias : generator_count(&v->shape, repeat);
}

#define AT(field) .address = offsetof(bigvgan_weights, field)
#define IN_STAGE(i, field) AT(stage[i].field), .repeat = STAGE + (i)
#define OURS(i, j) "bigvgan.stages." #i ".blocks." #j "."
#define THEIRS(n) "resblocks." #n "."
#define SIX(n, name)                                                                                                   \
    THEIRS(n)                                                                                                          \
    "activations.0.act." name                                                                                          \
    "|" THEIRS(n) "activations.1.act." name "|" THEIRS(n) "activations.2.act." name "|" THEIRS(                        \
        n) "activations.3.act." name "|" THEIRS(n) "activations.4.act." name "|" THEIRS(n) "activations.5.act." name

/* clang-format off */
#define BLOCK(i, j, n)                                                                                                 \
    GENERATOR_BLOCK_LINES(bigvgan_weights, i, j, OURS(i, j), THEIRS(n)),                                               \
    {OURS(i, j) "alpha", {SLOPES + (i)}, PLAIN, PACK_STACK, SIX(n, "alpha"), IN_STAGE(i, block[j].alpha)},             \
    {OURS(i, j) "beta", {SLOPES + (i)}, PLAIN, PACK_STACK, SIX(n, "beta"), IN_STAGE(i, block[j].beta)}
#define STAGE_LINES(i, n0, n1, n2)                                                                                     \
    GENERATOR_UP_LINES(bigvgan_weights, i, "bigvgan.stages." #i ".up", "ups." #i ".0"),                                \
    BLOCK(i, 0, n0), BLOCK(i, 1, n1), BLOCK(i, 2, n2)

static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in bigvgan_weights */
    {"bigvgan.pre.weight",  {TAPS, CHANNELS, MELS}, MATRIX, PACK_TAP_FIRST, "conv_pre.weight", AT(pre.w)},
    {"bigvgan.pre.bias",    {CHANNELS},             PLAIN,  PACK_COPY,      "conv_pre.bias",   AT(pre.b)},
    STAGE_LINES(0, 0, 1, 2),
    STAGE_LINES(1, 3, 4, 5),
    STAGE_LINES(2, 6, 7, 8),
    STAGE_LINES(3, 9, 10, 11),
    STAGE_LINES(4, 12, 13, 14),
    STAGE_LINES(5, 15, 16, 17),
    STAGE_LINES(6, 18, 19, 20),
    STAGE_LINES(7, 21, 22, 23),
    {"bigvgan.alpha",       {LAST},                 PLAIN,  PACK_COPY,      "activation_post.act.alpha", AT(alpha)},
    {"bigvgan.beta",        {LAST},                 PLAIN,  PACK_COPY,      "activation_post.act.beta",  AT(beta)},
    {"bigvgan.post.weight", {TAPS, 1, LAST},        MATRIX, PACK_TAP_FIRST, "conv_post.weight", AT(post.w)},
    {"bigvgan.post.bias",   {1},                    PLAIN,  PACK_COPY,      "conv_post.bias",   AT(post.b), .repeat = BIAS},
};
/* clang-format on */

/* The activations' filters are constants, stored with each (snake.h). */
static const char *const ignored[] = {"*.upsample.filter", "*.downsample.lowpass.filter", NULL};

/* ---- its mel ----------------------------------------------------------------------------------------------------- */

static int64_t bank_elements(const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    return MEL_BINS * MEL_BANDS;
}

static void bank_fill(float *to, const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    mel_bank_fill_slaney(to);
}

static int64_t mel_frames(int64_t n_samples) {
    return mel_frames_of(MEL_BIGVGAN, n_samples);
}

static f5_status mel(const stage_context *c, const float *samples, int64_t n, float *y) {
    ops *o = c->ops;
    ops_at(o, "mel", -1);
    return o->mel(
        o, "mel",
        &(mel_args){
            .form = MEL_BIGVGAN, .n_samples = n, .samples = samples, .bank = c->tables->vocoder[MEL_BANK], .y = y});
}

/* ---- the vocoder ------------------------------------------------------------------------------------------------- */

static int64_t samples_of(const model_config *config, int32_t frames) {
    (void)config;
    return frames <= 0 ? 0 : (int64_t)MEL_HOP * frames;
}

static void around(const model_config *config, int32_t *before, int32_t *after) {
    *before = *after = generator_reach(&settings_of(config)->shape, SNAKE_REACH, SNAKE_REACH + TAPS / 2);
}

/* Working memory, each [R,widest]. */
typedef struct {
    float *x;      /* what the blocks of a stage are given */
    float *sum;    /* of the results of all but the last */
    float *block;  /* x and what a block added to it */
    void *between; /* of two convolutions, and of two stages; the vocoder's type */
    void *active;  /* what a convolution reads; likewise */
} bigvgan_buffers;

static f5_status snake(const stage_context *c, const generator_level *l, const char *label, const float *alpha,
                       const float *beta, f5_matrix x, void *y) {
    snake_args a = {.pack = l->pack,
                    .rate = l->rate,
                    .dim = l->channels,
                    .x = x.data,
                    .alpha = alpha,
                    .beta = beta,
                    .y = y,
                    .type = c->ops->precision.vocoder,
                    .x_f32 = x.type == F5_F32};
    return c->ops->snake(c->ops, label, &a);
}

/* Residual block j: what it makes of b->x is added to b->sum. After the last the mean is b->between. */
static f5_status residual_block(const stage_context *c, const generator_level *l, int32_t j, const block_weights *w,
                                const bigvgan_buffers *b) {
    static const char *const labels[PAIRS][4] = {{"0.snake1", "0.conv1", "0.snake2", "0.conv2"},
                                                 {"1.snake1", "1.conv1", "1.snake2", "1.conv2"},
                                                 {"2.snake1", "2.conv1", "2.snake2", "2.conv2"}};
    const generator_shape *v = &settings_of(&c->model->config)->shape;
    ops *o = c->ops;
    const float *x = b->x;
    for (int32_t m = 0; m < PAIRS; m++) {
        const size_t first = (size_t)(2 * m) * (size_t)l->channels, second = first + (size_t)l->channels;
        conv1d_args one = generator_conv(l, v->block_taps[j], v->dilation[j][m], &w->first[m], b->active, b->between);
        conv1d_args two = generator_conv(l, v->block_taps[j], 1, &w->second[m], b->active, b->block);
        two.residual = x;
        two.y_f32 = true;
        if (m == PAIRS - 1) {
            two.y = b->sum;
            two.sum = j > 0 ? b->sum : NULL;
        }
        if (m == PAIRS - 1 && j == BLOCKS - 1) {
            two.y = b->between;
            two.y_f32 = false;
            two.gain = 1.0f / BLOCKS;
        }
        const f5_matrix given = {x, F5_F32}, between = {b->between, o->precision.vocoder};
        F5_TRY(snake(c, l, labels[m][0], w->alpha + first, w->beta + first, given, b->active));
        F5_TRY(o->conv1d(o, labels[m][1], &one));
        F5_TRY(snake(c, l, labels[m][2], w->alpha + second, w->beta + second, between, b->active));
        F5_TRY(o->conv1d(o, labels[m][3], &two));
        x = b->block;
    }
    return F5_OK;
}

/* b->between at a level becomes b->between at the next, which *l then is. */
static f5_status stage(const stage_context *c, generator_level *l, int32_t i, const bigvgan_buffers *b) {
    const bigvgan_weights *w = c->model->weights[PART_VOCODER];
    ops *o = c->ops;
    conv1d_args up = generator_up(l, &settings_of(&c->model->config)->shape, i, &w->stage[i].up, b->between, b->x);
    up.y_f32 = true;
    ops_at(o, "bigvgan", i);
    F5_TRY(o->conv1d(o, "up", &up));
    for (int32_t j = 0; j < BLOCKS; j++) {
        ops_at(o, "bigvgan.block", BLOCKS * i + j);
        F5_TRY(residual_block(c, l, j, &w->stage[i].block[j], b));
    }
    return F5_OK;
}

/* The samples of a pack lie as its rows do, 256 a row, so sample_offsets say nothing new. */
static f5_status decode(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                        float *samples) {
    (void)sample_offsets;
    const bigvgan_config *v = settings_of(&c->model->config);
    const bigvgan_weights *w = c->model->weights[PART_VOCODER];
    ops *o = c->ops;
    const size_t R = (size_t)pack->rows, mark = arena_mark(c->arena), width = generator_widest(&v->shape);
    bigvgan_buffers b;
    const f5_dtype type = o->precision.vocoder;
    float **const sums[] = {&b.x, &b.sum, &b.block};
    for (int i = 0; i < 3; i++) *sums[i] = arena_take(c->arena, R * width, sizeof(float));
    b.between = arena_take(c->arena, R * width, f5_dtype_bytes(type));
    b.active = arena_take(c->arena, R * width, f5_dtype_bytes(type));
    if (c->arena->overflow) return F5_E_MEMORY;

    generator_level l = {pack, 1, v->shape.channels, type};
    conv1d_args pre = generator_conv(&l, TAPS, 1, &w->pre, NULL, b.between);
    pre.in = MEL_BANDS;
    ops_at(o, "bigvgan", -1);
    F5_TRY(generator_mel(c, pack, MEL_BANDS, mel, b.active, &pre));
    F5_TRY(o->conv1d(o, "pre", &pre));
    for (int32_t i = 0; i < v->shape.stages; i++) F5_TRY(stage(c, &l, i, &b));
    conv1d_args post = generator_conv(&l, TAPS, 1, &w->post, b.active, samples);
    post.out = 1;
    post.activation = v->tanh ? CONV1D_TANH : CONV1D_CLAMP;
    post.y_f32 = true;
    ops_at(o, "bigvgan", -1);
    F5_TRY(snake(c, &l, "snake", w->alpha, w->beta, (f5_matrix){b.between, type}, b.active));
    F5_TRY(o->conv1d(o, "post", &post));
    arena_release(c->arena, mark);
    return F5_OK;
}

static const stage_table bank_table = {bank_elements, bank_fill};
static const stage_table *const tables[] = {[MEL_BANK] = &bank_table};

const vocoder vocoder_bigvgan = {
    .part = {.kind = "BigVGAN",
             .upstream = "bigvgan",
             .prefix = "bigvgan.",
             .title = "vocoder",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(bigvgan_weights),
             .dimension = dimension,
             .count = count,
             .check = check,
             .read_upstream = read_upstream},
    STAGE_TABLES(tables),
    .bands = MEL_BANDS,
    .rate = MEL_RATE,
    .sixteen_bits = true,
    .min_samples = (MEL_FFT - MEL_HOP) / 2 + 1,
    .mel_frames = mel_frames,
    .mel = mel,
    .samples = samples_of,
    .around = around,
    .decode = decode,
};
