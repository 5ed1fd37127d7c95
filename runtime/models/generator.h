/* generator.h — what the vocoders of HiFi-GAN's family have in common (BigVGAN, MB-iSTFT): a convolution of 7 frames,
 * and stages. A stage raises the rate by a transposed convolution, halves the channels, and takes the mean of three
 * residual blocks, each of three pairs of convolutions. What stands between the convolutions is the vocoder's own. */
#ifndef F5_GENERATOR_H
#define F5_GENERATOR_H

#include "kernels/conv1d.h"
#include "runtime/models/vocoder.h"

enum { GENERATOR_STAGES = 8, GENERATOR_BLOCKS = 3, GENERATOR_PAIRS = 3, GENERATOR_TAPS = 7 };

typedef struct {
    int32_t stages, channels; /* channels: that the first stage takes; each gives half of its own */
    int32_t rate[GENERATOR_STAGES], taps[GENERATOR_STAGES]; /* of the transposed convolutions */
    int32_t block_taps[GENERATOR_BLOCKS], dilation[GENERATOR_BLOCKS][GENERATOR_PAIRS];
} generator_shape;

typedef struct {
    f5_matrix w; /* tap first; the vocoder's type */
    const float *b;
} conv_weights;

/* ---- settings: the shape is the member `shape` of the vocoder's -------------------------------------------------- */

#define GENERATOR_INTEGER(type, name, member, least, most, missing)                                                    \
    { name, NULL, offsetof(type, member), FIELD_INTEGER, least, most, missing }
#define GENERATOR_STAGE(type, i, stride, k)                                                                            \
    GENERATOR_INTEGER(type, "rate_" #i, shape.rate[i], 1, 256, stride),                                                \
        GENERATOR_INTEGER(type, "taps_" #i, shape.taps[i], 1, 512, k)
#define GENERATOR_BLOCK(type, j, k)                                                                                    \
    GENERATOR_INTEGER(type, "block_" #j "_taps", shape.block_taps[j], 1, 15, k),                                       \
        GENERATOR_INTEGER(type, "block_" #j "_dilation_0", shape.dilation[j][0], 1, 64, 1),                            \
        GENERATOR_INTEGER(type, "block_" #j "_dilation_1", shape.dilation[j][1], 1, 64, 3),                            \
        GENERATOR_INTEGER(type, "block_" #j "_dilation_2", shape.dilation[j][2], 1, 64, 5)

/* What limits of single fields cannot say. samples: that a frame is to be made of, `each` of them from a row of the
 * last stage. */
f5_status generator_check(const generator_shape *v, int32_t each, int32_t samples, const char *where, f5_error *error);

/* From HiFi-GAN's keys, each after `prefix`. */
void generator_read(upstream *from, const char *prefix, generator_shape *v);

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* Symbols of dimensions: of stage i or block j, by what is added to it. */
enum {
    GENERATOR_CHANNELS = -16,  /* + i: that stage i takes */
    GENERATOR_LAST = -17,      /* that the last stage gives */
    GENERATOR_UP_OUT = -32,    /* + i */
    GENERATOR_UP_TAPS = -48,   /* + i: as packed */
    GENERATOR_UP_KERNEL = -64, /* + i: as upstream has it */
    GENERATOR_UP_RATE = -80,   /* + i */
    GENERATOR_BLOCK_TAPS = -96 /* + j */
};
enum { GENERATOR_OF_STAGE = 16, GENERATOR_OF_PAIRS = 32 }; /* counts: of stage i, + i */

/* Lines of a block's convolutions and of a stage's transposed one. weights: a struct with stage[i].up, and with
 * stage[i].block[j].first and .second of conv_weights[GENERATOR_PAIRS]. Names stand behind `ours`, upstream's behind
 * `theirs`. */
/* clang-format off */
#define GENERATOR_BLOCK_LINES(weights, i, j, ours, theirs)                                                             \
    GENERATOR_HALF_LINES(weights, i, j, first, ours "first", theirs "convs1"),                                         \
    GENERATOR_HALF_LINES(weights, i, j, second, ours "second", theirs "convs2")
#define GENERATOR_HALF_LINES(weights, i, j, half, ours, theirs)                                                        \
    {ours ".%d.weight", {GENERATOR_BLOCK_TAPS + (j), GENERATOR_CHANNELS + (i) + 1, GENERATOR_CHANNELS + (i) + 1},      \
     MATRIX, PACK_TAP_FIRST, theirs ".%d.weight", GENERATOR_IN_PAIR(weights, i, stage[i].block[j].half[0].w)},         \
    {ours ".%d.bias", {GENERATOR_CHANNELS + (i) + 1}, PLAIN, PACK_COPY, theirs ".%d.bias",                             \
     GENERATOR_IN_PAIR(weights, i, stage[i].block[j].half[0].b)}
#define GENERATOR_IN_PAIR(weights, i, field)                                                                           \
    .address = offsetof(weights, field), .stride = sizeof(conv_weights), .repeat = GENERATOR_OF_PAIRS + (i)
#define GENERATOR_UP_LINES(weights, i, ours, theirs)                                                                   \
    {ours ".weight", {GENERATOR_UP_TAPS + (i), GENERATOR_UP_OUT + (i), GENERATOR_CHANNELS + (i)}, MATRIX,              \
     PACK_UPSAMPLE, theirs ".weight", .address = offsetof(weights, stage[i].up.w), .repeat = GENERATOR_OF_STAGE + (i), \
     .first = GENERATOR_UP_RATE + (i), .columns = GENERATOR_UP_KERNEL + (i)},                                          \
    {ours ".bias", {GENERATOR_UP_OUT + (i)}, PLAIN, PACK_REPEAT, theirs ".bias",                                       \
     .address = offsetof(weights, stage[i].up.b), .repeat = GENERATOR_OF_STAGE + (i), .first = GENERATOR_UP_RATE + (i)}
/* clang-format on */

int64_t generator_dimension(const generator_shape *v, int16_t symbol);
int32_t generator_count(const generator_shape *v, int16_t repeat);

/* ---- running it -------------------------------------------------------------------------------------------------- */

/* Frames on either side that a sample depends on: an activation sees `beside` rows on either side, what follows the
 * last stage `after` rows of it. */
int32_t generator_reach(const generator_shape *v, int32_t beside, int32_t after);

/* Elements of a frame that the widest tensor has. */
size_t generator_widest(const generator_shape *v);

/* The pack's rows at a rate, with so many channels. */
typedef struct {
    const f5_pack *pack;
    int32_t rate, channels;
    f5_dtype type; /* of what convolutions read */
} generator_level;

/* From all channels to as many, operands and result of the level's type. */
conv1d_args generator_conv(const generator_level *l, int32_t taps, int32_t dilation, const conv_weights *w,
                           const void *x, void *y);

/* Gives pre, the first convolution, its x: the mel as it is, or where pre has 16 bits rounded into `rounded`. */
f5_status generator_mel(const stage_context *c, const f5_pack *pack, int32_t bands, const float *mel, void *rounded,
                        conv1d_args *pre);

/* The transposed convolution of stage i, as the convolution that it is; *l becomes the level of its result. */
conv1d_args generator_up(generator_level *l, const generator_shape *v, int32_t i, const conv_weights *w, const void *x,
                         void *y);

#endif
