/* linear.h — the ways that a matrix product has on a GPU, and the tiles of each: pure functions of its shape, its types
 * and the architecture. Plain C, so that they can be printed and tested without a GPU: tests/c/test_linear_plan.c.
 *
 * linear_paths is the dispatch: the first way that serves is taken, by shape and types alone, never by the row count,
 * because a row's bits must not depend on it.
 *
 *   way           kernel                       for
 *   8-bit weights sm80/linear_int8_weights.cuh w of whole numbers: the modulations
 *   short rows    sm80/linear_short_rows.cuh   RESIDUAL of F32 without bias and gate, in <= 104: the model's input
 *   sm90          sm90/linear.cuh              16-bit x and w, in and out multiples of 64, the y of a block:
 *                                              16-bit y of NONE, both GELUs, RELU and ROPE, F32 y of
 *                                              RESIDUAL, and of a sum of two products (linear_two.cuh)
 *   two calls     this op twice                the other sums of two products: the second with the first as its addend
 *   split f32     sm80/linear_split_f32.cuh    F32 x and w, where tensor cores gain by it: Vocos, and fp32 engines
 *   few outputs   sm80/linear_few_outputs.cuh  16-bit x and w, F32 y of NONE, out <= 112: the velocity
 *   cuBLASLt      cuda/blas.cu                 the rest, its epilogue finished by common/linear_finish.cuh
 *
 * The sm90 kernel: a tile is 128 rows by 64 to 256 columns. A launch works in waves, a tile to a
 * multiprocessor, and a wave costs its columns and some for its beginning and end, the last one too, full or not. On
 * 132 multiprocessors, 2812 rows are 22 tiles high:
 *
 *   1024 -> 3072   12 wide of 256   264 tiles, 2 waves, 100 % busy
 *   1024 -> 1024    6 wide of 176   132 tiles, 1 wave     97 %         (of 128: 2 waves, 67 %)
 *   1024 -> 2048   12 wide of 176   264 tiles, 2 waves    97 %
 *
 * and with 2944 rows, which are 23 tiles high, 1024 columns are 5 wide of 208: 115 tiles, 1 wave, where 6 of 176 would
 * be 2.
 *
 * or, with GELU_TANH, two groups of threads take turns on tiles of 128 columns (sm90/linear_turns.cuh): the end of a
 * tile, where GELU keeps the tensor cores waiting, then costs more than the columns that a last wave leaves empty.
 *
 * The result's bits do not depend on the tile: each element is one sum, in one order. */
#ifndef F5_PLAN_LINEAR_H
#define F5_PLAN_LINEAR_H

#include "kernels/cuda/plan/plan.h"
#include "kernels/linear.h"
#include "kernels/linear_int8.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LINEAR_INT8_WEIGHTS = 0,
    LINEAR_SHORT_ROWS,
    LINEAR_SM90,
    LINEAR_TWO_CALLS,
    LINEAR_SPLIT_F32,
    LINEAR_FEW_OUTPUTS,
    LINEAR_CUBLASLT,
    LINEAR_PATHS
};

typedef struct {
    const char *name;
    bool (*serves)(const cuda_arch *arch, const linear_args *a);
    void (*describe)(const cuda_arch *arch, const linear_args *a, op_plan_line *line);
} linear_path;

extern const linear_path linear_paths[LINEAR_PATHS];

/* The first that serves. */
int linear_path_of(const cuda_arch *arch, const linear_args *a);

/* y is F32: where y_f32 says so, and of F32 operands. */
static inline bool linear_y_is_f32(const linear_args *a) {
    return a->y.type == F5_F32;
}

/* ---- sm90 */

#define LINEAR_TILE_ROWS 128
#define LINEAR_SM90_SHARED_BYTES (201 << 10) /* dynamic; the rest of a block's is for barriers, bias and gate */
#define LINEAR_SM90_MAX_STAGES 6

#define LINEAR_TURN_COLUMNS 128

typedef struct {
    int32_t columns; /* of a tile */
    bool turns;      /* each of a block's two groups has tiles of its own (sm90/linear_turns.cuh) */
    int64_t row_tiles, tiles;
    int64_t waves; /* tiles that the busiest multiprocessor takes */
} linear_plan;

linear_plan linear_plan_of(int32_t rows, int32_t out, int32_t sm_count, int32_t columns);

/* What its waves cost, in columns. Narrow tiles read more for what they multiply. */
static inline int64_t linear_plan_cost(const linear_plan *p) {
    return p->waves * (p->columns + (p->columns < 128 ? 32 : 16));
}

/* The least cost; among equals the widest tiles, which read the least. Of RESIDUAL 64, 96, 128, 176, 192, 208 and 256
 * columns, of ROPE 128, 192 and 256, of others 176 too. rows >= 1, out >= 1. */
linear_plan linear_choose(int32_t rows, int32_t out, int32_t sm_count, linear_epilogue epilogue);

/* What a call gets: for GELU_TANH tiles of 128 columns, by groups that take turns where there are more of these than
 * multiprocessors; else linear_choose's. */
linear_plan linear_plan_for(int32_t rows, int32_t out, int32_t sm_count, linear_epilogue epilogue);

/* The epilogue whose tiles a sum of two products has. */
#define LINEAR_TILES_OF_TWO LINEAR_RESIDUAL

/* Stages of 64 along `in` that fit into shared memory beside the up to 1023 bytes that align them. */
#define LINEAR_SM90_STAGE_BYTES(columns) ((LINEAR_TILE_ROWS + (columns)) * 64 * 2)
#define LINEAR_SM90_STAGES(columns)                                                                                    \
    ((LINEAR_SM90_SHARED_BYTES - 1024) / LINEAR_SM90_STAGE_BYTES(columns) < LINEAR_SM90_MAX_STAGES                     \
         ? (LINEAR_SM90_SHARED_BYTES - 1024) / LINEAR_SM90_STAGE_BYTES(columns)                                        \
         : LINEAR_SM90_MAX_STAGES)

/* ---- linear_int8: the sm90 kernel's tiles and stages, which hold 128 numbers a row; or tiles of 64 by 64 */

#define LINEAR_INT8_STEP 128
#define LINEAR_INT8_SM80_TILE 64
#define LINEAR_INT8_SM80_STAGES 2

/* Does the sm90 kernel take the call? By shape and types alone. */
bool linear_int8_by_sm90(const cuda_arch *arch, const linear_int8_args *a);

/* ---- 8-bit weights: a block has 32 rows, or as many as shared memory holds, and 128 outputs at a time */

#define LINEAR_WEIGHTS_OUTS 128
#define LINEAR_WEIGHTS_SHARED_BYTES(rows, in) ((rows) * ((in) + 8) * 2)
static inline int32_t linear_weights_rows(const cuda_arch *arch, int32_t in) {
    int32_t rows = 32;
    while (rows > 8 && LINEAR_WEIGHTS_SHARED_BYTES(rows, (int64_t)in) > arch->shared_bytes) rows /= 2;
    return rows;
}

/* ---- short rows: tiles of 32 rows by 128 outputs, F32 by three products of F16 */

#define LINEAR_SHORT_MAX_IN 104 /* a mel frame, rounded up to eights */
#define LINEAR_SHORT_TILE_ROWS 32
#define LINEAR_SHORT_TILE_OUTS 128
/* of a buffer: rows as they come, split in two, and a scale each */
#define LINEAR_SHORT_SHARED_BYTES (2 * LINEAR_SHORT_TILE_ROWS * (LINEAR_SHORT_MAX_IN * 4 + (2 * 112 + 8) * 2 + 4))

/* ---- split f32: tiles of 64 by 64, F32 by three products of F16, one, two or four groups of warps along `in` */

#define LINEAR_SPLIT_TILE 64
#define LINEAR_SPLIT_STAGES 3
#define LINEAR_SPLIT_GROUP_BYTES (LINEAR_SPLIT_STAGES * 2 * LINEAR_SPLIT_TILE * (32 * 4 + 4))
/* Groups, a part of `in` each: the longer it is, the more of them, as a step's time is mostly its own waits. */
#define LINEAR_SPLIT_MAX_IN 32768 /* two tiles of operands fit into the fixed scratch of a context, 32 MB */
static inline int linear_split_groups(const cuda_arch *arch, int32_t in) {
    if (in <= 128) return 1;
    return in < 1024 || arch->shared_bytes < 4 * LINEAR_SPLIT_GROUP_BYTES ? 2 : 4;
}

/* ---- few outputs: a block has all outputs of 16, 24 or 32 rows */

#define LINEAR_FEW_MAX_OUT 112
#define LINEAR_FEW_IN_MULTIPLE 256
#define LINEAR_FEW_SHARED_BYTES(rows) ((rows) / 8 * 8 * LINEAR_FEW_MAX_OUT / 16 * 32 * 16)

/* Rows of a block: one wave of the smallest blocks, if any do. */
static inline int32_t linear_few_rows(const cuda_arch *arch, int32_t rows) {
    if (((int64_t)rows + 15) / 16 <= arch->sm_count) return 16;
    if (((int64_t)rows + 23) / 24 <= arch->sm_count || arch->shared_bytes < LINEAR_FEW_SHARED_BYTES(32)) return 24;
    return 32;
}

#ifdef __cplusplus
}
#endif
#endif
