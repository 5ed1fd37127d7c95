/* rope_table.c — RoPE's table: a row a position, angles of 64-wide heads. A sequence may have a row beside its frames.
 */
#include "kernels/attention.h"
#include "runtime/models/layers.h"

static int64_t elements(const model_config *config, int32_t max_frames) {
    (void)config;
    return ((int64_t)max_frames + 1) * ATTENTION_HEAD;
}

static void fill(float *to, const model_config *config, int32_t max_frames) {
    (void)config;
    rope_table_fill(to, max_frames + 1);
}

const stage_table rope_table = {elements, fill};
