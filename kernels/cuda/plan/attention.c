/* attention.c — which way attention takes, and its tiles for sequences taken as equally long. */
#include "kernels/cuda/plan/attention.h"

#include <stdio.h>

#include "kernels/cuda/plan/attention_sm80.h"
#include "kernels/cuda/plan/attention_sm90.h"

/* Tiles of `queries` rows of all heads and sequences. */
static int64_t tiles_of(const attention_args *a, op_lengths lengths, int64_t queries) {
    const int64_t length = a->pack->rows / lengths.sequences;
    return (length + queries - 1) / queries * lengths.sequences * a->heads;
}

static void set_tiles(const cuda_arch *arch, op_plan_line *line, int64_t tiles, int queries, int keys) {
    snprintf(line->tile, sizeof line->tile, "%dx%d", queries, keys);
    line->waves = (double)((tiles + arch->sm_count - 1) / arch->sm_count);
}

/* ---- f32 units */

static bool serves_f32(const cuda_arch *arch, const attention_args *a) {
    (void)arch;
    return a->type == F5_F32;
}

static void describe_f32(const cuda_arch *arch, const attention_args *a, op_lengths lengths, op_plan_line *line) {
    set_tiles(arch, line, tiles_of(a, lengths, 64), 64, 64);
    line->shared_bytes = ATTENTION_F32_SHARED_BYTES;
    line->rate = arch->rate_f32;
}

/* ---- sm90 */

static bool serves_sm90(const cuda_arch *arch, const attention_args *a) {
    return arch->code >= ARCH_SM90A && a->type != F5_F32;
}

static void describe_sm90(const cuda_arch *arch, const attention_args *a, op_lengths lengths, op_plan_line *line) {
    const int32_t length = a->pack->rows / lengths.sequences;
    const int64_t tiles = tiles_of(a, lengths, ATTENTION_TILE_ROWS);
    const int64_t cost = attention_sequence_cost(length) * lengths.sequences * a->heads;
    const int64_t tile_cost = attention_tile_cost(length, attention_live_groups(length, 0));
    set_tiles(arch, line, tiles, ATTENTION_TILE_ROWS, ATTENTION_STEP_KEYS);
    if (tiles <= INT32_MAX && attention_splits_tiles(cost, tile_cost, (int32_t)tiles, arch->sm_count))
        line->waves = (double)tiles / arch->sm_count;
    line->stages = ATTENTION_SM90_STAGES;
    line->shared_bytes = ATTENTION_SM90_SHARED_BYTES;
    line->rate = arch->rate_16bit;
}

/* ---- sm80 */

static bool serves_sm80(const cuda_arch *arch, const attention_args *a) {
    (void)arch;
    return a->type != F5_F32;
}

static void describe_sm80(const cuda_arch *arch, const attention_args *a, op_lengths lengths, op_plan_line *line) {
    const int queries = 32 * attention_sm80_warps(a->pack->rows, a->heads, arch->sm_count, arch->shared_bytes);
    set_tiles(arch, line, tiles_of(a, lengths, queries), queries, 64);
    line->stages = ATTENTION_SM80_STAGES;
    line->shared_bytes = ATTENTION_SM80_SHARED_BYTES;
    line->rate = arch->rate_16bit;
}

/* ---- the dispatch */

const attention_path attention_paths[ATTENTION_PATHS] = {
    [ATTENTION_F32_UNITS] = {"f32 units", serves_f32, describe_f32},
    [ATTENTION_SM90] = {"sm90", serves_sm90, describe_sm90},
    [ATTENTION_SM80] = {"sm80", serves_sm80, describe_sm80},
};

int attention_path_of(const cuda_arch *arch, const attention_args *a) {
    int path = 0;
    while (!attention_paths[path].serves(arch, a)) path++;
    return path;
}

void attention_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line) {
    const attention_args *a = args;
    snprintf(line->shape, sizeof line->shape, "%dx%d, %d heads %s", lengths.sequences,
             a->pack->rows / lengths.sequences, a->heads, dtype(a->type)->name);
    if (a->pack->rows < 1) return;
    const attention_path *path = &attention_paths[attention_path_of(arch, a)];
    line->path = path->name;
    path->describe(arch, a, lengths, line);
}
