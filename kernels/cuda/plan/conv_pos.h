/* conv_pos.h — the ways that conv_pos has on a GPU, by shape, types and architecture alone, and the tiles of each.
 * Plain C, printed and tested without a GPU: tests/c/test_conv_pos_plan.c. conv_pos_paths is the dispatch: the first
 * way that serves is taken.
 *
 *   way          kernel                   for
 *   sm90         sm90/conv_pos.cuh        16 bits, groups of 64 channels, where wgmma and TMA are
 *   sm80         sm80/conv_pos.cuh        16 bits, groups of 16, 48 and 64: the models that ship
 *   f32 units    common/conv_fma.cuh      the rest
 *
 * The sm90 kernel: a block has one of 16 groups of channels and a tile of 128 or 176 rows. A launch works in waves, a
 * tile to a multiprocessor, and a wave costs its rows, full or not. Lengths are not known on the host: rows are taken
 * for one request, that is two sequences of the same length; where there are many the choice hardly matters. On 132
 * multiprocessors:
 *
 *   rows    of 128                of 176                rows in all waves
 *   1876    256 tiles, 2 waves    192 tiles, 2 waves    256 : 352
 *   2812    352 tiles, 3 waves    256 tiles, 2 waves    384 : 352
 *   4124    544 tiles, 5 waves    384 tiles, 3 waves    640 : 528
 *
 * A row's bits do not depend on the choice: each element is one sum, in one order. */
#ifndef F5_PLAN_CONV_POS_H
#define F5_PLAN_CONV_POS_H

#include "kernels/conv_pos.h"
#include "kernels/cuda/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONV_POS_SM90 = 0, CONV_POS_SM80, CONV_POS_F32_UNITS, CONV_POS_PATHS };

typedef struct {
    const char *name;
    bool (*serves)(const cuda_arch *arch, const conv_pos_args *a);
    void (*describe)(const cuda_arch *arch, const conv_pos_args *a, op_lengths lengths, op_plan_line *line);
} conv_pos_path;

extern const conv_pos_path conv_pos_paths[CONV_POS_PATHS];

/* The first that serves. */
int conv_pos_path_of(const cuda_arch *arch, const conv_pos_args *a);

/* ---- sm90 */

/* Rows in all waves, with tiles of `tile_rows`. rows, sm_count >= 1. */
int64_t conv_pos_plan_cost(int32_t rows, int32_t sm_count, int32_t tile_rows);

/* 128 or 176; among equals 176, which reads weights less often. */
int32_t conv_pos_choose_rows(int32_t rows, int32_t sm_count);

#define CONV_POS_SM90_STAGES 4
/* Bytes to align stages, the stages, and x with its halo: an odd number of rows between chunks of 8 channels. */
#define CONV_POS_SM90_SHARED_BYTES(rows)                                                                               \
    (1024 + CONV_POS_SM90_STAGES * 64 * 64 * 2 + 64 / 8 * ((rows) + CONV_POS_TAPS - 1 + 1) * 16)

/* ---- sm80 */

#define CONV_POS_SM80_TILE_ROWS 128
#define CONV_POS_SM80_STAGES 3
#define CONV_POS_SM80_SHARED_BYTES(width)                                                                              \
    ((CONV_POS_SM80_TILE_ROWS + CONV_POS_TAPS - 1 + CONV_POS_SM80_STAGES * (width)) * ((width) + 8) * 2)

#ifdef __cplusplus
}
#endif
#endif
