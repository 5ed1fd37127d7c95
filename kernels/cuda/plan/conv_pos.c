/* conv_pos.c — which way conv_pos takes, and its tiles for sequences taken as equally long. */
#include "kernels/cuda/plan/conv_pos.h"

#include <stdio.h>

static int32_t group_width(const conv_pos_args *a) {
    return a->dim / CONV_POS_GROUPS;
}

/* Tiles of `rows` rows by `columns` of a group's channels. */
static void set_tiles(const cuda_arch *arch, const conv_pos_args *a, op_lengths lengths, op_plan_line *line, int rows,
                      int columns) {
    const int64_t length = a->pack->rows / lengths.sequences;
    const int64_t blocks = CONV_POS_GROUPS * (((int64_t)group_width(a) + columns - 1) / columns);
    const int64_t tiles = (length + rows - 1) / rows * lengths.sequences * blocks;
    snprintf(line->tile, sizeof line->tile, "%dx%d", rows, columns);
    line->waves = (double)((tiles + arch->sm_count - 1) / arch->sm_count);
}

/* ---- sm90 */

static bool serves_sm90(const cuda_arch *arch, const conv_pos_args *a) {
    return arch->code >= ARCH_SM90A && a->type != F5_F32 && group_width(a) == 64;
}

int64_t conv_pos_plan_cost(int32_t rows, int32_t sm_count, int32_t tile_rows) {
    const int64_t length = ((int64_t)rows + 1) / 2;
    const int64_t tiles = (length + tile_rows - 1) / tile_rows * 2 * CONV_POS_GROUPS;
    return (tiles + sm_count - 1) / sm_count * tile_rows;
}

int32_t conv_pos_choose_rows(int32_t rows, int32_t sm_count) {
    return conv_pos_plan_cost(rows, sm_count, 128) < conv_pos_plan_cost(rows, sm_count, 176) ? 128 : 176;
}

static void describe_sm90(const cuda_arch *arch, const conv_pos_args *a, op_lengths lengths, op_plan_line *line) {
    const int32_t rows = conv_pos_choose_rows(a->pack->rows, arch->sm_count);
    set_tiles(arch, a, lengths, line, rows, 64);
    line->stages = CONV_POS_SM90_STAGES;
    line->shared_bytes = CONV_POS_SM90_SHARED_BYTES(rows);
    line->rate = arch->rate_16bit;
}

/* ---- sm80 */

static bool serves_sm80(const cuda_arch *arch, const conv_pos_args *a) {
    (void)arch;
    const int32_t width = group_width(a);
    return a->type != F5_F32 && (width == 16 /* demo */ || width == 48 /* Small */ || width == 64 /* Base */);
}

static void describe_sm80(const cuda_arch *arch, const conv_pos_args *a, op_lengths lengths, op_plan_line *line) {
    set_tiles(arch, a, lengths, line, CONV_POS_SM80_TILE_ROWS, group_width(a));
    line->stages = CONV_POS_SM80_STAGES;
    line->shared_bytes = CONV_POS_SM80_SHARED_BYTES(group_width(a));
    line->rate = arch->rate_16bit;
}

/* ---- F32 units */

static bool serves_all(const cuda_arch *arch, const conv_pos_args *a) {
    (void)arch, (void)a;
    return true;
}

static void describe_f32(const cuda_arch *arch, const conv_pos_args *a, op_lengths lengths, op_plan_line *line) {
    set_tiles(arch, a, lengths, line, 64, 64);
    line->rate = arch->rate_f32;
}

/* ---- the dispatch */

const conv_pos_path conv_pos_paths[CONV_POS_PATHS] = {
    [CONV_POS_SM90] = {"sm90", serves_sm90, describe_sm90},
    [CONV_POS_SM80] = {"sm80", serves_sm80, describe_sm80},
    [CONV_POS_F32_UNITS] = {"f32 units", serves_all, describe_f32},
};

int conv_pos_path_of(const cuda_arch *arch, const conv_pos_args *a) {
    int path = 0;
    while (!conv_pos_paths[path].serves(arch, a)) path++;
    return path;
}

void conv_pos_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line) {
    const conv_pos_args *a = args;
    snprintf(line->shape, sizeof line->shape, "%dx%d, %d taps %s", a->pack->rows, a->dim, CONV_POS_TAPS,
             dtype(a->type)->name);
    if (a->pack->rows < 1) return;
    const conv_pos_path *path = &conv_pos_paths[conv_pos_path_of(arch, a)];
    line->path = path->name;
    path->describe(arch, a, lengths, line);
}
