/* rope_table.c — RoPE's table: a row a position, angles of 64-wide heads. A sequence may have a row beside its frames.
 * The frequencies are exact, or rounded as those of a checkpoint in 16 bits where its conversion asked for that (the
 * backbone's field "rotary"). */
#include <math.h>

#include "kernels/attention.h"
#include "runtime/models/layers.h"

static int64_t elements(const model_config *config, int32_t max_frames) {
    (void)config;
    return ((int64_t)max_frames + 1) * ATTENTION_HEAD;
}

static void fill(float *to, const model_config *config, int32_t max_frames) {
    f5_dtype type = (f5_dtype)model_config_get(config, PART_BACKBONE, "rotary", F5_F32);
    float frequency[ATTENTION_HEAD / 2];
    uint16_t narrow[ATTENTION_HEAD / 2];
    for (int i = 0; i < ATTENTION_HEAD / 2; i++) frequency[i] = (float)pow(10000.0, -2.0 * i / ATTENTION_HEAD);
    if (type != F5_F32) {
        dtype(type)->narrow(narrow, frequency, ATTENTION_HEAD / 2);
        dtype(type)->widen(frequency, narrow, ATTENTION_HEAD / 2);
    }
    rope_table_fill(to, max_frames + 1, type == F5_F32 ? NULL : frequency);
}

const stage_table rope_table = {elements, fill};
