/* conv1d.c — which way conv1d takes, and its tiles for sequences taken as equally long. */
#include "kernels/cuda/plan/conv1d.h"

#include <stdio.h>

static bool aligned(const void *a, const void *b, uintptr_t bytes) {
    return ((uintptr_t)a | (uintptr_t)b) % bytes == 0;
}

/* No activation that only the other ways have, see common/conv1d_finish.cuh. */
static bool serves_slope(const conv1d_args *a) {
    return a->activation == CONV1D_LINEAR || a->activation == CONV1D_LEAKY_RELU;
}

/* Of what is read and written beside the operands: NULL is aligned. */
static bool rows_aligned(const conv1d_args *a, uintptr_t bytes) {
    return aligned(a->residual, a->sum, bytes) && aligned(a->raw, a->y, bytes);
}

static void set_tiles(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line, int32_t rows,
                      int32_t outs) {
    const int64_t length = (int64_t)a->rate * a->pack->rows / lengths.sequences;
    const int64_t tiles = (length + rows - 1) / rows * lengths.sequences * ((a->out + outs - 1) / outs);
    snprintf(line->tile, sizeof line->tile, "%dx%d", (int)rows, (int)outs);
    line->waves = (double)((tiles + arch->sm_count - 1) / arch->sm_count);
}

/* ---- few outputs */

static bool serves_few(const cuda_arch *arch, const conv1d_args *a) {
    (void)arch;
    return a->out <= CONV1D_FEW_OUTS && a->in <= 128 &&
           CONV1D_FEW_SHARED_BYTES(a->in, a->taps, conv1d_reach(a), a->out) <= 48 << 10;
}

static void describe_few(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line) {
    set_tiles(arch, a, lengths, line, CONV1D_FEW_ROWS, a->out);
    line->shared_bytes = CONV1D_FEW_SHARED_BYTES(a->in, a->taps, conv1d_reach(a), a->out);
    line->rate = arch->rate_f32;
}

/* ---- sm90 */

static bool serves_sm90(const cuda_arch *arch, const conv1d_args *a) {
    return arch->code >= ARCH_SM90A && a->type != F5_F32 && serves_slope(a) && conv1d_sm90_outs(a->in, a->out) > 0 &&
           aligned(a->x, a->w, 16) && rows_aligned(a, 16) && aligned(a->bias, NULL, 16);
}

static void describe_sm90(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line) {
    const int32_t outs = conv1d_sm90_outs(a->in, a->out);
    set_tiles(arch, a, lengths, line, CONV1D_SM90_ROWS(outs), outs);
    line->stages = CONV1D_SM90_STAGES(outs);
    line->shared_bytes = conv1d_sm90_shared_bytes(a);
    line->rate = arch->rate_16bit;
}

/* ---- sm80 */

static bool serves_sm80(const cuda_arch *arch, const conv1d_args *a) {
    (void)arch;
    return a->type != F5_F32 && serves_slope(a) && a->in % 4 == 0 && a->out % 2 == 0 && aligned(a->x, a->w, 16) &&
           rows_aligned(a, 8);
}

static void describe_sm80(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line) {
    const int32_t outs = conv1d_tile_outs(a->out);
    set_tiles(arch, a, lengths, line, conv1d_tile_rows(outs), outs);
    line->stages = CONV1D_STAGES;
    line->shared_bytes = conv1d_sm80_shared_bytes(a);
    line->rate = arch->rate_16bit;
}

/* ---- split f32 */

static bool serves_split_f32(const cuda_arch *arch, const conv1d_args *a) {
    return arch->split_f32 && a->type == F5_F32 && serves_slope(a) && a->in % 4 == 0 && a->out % 2 == 0 &&
           aligned(a->x, a->w, 16) && rows_aligned(a, 8);
}

static void describe_split_f32(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line) {
    const int32_t outs = conv1d_split_outs(a->out, a->taps);
    set_tiles(arch, a, lengths, line, conv1d_tile_rows(outs), outs);
    line->stages = CONV1D_STAGES;
    line->shared_bytes = conv1d_split_shared_bytes(a);
    line->rate = arch->rate_16bit / 3;
}

/* ---- F32 units */

static bool serves_all(const cuda_arch *arch, const conv1d_args *a) {
    (void)arch, (void)a;
    return true;
}

static void describe_f32(const cuda_arch *arch, const conv1d_args *a, op_lengths lengths, op_plan_line *line) {
    set_tiles(arch, a, lengths, line, 64, 64);
    line->rate = arch->rate_f32;
}

/* ---- the dispatch */

const conv1d_path conv1d_paths[CONV1D_PATHS] = {
    [CONV1D_FEW_OUTPUTS] = {"few outputs", serves_few, describe_few},
    [CONV1D_SM90] = {"sm90", serves_sm90, describe_sm90},
    [CONV1D_SM80] = {"sm80", serves_sm80, describe_sm80},
    [CONV1D_SPLIT_F32] = {"split f32", serves_split_f32, describe_split_f32},
    [CONV1D_F32_UNITS] = {"f32 units", serves_all, describe_f32},
};

int conv1d_path_of(const cuda_arch *arch, const conv1d_args *a) {
    int path = 0;
    while (!conv1d_paths[path].serves(arch, a)) path++;
    return path;
}

void conv1d_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line) {
    const conv1d_args *a = args;
    snprintf(line->shape, sizeof line->shape, "%lldx%d -> %d, %d taps %s", (long long)a->rate * a->pack->rows,
             (int)a->in, (int)a->out, (int)a->taps, dtype(a->type)->name);
    if (a->pack->rows < 1) return;
    const conv1d_path *path = &conv1d_paths[conv1d_path_of(arch, a)];
    line->path = path->name;
    path->describe(arch, a, lengths, line);
}
