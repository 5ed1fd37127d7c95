/* mb_istft.c — the vocoder of Flow-Matching-TTS and MB-iSTFT-VITS (runtime/MODEL.md §8.4), mel of 80 bands to samples
 * at 22,050 Hz:
 *
 *   conv 7 -> stages x (leaky ReLU -> transposed conv -> mean of three residual blocks) -> leaky ReLU
 *          -> conv 7 and short inverse STFT, of one band or of four -> where there are four, one of their bank
 *
 * A residual block adds three times conv(lrelu(conv(lrelu(x)))) to x. What convolutions read has the type of the
 * vocoder; residuals, sums, the last convolution and what follows it are F32. It has no mel of its own here: its models
 * have one voice and take no recording. */
#include <math.h>

#include "kernels/conv1d.h"
#include "kernels/mel.h"
#include "kernels/subband_istft.h"
#include "runtime/models/generator.h"
#include "weights/convert/upstream.h"

enum { MAX_STAGES = 4, BLOCKS = GENERATOR_BLOCKS, PAIRS = GENERATOR_PAIRS, TAPS = GENERATOR_TAPS };
enum { MELS = 80, RATE = 22050, BANK = 4, BANK_TAPS = 63, MAX_BANDS = 4 };
#define SLOPE 0.1f       /* of the leaky ReLUs */
#define LAST_SLOPE 0.01f /* of the last one */

typedef enum {
    FORM_AS_CODED,    /* one band, whose phases are sines: 1 of `bands` of the samples that the mel asks for */
    FORM_SINGLE,      /* one band that has them all */
    FORM_MULTI_BAND,  /* four, put together by a pseudo-QMF bank */
    FORM_MULTI_STREAM /* four, put together by a learned one */
} istft_form;

typedef struct {
    generator_shape shape;
    int32_t form, points, bands; /* points: of the transform; bands: of the configuration, one of them as coded */
} mb_config;

typedef struct {
    conv_weights first[PAIRS], second[PAIRS]; /* [taps,C,C] */
} block_weights;

typedef struct {
    conv_weights up; /* [k,rate C,2 C], bias [rate C] */
    block_weights block[BLOCKS];
} stage_weights;

typedef struct {
    conv_weights pre; /* [7,channels,80] */
    stage_weights stage[MAX_STAGES];
    conv_weights post; /* [7,bands (points + 2),C of the last stage] */
    const float *bank; /* [17,4,4] of FORM_MULTI_STREAM */
} mb_weights;

enum { WINDOW, PQMF }; /* the tables: [points] periodic Hann; [17,4,4] of FORM_MULTI_BAND */

_Static_assert(sizeof(mb_config) <= PART_CONFIG_BYTES, "settings fit");

static const mb_config *settings_of(const model_config *config) {
    return config_of(config, PART_VOCODER);
}

static bool has_bank(const mb_config *v) {
    return v->form >= FORM_MULTI_BAND;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const part_field fields[] = {
    GENERATOR_INTEGER(mb_config, "stages", shape.stages, 1, MAX_STAGES, 2),
    GENERATOR_INTEGER(mb_config, "channels", shape.channels, 1, 16384, 512),
    GENERATOR_STAGE(mb_config, 0, 4, 16),
    GENERATOR_STAGE(mb_config, 1, 4, 16),
    GENERATOR_STAGE(mb_config, 2, 1, 1),
    GENERATOR_STAGE(mb_config, 3, 1, 1),
    GENERATOR_BLOCK(mb_config, 0, 3),
    GENERATOR_BLOCK(mb_config, 1, 7),
    GENERATOR_BLOCK(mb_config, 2, 11),
    GENERATOR_INTEGER(mb_config, "form", form, FORM_AS_CODED, FORM_MULTI_STREAM, FORM_MULTI_BAND),
    GENERATOR_INTEGER(mb_config, "points", points, 4, SUBBAND_ISTFT_MAX_POINTS, 16),
    GENERATOR_INTEGER(mb_config, "bands", bands, 1, MAX_BANDS, BANK),
};

static f5_status check(const model_config *config, const char *where, f5_error *error) {
    const mb_config *v = settings_of(config);
    if (v->points % 4 != 0)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s: configuration: vocoder: a transform of %d points; they are a multiple of 4", where,
                       (int)v->points);
    if (has_bank(v) ? v->bands != BANK : v->form == FORM_SINGLE && v->bands != 1)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: vocoder: %d bands where this form has %d", where,
                       (int)v->bands, has_bank(v) ? BANK : 1);
    return generator_check(&v->shape, v->points / 4 * v->bands, MEL_HOP, where, error);
}

static void read_upstream(upstream *from, model_config *config) {
    mb_config *v = (mb_config *)(void *)config->settings[PART_VOCODER].bytes;
    const bool streams = upstream_bool(from, "model.ms_istft_vits", false),
               single = upstream_bool(from, "model.istft_vits", false);
    generator_read(from, "model.", &v->shape);
    if (v->shape.stages > MAX_STAGES)
        upstream_fail(from, F5_E_UNSUPPORTED, "model.upsample_rates", "longer", "at most 4 stages are supported");
    upstream_require_int(from, "model.gin_channels", 0, 0);
    v->points = upstream_int(from, "model.gen_istft_n_fft", 16);
    upstream_require_int(from, "model.gen_istft_hop_size", 4, v->points / 4);
    v->form = streams ? FORM_MULTI_STREAM : single ? FORM_SINGLE : FORM_AS_CODED;
    v->bands = single ? 1 : upstream_int(from, "model.subbands", BANK);
}

/* "mb_istft_vits" is what a configuration says of either form; the weights tell which it is. */
static void read_keys(model_config *config, upstream_has_key has, const void *user) {
    mb_config *v = (mb_config *)(void *)config->settings[PART_VOCODER].bytes;
    if (v->form == FORM_AS_CODED && has(user, "dec.subband_conv_post.weight")) v->form = FORM_MULTI_BAND;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

enum {
    CHANNELS = GENERATOR_CHANNELS,
    LAST = GENERATOR_LAST,
    COLUMNS = -1, /* that the last convolution gives */
    BANK_ROWS = PART_BANK_TAPS(BANK, BANK_TAPS)
};
enum { ONE_BAND = 48, BANDS, STREAMS }; /* counts */

static int64_t dimension(const model_config *config, int16_t symbol) {
    const mb_config *v = settings_of(config);
    return symbol == COLUMNS ? (int64_t)(has_bank(v) ? BANK : 1) * (v->points + 2)
                             : generator_dimension(&v->shape, symbol);
}

static int32_t count(const model_config *config, int16_t repeat) {
    const mb_config *v = settings_of(config);
    if (repeat < ONE_BAND) return generator_count(&v->shape, repeat);
    return repeat == ONE_BAND ? !has_bank(v) : repeat == BANDS ? has_bank(v) : v->form == FORM_MULTI_STREAM;
}

#define AT(field) .address = offsetof(mb_weights, field)

/* clang-format off */
#define BLOCK(i, j, n)                                                                                                 \
    GENERATOR_BLOCK_LINES(mb_weights, i, j, "mb_istft.stages." #i ".blocks." #j ".", "dec.resblocks." #n ".")
#define STAGE_LINES(i, n0, n1, n2)                                                                                     \
    GENERATOR_UP_LINES(mb_weights, i, "mb_istft.stages." #i ".up", "dec.ups." #i),                                     \
    BLOCK(i, 0, n0), BLOCK(i, 1, n1), BLOCK(i, 2, n2)

static const part_line lines[] = {
    /* .f5 name, dims, class, packing, upstream keys, where in mb_weights */
    {"mb_istft.pre.weight",   {TAPS, CHANNELS, MELS}, MATRIX, PACK_TAP_FIRST, "dec.conv_pre.weight", AT(pre.w)},
    {"mb_istft.pre.bias",     {CHANNELS},             PLAIN,  PACK_COPY,      "dec.conv_pre.bias",   AT(pre.b)},
    STAGE_LINES(0, 0, 1, 2),
    STAGE_LINES(1, 3, 4, 5),
    STAGE_LINES(2, 6, 7, 8),
    STAGE_LINES(3, 9, 10, 11),
    {"mb_istft.post.weight",  {TAPS, COLUMNS, LAST}, MATRIX, PACK_TAP_FIRST, "dec.conv_post.weight", AT(post.w), .repeat = ONE_BAND, .held_f32 = true},
    {"mb_istft.post.bias",    {COLUMNS},             PLAIN,  PACK_COPY,      "dec.conv_post.bias",   AT(post.b), .repeat = ONE_BAND},
    {"mb_istft.bands.weight", {TAPS, COLUMNS, LAST}, MATRIX, PACK_TAP_FIRST, "dec.subband_conv_post.weight", AT(post.w), .repeat = BANDS, .held_f32 = true},
    {"mb_istft.bands.bias",   {COLUMNS},             PLAIN,  PACK_COPY,      "dec.subband_conv_post.bias",   AT(post.b), .repeat = BANDS},
    {"mb_istft.bank",         {BANK_ROWS, BANK, BANK}, PLAIN, PACK_BANK,     "dec.multistream_conv_post.weight", AT(bank), .repeat = STREAMS, .columns = BANK_TAPS},
};
/* clang-format on */

static const char *const ignored[] = {"flow_tts.", "mel_transform.", "dec.updown_filter", NULL};

/* ---- its tables -------------------------------------------------------------------------------------------------- */

static int64_t window_elements(const model_config *config, int32_t max_frames) {
    (void)max_frames;
    return settings_of(config)->points;
}

static void window_fill(float *to, const model_config *config, int32_t max_frames) {
    (void)max_frames;
    const int32_t points = settings_of(config)->points;
    for (int32_t i = 0; i < points; i++) to[i] = (float)(0.5 - 0.5 * cos(2 * acos(-1.0) * i / points));
}

static int64_t pqmf_elements(const model_config *config, int32_t max_frames) {
    (void)max_frames;
    return settings_of(config)->form == FORM_MULTI_BAND ? BANK_ROWS * BANK * BANK : 0;
}

/* The modified Bessel function of order 0, by its series: up to 9 it has converged long before 64 terms. */
static double bessel(double x) {
    double sum = 1, term = 1;
    for (int i = 1; i < 64; i++) {
        term *= (x / (2 * i)) * (x / (2 * i));
        sum += term;
    }
    return sum;
}

/* Tap t of band b of the bank: a sinc of cutoff 0.15 under a Kaiser window of beta 9, moved to the band's middle. */
static double pqmf_tap(int32_t band, int32_t t) {
    const double pi = acos(-1.0), half = BANK_TAPS / 2, at = t - half, edge = at / half;
    const double sinc = t == BANK_TAPS / 2 ? 0.15 : sin(0.15 * pi * at) / (pi * at);
    const double angle = (2 * band + 1) * pi / (2 * BANK) * (t - (half - 0.5)) - (band % 2 ? -pi / 4 : pi / 4);
    return 2 * sinc * bessel(9 * sqrt(1 - edge * edge)) / bessel(9) * cos(angle);
}

static void pqmf_fill(float *to, const model_config *config, int32_t max_frames) {
    (void)config, (void)max_frames;
    for (int32_t k = 0; k < BANK_ROWS; k++)
        for (int32_t j = 0; j < BANK; j++)
            for (int32_t band = 0; band < BANK; band++, to++) {
                const int64_t t = part_bank_tap(BANK, BANK_TAPS, k, j);
                *to = t >= 0 && t < BANK_TAPS ? BANK * (float)pqmf_tap(band, (int32_t)t) : 0.0f;
            }
}

/* ---- the vocoder ------------------------------------------------------------------------------------------------- */

static int64_t mel_frames(int64_t n_samples) {
    return n_samples / MEL_HOP + 1;
}

static f5_status mel(const stage_context *c, const float *samples, int64_t n, float *y) {
    (void)c, (void)samples, (void)n, (void)y;
    return F5_E_UNSUPPORTED;
}

static int64_t samples_of(const model_config *config, int32_t frames) {
    const mb_config *v = settings_of(config);
    return frames <= 0 ? 0 : (int64_t)frames * (v->form == FORM_AS_CODED ? MEL_HOP / v->bands : MEL_HOP);
}

/* After the last stage: a convolution of 7 rows and the one in front, three frames of a transform, the bank. */
static void around(const model_config *config, int32_t *before, int32_t *after) {
    const mb_config *v = settings_of(config);
    *before = *after = generator_reach(&v->shape, 0, TAPS / 2 + 1 + 3 + (has_bank(v) ? BANK_ROWS / 2 : 0));
}

/* Working memory, each [R,widest]. "raw" is a tensor, "active" its leaky ReLU, which convolutions read: of the
 * vocoder's type. */
typedef struct {
    float *raw, *block_raw; /* what the blocks of a stage are given, and what a block added to it */
    float *sum;             /* of the blocks' results; of the last stage their mean, rectified */
    void *active, *block_active;
    void *between; /* of the two convolutions */
} mb_buffers;

static conv1d_args leaky(conv1d_args a, float slope, float *raw) {
    a.activation = CONV1D_LEAKY_RELU;
    a.slope = slope;
    a.raw = raw;
    return a;
}

/* Residual block j: what it makes is added to b->sum. After the last the mean, rectified, is b->block_active, which the
 * next stage reads; of the last stage b->sum. */
static f5_status residual_block(const stage_context *c, const generator_level *l, int32_t j, bool last_stage,
                                const block_weights *w, const mb_buffers *b) {
    static const char *const labels[PAIRS][2] = {
        {"0.conv1", "0.conv2"}, {"1.conv1", "1.conv2"}, {"2.conv1", "2.conv2"}};
    const generator_shape *v = &settings_of(&c->model->config)->shape;
    const float *raw = b->raw;
    const void *active = b->active;
    for (int32_t m = 0; m < PAIRS; m++) {
        const conv1d_args one = leaky(
            generator_conv(l, v->block_taps[j], v->dilation[j][m], &w->first[m], active, b->between), SLOPE, NULL);
        conv1d_args two = generator_conv(l, v->block_taps[j], 1, &w->second[m], b->between, b->block_active);
        two.residual = raw;
        if (m < PAIRS - 1) {
            two = leaky(two, SLOPE, b->block_raw);
        } else {
            const bool mean = j == BLOCKS - 1;
            two.sum = j > 0 ? b->sum : NULL;
            two.y_f32 = !mean || last_stage;
            if (two.y_f32) two.y = b->sum;
            two.gain = mean ? 1.0f / BLOCKS : 1.0f;
            if (mean) two = leaky(two, last_stage ? LAST_SLOPE : SLOPE, NULL);
        }
        F5_TRY(c->ops->conv1d(c->ops, labels[m][0], &one));
        F5_TRY(c->ops->conv1d(c->ops, labels[m][1], &two));
        raw = b->block_raw;
        active = b->block_active;
    }
    return F5_OK;
}

/* b->block_active at a level becomes b->block_active at the next, which *l then is; after the last b->sum. */
static f5_status stage(const stage_context *c, generator_level *l, int32_t i, const mb_buffers *b) {
    const mb_weights *w = c->model->weights[PART_VOCODER];
    const generator_shape *v = &settings_of(&c->model->config)->shape;
    const conv1d_args up = leaky(generator_up(l, v, i, &w->stage[i].up, b->block_active, b->active), SLOPE, b->raw);
    ops_at(c->ops, "mb_istft", i);
    F5_TRY(c->ops->conv1d(c->ops, "up", &up));
    for (int32_t j = 0; j < BLOCKS; j++) {
        ops_at(c->ops, "mb_istft.block", BLOCKS * i + j);
        F5_TRY(residual_block(c, l, j, i == v->stages - 1, &w->stage[i].block[j], b));
    }
    return F5_OK;
}

/* b->sum of the last level to samples. */
static f5_status transform(const stage_context *c, const generator_level *l, float *scratch, const mb_buffers *b,
                           float *samples) {
    const mb_config *v = settings_of(&c->model->config);
    const mb_weights *w = c->model->weights[PART_VOCODER];
    ops *o = c->ops;
    const bool bank = has_bank(v);
    if (w->post.w.type != F5_F32) return F5_E_ARGUMENT; /* the op reads nothing else: held_f32 of its lines */
    ops_at(o, "mb_istft", -1);
    F5_TRY(o->subband_istft(o, "istft",
                            &(subband_istft_args){.pack = l->pack,
                                                  .rate = l->rate,
                                                  .in = l->channels,
                                                  .bands = bank ? BANK : 1,
                                                  .points = v->points,
                                                  .turn = v->form == FORM_AS_CODED ? 1.0f : (float)acos(-1.0),
                                                  .x = b->sum,
                                                  .w = w->post.w.data,
                                                  .bias = w->post.b,
                                                  .window = c->tables->vocoder[WINDOW],
                                                  .scratch = scratch,
                                                  .y = bank ? b->raw : samples}));
    if (!bank) return F5_OK;
    return o->conv1d(o, "bank",
                     &(conv1d_args){.pack = l->pack,
                                    .rate = l->rate * (v->points / 4),
                                    .in = BANK,
                                    .out = BANK,
                                    .taps = BANK_ROWS,
                                    .dilation = 1,
                                    .gain = 1,
                                    .x = b->raw,
                                    .w = v->form == FORM_MULTI_STREAM ? w->bank : c->tables->vocoder[PQMF],
                                    .y = samples});
}

/* The samples of a pack lie as its rows do, as many a row, so sample_offsets say nothing new. */
static f5_status decode(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                        float *samples) {
    (void)sample_offsets;
    const mb_config *v = settings_of(&c->model->config);
    const mb_weights *w = c->model->weights[PART_VOCODER];
    const size_t R = (size_t)pack->rows, mark = arena_mark(c->arena);
    size_t width = generator_widest(&v->shape), rate = 1;
    for (int32_t i = 0; i < v->shape.stages; i++) rate *= (size_t)v->shape.rate[i];
    if (width < MEL_HOP) width = MEL_HOP; /* the bands */
    const f5_dtype type = c->ops->precision.vocoder;
    mb_buffers b;
    float **const wide[] = {&b.raw, &b.block_raw, &b.sum};
    void **const read[] = {&b.active, &b.block_active, &b.between};
    for (int i = 0; i < 3; i++) *wide[i] = arena_take(c->arena, R * width, sizeof(float));
    for (int i = 0; i < 3; i++) *read[i] = arena_take(c->arena, R * width, f5_dtype_bytes(type));
    float *scratch = arena_take(c->arena, rate * R + (size_t)pack->n_seq,
                                (size_t)dimension(&c->model->config, COLUMNS) * sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;

    generator_level l = {pack, 1, v->shape.channels, type};
    conv1d_args pre = leaky(generator_conv(&l, TAPS, 1, &w->pre, NULL, b.block_active), SLOPE, NULL);
    pre.in = MELS;
    ops_at(c->ops, "mb_istft", -1);
    F5_TRY(generator_mel(c, pack, MELS, mel, b.active, &pre));
    F5_TRY(c->ops->conv1d(c->ops, "pre", &pre));
    for (int32_t i = 0; i < v->shape.stages; i++) F5_TRY(stage(c, &l, i, &b));
    F5_TRY(transform(c, &l, scratch, &b, samples));
    arena_release(c->arena, mark);
    return F5_OK;
}

static const stage_table window_table = {window_elements, window_fill}, pqmf_table = {pqmf_elements, pqmf_fill};
static const stage_table *const tables[] = {[WINDOW] = &window_table, [PQMF] = &pqmf_table};

const vocoder vocoder_mb_istft = {
    .part = {.kind = "MB-iSTFT",
             .prefix = "mb_istft.",
             .title = "vocoder",
             PART_FIELDS(fields),
             PART_LINES(lines),
             .ignored = ignored,
             .weights_bytes = sizeof(mb_weights),
             .in_checkpoint = true,
             .dimension = dimension,
             .count = count,
             .check = check,
             .read_upstream = read_upstream,
             .read_keys = read_keys},
    STAGE_TABLES(tables),
    .bands = MELS,
    .rate = RATE,
    .sixteen_bits = true,
    .mel_frames = mel_frames,
    .min_samples = INT64_MAX,
    .mel = mel,
    .samples = samples_of,
    .around = around,
    .decode = decode,
};
