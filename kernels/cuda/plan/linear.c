/* linear.c — which way a product takes, and its tiles. */
#include "kernels/cuda/plan/linear.h"

#include <stdio.h>

static int32_t rows_of(const linear_args *a) {
    return a->pack ? a->pack->rows : a->rows;
}

static int64_t tiles_along(int64_t n, int64_t tile) {
    return (n + tile - 1) / tile;
}

static bool aligned(const void *a, const void *b, const void *c, uintptr_t bytes) {
    return ((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) % bytes == 0;
}

static void set_tile(op_plan_line *line, int64_t rows, int64_t columns) {
    snprintf(line->tile, sizeof line->tile, "%lldx%lld", (long long)rows, (long long)columns);
}

/* ---- 8-bit weights */

static bool serves_int8_weights(const cuda_arch *arch, const linear_args *a) {
    (void)arch;
    return a->w.type == F5_I8;
}

static void describe_int8_weights(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    const int32_t rows = linear_weights_rows(arch, a->in);
    set_tile(line, rows, LINEAR_WEIGHTS_OUTS);
    line->shared_bytes = LINEAR_WEIGHTS_SHARED_BYTES(rows, a->in);
    const int64_t tiles = tiles_along(rows_of(a), rows) * tiles_along(a->out, LINEAR_WEIGHTS_OUTS);
    line->waves = (double)tiles_along(tiles, arch->sm_count);
    line->rate = arch->rate_16bit;
}

/* ---- short rows */

static bool serves_short_rows(const cuda_arch *arch, const linear_args *a) {
    (void)arch;
    return a->x.type == F5_F32 && a->epilogue == LINEAR_RESIDUAL && !a->bias && !a->gate &&
           a->in <= LINEAR_SHORT_MAX_IN && a->in % 4 == 0 && a->out % 4 == 0 && aligned(a->addend, NULL, NULL, 16) &&
           (!a->also.data || a->also.type != F5_F32);
}

static void describe_short_rows(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    set_tile(line, LINEAR_SHORT_TILE_ROWS, LINEAR_SHORT_TILE_OUTS);
    line->stages = 2;
    line->shared_bytes = LINEAR_SHORT_SHARED_BYTES;
    const int64_t tiles = tiles_along(rows_of(a), LINEAR_SHORT_TILE_ROWS) * tiles_along(a->out, LINEAR_SHORT_TILE_OUTS);
    line->waves = (double)tiles_along(tiles, arch->sm_count);
    line->rate = arch->rate_16bit / 3;
}

/* ---- sm90 */

static bool serves_sm90(const cuda_arch *arch, const linear_args *a) {
    if (arch->code < ARCH_SM90A || a->x.type == F5_F32 || a->in % 64 != 0 || a->out % 64 != 0) return false;
    if (!aligned(a->bias, a->gate, a->addend, 16)) return false;
    if (a->y.type == F5_F32) return a->epilogue == (a->x2.data ? LINEAR_NONE : LINEAR_RESIDUAL);
    return a->epilogue == LINEAR_NONE || a->epilogue == LINEAR_GELU_TANH || a->epilogue == LINEAR_GELU_ERF ||
           a->epilogue == LINEAR_RELU || a->epilogue == LINEAR_ROPE;
}

linear_plan linear_plan_of(int32_t rows, int32_t out, int32_t sm_count, int32_t columns) {
    linear_plan p;
    p.columns = columns;
    p.turns = false;
    p.row_tiles = tiles_along(rows, LINEAR_TILE_ROWS);
    p.tiles = p.row_tiles * tiles_along(out, columns);
    p.waves = tiles_along(p.tiles, sm_count);
    return p;
}

/* RoPE's angles serve whole heads of 64. RESIDUAL, whose sums are the longest, has all widths. */
static bool has_width(linear_epilogue epilogue, int32_t columns) {
    if (epilogue == LINEAR_RESIDUAL) return true;
    return columns >= 128 && columns != 208 && (epilogue != LINEAR_ROPE || columns % 64 == 0);
}

linear_plan linear_choose(int32_t rows, int32_t out, int32_t sm_count, linear_epilogue epilogue) {
    static const int32_t columns[] = {256, 208, 192, 176, 128, 96, 64};
    linear_plan best = linear_plan_of(rows, out, sm_count, columns[0]);
    for (size_t i = 1; i < sizeof columns / sizeof *columns; i++) {
        if (!has_width(epilogue, columns[i])) continue;
        const linear_plan p = linear_plan_of(rows, out, sm_count, columns[i]);
        if (linear_plan_cost(&p) < linear_plan_cost(&best)) best = p;
    }
    return best;
}

linear_plan linear_plan_for(int32_t rows, int32_t out, int32_t sm_count, linear_epilogue epilogue) {
    if (epilogue != LINEAR_GELU_TANH) return linear_choose(rows, out, sm_count, epilogue);
    linear_plan p = linear_plan_of(rows, out, sm_count, LINEAR_TURN_COLUMNS);
    p.turns = p.tiles > sm_count;
    return p;
}

static void describe_sm90(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    const linear_epilogue tiles_of = a->x2.data ? LINEAR_TILES_OF_TWO : a->epilogue;
    const linear_plan p = linear_plan_for(rows_of(a), a->out, arch->sm_count, tiles_of);
    set_tile(line, LINEAR_TILE_ROWS, p.columns);
    line->stages = LINEAR_SM90_STAGES(p.columns);
    line->shared_bytes = LINEAR_SM90_SHARED_BYTES;
    line->waves = (double)p.waves;
    line->rate = arch->rate_16bit;
}

/* ---- two calls: each takes a way of its own */

static bool serves_two_calls(const cuda_arch *arch, const linear_args *a) {
    (void)arch;
    return a->x2.data != NULL;
}

static void describe_two_calls(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    line->rate = a->x.type == F5_F32 ? arch->rate_f32 : arch->rate_16bit;
}

/* ---- split f32 */

static bool serves_split_f32(const cuda_arch *arch, const linear_args *a) {
    return arch->split_f32 && a->x.type == F5_F32 && a->in % 4 == 0 && a->in <= LINEAR_SPLIT_MAX_IN &&
           a->out % 2 == 0 && aligned(a->addend, NULL, NULL, 8);
}

static void describe_split_f32(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    set_tile(line, LINEAR_SPLIT_TILE, LINEAR_SPLIT_TILE);
    line->stages = LINEAR_SPLIT_STAGES;
    line->shared_bytes = linear_split_groups(arch, a->in) * LINEAR_SPLIT_GROUP_BYTES;
    const int64_t tiles = tiles_along(rows_of(a), LINEAR_SPLIT_TILE) * tiles_along(a->out, LINEAR_SPLIT_TILE);
    line->waves = (double)tiles_along(tiles, arch->sm_count);
    line->rate = arch->rate_16bit / 3;
}

/* ---- few outputs */

static bool serves_few_outputs(const cuda_arch *arch, const linear_args *a) {
    (void)arch;
    return (a->x.type == F5_F16 || a->x.type == F5_BF16) && a->y.type == F5_F32 && a->epilogue == LINEAR_NONE &&
           a->in % LINEAR_FEW_IN_MULTIPLE == 0 && a->out <= LINEAR_FEW_MAX_OUT;
}

static void describe_few_outputs(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    const int32_t rows = linear_few_rows(arch, rows_of(a));
    set_tile(line, rows, LINEAR_FEW_MAX_OUT);
    line->shared_bytes = LINEAR_FEW_SHARED_BYTES(rows);
    line->waves = (double)tiles_along(tiles_along(rows_of(a), rows), arch->sm_count);
    line->rate = arch->rate_16bit;
}

/* ---- cuBLASLt: tiles are its own */

static bool serves_all(const cuda_arch *arch, const linear_args *a) {
    (void)arch, (void)a;
    return true;
}

static void describe_cublaslt(const cuda_arch *arch, const linear_args *a, op_plan_line *line) {
    line->rate = a->x.type == F5_F32 ? arch->rate_f32 : arch->rate_16bit;
}

/* ---- the dispatch */

const linear_path linear_paths[LINEAR_PATHS] = {
    [LINEAR_INT8_WEIGHTS] = {"8-bit weights", serves_int8_weights, describe_int8_weights},
    [LINEAR_SHORT_ROWS] = {"short rows", serves_short_rows, describe_short_rows},
    [LINEAR_SM90] = {"sm90", serves_sm90, describe_sm90},
    [LINEAR_TWO_CALLS] = {"two calls", serves_two_calls, describe_two_calls},
    [LINEAR_SPLIT_F32] = {"split f32", serves_split_f32, describe_split_f32},
    [LINEAR_FEW_OUTPUTS] = {"few outputs", serves_few_outputs, describe_few_outputs},
    [LINEAR_CUBLASLT] = {"cuBLASLt", serves_all, describe_cublaslt},
};

int linear_path_of(const cuda_arch *arch, const linear_args *a) {
    int path = 0;
    while (!linear_paths[path].serves(arch, a)) path++;
    return path;
}

void linear_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line) {
    const linear_args *a = args;
    (void)lengths;
    const int32_t in = a->x2.data ? 2 * a->in : a->in;
    snprintf(line->shape, sizeof line->shape, "%dx%d -> %d %s", rows_of(a), in, a->out, dtype(a->x.type)->name);
    if (rows_of(a) < 1) return;
    const linear_path *path = &linear_paths[linear_path_of(arch, a)];
    line->path = path->name;
    path->describe(arch, a, line);
}

/* ---- linear_int8 */

bool linear_int8_by_sm90(const cuda_arch *arch, const linear_int8_args *a) {
    if (arch->code < ARCH_SM90A || a->in % LINEAR_INT8_STEP != 0 || a->out % 64 != 0) return false;
    if (!aligned(a->bias, a->gate, a->addend, 16) || !aligned(a->w_scale, NULL, NULL, 16)) return false;
    if (a->y.type == F5_F32) return a->epilogue == LINEAR_RESIDUAL;
    return a->epilogue == LINEAR_NONE || a->epilogue == LINEAR_GELU_TANH || a->epilogue == LINEAR_ROPE;
}

void linear_int8_describe(const cuda_arch *arch, const void *args, op_lengths lengths, op_plan_line *line) {
    const linear_int8_args *a = args;
    const int32_t rows = a->pack ? a->pack->rows : a->rows;
    (void)lengths;
    snprintf(line->shape, sizeof line->shape, "%dx%d -> %d int8", rows, a->in, a->out);
    line->rate = arch->rate_8bit;
    if (rows < 1) return;
    if (linear_int8_by_sm90(arch, a)) {
        const linear_plan p = linear_plan_for(rows, a->out, arch->sm_count, a->epilogue);
        line->path = "sm90";
        set_tile(line, LINEAR_TILE_ROWS, p.columns);
        line->stages = LINEAR_SM90_STAGES(p.columns);
        line->shared_bytes = LINEAR_SM90_SHARED_BYTES;
        line->waves = (double)p.waves;
    } else {
        line->path = "sm80";
        set_tile(line, LINEAR_INT8_SM80_TILE, LINEAR_INT8_SM80_TILE);
        line->stages = LINEAR_INT8_SM80_STAGES;
        line->waves = (double)tiles_along(
            tiles_along(rows, LINEAR_INT8_SM80_TILE) * tiles_along(a->out, LINEAR_INT8_SM80_TILE), arch->sm_count);
    }
}
