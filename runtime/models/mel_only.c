/* mel_only.c — no vocoder: a model that makes mels alone, of 80 bands, as Flow-Matching-TTS's backbone does. */
#include "runtime/models/vocoder.h"

enum { BANDS = 80, RATE = 22050, HOP = 256 };

static int64_t mel_frames(int64_t n_samples) {
    return n_samples / HOP + 1;
}

static f5_status mel(const stage_context *c, const float *samples, int64_t n, float *y) {
    (void)c, (void)samples, (void)n, (void)y;
    return F5_E_UNSUPPORTED;
}

static int64_t samples_of(const model_config *config, int32_t frames) {
    (void)config, (void)frames;
    return 0;
}

static void around(const model_config *config, int32_t *before, int32_t *after) {
    (void)config;
    *before = *after = 0;
}

/* There is nothing to make: of any number of frames there are 0 samples. */
static f5_status decode(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                        float *samples) {
    (void)c, (void)pack, (void)mel, (void)sample_offsets, (void)samples;
    return F5_OK;
}

const vocoder vocoder_mel_only = {
    .part = {.kind = "none", .prefix = "none.", .title = "no vocoder", .weights_bytes = 1},
    .bands = BANDS,
    .rate = RATE,
    .mel_frames = mel_frames,
    .min_samples = INT64_MAX,
    .mel = mel,
    .samples = samples_of,
    .around = around,
    .decode = decode,
};
