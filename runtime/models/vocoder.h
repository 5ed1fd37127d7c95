/* vocoder.h — a vocoder turns a mel spectrogram into samples, and owns the mel that it was trained on. One file a
 * vocoder, and one word in models.c. */
#ifndef F5_VOCODER_H
#define F5_VOCODER_H

#include "runtime/models/stage.h"

typedef struct {
    model_part part;                  /* first */
    const stage_table *const *tables; /* [n_tables]; entry i is c->tables->vocoder[i] */
    int32_t n_tables;
    int32_t bands, rate; /* of its mel; of its samples. 0: 100, 24000 */
    bool sixteen_bits;   /* its operands may have 16 bits: ops->precision.vocoder is theirs. Else it is F32 */

    /* The mel of a recording: samples [n] -> mel [mel_frames(n),100]. */
    int64_t (*mel_frames)(int64_t n_samples);
    int64_t min_samples; /* that a mel can be made of */
    f5_status (*mel)(const stage_context *c, const float *samples, int64_t n, float *mel);

    /* Samples made of so many frames: at most MEL_HOP each, for which memory is sized at open; 0 of 0. */
    int64_t (*samples)(const model_config *config, int32_t frames);

    /* Frames that it is to see before and after those that are heard, so that what it takes for granted beyond a mel's
     * ends is not heard. */
    void (*around)(const model_config *config, int32_t *before, int32_t *after);

    /* mel [R,100] -> samples, sequence by sequence at sample_offsets [n_seq+1]. */
    f5_status (*decode)(const stage_context *c, const f5_pack *pack, const float *mel, const int64_t *sample_offsets,
                        float *samples);
} vocoder;

static inline const vocoder *vocoder_of(const model_config *config) {
    return (const vocoder *)config->part[PART_VOCODER];
}

/* Bands of the model's mel, and samples a second. */
static inline int32_t model_mel_bands(const model_config *config) {
    const int32_t bands = vocoder_of(config)->bands;
    return bands ? bands : 100;
}

static inline int32_t model_sample_rate(const model_config *config) {
    const int32_t rate = vocoder_of(config)->rate;
    return rate ? rate : 24000;
}

#endif
