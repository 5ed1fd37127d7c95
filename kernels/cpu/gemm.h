/* cpu_gemm.h — one tile of a matrix product, by the calling thread alone.
 *
 *   y [rows,cols] = base + gain * (x [rows,depth] . w [cols,depth]^T)       base = keep ? y : 0, gain [cols], NULL = 1
 *
 * Rows of x, w, y lie ldx, ldw, ldy elements apart. A row of y depends on its row of x, on w, gain and base, and on
 * nothing else: not on the tile it was computed in, on alignment, or on threads. So linear, conv_pos and conv1d may
 * cut their work as suits the machine and still give the same bits whatever a sequence is packed with.
 * Uses 560 KB of stack, about half a second-level cache.
 * One core of a Zen 4: 98 GFLOP/s of 110 for 500 rows, 1024 to 3072, where OpenBLAS 0.3.21 does 94; 32 rows 59 and 46.
 */
#ifndef F5_CPU_GEMM_H
#define F5_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/simd.h"

enum { GEMM_COLS = 16 * SIMD_COLS }; /* columns for which w is rearranged at a time: a good width of a tile */

void gemm_tile(int32_t rows, int32_t cols, int32_t depth, const float *x, size_t ldx, const float *w, size_t ldw,
               const float *gain, bool keep, float *y, size_t ldy);

/* Height of near equal blocks of at most `most` rows. */
static inline int32_t gemm_block_rows(int32_t rows, int32_t most) {
    const int32_t blocks = rows / most + (rows % most != 0);
    if (blocks <= 1) return most;
    return (rows / blocks + SIMD_ROWS) / SIMD_ROWS * SIMD_ROWS;
}

#endif
