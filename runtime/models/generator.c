/* generator.c — the shape of a vocoder of HiFi-GAN's family: read, checked, counted, and laid out as calls. */
#include "runtime/models/generator.h"

#include <stdio.h>

#include "kernels/cast.h"
#include "kernels/mel.h"
#include "weights/convert/upstream.h"

#define UP_MAX_TAPS 15

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static f5_status check_stages(const generator_shape *v, int32_t each, int32_t samples, const char *where,
                              f5_error *error) {
    int32_t made = each;
    for (int32_t i = 0; i < v->stages; i++) {
        const int32_t stride = v->rate[i], taps = v->taps[i];
        if (taps < stride || (taps - stride) % 2 != 0 || part_upsample_taps(stride, taps) > UP_MAX_TAPS)
            return f5_fail(
                error, F5_E_UNSUPPORTED,
                "%s: configuration: vocoder: a transposed convolution of %d taps and stride %d: taps are the "
                "stride and an even number more, at most 14 strides",
                where, (int)taps, (int)stride);
        if (made <= MEL_HOP) made *= stride; /* beyond it is wrong already */
    }
    if (made != samples)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s: configuration: vocoder: its rates make %s%d samples a frame, not %d", where,
                       made > MEL_HOP ? "at least " : "", (int)made, (int)samples);
    if (v->channels % (1 << v->stages) != 0)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: configuration: vocoder: %d channels cannot be halved %d times",
                       where, (int)v->channels, (int)v->stages);
    return F5_OK;
}

f5_status generator_check(const generator_shape *v, int32_t each, int32_t samples, const char *where, f5_error *error) {
    F5_TRY(check_stages(v, each, samples, where, error));
    for (int j = 0; j < GENERATOR_BLOCKS; j++)
        for (int m = 0; m < GENERATOR_PAIRS; m++)
            if (v->block_taps[j] % 2 == 0 || (v->block_taps[j] - 1) * v->dilation[j][m] > CONV1D_MAX_REACH)
                return f5_fail(
                    error, F5_E_UNSUPPORTED,
                    "%s: configuration: vocoder: a convolution of %d taps with dilation %d: taps are odd, and "
                    "reach over at most %d rows",
                    where, (int)v->block_taps[j], (int)v->dilation[j][m], CONV1D_MAX_REACH);
    return F5_OK;
}

/* Reading one configuration, key by key. */
typedef struct {
    upstream *from;
    const char *prefix;
    char key[96];
} reader;

/* The key of a list, or of its item i, in r->key. */
static const char *list_key(reader *r, const char *list) {
    snprintf(r->key, sizeof r->key, "%s%s", r->prefix, list);
    return r->key;
}

static bool has_item(reader *r, const char *list, int32_t i) {
    snprintf(r->key, sizeof r->key, "%s%s[%d]", r->prefix, list, (int)i);
    return upstream_has(r->from, r->key);
}

static void read_stages(reader *r, generator_shape *v) {
    for (int i = 0; i < GENERATOR_STAGES; i++) v->rate[i] = v->taps[i] = 1;
    for (v->stages = 0; has_item(r, "upsample_rates", v->stages) && v->stages < GENERATOR_STAGES; v->stages++) {
        v->rate[v->stages] = upstream_int(r->from, r->key, 0);
        if (!has_item(r, "upsample_kernel_sizes", v->stages))
            upstream_fail(r->from, F5_E_FORMAT, list_key(r, "upsample_kernel_sizes"), "shorter",
                          "one for each of upsample_rates");
        v->taps[v->stages] = upstream_int(r->from, r->key, 0);
    }
    if (has_item(r, "upsample_rates", v->stages))
        upstream_fail(r->from, F5_E_UNSUPPORTED, list_key(r, "upsample_rates"), "longer",
                      "at most 8 stages are supported");
    if (has_item(r, "upsample_kernel_sizes", v->stages))
        upstream_fail(r->from, F5_E_FORMAT, list_key(r, "upsample_kernel_sizes"), "longer",
                      "one for each of upsample_rates");
    v->channels = upstream_int(r->from, list_key(r, "upsample_initial_channel"), 0);
}

static void read_blocks(reader *r, generator_shape *v) {
    char list[40];
    for (int j = 0; j < GENERATOR_BLOCKS; j++) {
        if (!has_item(r, "resblock_kernel_sizes", j))
            upstream_fail(r->from, F5_E_UNSUPPORTED, list_key(r, "resblock_kernel_sizes"), "shorter",
                          "three are supported");
        v->block_taps[j] = upstream_int(r->from, r->key, 0);
        snprintf(list, sizeof list, "resblock_dilation_sizes[%d]", j);
        for (int m = 0; m < GENERATOR_PAIRS; m++) {
            if (!has_item(r, list, m))
                upstream_fail(r->from, F5_E_UNSUPPORTED, list_key(r, list), "shorter", "three dilations are supported");
            v->dilation[j][m] = upstream_int(r->from, r->key, 0);
        }
        if (has_item(r, list, GENERATOR_PAIRS))
            upstream_fail(r->from, F5_E_UNSUPPORTED, list_key(r, list), "longer", "three dilations are supported");
    }
    if (has_item(r, "resblock_kernel_sizes", GENERATOR_BLOCKS))
        upstream_fail(r->from, F5_E_UNSUPPORTED, list_key(r, "resblock_kernel_sizes"), "longer", "three are supported");
}

void generator_read(upstream *from, const char *prefix, generator_shape *v) {
    reader r = {.from = from, .prefix = prefix};
    upstream_require_text(from, list_key(&r, "resblock"), NULL, "1");
    read_stages(&r, v);
    read_blocks(&r, v);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

int64_t generator_dimension(const generator_shape *v, int16_t symbol) {
    if (symbol == GENERATOR_LAST) return v->channels >> v->stages;
    const int i = (symbol + 256) % 16;
    switch (symbol - i) {
    case GENERATOR_CHANNELS:
        return v->channels >> i;
    case GENERATOR_UP_OUT:
        return (int64_t)v->rate[i] * (v->channels >> (i + 1));
    case GENERATOR_UP_TAPS:
        return part_upsample_taps(v->rate[i], v->taps[i]);
    case GENERATOR_UP_KERNEL:
        return v->taps[i];
    case GENERATOR_UP_RATE:
        return v->rate[i];
    default: /* GENERATOR_BLOCK_TAPS */
        return v->block_taps[i];
    }
}

int32_t generator_count(const generator_shape *v, int16_t repeat) {
    return repeat % 16 >= v->stages ? 0 : repeat < GENERATOR_OF_PAIRS ? 1 : GENERATOR_PAIRS;
}

/* ---- running it -------------------------------------------------------------------------------------------------- */

int32_t generator_reach(const generator_shape *v, int32_t beside, int32_t after) {
    int32_t frame = 1; /* rows of the last stage */
    for (int32_t i = 0; i < v->stages; i++) frame *= v->rate[i];
    int32_t rows = GENERATOR_TAPS / 2 * frame, row = frame; /* row: of a stage, in rows of the last */
    for (int32_t i = 0; i < v->stages; i++) {
        int32_t widest = 0;
        for (int j = 0; j < GENERATOR_BLOCKS; j++) {
            int32_t seen = 2 * GENERATOR_PAIRS * beside;
            for (int m = 0; m < GENERATOR_PAIRS; m++) seen += v->block_taps[j] / 2 * (v->dilation[j][m] + 1);
            widest = seen > widest ? seen : widest;
        }
        rows += part_upsample_taps(v->rate[i], v->taps[i]) / 2 * row;
        row /= v->rate[i];
        rows += widest * row;
    }
    return (rows + after + frame - 1) / frame;
}

size_t generator_widest(const generator_shape *v) {
    size_t rate = 1, most = (size_t)v->channels;
    for (int32_t i = 0; i < v->stages; i++) {
        rate *= (size_t)v->rate[i];
        size_t width = rate * (size_t)(v->channels >> (i + 1));
        most = width > most ? width : most;
    }
    return most;
}

conv1d_args generator_conv(const generator_level *l, int32_t taps, int32_t dilation, const conv_weights *w,
                           const void *x, void *y) {
    return (conv1d_args){.pack = l->pack,
                         .rate = l->rate,
                         .in = l->channels,
                         .out = l->channels,
                         .taps = taps,
                         .dilation = dilation,
                         .gain = 1.0f,
                         .x = x,
                         .w = w->w.data,
                         .bias = w->b,
                         .y = y,
                         .type = l->type};
}

f5_status generator_mel(const stage_context *c, const f5_pack *pack, int32_t bands, const float *mel, void *rounded,
                        conv1d_args *pre) {
    pre->x = mel;
    if (pre->type == F5_F32) return F5_OK;
    pre->x = rounded;
    return c->ops->cast(c->ops, "mel", &(cast_args){(int64_t)pack->rows * bands, mel, rounded, pre->type});
}

conv1d_args generator_up(generator_level *l, const generator_shape *v, int32_t i, const conv_weights *w, const void *x,
                         void *y) {
    conv1d_args up = generator_conv(l, part_upsample_taps(v->rate[i], v->taps[i]), 1, w, x, y);
    l->channels /= 2;
    up.out = v->rate[i] * l->channels;
    l->rate *= v->rate[i];
    return up;
}
