/* gemm.h — one tile of a matrix product, by the calling thread alone.
 *
 *   y [rows,cols] = base + gain * (x [rows,depth] . w [cols,depth]^T)       base = keep ? y : 0, gain [cols], NULL = 1
 *
 * Rows of x, w, y lie ldx, ldw, ldy elements apart. A row of y depends on its row of x, on w, gain and base, and on
 * nothing else: not on the tile it was computed in, on alignment, or on threads. So linear, conv_pos and conv1d may
 * cut their work as suits the machine and still give the same bits whatever a sequence is packed with.
 * The working memory is the caller's and takes about half a second-level cache.
 * One core of a Zen 4: 98 GFLOP/s of 110 for 500 rows, 1024 to 3072, where OpenBLAS 0.3.21 does 94; 32 rows 59 and 46.
 */
#ifndef F5_CPU_GEMM_H
#define F5_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/simd.h"

enum {
    GEMM_PANELS = 16,
    GEMM_COLS = GEMM_PANELS * SIMD_COLS, /* columns for which w is rearranged at a time: a good width of a tile */
    GEMM_DEPTH = 256,                    /* of a step */
    GEMM_ROW = GEMM_DEPTH + 16, /* from one copied row to the next: keeps eight out of one set of the L1 cache */
};

typedef struct {
    float panels[GEMM_PANELS][GEMM_DEPTH][SIMD_COLS]; /* w of one step, transposed: 393 KB with AVX2 */
    float lines[SIMD_LANES][GEMM_ROW];                /* rows of w on their way into a panel */
    float few[SIMD_ROWS][GEMM_ROW];                   /* rows of x */
    float gains[GEMM_COLS];
} gemm_scratch;

void gemm_tile(gemm_scratch *scratch, int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx,
               const float *w, size_t ldw, const float *gain, bool keep, float *y, size_t ldy);

#endif
