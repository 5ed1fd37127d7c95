/* vocos.c — mel to samples: Vocos (runtime/MODEL.md §6.1), in F32 throughout.
 *   conv1d 7 -> norm -> layers x ConvNeXt block with layer scale -> norm -> head -> inverse STFT */
#include "runtime/models/stages.h"

#include "kernels/conv1d.h"
#include "kernels/istft.h"
#include "kernels/linear.h"
#include "kernels/mel.h"
#include "kernels/norm.h"

static f5_status layer_norm(const stage_context *c, const f5_pack *pack, const char *label, const norm_weights *w,
                            const float *x, float *y) {
    norm_args a = {
        .rows = pack->rows, .dim = c->model->config.vocos_dim, .x = x, .scale = w->scale, .shift = w->shift, .y = y};
    return c->ops->norm(c->ops, label, &a);
}

f5_status vocos_decode(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                       float *samples) {
    const model_config *config = &c->model->config;
    const vocos_weights *w = &c->model->vocos;
    ops *o = c->ops;
    size_t R = (size_t)pack->rows, C = (size_t)config->vocos_dim;

    size_t mark = arena_mark(c->arena);
    float *x = arena_take(c->arena, R * C, sizeof(float));
    float *normed = arena_take(c->arena, R * C, sizeof(float));
    convnext_buffers block = {.dim = config->vocos_dim,
                              .hidden_dim = config->vocos_ff_dim,
                              .type = F5_F32,
                              .normed = normed,
                              .hidden = arena_take(c->arena, R * (size_t)config->vocos_ff_dim, sizeof(float))};
    float *head = arena_take(c->arena, R * 2 * ISTFT_BINS, sizeof(float));
    float *frames = arena_take(c->arena, R * MEL_FFT, sizeof(float));
    if (c->arena->overflow) return F5_E_MEMORY;

    ops_at(o, "vocos", -1);
    F5_TRY(o->conv1d(o, "embed",
                     &(conv1d_args){.pack = pack,
                                    .in = MEL_BANDS,
                                    .out = config->vocos_dim,
                                    .taps = 7,
                                    .x = mel,
                                    .w = w->embed_w,
                                    .bias = w->embed_b,
                                    .y = normed}));
    F5_TRY(layer_norm(c, pack, "norm", &w->norm, normed, x));
    for (int32_t i = 0; i < config->vocos_layers; i++) {
        ops_at(o, "vocos", i);
        F5_TRY(convnext_block(c, pack, &w->block[i], &block, x));
    }
    ops_at(o, "vocos", -1);
    F5_TRY(layer_norm(c, pack, "final_norm", &w->final_norm, x, normed));
    F5_TRY(o->linear(o, "head",
                     &(linear_args){.pack = pack,
                                    .in = config->vocos_dim,
                                    .out = 2 * ISTFT_BINS,
                                    .x = normed,
                                    .w = w->head.w,
                                    .bias = w->head.b,
                                    .y = head,
                                    .y_f32 = true}));
    F5_TRY(o->istft(o, "samples",
                    &(istft_args){.pack = pack,
                                  .padding = config->vocos_same_padding ? ISTFT_SAME : ISTFT_CENTER,
                                  .h = head,
                                  .window = c->tables->window,
                                  .sample_offsets = sample_offsets,
                                  .scratch = frames,
                                  .y = samples}));
    arena_release(c->arena, mark);
    return F5_OK;
}
